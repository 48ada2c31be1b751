/* SPDX-License-Identifier: ISC */

/* How services are stopped. */

#include "tests/unit/test.h"

#include "tests/unit/backend-fixture.h"

/* setsid(1) leaves the group, as the daemons of docker and pm2 do. */
static void a_daemon_that_left_the_group_is_not_dead(void **state)
{
    Fixture f;
    ServiceConfig c = commands_config("setsid -f sh -c 'echo $$ > fifo; exec sleep 1000'; exit 0");
    c.stop_command = (char *) "kill $(cat daemon); echo 42 > fifo";

    set_up(&f, &c);
    start(&f);
    pid_t daemon = number();
    AWAIT(&f, !backend_has_process(f.backend));
    backend_set_ready(f.backend);
    assert_int_equal(backend_main_pid(f.backend), 0);
    assert_false(is_remembered());
    assert_int_equal(n_reports(&f.reports), 0);
    assert_false(is_gone(daemon));

    _cleanup_free_ char *path = text_format("%s/daemon", dir), *line = text_format("%d", daemon);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(write(fd, line, strlen(line)) > 0);
    stop(&f, "stopped");
    assert_int_equal(number(), 42);
    AWAIT(&f, kill(daemon, 0) < 0);
    assert_int_equal(n_reports(&f.reports), 1);

    start(&f);
    daemon = number();
    AWAIT(&f, !backend_has_process(f.backend));
    f.config.stop_command = NULL; /* nothing can be done then, and that is said */
    stop(&f, "it has no process that is known, and no stop command");
    assert_false(is_gone(daemon));
    kill(daemon, SIGKILL);
    AWAIT(&f, kill(daemon, 0) < 0);
    tear_down(&f);
}

static void who_does_not_listen_to_term_is_killed_with_all_its_kin(void **state)
{
    Fixture f;
    ServiceConfig c = exec_config(SHELL_EXEC("trap '' TERM; (while :; do sleep 1000; done) & "
                                             "echo $! > fifo; echo $$ > fifo; while :; do sleep 1000; done"));
    c.stop_timeout = 300 * USEC_PER_MSEC;

    set_up(&f, &c);
    start(&f);
    pid_t child = number(), pid = number();
    assert_int_equal(backend_stop(f.backend), 0);
    assert_int_equal(backend_stop(f.backend), 0); /* once is enough, and one report follows */
    assert_int_equal(backend_start(f.backend, NULL), -EBUSY);
    AWAIT(&f, f.reports.stopped > 0);
    assert_string_equal(f.reports.why, "killed after 300ms");
    assert_true(is_gone(child) && is_gone(pid));
    assert_int_equal(n_reports(&f.reports), 1);
    tear_down(&f);
}

static void a_stopped_process_is_woken_to_end(void **state)
{
    Fixture f;
    ServiceConfig c = exec_config(SHELL_EXEC("echo $$ > fifo; kill -STOP $$"));
    siginfo_t si;

    set_up(&f, &c);
    start(&f);
    pid_t pid = number();
    assert_int_equal(waitid(P_PID, (id_t) pid, &si, WSTOPPED), 0);
    stop(&f, "stopped");
    tear_down(&f);
}

static void the_stop_command_comes_first(void **state)
{
    static const struct {
        const char *command, *why;
    } table[] = {
            {"[ -p fifo ] && echo $X > fifo", "stopped"},
            {"echo $X > fifo; exit 4", "the stop command exited with status 4"},
            {"echo $X > fifo; exec sleep 1000",
                    "the stop command did not end within 300ms, killed after 300ms"},
    };
    char *env[] = {(char *) "X=42", NULL};
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        Fixture f;
        ServiceConfig c = commands_config("sleep 1000 & echo $! > fifo");
        c.stop_command = (char *) table[i].command;
        c.env = env;
        c.stop_timeout = i == 2 ? 300 * USEC_PER_MSEC : 0;

        set_up(&f, &c);
        start(&f);
        pid_t pid = number();
        AWAIT(&f, backend_main_pid(f.backend) == 0);
        stop(&f, table[i].why);
        assert_int_equal(number(), 42);
        assert_true(is_gone(pid)); /* the command did not see to it: the group was asked */
        tear_down(&f);
    }
}

static void a_service_that_ends_during_its_stop_command_is_stopped(void **state)
{
    Fixture f;
    ServiceConfig c = commands_config("sleep 1000 & echo $! > pid; echo 1 > fifo");
    c.stop_command = (char *) "kill -KILL $(cat pid); while kill -0 $(cat pid) 2> /dev/null; do :; done";

    set_up(&f, &c);
    start(&f);
    (void) number();
    AWAIT(&f, backend_main_pid(f.backend) == 0);
    backend_set_ready(f.backend);
    stop(&f, "stopped");
    assert_int_equal(n_reports(&f.reports), 1); /* and did not `exit` */
    assert_false(is_remembered());
    tear_down(&f);
}

static void stopping_nothing_is_told_from_the_loop(void **state)
{
    Fixture f;
    ServiceConfig c = exec_config(SHELL_EXEC("exit"));

    set_up(&f, &c);
    stop(&f, "stopped");
    stop(&f, "stopped");
    assert_int_equal(n_reports(&f.reports), 2);
    tear_down(&f);
}

static void a_stop_ends_a_start(void **state)
{
    Fixture f;
    ServiceConfig c = commands_config("echo 1 > fifo; sleep 1000; exit 1");
    siginfo_t si;

    set_up(&f, &c);
    start(&f);
    (void) number();
    stop(&f, "stopped");
    assert_int_equal(n_reports(&f.reports), 1);

    f.config.start_command = (char *) "exit 1"; /* which has failed when the stop comes */
    start(&f);
    assert_int_equal(waitid(P_PID, (id_t) backend_main_pid(f.backend), &si, WEXITED | WNOWAIT), 0);
    stop(&f, "stopped");
    assert_int_equal(n_reports(&f.reports), 2);
    tear_down(&f);
}

/* A member of the group whose parent has left it, and never reaps. */
static void a_zombie_of_strangers_does_not_hold_up_a_stop(void **state)
{
    Fixture f;
    ServiceConfig c = commands_config(
            "(sleep 1000 & echo $! > fifo; exec setsid sh -c 'echo $$ > fifo; exec sleep 1000') &");

    need_pidfds();
    set_up(&f, &c);
    start(&f);
    pid_t member = number(), parent = number();
    AWAIT(&f, backend_main_pid(f.backend) == 0);
    assert_int_not_equal(getpgid(parent), getpgid(member));
    stop(&f, "stopped");
    assert_true(is_gone(member));
    assert_false(is_gone(parent));
    kill(parent, SIGKILL);
    AWAIT(&f, kill(parent, 0) < 0);
    tear_down(&f);
}

static void a_stop_ends_a_check(void **state)
{
    Fixture f;
    ServiceConfig c = commands_config("exit 1");
    c.check_command = (char *) "exec sleep 1000";

    set_up(&f, &c);
    assert_int_equal(backend_check(f.backend), 0);
    stop(&f, "stopped");
    assert_int_equal(f.reports.checked, 0);
    f.config.check_command = NULL;
    assert_int_equal(backend_check(f.backend), 0);
    stop(&f, "stopped");
    assert_int_equal(f.reports.checked, 0);
    tear_down(&f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_daemon_that_left_the_group_is_not_dead),
            cmocka_unit_test(who_does_not_listen_to_term_is_killed_with_all_its_kin),
            cmocka_unit_test(a_stopped_process_is_woken_to_end),
            cmocka_unit_test(the_stop_command_comes_first),
            cmocka_unit_test(a_service_that_ends_during_its_stop_command_is_stopped),
            cmocka_unit_test(stopping_nothing_is_told_from_the_loop),
            cmocka_unit_test(a_stop_ends_a_start),
            cmocka_unit_test(a_zombie_of_strangers_does_not_hold_up_a_stop),
            cmocka_unit_test(a_stop_ends_a_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_backend_tests(run);
}
