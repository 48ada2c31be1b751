/* SPDX-License-Identifier: ISC */

#include "tests/unit/config-fixture.h"

#include "config/internal.h"

#define COMMANDS "\"commands\": {\"start\": \"a\", \"stop\": \"b\", \"check\": \"c\"}"
#define PLAIN "{" BASE ", " COMMANDS "}"

/* Parses a whole configuration that lies in /srv/gateway. */
static Config *parse_whole(const char *text)
{
    Config *c = config_new();
    assert_int_equal(
            config_parse_file(c, CONFIG_FILE_DROP_IN, "dynapm.json", "/srv/gateway", text, strlen(text)), 0);
    return c;
}

static const ServiceConfig *find(const Config *c, const char *name)
{
    for (size_t i = 0; i < c->n_services; i++)
        if (streq(c->services[i]->name, name))
            return c->services[i];
    fail_msg("no service %s", name);
    return NULL;
}

/* As JSON.stringify(config) prints a configuration with all that DynaPM knows. */
static const char everything[] =
        "{\"port\":3000,\"host\":\"127.0.0.1\",\"adminApi\":{\"enabled\":true,\"port\":4000,\"authToken\":"
        "\"secret\","
        "\"allowedIps\":[\"127.0.0.1\",\"::1\"]},\"logging\":{\"enableRequestLog\":true,"
        "\"enableWebSocketLog\":false,"
        "\"enableErrorLog\":true,\"enablePerformanceLog\":false},\"services\":{\"app.example.com\":{\"name\":"
        "\"my-app\","
        "\"base\":\"http://"
        "127.0.0.1:3001\",\"idleTimeout\":300000,\"startTimeout\":10000,\"commands\":{\"start\":"
        "\"nohup node /srv/app.js > logs/app.log 2>&1 &\",\"stop\":\"lsof -ti:3001 | xargs -r kill "
        "-9\",\"check\":"
        "\"lsof -ti:3001 >/dev/null "
        "2>&1\"},\"healthCheck\":{\"type\":\"tcp\"}},\"python-api\":{\"name\":\"python-api\","
        "\"host\":\"python-api.example.com\",\"base\":\"http://localhost:8000/"
        "\",\"idleTimeout\":600000,\"startTimeout\":"
        "30000,\"commands\":{\"start\":\"docker start api\",\"stop\":\"docker stop "
        "api\",\"check\":\"true\",\"cwd\":"
        "\"/srv/api\",\"env\":{\"NODE_ENV\":\"production\"}},\"healthCheck\":{\"type\":\"http\",\"url\":"
        "\"http://127.0.0.1:8000/"
        "health\",\"expectedStatus\":200,\"timeout\":5000}},\"dynapm-admin\":{\"name\":"
        "\"dynapm-admin\",\"port\":4001,\"base\":\"http://"
        "127.0.0.1:4002\",\"idleTimeout\":600000,\"startTimeout\":5000,"
        "\"commands\":{\"start\":\"node "
        "admin/server.js\",\"stop\":\"true\",\"check\":\"true\"},\"healthCheck\":{\"type\":"
        "\"none\"}},\"multi\":{\"name\":\"multi\",\"host\":\"unused.test\",\"base\":\"http://"
        "127.0.0.1:8001\",\"routes\":"
        "[{\"type\":\"host\",\"value\":\"multi.test\",\"target\":\"http://"
        "127.0.0.1:8001\"},{\"type\":\"port\",\"value\":"
        "5000,\"target\":\"http://"
        "127.0.0.1:8002\"}],\"idleTimeout\":300000,\"startTimeout\":10000,\"commands\":{\"start\":"
        "\"x\",\"stop\":\"y\",\"check\":\"z\"}},\"echo-proxy\":{\"name\":\"echo-proxy\",\"base\":\"http://"
        "127.0.0.1:3099\","
        "\"proxyOnly\":true,\"idleTimeout\":10000,\"startTimeout\":5000,\"commands\":{\"start\":\"echo\","
        "\"stop\":\"echo\","
        "\"check\":\"echo\",\"cwd\":\"x\"}}}}";

static void a_whole_configuration_runs_unchanged(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse_whole(everything);
    char listen[SOCKET_ADDRESS_STRING_MAX];

    assert_problems(c, "");
    assert_int_equal(c->n_services, 5);
    assert_int_equal(c->global.n_listen, 1);
    assert_string_equal(socket_address_format(listen, &c->global.listen[0]), "127.0.0.1:3000");
    assert_true(c->global.request_log);

    const ServiceConfig *s = find(c, "my-app");
    assert_int_equal(s->kind, SERVICE_COMMANDS);
    assert_string_equal(s->start_command, "nohup node /srv/app.js > logs/app.log 2>&1 &");
    assert_int_equal(s->idle_timeout, 5 * USEC_PER_MINUTE);
    assert_int_equal(s->start_timeout, 10 * USEC_PER_SEC);
    assert_int_equal(s->n_routes, 1);
    assert_string_equal(s->routes[0].host, "app.example.com");

    s = find(c, "python-api");
    assert_string_equal(s->cwd, "/srv/api");
    assert_string_equal(s->env[0], "NODE_ENV=production");
    assert_string_equal(s->routes[0].host, "python-api.example.com");
    assert_string_equal(s->routes[0].target.text, "http://localhost:8000");
    assert_string_equal(s->health_check.path, "/health");
    assert_int_equal(s->health_check.expected_status, 200);

    s = find(c, "echo-proxy");
    assert_int_equal(s->kind, SERVICE_PROXY_ONLY);
    assert_null(s->start_command);
    assert_string_equal(s->routes[0].host, "echo-proxy");
}

static void ports_are_where_the_gateway_is_and_not_open_to_the_world(void **state)
{
    static const char *const table[][2] = {{"\"port\": 3000, \"host\": \"127.0.0.1\",", "127.0.0.1:5000"},
            {"", "127.0.0.1:5000"}, {"\"host\": \"0.0.0.0\",", "0.0.0.0:5000"},
            {"\"host\": \"::1\",", "[::1]:5000"}, {"\"host\": \"\",", "[::]:5000"},
            {"\"host\": \"localhost\",", "127.0.0.1:5000"}};
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        char text[300], listen[SOCKET_ADDRESS_STRING_MAX];
        /* The host may stand behind the services. */
        snprintf(text, sizeof text,
                "{%s\"services\": {\"a\": {\"port\": 5000, " BASE ", " COMMANDS "}}, \"logging\": {}}",
                table[i][0]);
        _cleanup_(config_unrefp) Config *c = parse_whole(text);
        const RouteConfig *r = &only_service(c)->routes[0];
        assert_string_equal(socket_address_format(listen, &r->listen), table[i][1]);
    }
    _cleanup_(config_unrefp) Config *c = parse_whole(
            "{\"services\": {\"a\": {\"port\": 5000, " BASE ", " COMMANDS "}}, \"host\": \"::1\"}");
    assert_int_equal(only_service(c)->routes[0].listen.sa.sa_family, AF_INET6);
}

static void without_port_and_host_it_listens_where_dynapm_js_did(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse_whole("{\"services\": {}}");
    char listen[SOCKET_ADDRESS_STRING_MAX];
    assert_problems(c, "");
    assert_int_equal(c->global.n_listen, 1);
    assert_string_equal(socket_address_format(listen, &c->global.listen[0]), "127.0.0.1:3000");
}

static void routes_replace_host_and_port_there(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse_whole(everything);
    const ServiceConfig *s = find(c, "multi");
    char listen[SOCKET_ADDRESS_STRING_MAX];

    assert_int_equal(s->n_routes, 2);
    assert_string_equal(s->routes[0].host, "multi.test");
    assert_string_equal(socket_address_format(listen, &s->routes[1].listen), "127.0.0.1:5000");
    assert_string_equal(s->routes[1].target.text, "http://127.0.0.1:8002");
}

static void relative_paths_start_in_the_folder_of_the_file(void **state)
{
    _cleanup_(config_unrefp) Config *c =
            parse_whole("{\"services\": {\"a\": " PLAIN ", \"b\": {" BASE
                        ", \"commands\": {\"start\": \"x\", \"cwd\": \"app\"}}, \"c\": {" BASE ", " COMMANDS
                        ", \"cwd\": \"/srv\"}}}");
    assert_problems(c, "");
    assert_string_equal(find(c, "a")->cwd, "/srv/gateway");
    assert_string_equal(find(c, "b")->cwd, "/srv/gateway/app");
    assert_string_equal(find(c, "c")->cwd, "/srv");
}

static void names_that_are_none_give_way_to_keys(void **state)
{
    _cleanup_(config_unrefp) Config *c =
            parse_whole("{\"services\": {\"a.test\": {\"name\": \"my app\", " BASE ", " COMMANDS
                        "}, \"b.test\": {\"name\": \"同\", " BASE ", " COMMANDS
                        "}, \"c.test\": {\"name\": \"twice\", " BASE ", " COMMANDS
                        "}, \"d.test\": {\"name\": \"twice\", " BASE ", " COMMANDS
                        "}, \"my key!\": {\"host\": \"e.test\", " BASE ", " COMMANDS "}}}");
    static const char *const names[] = {"a.test", "b.test", "twice", "d.test", "my_key_"};

    assert_problems(c, "");
    assert_int_equal(c->n_services, ELEMENTSOF(names));
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        assert_string_equal(c->services[i]->name, names[i]);
}

static void a_broken_service_leaves_the_others_alone(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse_whole(
            "{\"services\": {\n\"a\": " PLAIN ",\n\"b.test\": {" BASE ", " COMMANDS
            ", \"idleTimeout\": null},\n\"not a host\": " PLAIN ",\n\"d\": {\"host\": \"A\", " BASE
            ", " COMMANDS "},\n\"e\": 5,\n\"f\": " PLAIN "}}");
    assert_problems(c,
            "dynapm.json:3:115: services[\"b.test\"].idleTimeout: expected a time span such as \"5min\", got "
            "null; for "
            "no limit write \"never\"\n"
            "dynapm.json:4:1: services[\"not a host\"]: expected host, port or routes in a service whose key "
            "is no "
            "hostname\n"
            "dynapm.json:5:15: services.d.host: a is already taken by service \"a\" in dynapm.json\n"
            "dynapm.json:6:6: services.e: expected an object, got 5");
    assert_int_equal(c->n_services, 2);
    assert_string_equal(c->services[1]->name, "f");
}

static void unknown_keys_are_pointed_out_and_ignored_as_they_were(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse_whole(
            "{\"plugins\": [],\n\"services\": {\"a\": {" BASE ", " COMMANDS ", \"idleTimout\": 5}}}");
    assert_problems(c, "dynapm.json:1:2: plugins: unknown key \"plugins\", which is ignored\n"
                       "dynapm.json:2:108: services.a.idleTimout: unknown key \"idleTimout\", which is "
                       "ignored; did you mean "
                       "\"idleTimeout\"?");
    assert_int_equal(c->n_services, 1);
    assert_int_equal(c->services[0]->idle_timeout, 5 * USEC_PER_MINUTE);
}

static void health_checks_may_have_keys_they_never_used(void **state)
{
    _cleanup_(config_unrefp) Config *c =
            parse_whole("{\"services\": {\"a\": {" BASE ", " COMMANDS
                        ", \"healthCheck\": {\"type\": \"tcp\", \"url\": \"http://127.0.0.1:3001/\", "
                        "\"expectedStatus\": 200}}}}");
    assert_int_equal(only_service(c)->health_check.type, HEALTH_CHECK_TCP);
}

static void a_service_on_the_port_of_the_gateway_is_refused(void **state)
{
    _cleanup_(config_unrefp) Config *c =
            parse_whole("{\"services\": {\n\"a\": {\"port\": 3000, " BASE ", " COMMANDS
                        "},\n\"b\": {\"port\": \"[::]:3000\", " BASE ", " COMMANDS "}}}");
    assert_problems(c, "dynapm.json:2:15: services.a.port: 127.0.0.1:3000 is already taken by dynapm itself "
                       "in dynapm.json\n"
                       "dynapm.json:3:15: services.b.port: port 3000 cannot be open besides 127.0.0.1:3000, "
                       "which dynapm itself "
                       "has in dynapm.json");
    assert_int_equal(c->n_services, 0);
}

static void the_addresses_of_two_configurations_add_up(void **state)
{
    _cleanup_(config_unrefp) Config *c = config_new();
    add_text(c, "/d/a.json", "{\"port\": 3000, \"services\": {\"a\": " PLAIN "}}");
    add_text(c, "/d/b.json", "{\"port\": 4000, \"services\": {\"b\": " PLAIN "}}");
    add_text(c, "/d/c.json", "{\"services\": {\"c\": " PLAIN "}}");
    add_text(c, "/d/d.json", "{\"port\": 5000, \"host\": \"10.0.0.1\", \"services\": {\"a\": " PLAIN "}}");
    assert_problems(c, "/d/d.json:1:49: services.a.name: the name \"a\" is already taken in /d/a.json\n"
                       "/d/d.json:1:54: services.a: a is already taken by service \"a\" in /d/a.json");
    assert_int_equal(c->n_services, 3);
    assert_int_equal(c->global.n_listen, 3);
}

static void services_have_to_be_an_object(void **state)
{
    static const Refusal table[] = {
            {"{\"services\": []}", "1:14: services: expected an object of services, each under its hostname, "
                                   "got an empty array"},
            {"{\"services\": null}",
                    "1:14: services: expected an object of services, each under its hostname, got null"},
            {"{\"services\": {\"a\": {\n}}}",
                    "1:15: services.a.base: expected http://HOST:PORT, "
                    "http+unix:///PATH or tcp://HOST:PORT, where the service listens, "
                    "unless every route has a target\n"
                    "t.json:1:20: services.a: expected exactly one of unit, exec, "
                    "commands and proxyOnly, got none of "
                    "them"},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_whole_configuration_runs_unchanged),
            cmocka_unit_test(ports_are_where_the_gateway_is_and_not_open_to_the_world),
            cmocka_unit_test(without_port_and_host_it_listens_where_dynapm_js_did),
            cmocka_unit_test(routes_replace_host_and_port_there),
            cmocka_unit_test(relative_paths_start_in_the_folder_of_the_file),
            cmocka_unit_test(names_that_are_none_give_way_to_keys),
            cmocka_unit_test(a_broken_service_leaves_the_others_alone),
            cmocka_unit_test(unknown_keys_are_pointed_out_and_ignored_as_they_were),
            cmocka_unit_test(health_checks_may_have_keys_they_never_used),
            cmocka_unit_test(a_service_on_the_port_of_the_gateway_is_refused),
            cmocka_unit_test(the_addresses_of_two_configurations_add_up),
            cmocka_unit_test(services_have_to_be_an_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
