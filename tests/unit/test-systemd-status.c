/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <signal.h>

#include "backend/systemd-internal.h"

/* A message to write into and read back; no bus is needed for that. */
static sd_bus_message *new_message(sd_bus **ret_bus)
{
    sd_bus_message *m;

    assert_true(sd_bus_new(ret_bus) >= 0);
    assert_true(sd_bus_set_address(*ret_bus, "unixexec:path=/bin/cat") >= 0);
    assert_true(sd_bus_start(*ret_bus) >= 0);
    assert_true(sd_bus_message_new_signal(*ret_bus, &m, "/a", "a.b", "C") >= 0);
    return m;
}

static void end(sd_bus *bus, sd_bus_message *m)
{
    sd_bus_message_unref(m);
    sd_bus_close_unref(bus);
}

static void seal(sd_bus_message *m)
{
    assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
    assert_true(sd_bus_message_rewind(m, true) >= 0);
}

static void test_properties_change_what_they_name(void **state)
{
    sd_bus *bus;
    sd_bus_message *m = new_message(&bus);
    UnitStatus s = {.state = UNIT_INACTIVE, .main_pid = 7, .result = UNIT_TIMEOUT};

    assert_true(sd_bus_message_append(m, "a{sv}", 8, "ActiveState", "s", "active", "SubState", "s", "exited",
                        "Type", "s", "notify", "MainPID", "u", 4711, "ExecMainCode", "i", CLD_EXITED,
                        "ExecMainStatus", "i", 3, "SomethingElse", "as", 1, "x", "ConditionResult", "b",
                        false) >= 0);
    seal(m);
    assert_true(unit_status_read(&s, m) >= 0);
    assert_int_equal(s.state, UNIT_ACTIVE);
    assert_true(s.exited && s.notifies && s.condition_failed);
    assert_int_equal(s.main_pid, 4711);
    assert_int_equal(s.exit_code, CLD_EXITED);
    assert_int_equal(s.exit_status, 3);
    assert_int_equal(s.result, UNIT_TIMEOUT); /* was not in it */
    end(bus, m);
}

static void test_properties_of_another_type_are_nonsense(void **state)
{
    sd_bus *bus;
    sd_bus_message *m = new_message(&bus);
    UnitStatus s = {};

    assert_true(sd_bus_message_append(m, "a{sv}", 1, "MainPID", "s", "many") >= 0);
    seal(m);
    assert_true(unit_status_read(&s, m) < 0);
    end(bus, m);
}

static void test_states_that_nobody_knows_are_not_active(void **state)
{
    assert_int_equal(unit_state_from_string("reloading"), UNIT_ACTIVE);
    assert_int_equal(unit_state_from_string("maintenance"), UNIT_INACTIVE);
    assert_int_equal(unit_state_from_string("of-the-art"), UNIT_INACTIVE);
}

static void says(UnitStatus s, const char *expected)
{
    char buf[UNIT_END_STRING_MAX];
    assert_string_equal(unit_end_format(buf, &s), expected);
}

static void test_ends_are_told_in_words(void **state)
{
    says((UnitStatus){.result = UNIT_EXIT_CODE, .exit_code = CLD_EXITED, .exit_status = 3},
            "exited with status 3");
    says((UnitStatus){.result = UNIT_EXIT_CODE, .exit_code = CLD_EXITED, .exit_status = 203},
            "its program cannot be executed (exit status 203)");
    says((UnitStatus){.result = UNIT_SIGNAL, .exit_code = CLD_KILLED, .exit_status = SIGKILL},
            "killed by SIGKILL");
    says((UnitStatus){.result = UNIT_OOM_KILL, .exit_code = CLD_KILLED, .exit_status = SIGKILL},
            "killed by the kernel for want of memory");
    says((UnitStatus){.result = UNIT_SUCCESS}, "stopped");
    says((UnitStatus){.result = _UNIT_RESULT_INVALID}, "it failed");
}

static void test_a_job_that_is_done_may_have_done_nothing(void **state)
{
    char buf[UNIT_END_STRING_MAX];
    TransientSpec oneshot = {.type = "oneshot"};
    Unit u = {.job.kind = JOB_START, .status.state = UNIT_ACTIVE};

    assert_null(job_result_format(buf, "done", &u));
    u.status.state = UNIT_INACTIVE;
    assert_string_equal(job_result_format(buf, "done", &u), "stopped");
    u.status.condition_failed = true;
    assert_string_equal(job_result_format(buf, "done", &u), "a condition of its unit is not met");
    u = (Unit){.job = {.kind = JOB_START_TRANSIENT, .spec = &oneshot}, .status.state = UNIT_INACTIVE};
    assert_null(job_result_format(buf, "done", &u));
    u = (Unit){.job.kind = JOB_STOP, .status.state = UNIT_INACTIVE};
    assert_null(job_result_format(buf, "done", &u));
    assert_string_equal(job_result_format(buf, "canceled", &u), "its stop was cancelled by somebody else");
    u.job.kind = JOB_START;
    assert_string_equal(
            job_result_format(buf, "dependency", &u), "a unit that it needs could not be started");
    assert_string_equal(
            job_result_format(buf, "collected", &u), "its job ended with the result \"collected\"");
}

static void test_a_program_of_ours_that_cannot_be_executed_is_named(void **state)
{
    char buf[UNIT_END_STRING_MAX], path[1000];
    const char *argv[] = {"/srv/blog/serve", "--port=1", NULL};
    TransientSpec spec = {.type = "exec", .argv = argv};
    Unit u = {.job = {.kind = JOB_START_TRANSIENT, .spec = &spec},
            .status = {.state = UNIT_FAILED,
                    .result = UNIT_EXIT_CODE,
                    .exit_code = CLD_EXITED,
                    .exit_status = 203}};

    assert_string_equal(job_result_format(buf, "failed", &u),
            "its program cannot be executed (exit status 203): /srv/blog/serve");
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = 0;
    argv[0] = path;
    assert_int_equal(strlen(job_result_format(buf, "failed", &u)), UNIT_END_STRING_MAX - 1);
    u.job = (Job){.kind = JOB_START}; /* somebody else's unit: its file says which */
    assert_string_equal(
            job_result_format(buf, "failed", &u), "its program cannot be executed (exit status 203)");
}

/* The strings of the first array of strings below a property that is a list of commands. */
static void read_command(sd_bus_message *m, const char *path, const char *const *argv)
{
    const char *text;
    int ignore;

    assert_true(sd_bus_message_enter_container(m, 'v', "a(sasb)") > 0);
    assert_true(sd_bus_message_enter_container(m, 'a', "(sasb)") > 0);
    assert_true(sd_bus_message_enter_container(m, 'r', "sasb") > 0);
    assert_true(sd_bus_message_read(m, "s", &text) > 0);
    assert_string_equal(text, path);
    assert_true(sd_bus_message_enter_container(m, 'a', "s") > 0);
    for (; *argv; argv++) {
        assert_true(sd_bus_message_read(m, "s", &text) > 0);
        assert_string_equal(text, *argv);
    }
    assert_int_equal(sd_bus_message_read(m, "s", &text), 0);
    assert_true(sd_bus_message_exit_container(m) > 0);
    assert_true(sd_bus_message_read(m, "b", &ignore) > 0);
    assert_false(ignore);
    for (size_t i = 0; i < 3; i++)
        assert_true(sd_bus_message_exit_container(m) > 0);
}

static void test_a_transient_unit_is_what_was_configured(void **state)
{
    const UnitLimit limits[] = {{"MemoryMax", 't', 1048576}, {"TasksMaxScale", 'u', 5}};
    const TransientSpec spec = {.description = "d",
            .service = "blog",
            .type = "exec",
            .argv = (const char *const[]){"/bin/sh", "-c", "echo $HOME ${X} $$", NULL},
            .cwd = "/srv",
            .user = "someone",
            .environment_file = "/run/x",
            .limits = limits,
            .n_limits = 2,
            .start_timeout = USEC_INFINITY,
            .stop_timeout = 5};
    bool command = false, user = false, group = false, memory = false, tasks = false, stop = false,
         environment = false;
    int optional;
    sd_bus *bus;
    sd_bus_message *m = new_message(&bus);
    const char *key, *text;
    uint64_t u64;
    uint32_t u32;

    assert_true(transient_spec_append(m, &spec) >= 0);
    seal(m);
    assert_true(sd_bus_message_enter_container(m, 'a', "(sv)") > 0);
    while (sd_bus_message_enter_container(m, 'r', "sv") > 0) {
        assert_true(sd_bus_message_read(m, "s", &key) > 0);
        if (streq(key, "ExecStart")) {
            command = true;
            read_command(
                    m, "/bin/sh", (const char *const[]){"/bin/sh", "-c", "echo $$HOME $${X} $$$$", NULL});
        } else if (streq(key, "User")) {
            assert_true(sd_bus_message_read(m, "v", "s", &text) > 0);
            user = streq(text, "someone");
        } else if (streq(key, "EnvironmentFiles")) {
            assert_true(sd_bus_message_read(m, "v", "a(sb)", 1, &text, &optional) > 0);
            environment = streq(text, "/run/x") && !optional;
        } else if (streq(key, "MemoryMax")) {
            assert_true(sd_bus_message_read(m, "v", "t", &u64) > 0);
            memory = u64 == 1048576;
        } else if (streq(key, "TasksMaxScale")) {
            assert_true(sd_bus_message_read(m, "v", "u", &u32) > 0);
            tasks = u32 == 5;
        } else {
            group |= streq(key, "Group");
            stop |= streq(key, "ExecStop");
            assert_true(sd_bus_message_skip(m, "v") > 0);
        }
        assert_true(sd_bus_message_exit_container(m) > 0);
    }
    assert_true(command && user && memory && tasks && environment);
    assert_false(group || stop); /* not said */
    end(bus, m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_properties_change_what_they_name),
            cmocka_unit_test(test_properties_of_another_type_are_nonsense),
            cmocka_unit_test(test_states_that_nobody_knows_are_not_active),
            cmocka_unit_test(test_ends_are_told_in_words),
            cmocka_unit_test(test_a_job_that_is_done_may_have_done_nothing),
            cmocka_unit_test(test_a_program_of_ours_that_cannot_be_executed_is_named),
            cmocka_unit_test(test_a_transient_unit_is_what_was_configured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
