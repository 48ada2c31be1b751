/* SPDX-License-Identifier: ISC */

#include "tests/unit/config-fixture.h"

#include "config/suggest.h"

static void the_smallest_service_has_all_defaults(void **state)
{
    _cleanup_(config_unrefp) Config *c = config_new();
    add_text(c, "/etc/dynapm.d/blog.json", "{" REST "}");
    const ServiceConfig *s = only_service(c);

    assert_string_equal(s->name, "blog");
    assert_string_equal(s->file, "/etc/dynapm.d/blog.json");
    assert_int_equal(s->kind, SERVICE_EXEC);
    assert_string_equal(s->exec[0], "/bin/app");
    assert_null(s->exec[1]);
    assert_null(s->cwd);
    assert_null(s->env);
    assert_null(s->user);
    assert_int_equal(s->idle_timeout, 5 * USEC_PER_MINUTE);
    assert_int_equal(s->start_timeout, 30 * USEC_PER_SEC);
    assert_int_equal(s->stop_timeout, 30 * USEC_PER_SEC);
    assert_int_equal(s->n_routes, 1);
    assert_int_equal(s->health_check.type, HEALTH_CHECK_TCP);
    assert_string_equal(s->health_check.endpoint.text, "http://127.0.0.1:3001");
    assert_int_equal(s->health_check.timeout, 5 * USEC_PER_SEC);
    assert_int_equal(s->health_check.interval, 0);
}

static void everything_that_is_said_arrives(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse(
            "{" HOST ", " BASE
            ", \"name\": \"my.app_1-x\", \"commands\": {\"start\": \"./run &\\n\", \"stop\": \"s\", "
            "\"check\": \"c\"}, \"cwd\": \"/srv\", \"env\": {\"A\": \"b=c\", \"_N\": 5, \"F\": 1.50, \"T\": "
            "true, "
            "\"E\": \"\"}, \"user\": \"www-data\", \"idleTimeout\": 1500, \"startTimeout\": \"1min 30s\", "
            "\"stopTimeout\": \"never\", \"webSocketIdle\": \"10min\"}");
    static const char *const env[] = {"A=b=c", "_N=5", "F=1.50", "T=true", "E="};
    const ServiceConfig *s = only_service(c);

    assert_string_equal(s->name, "my.app_1-x");
    assert_int_equal(s->kind, SERVICE_COMMANDS);
    assert_string_equal(s->start_command, "./run &\n");
    assert_string_equal(s->stop_command, "s");
    assert_string_equal(s->check_command, "c");
    assert_string_equal(s->cwd, "/srv");
    for (size_t i = 0; i < ELEMENTSOF(env); i++)
        assert_string_equal(s->env[i], env[i]);
    assert_null(s->env[ELEMENTSOF(env)]);
    assert_string_equal(s->user, "www-data");
    assert_int_equal(s->idle_timeout, 1500 * USEC_PER_MSEC);
    assert_int_equal(s->web_socket_idle, 10 * USEC_PER_MINUTE);
    assert_int_equal(s->start_timeout, 90 * USEC_PER_SEC);
    assert_int_equal(s->stop_timeout, USEC_INFINITY);
}

static void the_commands_may_bring_their_own_surroundings(void **state)
{
    _cleanup_(config_unrefp) Config *c =
            parse("{" HOST ", " BASE
                  ", \"commands\": {\"start\": \"a\", \"cwd\": \"/srv\", \"env\": {\"A\": \"b\"}}}");
    const ServiceConfig *s = only_service(c);

    assert_string_equal(s->cwd, "/srv");
    assert_string_equal(s->env[0], "A=b");
    assert_null(s->stop_command);
    assert_null(s->check_command);
}

static void a_unit_gets_its_suffix(void **state)
{
    static const char *const table[][2] = {{"blog", "blog.service"}, {"blog.service", "blog.service"},
            {"my.app", "my.app.service"}, {"a@b", "a@b.service"}, {"x.target", "x.target"}};
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        char text[200];
        snprintf(text, sizeof text, "{" HOST ", " BASE ", \"unit\": \"%s\"}", table[i][0]);
        _cleanup_(config_unrefp) Config *c = parse(text);
        assert_int_equal(only_service(c)->kind, SERVICE_UNIT);
        assert_string_equal(only_service(c)->unit, table[i][1]);
    }
}

static void zero_and_never_mean_no_idle_timeout(void **state)
{
    static const char *const never[] = {"0", "\"0s\"", "\"never\"", "\"infinity\"", "0.0"};
    for (size_t i = 0; i < ELEMENTSOF(never); i++) {
        char text[200];
        snprintf(text, sizeof text, "{" REST ", \"idleTimeout\": %s, \"webSocketIdle\": %s}", never[i],
                never[i]);
        _cleanup_(config_unrefp) Config *c = parse(text);
        assert_int_equal(only_service(c)->idle_timeout, USEC_INFINITY);
        assert_int_equal(only_service(c)->web_socket_idle, USEC_INFINITY);
    }
}

static void one_way_to_run_it_is_enough_and_needed(void **state)
{
    static const Refusal table[] = {
            {"{" HOST ", " BASE "}",
                    "1:1: expected exactly one of unit, exec, commands and proxyOnly, got none of them"},
            {"{" HOST ", " BASE ", \"proxyOnly\": false}",
                    "1:1: expected exactly one of unit, exec, commands and proxyOnly, got none of them"},
            {"{" REST ",\n\"proxyOnly\": true}", "2:1: proxyOnly: expected exactly one of unit, exec, "
                                                 "commands and proxyOnly, got exec too"},
            {"{" HOST ", " BASE ", \"commands\": {\"start\": \"a\"},\n\"unit\": \"a\"}",
                    "2:1: unit: expected exactly one of unit, exec, commands and proxyOnly, got commands "
                    "too"},
            {"{" HOST ", " BASE ", \"proxyOnly\": \"yes\"}",
                    "1:66: proxyOnly: expected true or false, got \"yes\""},
            {"{" HOST ", " BASE ", \"proxyOnly\": true,\n\"user\": \"a\",\n\"cwd\": \"/\"}",
                    "2:1: user: expected only with exec or commands, got it with proxyOnly\n"
                    "t.json:3:1: cwd: expected only with exec or commands, got it with proxyOnly"},
            {"{" HOST ", " BASE ", \"unit\": \"a\",\n\"env\": {}}",
                    "2:1: env: expected only with exec or commands, got it with unit"},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void what_is_run_has_to_make_sense(void **state)
{
    static const Refusal table[] = {
            {"{" HOST ", " BASE ",\n\"exec\": \"node x\"}",
                    "2:9: exec: expected a program and its arguments, such as [\"/usr/bin/node\", "
                    "\"server.js\"], got "
                    "\"node x\""},
            {"{" HOST ", " BASE ",\n\"exec\": []}", "2:9: exec: expected a program and its arguments, such "
                                                    "as [\"/usr/bin/node\", \"server.js\"], got "
                                                    "an empty array"},
            {"{" HOST ", " BASE ",\n\"exec\": [\"./run\", \"x\"]}",
                    "2:10: exec[0]: expected an absolute path, or a "
                    "name to be found in $PATH, got \"./run\""},
            {"{" HOST ", " BASE ",\n\"exec\": [\"\"]}",
                    "2:10: exec[0]: expected an absolute path, or a name to be found in $PATH, got \"\""},
            {"{" HOST ", " BASE ",\n\"exec\": [\"node\", 3001]}",
                    "2:18: exec[1]: expected a string, got 3001"},
            {"{" HOST ", " BASE ",\n\"commands\": \"npm start\"}",
                    "2:13: commands: expected an object, got \"npm start\""},
            {"{" HOST ", " BASE ",\n\"commands\": {\"stop\": \"x\"}}",
                    "2:1: commands.start: expected the command line that starts the service"},
            {"{" HOST ", " BASE ",\n\"commands\": {\"start\": \"\"}}",
                    "2:23: commands.start: expected a command line for /bin/sh, got \"\""},
            {"{" HOST ", " BASE ",\n\"commands\": {\"start\": \"a\", \"chek\": \"b\"}}",
                    "2:28: commands.chek: unknown key \"chek\"; did you mean \"check\"?"},
            {"{" HOST ", " BASE ", \"cwd\": \"/\",\n\"commands\": {\"start\": \"a\", \"cwd\": \"/\"}}",
                    "2:28: commands.cwd: expected cwd at the service or in commands, got both"},
            {"{" HOST ", " BASE ", \"commands\": {\"start\": \"a\", \"env\": {}}, \"env\": {}}",
                    "1:80: commands.env: expected env at the service or in commands, got both"},
            {"{" REST ",\n\"cwd\": \"srv\"}", "2:8: cwd: expected an absolute path, got \"srv\""},
            {"{" REST ",\n\"user\": \"a b\"}", "2:9: user: expected a user's name, got \"a b\""},
            {"{" REST ",\n\"user\": 0}", "2:9: user: expected a user's name, got 0"},
            {"{" REST ",\n\"env\": [\"A=b\"]}",
                    "2:8: env: expected an object of environment variables, got an array"},
            {"{" REST ",\n\"env\": {\"A-B\": \"\", \"C\": \"d\"}}",
                    "2:9: env.A-B: expected letters, digits and \"_\" "
                    "as an environment variable's name"},
            {"{" REST ",\n\"env\": {\"A\": null}}", "2:14: env.A: expected a string, got null"},
            {"{" HOST ", " BASE ",\n\"unit\": \"a b\"}",
                    "2:9: unit: expected a systemd unit such as \"blog.service\", got \"a b\""},
            {"{" HOST ", " BASE ",\n\"unit\": \"a@.service\"}",
                    "2:9: unit: expected a systemd unit such as \"blog.service\", got \"a@.service\", a "
                    "template "
                    "without an instance"},
            {"{" HOST ", " BASE ",\n\"unit\": \"user.slice\"}",
                    "2:9: unit: expected a systemd unit such as \"blog.service\", got \"user.slice\"; units "
                    "of that "
                    "type are not started to serve"},
            {"{" REST ",\n\"name\": \"my app\"}",
                    "2:9: name: expected 1 to 64 letters, digits, \".\", \"_\" or \"-\", got \"my app\""},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void a_file_whose_name_is_no_name_needs_one(void **state)
{
    _cleanup_(config_unrefp) Config *c = config_new();
    add_text(c, "/d/my app.json", "{" REST "}");
    add_text(c, "/d/your app.json", "{\"name\": \"yours\", " REST "}");
    assert_problems(c, "/d/my app.json:1:1: name: expected 1 to 64 letters, digits, \".\", \"_\" or \"-\", "
                       "which the file's "
                       "name is not");
    assert_int_equal(c->n_services, 1);
}

#define SPAN ": expected a time span such as \"5min\", got "

static void a_time_span_is_explained(void **state)
{
    static const Refusal table[] = {
            {"{" REST ",\n\"idleTimeout\": \"5 mins\"}", "2:16: idleTimeout" SPAN "\"5 mins\""},
            {"{" REST ",\n\"idleTimeout\": \"5000\"}",
                    "2:16: idleTimeout" SPAN "\"5000\" (a number of milliseconds is written without quotes)"},
            {"{" REST ",\n\"idleTimeout\": \"\"}", "2:16: idleTimeout" SPAN "\"\""},
            {"{" REST ",\n\"idleTimeout\": \"-5s\"}", "2:16: idleTimeout" SPAN "\"-5s\""},
            {"{" REST ",\n\"idleTimeout\": true}", "2:16: idleTimeout" SPAN "true"},
            {"{" REST ",\n\"idleTimeout\": null}",
                    "2:16: idleTimeout" SPAN "null; for no limit write \"never\""},
            {"{" REST ",\n\"idleTimeout\": \"99999999999w\"}",
                    "2:16: idleTimeout" SPAN "\"99999999999w\", which is too long"},
            {"{" REST ",\n\"idleTimeout\": -1}", "2:16: idleTimeout: expected a whole number of milliseconds "
                                                 "or a time span such as \"5min\", got "
                                                 "-1"},
            {"{" REST ",\n\"idleTimeout\": 1.5}", "2:16: idleTimeout: expected a whole number of "
                                                  "milliseconds or a time span such as \"5min\", got "
                                                  "1.5"},
            {"{" REST ",\n\"idleTimeout\": 1e400}", "2:16: idleTimeout: expected a whole number of "
                                                    "milliseconds or a time span such as \"5min\", got "
                                                    "1e400"},
            {"{" REST ",\n\"startTimeout\": 0}",
                    "2:17: startTimeout: expected a time span of more than 0, or \"never\", got 0"},
            {"{" REST ",\n\"healthCheck\": {\"timeout\": \"never\"}}",
                    "2:28: healthCheck.timeout: expected a time span that ends, such as \"5s\", got "
                    "\"never\""},
            {"{" REST ",\n\"healthCheck\": {\"interval\": \"0ms\"}}",
                    "2:29: healthCheck.interval: expected a time span of more than 0, got \"0ms\""},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void an_unknown_key_comes_with_the_nearest_known_one(void **state)
{
    static const Refusal table[] = {
            {"{" REST ",\n\"idleTimout\": 5}",
                    "2:1: idleTimout: unknown key \"idleTimout\"; did you mean \"idleTimeout\"?"},
            {"{" REST ",\n\"IDLETIMEOUT\": 5}",
                    "2:1: IDLETIMEOUT: unknown key \"IDLETIMEOUT\"; did you mean \"idleTimeout\"?"},
            {"{" REST ",\n\"ehnv\": 5}", "2:1: ehnv: unknown key \"ehnv\"; did you mean \"env\"?"},
            {"{" REST ",\n\"healtchCheck\": 5}",
                    "2:1: healtchCheck: unknown key \"healtchCheck\"; did you mean \"healthCheck\"?"},
            {"{" REST ",\n\"memory\": 5}",
                    "2:1: memory: unknown key \"memory\"; did you mean \"memoryMax\"?"},
            {"{" REST ",\n\"replicas\": 5}", "2:1: replicas: unknown key \"replicas\""},
            {"{" REST ",\n\"\": 5}", "2:1: [\"\"]: unknown key \"\""},
            {"{" REST ",\n\"a\\nb\": 5}", "2:1: [\"a\\nb\"]: unknown key \"a\\nb\""},
            {"{" REST ",\n\"healthCheck\": {\"tpye\": \"tcp\"}}",
                    "2:17: healthCheck.tpye: unknown key \"tpye\"; did you mean \"type\"?"},
    };
    assert_refusals(table, ELEMENTSOF(table));

    assert_int_equal(edit_distance("", "abc"), 3);
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
    assert_int_equal(edit_distance("hots", "host"), 1); /* a swap is one slip */
    assert_int_equal(edit_distance("HOST", "host"), 0);
    assert_true(edit_distance("host", "a very long word that nobody would write as a key") == SIZE_MAX);
}

static void long_values_are_cut_where_they_are_quoted(void **state)
{
    char text[1000] = "{" REST ", \"idleTimeout\": \"", *p = text + strlen(text);
    for (int i = 0; i < 100; i++)
        p = stpcpy(p, "ä");
    strcpy(p, "\"}");
    _cleanup_(config_unrefp) Config *c = parse(text);
    assert_int_equal(c->n_problems, 1);
    assert_non_null(strstr(c->problems[0].message, "got \"äää"));
    assert_non_null(strstr(c->problems[0].message, "ä…\""));
    assert_true(strlen(c->problems[0].message) < 200);
}

static void all_that_is_wrong_is_said_at_once_and_from_the_top(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse(
            "{\n\"startTimeout\": \"x\",\n\"host\": 5,\n\"base\": \"ftp://x\",\n\"exec\": [],\n\"hots\": 1,\n"
            "\"healthCheck\": {\"type\": \"tcp\", \"url\": \"/\"}}");
    unsigned lines[] = {2, 3, 4, 5, 6, 7};
    assert_int_equal(c->n_problems, ELEMENTSOF(lines));
    for (size_t i = 0; i < ELEMENTSOF(lines); i++)
        assert_int_equal(c->problems[i].line, lines[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_smallest_service_has_all_defaults),
            cmocka_unit_test(everything_that_is_said_arrives),
            cmocka_unit_test(the_commands_may_bring_their_own_surroundings),
            cmocka_unit_test(a_unit_gets_its_suffix),
            cmocka_unit_test(zero_and_never_mean_no_idle_timeout),
            cmocka_unit_test(one_way_to_run_it_is_enough_and_needed),
            cmocka_unit_test(what_is_run_has_to_make_sense),
            cmocka_unit_test(a_file_whose_name_is_no_name_needs_one),
            cmocka_unit_test(a_time_span_is_explained),
            cmocka_unit_test(an_unknown_key_comes_with_the_nearest_known_one),
            cmocka_unit_test(long_values_are_cut_where_they_are_quoted),
            cmocka_unit_test(all_that_is_wrong_is_said_at_once_and_from_the_top),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
