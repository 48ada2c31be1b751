/* SPDX-License-Identifier: ISC */

/* How services start and end by themselves. */

#include "tests/unit/test.h"

#include "tests/unit/backend-fixture.h"

static void a_program_runs_until_it_is_stopped(void **state)
{
    Fixture f;
    ServiceConfig c = exec_config(SHELL_EXEC("echo $$ > fifo; exec sleep 1000"));

    set_up(&f, &c);
    assert_false(backend_has_process(f.backend));
    assert_int_equal(backend_main_pid(f.backend), 0);
    start(&f);
    pid_t pid = number();
    assert_int_equal(backend_main_pid(f.backend), pid);
    assert_true(backend_has_process(f.backend));
    assert_true(backend_launched_at(f.backend) > 0);
    assert_int_equal(getsid(pid), pid);
    assert_true(is_remembered());
    assert_int_equal(backend_start(f.backend, NULL), -EBUSY);
    backend_set_ready(f.backend);

    stop(&f, "stopped"); /* it was asked, not killed */
    assert_true(is_gone(pid));
    assert_false(is_remembered());
    assert_int_equal(n_reports(&f.reports), 1);

    start(&f); /* and again */
    pid_t second = number();
    assert_int_not_equal(second, pid);
    stop(&f, "stopped");
    tear_down(&f);
}

static void what_cannot_be_executed_is_said_by_start(void **state)
{
    Fixture f;
    char *argv[] = {(char *) "/usr/bin/nod", NULL};
    ServiceConfig c = exec_config(argv);
    _cleanup_free_ char *why = NULL;

    set_up(&f, &c);
    assert_int_equal(backend_start(f.backend, &why), -ENOENT);
    assert_string_equal(why, "cannot execute /usr/bin/nod: No such file or directory");
    assert_false(backend_has_process(f.backend));
    assert_false(is_remembered());
    assert_int_equal(backend_start(f.backend, NULL), -ENOENT); /* nobody has to ask why */
    stop(&f, "stopped");
    tear_down(&f);
}

/* One service that ends by itself, before or after it was ready. */
static void check_end(ServiceConfig c, bool ready, const char *why)
{
    _cleanup_free_ char *path = text_format("%s/go", dir);
    Fixture f;

    assert_int_equal(mkfifo(path, 0600), 0);
    _cleanup_close_ int go = open(path, O_RDWR | O_CLOEXEC);
    set_up(&f, &c);
    start(&f);
    if (ready)
        backend_set_ready(f.backend);
    assert_int_equal(write(go, "\n", 1), 1);
    AWAIT(&f, n_reports(&f.reports) > 0);
    assert_int_equal(f.reports.start_failed, !ready);
    assert_int_equal(f.reports.exited, ready);
    assert_non_null(startswith(f.reports.why, why)); /* a core may have been dumped */
    assert_false(backend_has_process(f.backend));
    assert_false(is_remembered());
    unlink(path);
    tear_down(&f);
}

static void an_end_is_a_failed_start_until_it_was_ready(void **state)
{
    static const struct {
        const char *command, *why;
        bool exec_only;
    } table[] = {
            {"read line < go; exit 3", "exited with status 3", false},
            {"read line < go; exit 0", "exited with status 0", true},
            {"read line < go; kill -SEGV $$", "killed by SIGSEGV", false},
            {"read line < go; nod-of-dynapm 2> /dev/null", "exited with status 127 (command not found)",
                    false},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        for (int ready = 0; ready < 2; ready++) {
            check_end(exec_config(SHELL_EXEC(table[i].command)), ready, table[i].why);
            if (!table[i].exec_only)
                check_end(commands_config(table[i].command), ready, table[i].why);
        }
}

static void what_a_main_process_leaves_behind_is_killed(void **state)
{
    Fixture f;
    ServiceConfig c = exec_config(SHELL_EXEC("trap '' TERM; sleep 1000 & echo $! > fifo; exit 5"));

    set_up(&f, &c);
    start(&f);
    pid_t left = number();
    AWAIT(&f, n_reports(&f.reports) > 0);
    assert_int_equal(f.reports.start_failed, 1);
    assert_string_equal(f.reports.why, "exited with status 5");
    assert_true(is_gone(left)); /* before anybody is told */
    tear_down(&f);
}

static void a_start_command_may_stay(void **state)
{
    Fixture f;
    ServiceConfig c = commands_config("echo $$ > fifo; sleep 1000; :");

    set_up(&f, &c);
    start(&f);
    pid_t pid = number();
    assert_int_equal(backend_main_pid(f.backend), pid);
    backend_set_ready(f.backend);
    stop(&f, "stopped");
    assert_true(is_gone(pid));
    tear_down(&f);
}

static void check_background(const char *command, bool ready)
{
    Fixture f;
    ServiceConfig c = commands_config(command);

    set_up(&f, &c);
    start(&f);
    pid_t pid = number();
    AWAIT(&f, backend_main_pid(f.backend) == 0); /* the command has returned */
    assert_true(backend_has_process(f.backend));
    assert_true(backend_launched_at(f.backend) > 0);
    assert_true(is_remembered());
    if (ready)
        backend_set_ready(f.backend);
    assert_int_equal(n_reports(&f.reports), 0);

    AWAIT(&f, n_members(getpgid(pid)) == 1);
    kill(pid, SIGKILL); /* the service dies */
    AWAIT(&f, n_reports(&f.reports) > 0);
    assert_int_equal(f.reports.start_failed, !ready);
    assert_int_equal(f.reports.exited, ready);
    assert_string_equal(f.reports.why, "killed by SIGKILL");
    assert_false(backend_has_process(f.backend));
    assert_false(is_remembered());

    start(&f); /* and again, to be stopped */
    pid = number();
    AWAIT(&f, backend_main_pid(f.backend) == 0);
    stop(&f, "stopped");
    assert_true(is_gone(pid));
    tear_down(&f);
}

static void a_start_command_may_go_to_the_background(void **state)
{
    static const char *const commands[] = {
            "nohup sleep 1000 > /dev/null 2>&1 & echo $! > fifo",
            "(sleep 1000 & echo $! > fifo) &", /* twice */
            "(trap '' HUP; exec sleep 1000) & echo $! > fifo; exit 0",
    };
    for (size_t i = 0; i < ELEMENTSOF(commands); i++)
        for (int ready = 0; ready < 2; ready++)
            check_background(commands[i], ready);
}

static void many_in_the_background_are_one_service(void **state)
{
    Fixture f;
    ServiceConfig c = commands_config("for i in 1 2 3 4 5 6 7 8; do sleep 1000 & echo $! > fifo; done");
    pid_t pids[8];

    set_up(&f, &c);
    start(&f);
    for (int i = 0; i < 8; i++)
        pids[i] = number();
    AWAIT(&f, backend_main_pid(f.backend) == 0);
    backend_set_ready(f.backend);
    for (int i = 0; i < 7; i++) {
        kill(pids[i], SIGKILL);
        AWAIT(&f, kill(pids[i], 0) < 0);
        assert_int_equal(n_reports(&f.reports), 0);
    }
    kill(pids[7], SIGTERM);
    AWAIT(&f, f.reports.exited == 1);
    assert_string_equal(f.reports.why, "killed by SIGTERM");
    tear_down(&f);
}

static void a_backend_that_is_freed_leaves_its_processes_alone(void **state)
{
    Fixture f;
    ServiceConfig c = exec_config(SHELL_EXEC("echo $$ > fifo; exec sleep 1000"));

    set_up(&f, &c);
    start(&f);
    pid_t pid = number();
    f.backend = backend_free(f.backend);
    assert_int_equal(kill(pid, 0), 0);
    assert_true(is_remembered()); /* for the next one */
    assert_int_equal(kill(pid, SIGKILL), 0);
    AWAIT(&f, kill(pid, 0) < 0); /* which does not have to reap it */
    unlinkat(state_dir, "blog", 0);
    tear_down(&f);
}

static void services_run_as_the_default_user(void **state)
{
    Fixture f;
    ServiceConfig c = commands_config("id -u > fifo; sleep 1000");

    if (geteuid() != 0)
        skip();
    set_up(&f, &c);
    f.context.default_user = "nobody";
    start(&f);
    assert_int_equal(number(), 65534);
    stop(&f, "stopped");
    f.config.user = (char *) "root";
    start(&f);
    assert_int_equal(number(), 0);
    stop(&f, "stopped");
    tear_down(&f);
}

static void a_unit_is_refused_with_a_clear_sentence(void **state)
{
    Loop l = loop_new();
    BackendContext context = {
            .event = l.event, .children = l.children, .commands = &l.commands, .state_dir_fd = -EBADF};
    ServiceConfig c = {.kind = SERVICE_UNIT, .name = (char *) "x", .unit = (char *) "x.service"};
    const char *why = NULL;
    Backend *b = NULL;

    assert_int_equal(backend_new(&context, &c, &events, NULL, &b, &why), -EOPNOTSUPP);
    assert_non_null(strstr(why, "systemd"));
    assert_null(b);
    loop_done(&l);
}

/* What making a backend puts into the log; the caller frees it. */
static char *log_of_new(const ServiceConfig *config)
{
    int p[2], saved = dup(STDERR_FILENO);
    char *buf = new0(char, 4096);
    Fixture f;

    assert_non_null(buf);
    assert_int_equal(pipe(p), 0);
    dup2(p[1], STDERR_FILENO);
    set_up(&f, config);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(p[1]);
    assert_true(read(p[0], buf, 4095) >= 0);
    close(p[0]);
    tear_down(&f);
    return buf;
}

static void what_only_a_service_manager_can_do_is_said_to_be_ignored(void **state)
{
    UnitLimit limit = {"MemoryMax", 't', 1 << 30};
    ServiceConfig c = exec_config(SHELL_EXEC("true"));
    _cleanup_free_ char *plain = log_of_new(&c);

    c.group = (char *) "www-data";
    c.limits = &limit;
    c.n_limits = 1;
    c.notify = true;
    _cleanup_free_ char *line = log_of_new(&c);

    assert_string_equal(plain, "");
    assert_non_null(strstr(line, "blog: Ignored without a service manager: group, limits, notify.\n"));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_program_runs_until_it_is_stopped),
            cmocka_unit_test(what_cannot_be_executed_is_said_by_start),
            cmocka_unit_test(an_end_is_a_failed_start_until_it_was_ready),
            cmocka_unit_test(what_a_main_process_leaves_behind_is_killed),
            cmocka_unit_test(a_start_command_may_stay),
            cmocka_unit_test(a_start_command_may_go_to_the_background),
            cmocka_unit_test(many_in_the_background_are_one_service),
            cmocka_unit_test(a_backend_that_is_freed_leaves_its_processes_alone),
            cmocka_unit_test(services_run_as_the_default_user),
            cmocka_unit_test(a_unit_is_refused_with_a_clear_sentence),
            cmocka_unit_test(what_only_a_service_manager_can_do_is_said_to_be_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_backend_tests(run);
}
