/* SPDX-License-Identifier: ISC */

/* How services are found again, by a check and after a crash of a manager. */

#include "tests/unit/test.h"

#include <sched.h>
#include <sys/prctl.h>

#include "tests/unit/backend-fixture.h"
#include "util/process.h"

static void a_check_command_tells_whether_it_runs(void **state)
{
    static const struct {
        const char *command;
        bool running;
    } table[] = {{"exit 0", true}, {"exit 1", false}, {"[ $X = 42 ] && [ -p fifo ]", true}, {NULL, false},
            {"exec sleep 1000", false}};
    char *env[] = {(char *) "X=42", NULL};
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        Fixture f;
        ServiceConfig c = commands_config("exit 1");
        c.check_command = (char *) table[i].command;
        c.env = env;
        c.health_check.timeout = i == 4 ? 200 * USEC_PER_MSEC : 0;

        set_up(&f, &c);
        assert_int_equal(backend_check(f.backend), 0);
        assert_int_equal(f.reports.checked, 0);
        assert_int_equal(backend_check(f.backend), -EBUSY);
        AWAIT(&f, f.reports.checked > 0);
        assert_int_equal(f.reports.running, table[i].running);
        assert_false(backend_has_process(f.backend));
        tear_down(&f);
    }
}

/* Another process starts the service and dies by SIGKILL, as a manager may. `as_ours`: its children come to
 * us, else to whoever is above us. */
static void start_and_crash(const ServiceConfig *config, bool as_ours, bool background)
{
    int status;

    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, (unsigned long) as_ours, 0UL, 0UL, 0UL), 0);
    pid_t pid = fork();
    if (pid == 0) {
        Fixture f;
        set_up(&f, config);
        if (backend_start(f.backend, NULL) < 0)
            _exit(1);
        while (background && backend_main_pid(f.backend) != 0)
            if (sd_event_run(f.loop.event, PATIENCE) <= 0)
                _exit(2);
        (void) kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(is_remembered());
}

static void after_a_crash_a_program_is_taken_over(void **state)
{
    need_pidfds();
    for (int i = 0; i < 4; i++) {
        Fixture f;
        ServiceConfig c = exec_config(SHELL_EXEC("sleep 1000 & echo $$ > fifo; echo $! > fifo; wait"));
        bool as_ours = i & 1, dies = i & 2;

        start_and_crash(&c, as_ours, false);
        pid_t pid = number(), child = number();
        set_up(&f, &c);
        assert_int_equal(backend_check(f.backend), 0);
        AWAIT(&f, f.reports.checked > 0);
        assert_true(f.reports.running);
        assert_int_equal(backend_main_pid(f.backend), pid);
        assert_true(backend_has_process(f.backend));
        assert_int_equal(backend_start(f.backend, NULL), -EBUSY);
        if (dies) {
            kill(pid, SIGKILL);
            AWAIT(&f, f.reports.exited > 0);
            assert_string_equal(f.reports.why, as_ours ? "killed by SIGKILL" : "its process is gone");
            assert_false(backend_has_process(f.backend));
        } else
            stop(&f, "stopped");
        assert_true(is_gone(pid) && is_gone(child));
        assert_false(is_remembered());
        assert_int_equal(n_reports(&f.reports), 2);
        tear_down(&f);
    }
}

static void after_a_crash_a_background_is_taken_over(void **state)
{
    need_pidfds();
    for (int i = 0; i < 4; i++) {
        Fixture f;
        ServiceConfig c = commands_config("sleep 1000 & echo $! > fifo; sleep 1000 & echo $! > fifo");
        bool as_ours = i & 1, dies = i & 2;

        start_and_crash(&c, as_ours, true);
        pid_t first = number(), second = number();
        set_up(&f, &c);
        assert_int_equal(backend_check(f.backend), 0);
        AWAIT(&f, f.reports.checked > 0);
        assert_true(f.reports.running);
        assert_int_equal(backend_main_pid(f.backend), 0);
        assert_true(backend_has_process(f.backend));
        if (dies) {
            kill(first, SIGKILL);
            kill(second, SIGKILL);
            AWAIT(&f, f.reports.exited > 0);
        } else
            stop(&f, "stopped");
        assert_true(is_gone(first) && is_gone(second));
        assert_false(is_remembered());
        assert_int_equal(n_reports(&f.reports), 2);
        tear_down(&f);
    }
}

static void after_a_crash_who_ignores_term_is_killed_all_the_same(void **state)
{
    Fixture f;
    ServiceConfig c = commands_config("trap '' TERM; (while :; do sleep 1000; done) & echo $! > fifo");
    c.stop_timeout = 300 * USEC_PER_MSEC;

    need_pidfds();
    start_and_crash(&c, false, true);
    pid_t pid = number();
    set_up(&f, &c);
    assert_int_equal(backend_check(f.backend), 0);
    AWAIT(&f, f.reports.checked > 0);
    stop(&f, "killed after 300ms");
    assert_true(is_gone(pid));
    tear_down(&f);
}

static void what_a_dead_program_left_is_killed_after_a_crash(void **state)
{
    Fixture f;
    ServiceConfig c = exec_config(SHELL_EXEC("sleep 1000 & echo $$ > fifo; echo $! > fifo; wait"));

    need_pidfds();
    start_and_crash(&c, false, false);
    pid_t pid = number(), left = number();
    kill(pid, SIGKILL); /* while no manager is there */
    while (!is_gone(pid))
        sched_yield();
    set_up(&f, &c);
    assert_int_equal(backend_check(f.backend), 0);
    AWAIT(&f, f.reports.checked > 0);
    assert_false(f.reports.running);
    assert_true(is_gone(left));
    assert_false(is_remembered());
    tear_down(&f);
}

/* Writes what a manager might have left, and looks. */
static void check_with_file(const char *text, bool running)
{
    Fixture f;
    ServiceConfig c = exec_config(SHELL_EXEC("exit"));
    int fd = openat(state_dir, "blog", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    set_up(&f, &c);
    assert_int_equal(backend_check(f.backend), 0);
    AWAIT(&f, f.reports.checked > 0);
    assert_int_equal(f.reports.running, running);
    assert_int_equal(is_remembered(), running);
    stop(&f, "stopped");
    tear_down(&f);
}

static void nobody_else_is_taken_for_a_remembered_service(void **state)
{
    ProcessSpec bystander = {.argv = (const char *const[]){"sleep", "1000", NULL}};
    char boot_id[BOOT_ID_SIZE], text[6][128] = {};
    ProcStat s;
    pid_t pid;

    need_pidfds();
    assert_int_equal(process_spawn(&bystander, &pid, NULL), 0);
    assert_int_equal(proc_stat(pid, &s), 0);
    assert_int_equal(proc_boot_id(boot_id), 0);
    unsigned long long t = s.start_time;
    snprintf(text[0], sizeof text[0], "%d %llu %s\n", pid, t - 1, boot_id);
    snprintf(text[1], sizeof text[1], "%d %llu 00000000-0000-0000-0000-000000000000\n", pid, t);
    snprintf(text[2], sizeof text[2], "-1 %llu %s\n", t, boot_id);
    snprintf(text[3], sizeof text[3], "99999999 %llu %s\n", t, boot_id);
    memset(text[4], 'x', sizeof text[4] - 1);
    for (size_t i = 0; i < ELEMENTSOF(text); i++) { /* the last one is empty */
        check_with_file(text[i], false);
        assert_false(is_gone(pid));
    }
    /* They name it but for their one fault. */
    snprintf(text[0], sizeof text[0], "%d %llu %s\n", pid, t, boot_id);
    check_with_file(text[0], true);
    assert_true(is_gone(pid));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_check_command_tells_whether_it_runs),
            cmocka_unit_test(after_a_crash_a_program_is_taken_over),
            cmocka_unit_test(after_a_crash_a_background_is_taken_over),
            cmocka_unit_test(after_a_crash_who_ignores_term_is_killed_all_the_same),
            cmocka_unit_test(what_a_dead_program_left_is_killed_after_a_crash),
            cmocka_unit_test(nobody_else_is_taken_for_a_remembered_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_backend_tests(run);
}
