/* SPDX-License-Identifier: ISC */

#include "tests/unit/config-fixture.h"

/* What a key with a value becomes: the one limit of a service. */
static const UnitLimit *only_limit(Config **c, const char *member)
{
    char text[300];

    snprintf(text, sizeof text, "{" REST ", %s}", member);
    *c = parse(text);
    assert_int_equal(only_service(*c)->n_limits, 1);
    return &only_service(*c)->limits[0];
}

static void limits_are_what_a_service_manager_takes(void **state)
{
    static const struct {
        const char *member, *property;
        char type;
        uint64_t value;
    } table[] = {
            {"\"memoryMax\": 1048576", "MemoryMax", 't', 1048576},
            {"\"memoryMax\": \"1048576\"", "MemoryMax", 't', 1048576},
            {"\"memoryMax\": \"512M\"", "MemoryMax", 't', UINT64_C(512) << 20},
            {"\"memoryMax\": \"1.5G\"", "MemoryMax", 't', UINT64_C(1536) << 20},
            {"\"memoryMax\": \"10K\"", "MemoryMax", 't', 10240},
            {"\"memoryMax\": \"2T\"", "MemoryMax", 't', UINT64_C(2) << 40},
            {"\"memoryMax\": \"50%\"", "MemoryMaxScale", 'u', UINT64_C(0x80000000)},
            {"\"memoryMax\": \"100%\"", "MemoryMaxScale", 'u', UINT32_MAX},
            {"\"memoryMax\": \"infinity\"", "MemoryMax", 't', UINT64_MAX},
            {"\"memoryHigh\": \"0.01%\"", "MemoryHighScale", 'u', 429497},
            {"\"memoryHigh\": \"1G\"", "MemoryHigh", 't', UINT64_C(1) << 30},
            {"\"cpuQuota\": \"20%\"", "CPUQuotaPerSecUSec", 't', 200000},
            {"\"cpuQuota\": \"150.5%\"", "CPUQuotaPerSecUSec", 't', 1505000},
            {"\"cpuQuota\": \"0.01%\"", "CPUQuotaPerSecUSec", 't', 100},
            {"\"cpuWeight\": 10000", "CPUWeight", 't', 10000},
            {"\"cpuWeight\": \"20\"", "CPUWeight", 't', 20},
            {"\"cpuWeight\": \"idle\"", "CPUWeight", 't', 0},
            {"\"ioWeight\": 1", "IOWeight", 't', 1},
            {"\"tasksMax\": 64", "TasksMax", 't', 64},
            {"\"tasksMax\": \"64\"", "TasksMax", 't', 64},
            {"\"tasksMax\": \"10%\"", "TasksMaxScale", 'u', 429496730},
            {"\"tasksMax\": \"100%\"", "TasksMaxScale", 'u', UINT32_MAX - 1},
            {"\"tasksMax\": \"infinity\"", "TasksMax", 't', UINT64_MAX},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_(config_unrefp) Config *c = NULL;
        const UnitLimit *l = only_limit(&c, table[i].member);
        assert_string_equal(l->property, table[i].property);
        assert_int_equal(l->type, table[i].type);
        assert_int_equal(l->value, table[i].value);
    }
}

static void all_limits_may_be_set_at_once_and_by_default_none_is(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse("{" HOST ", " BASE ", \"commands\": {\"start\": \"a\"}, "
                                               "\"memoryHigh\": \"400M\", \"memoryMax\": \"50%\", "
                                               "\"cpuQuota\": \"200%\", \"tasksMax\": 9, \"ioWeight\": 7, "
                                               "\"cpuWeight\": 8, \"group\": \"www-data\"}");
    _cleanup_(config_unrefp) Config *none = parse("{" REST "}");

    assert_int_equal(only_service(c)->n_limits, 6);
    assert_string_equal(only_service(c)->group, "www-data");
    assert_int_equal(only_service(none)->n_limits, 0);
    assert_null(only_service(none)->limits);
    assert_null(only_service(none)->group);
}

#define SIZE ": expected a size such as \"512M\", a percentage such as \"25%\", or \"infinity\", got "
#define QUOTA ": expected a share of one CPU's time such as \"20%\" or \"150%\", got "
#define TASKS                                                                                                \
    ": expected a number of processes and threads such as 64, a percentage such as \"10%\", or "             \
    "\"infinity\", got "

static void a_limit_that_is_none_is_explained(void **state)
{
    static const Refusal table[] = {
            {"{" REST ",\n\"memoryMax\": \"512MB\"}",
                    "2:14: memoryMax" SIZE "\"512MB\"; did you mean \"512M\"?"},
            {"{" REST ",\n\"memoryMax\": \"1.5 gib\"}",
                    "2:14: memoryMax" SIZE "\"1.5 gib\"; did you mean \"1.5G\"?"},
            {"{" REST ",\n\"memoryMax\": \"512m\"}",
                    "2:14: memoryMax" SIZE "\"512m\"; did you mean \"512M\"?"},
            {"{" REST ",\n\"memoryMax\": \"lots\"}", "2:14: memoryMax" SIZE "\"lots\""},
            {"{" REST ",\n\"memoryMax\": \"5P\"}", "2:14: memoryMax" SIZE "\"5P\""},
            {"{" REST ",\n\"memoryMax\": null}",
                    "2:14: memoryMax" SIZE "null; for no limit write \"infinity\""},
            {"{" REST ",\n\"memoryMax\": \"99999999999T\"}",
                    "2:14: memoryMax" SIZE "\"99999999999T\", which is too much"},
            {"{" REST ",\n\"memoryMax\": 0}", "2:14: memoryMax: expected a size of more than 0, got 0"},
            {"{" REST ",\n\"memoryMax\": -1}", "2:14: memoryMax" SIZE "-1"},
            {"{" REST ",\n\"memoryHigh\": \"150%\"}",
                    "2:15: memoryHigh: expected a percentage of more than 0% and at most 100%, got \"150%\""},
            {"{" REST ",\n\"memoryHigh\": \"0%\"}",
                    "2:15: memoryHigh: expected a percentage of more than 0% and at most 100%, got \"0%\""},
            {"{" REST ",\n\"cpuQuota\": 20}", "2:13: cpuQuota" QUOTA "20; did you mean \"20%\"?"},
            {"{" REST ",\n\"cpuQuota\": \"50\"}", "2:13: cpuQuota" QUOTA "\"50\"; did you mean \"50%\"?"},
            {"{" REST ",\n\"cpuQuota\": 0.5}", "2:13: cpuQuota" QUOTA "0.5"},
            {"{" REST ",\n\"cpuQuota\": \"infinity\"}",
                    "2:13: cpuQuota" QUOTA "\"infinity\"; for no limit leave it out"},
            {"{" REST ",\n\"cpuQuota\": \"0%\"}",
                    "2:13: cpuQuota: expected a percentage of more than 0%, got \"0%\""},
            {"{" REST ",\n\"cpuQuota\": \"99999999%\"}",
                    "2:13: cpuQuota" QUOTA "\"99999999%\", which is too much"},
            {"{" REST ",\n\"cpuWeight\": 0}",
                    "2:14: cpuWeight: expected a weight from 1 to 10000, or \"idle\", got 0"},
            {"{" REST ",\n\"ioWeight\": \"idle\"}",
                    "2:13: ioWeight: expected a weight from 1 to 10000, got \"idle\""},
            {"{" REST ",\n\"tasksMax\": 0}", "2:13: tasksMax: expected a number of more than 0, got 0"},
            {"{" REST ",\n\"tasksMax\": \"64K\"}", "2:13: tasksMax" TASKS "\"64K\""},
            {"{" REST ",\n\"memorymax\": 5}",
                    "2:1: memorymax: unknown key \"memorymax\"; did you mean \"memoryMax\"?"},
            {"{" REST ",\n\"group\": \"a b\"}", "2:10: group: expected a group's name, got \"a b\""},
            {"{" HOST ", " BASE ", \"unit\": \"a\",\n\"memoryMax\": \"1G\",\n\"group\": \"a\"}",
                    "2:1: memoryMax: expected only with exec or commands, got it with unit\n"
                    "t.json:3:1: group: expected only with exec or commands, got it with unit"},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void only_a_program_can_notify(void **state)
{
    static const Refusal table[] = {
            {"{" HOST ", " BASE ", \"commands\": {\"start\": \"a\"},\n\"notify\": true}",
                    "2:1: notify: expected only with exec, got it with commands"},
            {"{" HOST ", " BASE ", \"unit\": \"a\",\n\"notify\": true}",
                    "2:1: notify: expected only with exec, got it with unit"},
            {"{" HOST ", " BASE ", \"proxyOnly\": true,\n\"notify\": true}",
                    "2:1: notify: expected only with exec, got it with proxyOnly"},
            {"{" REST ",\n\"notify\": \"yes\"}", "2:11: notify: expected true or false, got \"yes\""},
    };
    assert_refusals(table, ELEMENTSOF(table));

    _cleanup_(config_unrefp) Config *yes = parse("{" REST ", \"notify\": true}");
    _cleanup_(config_unrefp) Config *no = parse("{" REST "}");
    assert_true(only_service(yes)->notify);
    assert_false(only_service(no)->notify);
}

static void a_health_check_is_known_to_be_written_or_not(void **state)
{
    _cleanup_(config_unrefp) Config *written = parse("{" REST ", \"healthCheck\": {\"type\": \"tcp\"}}");
    _cleanup_(config_unrefp) Config *empty = parse("{" REST ", \"healthCheck\": {}}");
    _cleanup_(config_unrefp) Config *none = parse("{" REST "}");

    assert_false(only_service(written)->health_check.implied);
    assert_false(only_service(empty)->health_check.implied);
    assert_true(only_service(none)->health_check.implied);
}

static void the_stop_of_a_unit_is_limited_only_where_that_is_written(void **state)
{
    _cleanup_(config_unrefp) Config *unit = parse("{" HOST ", " BASE ", \"unit\": \"a\"}");
    _cleanup_(config_unrefp) Config *limited =
            parse("{" HOST ", " BASE ", \"unit\": \"a\", \"stopTimeout\": \"5s\"}");
    _cleanup_(config_unrefp) Config *exec = parse("{" REST "}");

    assert_int_equal(only_service(unit)->stop_timeout, USEC_INFINITY);
    assert_int_equal(only_service(limited)->stop_timeout, 5 * USEC_PER_SEC);
    assert_int_equal(only_service(exec)->stop_timeout, 30 * USEC_PER_SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(limits_are_what_a_service_manager_takes),
            cmocka_unit_test(all_limits_may_be_set_at_once_and_by_default_none_is),
            cmocka_unit_test(a_limit_that_is_none_is_explained),
            cmocka_unit_test(only_a_program_can_notify),
            cmocka_unit_test(a_health_check_is_known_to_be_written_or_not),
            cmocka_unit_test(the_stop_of_a_unit_is_limited_only_where_that_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
