/* SPDX-License-Identifier: ISC */

#include "tests/unit/config-fixture.h"

/* "host a.test /api strip http://127.0.0.1:3001", one route a line. */
static char *route_lines(const ServiceConfig *s)
{
    char *all = strdup("");

    for (size_t i = 0; i < s->n_routes; i++) {
        const RouteConfig *r = &s->routes[i];
        _cleanup_free_ char *before = all;
        char listen[SOCKET_ADDRESS_STRING_MAX];
        assert_true(asprintf(&all, "%s%s %s %s%s %s\n", before, r->type == ROUTE_HOST ? "host" : "port",
                            r->type == ROUTE_HOST ? r->host : socket_address_format(listen, &r->listen),
                            r->path, r->strip_path ? " strip" : "", r->target.text) >= 0);
    }
    return all;
}

static void assert_routes(const char *text, const char *expected)
{
    _cleanup_(config_unrefp) Config *c = parse(text);
    _cleanup_free_ char *got = route_lines(only_service(c));
    assert_string_equal(got, expected);
}

#define TO " http://127.0.0.1:3001\n"

static void every_way_to_write_a_route_adds_one(void **state)
{
    assert_routes("{" REST "}", "host a.test /" TO);
    assert_routes("{\"hosts\": [\"A.Test\", \"*.B.test\", \"[0:0::1]\", \"127.0.0.1\"], " BASE ", " EXEC "}",
            "host a.test /" TO "host *.b.test /" TO "host [::1] /" TO "host 127.0.0.1 /" TO);
    assert_routes("{\"port\": 8080, " BASE ", " EXEC "}", "port [::]:8080 /" TO);
    assert_routes("{\"port\": \"8080\", " BASE ", " EXEC "}", "port [::]:8080 /" TO);
    assert_routes("{\"port\": \"127.0.0.1:8080\", " BASE ", " EXEC "}", "port 127.0.0.1:8080 /" TO);
    assert_routes("{\"port\": \"[::1]:8080\", " BASE ", " EXEC "}", "port [::1]:8080 /" TO);
    assert_routes("{\"host\": \"a\", \"hosts\": [\"b\"], \"port\": 80, \"routes\": [{\"type\": \"host\", "
                  "\"value\": "
                  "\"c\"}], " BASE ", " EXEC "}",
            "host a /" TO "host b /" TO "port [::]:80 /" TO "host c /" TO);
}

static void paths_are_inherited_and_end_without_a_slash(void **state)
{
    assert_routes("{" REST ", \"path\": \"/api/\", \"stripPath\": true}", "host a.test /api strip" TO);
    assert_routes("{" REST ", \"path\": \"///\"}", "host a.test /" TO);
    assert_routes(
            "{\"path\": \"/x\", \"stripPath\": true, \"routes\": [{\"type\": \"host\", \"value\": \"a\"}, "
            "{\"type\": \"port\", \"value\": 80, \"path\": \"/y/\", \"stripPath\": false, \"target\": "
            "\"http://[::1]:9/\"}], " BASE ", " EXEC "}",
            "host a /x strip" TO "port [::]:80 /y http://[::1]:9\n");
}

static void a_route_that_is_written_twice_is_meant_once(void **state)
{
    assert_routes(
            "{\"host\": \"a\", \"hosts\": [\"b\", \"A\"], \"port\": 80, \"routes\": [{\"type\": \"port\", "
            "\"value\": \"80\"}, {\"type\": \"host\", \"value\": \"a\", \"path\": \"/x\"}], " BASE ", " EXEC
            "}",
            "host a /" TO "host b /" TO "port [::]:80 /" TO "host a /x" TO);
    static const Refusal table[] = {
            {"{" REST ", \"routes\": [\n{\"type\": \"host\", \"value\": \"A.TEST\", \"target\": "
             "\"http://127.0.0.1:1\"}]}",
                    "2:27: routes[0].value: expected one target for \"A.TEST\", got http://127.0.0.1:3001 "
                    "and "
                    "http://127.0.0.1:1"},
            {"{\"port\": 80, \"routes\": [\n{\"type\": \"port\", \"value\": \"127.0.0.1:80\"}], " BASE
             ", " EXEC "}",
                    "2:27: routes[0].value: expected listeners that can be open together, got [::]:80 and "
                    "\"127.0.0.1:80\""},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void a_base_is_needed_unless_every_route_has_a_target(void **state)
{
    assert_routes(
            "{\"routes\": [{\"type\": \"host\", \"value\": \"a\", \"target\": \"http://127.0.0.1:1\"}], " EXEC
            "}",
            "host a / http://127.0.0.1:1\n");
    static const char missing[] =
            "1:1: base: expected http://HOST:PORT, http+unix:///PATH or tcp://HOST:PORT, where the "
            "service listens, unless every "
            "route has a target";
    const Refusal table[] = {
            {"{" HOST ", " EXEC "}", missing},
            {"{" HOST ", \"routes\": [{\"type\": \"host\", \"value\": \"b\", \"target\": "
             "\"http://127.0.0.1:1\"}], " EXEC "}",
                    missing},
            {"{\"routes\": [{\"type\": \"host\", \"value\": \"a\"}, {\"type\": \"host\", \"value\": "
             "\"b\"}], " EXEC "}",
                    missing},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void a_service_that_nobody_can_reach_is_refused(void **state)
{
    static const char none[] =
            "1:1: expected one of host, hosts, port and routes, got none of them, so that no "
            "request would reach this service";
    const Refusal table[] = {
            {"{" BASE ", " EXEC "}", none},
            {"{" BASE ", " EXEC ", \"hosts\": [], \"routes\": []}", none},
            {"{" BASE ", " EXEC ",\n\"path\": \"/x\"}", none},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

#define NO_HOST ": expected a hostname, got "

static void a_hostname_is_what_a_client_can_send(void **state)
{
    static const Refusal table[] = {
            {"{\"host\": \"\", " BASE ", " EXEC "}", "1:10: host" NO_HOST "\"\""},
            {"{\"host\": null, " BASE ", " EXEC "}", "1:10: host" NO_HOST "null"},
            {"{\"host\": \"a:80\", " BASE ", " EXEC "}",
                    "1:10: host" NO_HOST "\"a:80\"; a port is no part of a hostname, see port"},
            {"{\"host\": \"a/b\", " BASE ", " EXEC "}",
                    "1:10: host" NO_HOST "\"a/b\"; a path is no part of a hostname, see path"},
            {"{\"host\": \"http://a\", " BASE ", " EXEC "}", "1:10: host" NO_HOST "\"http://a\", a URL"},
            {"{\"host\": \"bücher.de\", " BASE ", " EXEC "}",
                    "1:10: host" NO_HOST "\"bücher.de\"; write it as browsers send it, in its xn--… form"},
            {"{\"host\": \"::1\", " BASE ", " EXEC "}",
                    "1:10: host" NO_HOST "\"::1\"; an IPv6 address is written in brackets"},
            {"{\"host\": \"[::1]:80\", " BASE ", " EXEC "}",
                    "1:10: host" NO_HOST
                    "\"[::1]:80\"; in brackets stands an IPv6 address, nothing behind it"},
            {"{\"host\": \"[\", " BASE ", " EXEC "}",
                    "1:10: host" NO_HOST "\"[\"; in brackets stands an IPv6 address, nothing behind it"},
            {"{\"host\": \"*\", " BASE ", " EXEC "}",
                    "1:10: host" NO_HOST
                    "\"*\"; a wildcard is the whole first label and has a name behind it, such "
                    "as \"*.example.com\""},
            {"{\"host\": \"a.*.b\", " BASE ", " EXEC "}",
                    "1:10: host" NO_HOST
                    "\"a.*.b\"; a wildcard is the whole first label and has a name behind it, "
                    "such as \"*.example.com\""},
            {"{\"host\": \"a.\", " BASE ", " EXEC "}",
                    "1:10: host" NO_HOST "\"a.\"; write it without the dot at its end"},
            {"{\"host\": \"-a\", " BASE ", " EXEC "}", "1:10: host" NO_HOST "\"-a\""},
            {"{\"hosts\": [\"a\", \"b c\"], " BASE ", " EXEC "}", "1:17: hosts[1]" NO_HOST "\"b c\""},
            {"{\"hosts\": \"a\", " BASE ", " EXEC "}",
                    "1:11: hosts: expected an array of hostnames, got \"a\""},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

#define NO_PORT ": expected a port from 1 to 65535 or ADDRESS:PORT, got "

static void ports_paths_and_routes_are_explained(void **state)
{
    static const Refusal table[] = {
            {"{\"port\": 0, " BASE ", " EXEC "}", "1:10: port" NO_PORT "0"},
            {"{\"port\": 65536, " BASE ", " EXEC "}", "1:10: port" NO_PORT "65536"},
            {"{\"port\": 80.5, " BASE ", " EXEC "}", "1:10: port" NO_PORT "80.5"},
            {"{\"port\": \"a.test:80\", " BASE ", " EXEC "}", "1:10: port" NO_PORT "\"a.test:80\""},
            {"{\"port\": \"unix:/run/x\", " BASE ", " EXEC "}", "1:10: port" NO_PORT "\"unix:/run/x\""},
            {"{" REST ",\n\"path\": \"api\"}", "2:9: path: expected a path such as \"/api\", got \"api\""},
            {"{" REST ",\n\"path\": \"/a?b\"}", "2:9: path: expected a path such as \"/api\", got \"/a?b\"; "
                                                "no space, \"?\", \"#\" or letter "
                                                "beyond ASCII (write it as %XX)"},
            {"{" REST ",\n\"stripPath\": 1}", "2:14: stripPath: expected true or false, got 1"},
            {"{" REST ",\n\"routes\": {}}", "2:11: routes: expected an array of routes, got an empty object"},
            {"{" REST ",\n\"routes\": [5]}", "2:12: routes[0]: expected an object, got 5"},
            {"{" REST ",\n\"routes\": [{\"type\": \"hots\", \"value\": \"x\"}]}",
                    "2:21: routes[0].type: expected \"host\" or \"port\", got \"hots\""},
            {"{" REST ",\n\"routes\": [{\"value\": \"x\"}]}",
                    "2:12: routes[0].type: expected \"host\" or \"port\", got nothing"},
            {"{" REST ",\n\"routes\": [{\"type\": \"port\"}]}",
                    "2:12: routes[0].value: expected a port, got nothing"},
            {"{" REST ",\n\"routes\": [{\"type\": \"host\", \"value\": 80}]}",
                    "2:38: routes[0].value: expected a hostname, got 80"},
            {"{" REST ",\n\"routes\": [{\"type\": \"host\", \"value\": \"x\", \"taget\": \"y\"}]}",
                    "2:43: routes[0].taget: unknown key \"taget\"; did you mean \"target\"?"},
            {"{" REST ",\n\"routes\": [{\"type\": \"host\", \"value\": \"x\", \"target\": \"y\"}]}",
                    "2:53: routes[0].target: expected http://HOST:PORT, http+unix:///PATH or "
                    "tcp://HOST:PORT, got \"y\""},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

/* ── endpoints ── */

static Config *with_base(const char *base)
{
    char text[300];
    snprintf(text, sizeof text, "{" HOST ", " EXEC ", \"base\": \"%s\"}", base);
    return parse(text);
}

static void a_base_becomes_addresses(void **state)
{
    static const struct {
        const char *base, *text, *first, *second;
    } table[] = {
            {"http://127.0.0.1:3001/", "http://127.0.0.1:3001", "127.0.0.1:3001", NULL},
            {"http://10.1.2.3", "http://10.1.2.3", "10.1.2.3:80", NULL},
            {"http://[fe80::1]:81", "http://[fe80::1]:81", "[fe80::1]:81", NULL},
            {"http://localhost:3001", "http://localhost:3001", "127.0.0.1:3001", "[::1]:3001"},
            {"http://my.app.localhost", "http://my.app.localhost", "127.0.0.1:80", "[::1]:80"},
            {"http+unix:///run/x y.sock", "http+unix:///run/x y.sock", "unix:/run/x y.sock", NULL},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        char buf[SOCKET_ADDRESS_STRING_MAX];
        _cleanup_(config_unrefp) Config *c = with_base(table[i].base);
        const Endpoint *e = &only_service(c)->routes[0].target;
        assert_string_equal(e->text, table[i].text);
        assert_int_equal(e->n_addresses, table[i].second ? 2 : 1);
        assert_string_equal(socket_address_format(buf, &e->addresses[0]), table[i].first);
        if (table[i].second)
            assert_string_equal(socket_address_format(buf, &e->addresses[1]), table[i].second);
    }
}

static void a_base_that_cannot_be_used_says_why(void **state)
{
#define FORMS "http://HOST:PORT, http+unix:///PATH or tcp://HOST:PORT"
#define NO_NAMES "; any other name would have to be looked up while requests wait"
    static const struct {
        const char *base, *expected, *hint;
    } table[] = {
            {"127.0.0.1:3001", FORMS, ""},
            {"", FORMS, ""},
            {"ws://127.0.0.1", FORMS, ""},
            {"https://127.0.0.1", FORMS, "; https:// is not supported, services are spoken to in plain HTTP"},
            {"tcp://127.0.0.1", "tcp://HOST:PORT", ""},
            {"tcp://127.0.0.1:", "a port from 1 to 65535 behind the host", ""},
            {"tcp://:80", "tcp://HOST:PORT", ""},
            {"tcp://127.0.0.1:80/", "tcp://HOST:PORT",
                    "; a path means nothing to a service that does not speak HTTP"},
            {"tcp://u@127.0.0.1:80", "tcp://HOST:PORT", "; a user name or password is not supported"},
            {"tcp://db.example.com:80", "an IP address or localhost as host", NO_NAMES},
            {"http://db.example.com:80", "an IP address or localhost as host", NO_NAMES},
            {"http://localhost.example.com", "an IP address or localhost as host", NO_NAMES},
            {"http://256.1.1.1", "an IP address or localhost as host", NO_NAMES},
            {"http://127.0.0.1:3001/api", "http://HOST:PORT",
                    "; no path may stand behind it, each request brings its own (see path and stripPath)"},
            {"http://127.0.0.1:3001/?x", "http://HOST:PORT",
                    "; no path may stand behind it, each request brings its own (see path and stripPath)"},
            {"http://u:p@127.0.0.1", "http://HOST:PORT", "; a user name or password is not supported"},
            {"http://", "http://HOST:PORT", ""},
            {"http://:80", "http://HOST:PORT", ""},
            {"http://127.0.0.1:0", "a port from 1 to 65535 behind the host", ""},
            {"http://127.0.0.1:", "a port from 1 to 65535 behind the host", ""},
            {"http://[::1]:1.2.3.4:80", "a port from 1 to 65535 behind the host", ""},
            {"http://::1:80", "http://HOST:PORT, an IPv6 address in brackets", ""},
            {"http://[::1]80", "http://HOST:PORT, an IPv6 address in brackets", ""},
            {"http://[::1", "\"]\" behind an IPv6 address", ""},
            {"http://[127.0.0.1]:80", "an IPv6 address in the brackets", ""},
            {"http://[]", "an IPv6 address in the brackets", ""},
            {"http+unix://run/x.sock", "a socket as http+unix:///run/NAME.sock", ""},
            {"http+unix:///", "a socket as http+unix:///run/NAME.sock", ""},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        char expected[400];
        _cleanup_(config_unrefp) Config *c = with_base(table[i].base);
        snprintf(expected, sizeof expected, "t.json:1:50: base: expected %s, got \"%s\"%s", table[i].expected,
                table[i].base, table[i].hint);
        assert_problems(c, expected);
    }

    char path[160] = "http+unix:///";
    memset(path + strlen(path), 'x', 107);
    _cleanup_(config_unrefp) Config *c = with_base(path);
    assert_int_equal(c->n_problems, 1);
    assert_non_null(startswith(c->problems[0].message, "expected a socket path of at most 107 bytes, got "));
}

/* ── health checks ── */

/* "TYPE ENDPOINT HOST PATH STATUS COMMAND" */
static void assert_health(const char *base, const char *check, const char *expected)
{
    char text[500], got[500];
    snprintf(text, sizeof text, "{" HOST ", " EXEC ", \"base\": \"%s\", \"healthCheck\": %s}", base, check);
    _cleanup_(config_unrefp) Config *c = parse(text);
    const HealthCheckConfig *h = &only_service(c)->health_check;
    snprintf(got, sizeof got, "%s %s %s %s %u %s", health_check_type_to_string(h->type),
            h->endpoint.text ?: "-", h->host ?: "-", h->path ?: "-", h->expected_status, h->command ?: "-");
    assert_string_equal(got, expected);
}

static void a_health_check_finds_what_it_is_not_told(void **state)
{
    static const char base[] = "http://127.0.0.1:3001", unix_base[] = "http+unix:///run/x.sock";

    assert_health(base, "{}", "tcp http://127.0.0.1:3001 - - 0 -");
    assert_health(base, "{\"port\": 9}", "tcp http://127.0.0.1:9 - - 0 -");
    assert_health(base, "{\"type\": \"none\"}", "none - - - 0 -");
    assert_health(base, "{\"type\": \"command\", \"command\": \"true\"}", "command - - - 0 true");
    assert_health(base, "{\"type\": \"http\"}", "http http://127.0.0.1:3001 127.0.0.1:3001 / 0 -");
    assert_health("http://[::1]:80", "{\"type\": \"http\"}", "http http://[::1]:80 [::1] / 0 -");
    assert_health(base, "{\"type\": \"http\", \"url\": \"/health?x=1\", \"expectedStatus\": 204}",
            "http http://127.0.0.1:3001 127.0.0.1:3001 /health?x=1 204 -");
    assert_health(base, "{\"type\": \"http\", \"url\": \"http://app.localhost:9/up\"}",
            "http http://app.localhost:9 app.localhost:9 /up 0 -");
    assert_health(base, "{\"type\": \"http\", \"url\": \"http://127.0.0.1\"}",
            "http http://127.0.0.1 127.0.0.1 / 0 -");
    assert_health(base, "{\"type\": \"http\", \"url\": \"http://[::1]:9/up\", \"port\": 10}",
            "http http://[::1]:10 [::1]:10 /up 0 -");
    assert_health(unix_base, "{}", "tcp http+unix:///run/x.sock - - 0 -");
    assert_health(unix_base, "{\"type\": \"http\", \"url\": \"/up\"}",
            "http http+unix:///run/x.sock localhost /up 0 -");
    assert_health(unix_base, "{\"port\": 9}", "tcp http://localhost:9 - - 0 -");
}

static void a_health_check_without_base_looks_where_the_first_route_leads(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse(
            "{\"routes\": [{\"type\": \"host\", \"value\": \"a\", \"target\": \"http://localhost:1\"}], " EXEC
            "}");
    const Endpoint *e = &only_service(c)->health_check.endpoint;
    assert_string_equal(e->text, "http://localhost:1");
    assert_int_equal(e->n_addresses, 2);
}

static void a_health_check_is_explained(void **state)
{
    static const Refusal table[] = {
            {"{" REST ",\n\"healthCheck\": \"tcp\"}", "2:16: healthCheck: expected an object, got \"tcp\""},
            {"{" REST ",\n\"healthCheck\": {\"type\": \"htp\"}}",
                    "2:25: healthCheck.type: expected \"tcp\", \"http\", \"command\" or \"none\", got "
                    "\"htp\""},
            {"{" REST ",\n\"healthCheck\": {\"url\": \"/\"}}",
                    "2:17: healthCheck.url: expected only with the type \"http\", got it with \"tcp\""},
            {"{" REST ",\n\"healthCheck\": {\"type\": \"none\", \"port\": 1}}",
                    "2:33: healthCheck.port: expected only with the type \"http\", got it with \"none\""},
            {"{" REST ",\n\"healthCheck\": {\"type\": \"http\", \"command\": \"x\"}}",
                    "2:33: healthCheck.command: expected only with the type \"command\", got it with "
                    "\"http\""},
            {"{" REST ",\n\"healthCheck\": {\"type\": \"command\"}}",
                    "2:1: healthCheck.command: expected a command line for /bin/sh, got nothing"},
            {"{" REST ",\n\"healthCheck\": {\"type\": \"http\", \"url\": \"health\"}}",
                    "2:40: healthCheck.url: expected http://HOST:PORT/PATH or /PATH, got \"health\""},
            {"{" REST ",\n\"healthCheck\": {\"type\": \"http\", \"url\": \"/a b\"}}",
                    "2:40: healthCheck.url: expected http://HOST:PORT/PATH or /PATH, got \"/a b\"; no space, "
                    "\"#\" or "
                    "letter beyond ASCII (write it as %XX)"},
            {"{" REST ",\n\"healthCheck\": {\"type\": \"http\", \"expectedStatus\": 700}}",
                    "2:51: healthCheck.expectedStatus: expected a whole number from 100 to 599, got 700"},
            {"{" REST ",\n\"healthCheck\": {\"port\": \"80\"}}",
                    "2:25: healthCheck.port: expected a port from 1 to 65535, got \"80\""},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

/* ── conflicts ── */

#define SERVICE(routes) "{" routes ", " BASE ", " EXEC "}"

static void assert_conflict(const char *first, const char *second, const char *problem)
{
    _cleanup_(config_unrefp) Config *c = config_new();
    add_text(c, "/d/a.json", first);
    add_text(c, "/d/b.json", second);
    assert_problems(c, problem);
    assert_int_equal(c->n_services, *problem ? 1 : 2);
    assert_string_equal(c->services[0]->name, "a");
}

static void the_first_of_two_keeps_what_both_claim(void **state)
{
    assert_conflict(SERVICE("\"host\": \"x.test\""), SERVICE("\"host\": \"X.test\""),
            "/d/b.json:1:10: host: x.test is already taken by service \"a\" in /d/a.json");
    assert_conflict(SERVICE("\"host\": \"*.x.test\""), SERVICE("\"hosts\": [\"y\", \"*.x.test\"]"),
            "/d/b.json:1:17: hosts[1]: *.x.test is already taken by service \"a\" in /d/a.json");
    assert_conflict(SERVICE("\"host\": \"x\", \"path\": \"/api\""),
            SERVICE("\"host\": \"x\", \"path\": \"/api/\""),
            "/d/b.json:1:10: host: x/api is already taken by service \"a\" in /d/a.json");
    assert_conflict(SERVICE("\"port\": 8080"), SERVICE("\"routes\": [{\"type\": \"port\", \"value\": 8080}]"),
            "/d/b.json:1:39: routes[0].value: port 8080 is already taken by service \"a\" in /d/a.json");
    assert_conflict(SERVICE("\"port\": \"127.0.0.1:8080\""), SERVICE("\"port\": \"localhost:8080\""),
            "/d/b.json:1:10: port: 127.0.0.1:8080 is already taken by service \"a\" in /d/a.json");
    assert_conflict(SERVICE("\"host\": \"x\""), SERVICE("\"host\": \"y\", \"name\": \"a\""),
            "/d/b.json:1:23: name: the name \"a\" is already taken in /d/a.json");
}

static void what_does_not_collide_stays(void **state)
{
    assert_conflict(SERVICE("\"host\": \"x\""), SERVICE("\"host\": \"x\", \"path\": \"/api\""), "");
    assert_conflict(SERVICE("\"host\": \"*.x\""), SERVICE("\"host\": \"a.x\""), "");
    assert_conflict(SERVICE("\"port\": 80"), SERVICE("\"port\": 80, \"path\": \"/api\""), "");
    assert_conflict(SERVICE("\"port\": \"127.0.0.1:80\""), SERVICE("\"port\": \"127.0.0.2:80\""), "");
    assert_conflict(SERVICE("\"port\": \"0.0.0.0:80\""), SERVICE("\"port\": \"[::1]:80\""), "");
    assert_conflict(SERVICE("\"port\": 80"), SERVICE("\"port\": \"127.0.0.1:81\""), "");
    assert_conflict("{\"host\": \"x\"}", SERVICE("\"host\": \"x\", \"name\": \"a\""),
            "/d/a.json:1:1: expected exactly one of unit, exec, commands and proxyOnly, got none of them\n"
            "/d/a.json:1:1: base: expected http://HOST:PORT, http+unix:///PATH or tcp://HOST:PORT, where the "
            "service listens, "
            "unless "
            "every route has a target");
}

static void listeners_that_the_kernel_would_not_open_together_collide(void **state)
{
    static const struct {
        const char *first, *second, *what, *other;
    } table[] = {
            {"80", "\"127.0.0.1:80\"", "127.0.0.1:80", "[::]:80"},
            {"80", "\"[::1]:80\"", "[::1]:80", "[::]:80"},
            {"80", "\"0.0.0.0:80\"", "0.0.0.0:80", "[::]:80"},
            {"\"127.0.0.1:80\"", "80", "port 80", "127.0.0.1:80"},
            {"\"[::1]:80\"", "80", "port 80", "[::1]:80"},
            {"\"0.0.0.0:80\"", "80", "port 80", "0.0.0.0:80"},
            {"\"0.0.0.0:80\"", "\"127.0.0.1:80\"", "127.0.0.1:80", "0.0.0.0:80"},
            {"\"127.0.0.1:80\"", "\"0.0.0.0:80\"", "0.0.0.0:80", "127.0.0.1:80"},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        char first[200], second[200], problem[300];
        snprintf(first, sizeof first, "{\"port\": %s, " BASE ", " EXEC "}", table[i].first);
        snprintf(second, sizeof second, "{\"port\": %s, \"path\": \"/x\", " BASE ", " EXEC "}",
                table[i].second);
        snprintf(problem, sizeof problem,
                "/d/b.json:1:10: port: %s/x cannot be open besides %s, which service \"a\" has in /d/a.json",
                table[i].what, table[i].other);
        assert_conflict(first, second, problem);
    }
}

static void all_routes_of_a_listener_agree_about_proxy_headers(void **state)
{
    _cleanup_(config_unrefp) Config *c =
            parse("{" HOST ", \"port\": 80, " BASE ", " EXEC ", \"acceptProxyProtocol\": true}");
    const ServiceConfig *s = only_service(c);

    assert_false(s->routes[0].accept_proxy);
    assert_true(s->routes[1].accept_proxy);
    static const Refusal table[] = {
            {"{" REST ",\n\"acceptProxyProtocol\": true}", "2:24: acceptProxyProtocol: expected a port "
                                                           "beside it: of the addresses that services share, "
                                                           "the global acceptProxyProtocol says it"},
            {"{" REST ",\n\"acceptProxyProtocol\": \"v1\"}",
                    "2:24: acceptProxyProtocol: expected true or false, got \"v1\""},
    };
    assert_refusals(table, ELEMENTSOF(table));
    assert_conflict("{\"port\": 80, " BASE ", " EXEC ", \"acceptProxyProtocol\": true}",
            "{\"port\": 80, \"path\": \"/x\", " BASE ", " EXEC "}",
            "/d/b.json:1:10: port: acceptProxyProtocol is true for this port in /d/a.json, and the same for "
            "all");
}

#define TCP "\"base\": \"tcp://localhost:5432\""

static void bytes_of_any_protocol_have_a_port_for_themselves(void **state)
{
    char buf[SOCKET_ADDRESS_STRING_MAX];
    _cleanup_(config_unrefp) Config *c =
            parse("{\"port\": 5432, " TCP ", " EXEC ", \"sendProxyProtocol\": \"v2\"}");
    const ServiceConfig *s = only_service(c);
    const Endpoint *e = &s->routes[0].target;

    assert_true(e->tcp);
    assert_string_equal(e->text, "tcp://localhost:5432");
    assert_int_equal(e->n_addresses, 2);
    assert_string_equal(socket_address_format(buf, &e->addresses[0]), "127.0.0.1:5432");
    assert_int_equal(s->send_proxy_protocol, PROXY_PROTOCOL_V2);
    assert_string_equal(s->health_check.endpoint.text, "tcp://localhost:5432");

    static const Refusal table[] = {
            {"{" HOST ", " TCP ", " EXEC "}",
                    "1:10: host: expected a port for tcp://localhost:5432, where no request names a host"},
            {"{\"port\": 5432, \"path\": \"/x\", " TCP ", " EXEC "}",
                    "1:10: port: expected no path for tcp://localhost:5432, where no request names one"},
            {"{\"port\": 5432, " TCP ", " EXEC ",\n\"sendProxyProtocol\": \"v3\"}",
                    "2:22: sendProxyProtocol: expected \"v1\" or \"v2\", got \"v3\""},
            {"{" REST ",\n\"sendProxyProtocol\": \"v1\"}", "2:22: sendProxyProtocol: expected a tcp:// base "
                                                           "or target beside it: services that speak "
                                                           "HTTP are told in Forwarded and X-Forwarded-*"},
            {"{\"port\": 80, " BASE ", " EXEC
             ",\n\"routes\": [{\"type\": \"port\", \"value\": 80, \"target\": \"tcp://127.0.0.1:1\"}]}",
                    "2:38: routes[0].value: expected one target for 80, got http://127.0.0.1:3001 and "
                    "tcp://127.0.0.1:1"},
    };
    assert_refusals(table, ELEMENTSOF(table));

    assert_conflict("{\"port\": 80, " TCP ", " EXEC "}",
            "{\"port\": 80, \"path\": \"/x\", " BASE ", " EXEC "}",
            "/d/b.json:1:10: port: port 80/x is already taken by service \"a\" in /d/a.json");
    assert_conflict("{\"port\": 80, \"path\": \"/x\", " BASE ", " EXEC "}",
            "{\"port\": 80, " TCP ", " EXEC "}",
            "/d/b.json:1:10: port: port 80 is already taken by service \"a\" in /d/a.json");
}

static void a_refused_service_claims_nothing(void **state)
{
    _cleanup_(config_unrefp) Config *c = config_new();
    add_text(c, "/d/a.json", SERVICE("\"hosts\": [\"x\", \"y\"]"));
    add_text(c, "/d/b.json", SERVICE("\"hosts\": [\"z\", \"y\"]"));
    add_text(c, "/d/c.json", SERVICE("\"host\": \"z\""));
    assert_problems(c, "/d/b.json:1:17: hosts[1]: y is already taken by service \"a\" in /d/a.json");
    assert_int_equal(c->n_services, 2);
    assert_string_equal(c->services[1]->name, "c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_way_to_write_a_route_adds_one),
            cmocka_unit_test(paths_are_inherited_and_end_without_a_slash),
            cmocka_unit_test(a_route_that_is_written_twice_is_meant_once),
            cmocka_unit_test(a_base_is_needed_unless_every_route_has_a_target),
            cmocka_unit_test(a_service_that_nobody_can_reach_is_refused),
            cmocka_unit_test(a_hostname_is_what_a_client_can_send),
            cmocka_unit_test(ports_paths_and_routes_are_explained),
            cmocka_unit_test(a_base_becomes_addresses),
            cmocka_unit_test(a_base_that_cannot_be_used_says_why),
            cmocka_unit_test(a_health_check_finds_what_it_is_not_told),
            cmocka_unit_test(a_health_check_without_base_looks_where_the_first_route_leads),
            cmocka_unit_test(a_health_check_is_explained),
            cmocka_unit_test(the_first_of_two_keeps_what_both_claim),
            cmocka_unit_test(what_does_not_collide_stays),
            cmocka_unit_test(listeners_that_the_kernel_would_not_open_together_collide),
            cmocka_unit_test(all_routes_of_a_listener_agree_about_proxy_headers),
            cmocka_unit_test(bytes_of_any_protocol_have_a_port_for_themselves),
            cmocka_unit_test(a_refused_service_claims_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
