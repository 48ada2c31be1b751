/* SPDX-License-Identifier: ISC */

#include "tests/unit/config-fixture.h"

#include <arpa/inet.h>

#include "config/internal.h"

static Config *parse_global(const char *text)
{
    Config *c = config_new();
    assert_int_equal(
            config_parse_file(c, CONFIG_FILE_GLOBAL, "/etc/dynapm.json", "/etc", text, strlen(text)), 0);
    return c;
}

static void defaults_are_there_without_any_file(void **state)
{
    _cleanup_(config_unrefp) Config *c = config_new();
    const GlobalConfig *g = &c->global;

    assert_int_equal(g->n_listen, 0);
    assert_false(g->request_log);
    assert_int_equal(g->request_head_timeout, 10 * USEC_PER_SEC);
    assert_int_equal(g->request_body_timeout, USEC_INFINITY);
    assert_int_equal(g->request_body_idle_timeout, 60 * USEC_PER_SEC);
    assert_int_equal(g->keep_alive_timeout, 75 * USEC_PER_SEC);
    assert_int_equal(g->upstream_connect_timeout, 10 * USEC_PER_SEC);
    assert_int_equal(g->upstream_first_byte_timeout, 5 * USEC_PER_MINUTE);
    assert_int_equal(g->upstream_idle_timeout, USEC_INFINITY);
    assert_int_equal(g->tunnel_idle_timeout, USEC_INFINITY);
    assert_int_equal(g->client_write_timeout, 60 * USEC_PER_SEC);
    assert_int_equal(g->max_connections, 16384);
    assert_int_equal(g->max_connections_per_address, 0);
    assert_int_equal(g->max_parked, 8192);
    assert_int_equal(g->max_parked_per_service, 2048);
    assert_true(g->max_concurrent_starts >= 8 && g->max_concurrent_starts % 4 == 0);
    assert_int_equal(g->max_head_size, 16384);
    assert_int_equal(g->n_trusted_proxies, 0);
}

static void every_setting_arrives(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse_global(
            "{\"host\": \"::1\", \"port\": 80, \"logging\": {\"enableRequestLog\": true}, \"limits\": {"
            "\"requestHeadTimeout\": \"1s\", \"requestBodyTimeout\": \"2s\", \"requestBodyIdleTimeout\": "
            "\"3s\", "
            "\"keepAliveTimeout\": \"4s\", \"upstreamConnectTimeout\": \"5s\", \"upstreamFirstByteTimeout\": "
            "6000, "
            "\"upstreamIdleTimeout\": \"7s\", \"tunnelIdleTimeout\": \"9s\", \"clientWriteTimeout\": "
            "\"never\", \"maxConnections\": 1, "
            "\"maxConnectionsPerAddress\": 2, \"maxParkedRequests\": 3, \"maxParkedRequestsPerService\": 4, "
            "\"maxConcurrentStarts\": 5, \"maxRequestHead\": 1024}}");
    const GlobalConfig *g = &c->global;
    char listen[SOCKET_ADDRESS_STRING_MAX];

    assert_problems(c, "");
    assert_int_equal(g->n_listen, 1);
    assert_string_equal(socket_address_format(listen, &g->listen[0]), "[::1]:80");
    assert_true(g->request_log);
    assert_int_equal(g->request_head_timeout, 1 * USEC_PER_SEC);
    assert_int_equal(g->request_body_timeout, 2 * USEC_PER_SEC);
    assert_int_equal(g->request_body_idle_timeout, 3 * USEC_PER_SEC);
    assert_int_equal(g->keep_alive_timeout, 4 * USEC_PER_SEC);
    assert_int_equal(g->upstream_connect_timeout, 5 * USEC_PER_SEC);
    assert_int_equal(g->upstream_first_byte_timeout, 6 * USEC_PER_SEC);
    assert_int_equal(g->upstream_idle_timeout, 7 * USEC_PER_SEC);
    assert_int_equal(g->tunnel_idle_timeout, 9 * USEC_PER_SEC);
    assert_int_equal(g->client_write_timeout, USEC_INFINITY);
    assert_int_equal(g->max_connections, 1);
    assert_int_equal(g->max_connections_per_address, 2);
    assert_int_equal(g->max_parked, 3);
    assert_int_equal(g->max_parked_per_service, 4);
    assert_int_equal(g->max_concurrent_starts, 5);
    assert_int_equal(g->max_head_size, 1024);
}

static void trusted_proxies_are_networks_of_one_kind(void **state)
{
    static const struct {
        const char *address;
        unsigned prefix;
    } expected[] = {{"::ffff:10.0.0.0", 104}, {"::ffff:127.0.0.1", 128}, {"::1", 128}, {"fd00::", 8},
            {"::ffff:0.0.0.0", 96}, {"::", 0}, {"::ffff:192.168.1.128", 121}};
    _cleanup_(config_unrefp) Config *c = parse_global("{\"trustedProxies\": [\"10.0.0.0/8\", \"127.0.0.1\", "
                                                      "\"::1\", \"fd00::/8\", \"0.0.0.0/0\", \"::/0\", "
                                                      "\"192.168.1.128/25\"]}");

    assert_problems(c, "");
    assert_int_equal(c->global.n_trusted_proxies, ELEMENTSOF(expected));
    for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
        struct in6_addr a;
        assert_int_equal(inet_pton(AF_INET6, expected[i].address, &a), 1);
        assert_memory_equal(&c->global.trusted_proxies[i].address, &a, sizeof a);
        assert_int_equal(c->global.trusted_proxies[i].prefix, expected[i].prefix);
    }
}

#define NO_NETWORK ": expected an address or a network such as \"10.0.0.0/8\", got "

static void what_is_wrong_is_explained_and_the_rest_applies(void **state)
{
    static const Refusal table[] = {
            {"{\"port\": 0}", "1:10: port: expected a port from 1 to 65535, got 0"},
            {"{\"host\": \"example.com\"}",
                    "1:10: host: expected an IP address or localhost, got \"example.com\""},
            {"{\"host\": 5}", "1:10: host: expected an IP address or localhost, got 5"},
            {"{\"limit\": {}}", "1:2: limit: unknown key \"limit\"; did you mean \"limits\"?"},
            {"{\"base\": \"\"}", "1:2: base: unknown key \"base\""},
            {"{\"limits\": []}", "1:12: limits: expected an object, got an empty array"},
            {"{\"limits\": {\"maxConnection\": 5}}", "1:13: limits.maxConnection: unknown key "
                                                     "\"maxConnection\"; did you mean \"maxConnections\"?"},
            {"{\"limits\": {\"maxConnections\": 0}}",
                    "1:31: limits.maxConnections: expected a whole number from 1 to 1048576, got 0"},
            {"{\"limits\": {\"maxRequestHead\": 70000}}",
                    "1:31: limits.maxRequestHead: expected a whole number from 1024 to 65536, got 70000"},
            {"{\"limits\": {\"keepAliveTimeout\": 0}}", "1:33: limits.keepAliveTimeout: expected a time span "
                                                        "of more than 0, or \"never\", got 0"},
            {"{\"logging\": {\"enableRequestLog\": 1}}",
                    "1:34: logging.enableRequestLog: expected true or false, got 1"},
            {"{\"adminApi\": {\"port\": \"4000\"}}",
                    "1:23: adminApi.port: expected a port from 1 to 65535, got \"4000\""},
            {"{\"adminApi\": true}", "1:14: adminApi: expected an object, got true"},
            {"{\"trustedProxies\": \"::1\"}",
                    "1:20: trustedProxies: expected an array of addresses and networks, got \"::1\""},
            {"{\"trustedProxies\": [\"proxy.test\"]}", "1:21: trustedProxies[0]" NO_NETWORK "\"proxy.test\""},
            {"{\"trustedProxies\": [\"::1\", \"10.0.0.0/33\"]}",
                    "1:28: trustedProxies[1]" NO_NETWORK "\"10.0.0.0/33\""},
            {"{\"trustedProxies\": [\"10.1.2.3/8\"]}",
                    "1:21: trustedProxies[0]" NO_NETWORK "\"10.1.2.3/8\"; that network is \"10.0.0.0/8\""},
            {"{\"trustedProxies\": [\"fd00::1/16\"]}",
                    "1:21: trustedProxies[0]" NO_NETWORK "\"fd00::1/16\"; that network is \"fd00::/16\""},
            {"{", "1:2: expected a name in double quotes, got the end of the file"},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_(config_unrefp) Config *c = parse_global(table[i].text);
        char expected[300];
        snprintf(expected, sizeof expected, "/etc/dynapm.json:%s", table[i].problems);
        assert_problems(c, expected);
        assert_int_equal(c->global.n_trusted_proxies, 0);
        assert_int_equal(c->global.n_listen, 0);
        assert_int_equal(c->global.max_connections, 16384);
    }

    _cleanup_(config_unrefp) Config *c =
            parse_global("{\"limits\": {\"maxConnections\": -1, \"maxParkedRequests\": 7}, \"port\": 8080, "
                         "\"host\": \"::1\"}");
    assert_int_equal(c->n_problems, 1);
    assert_int_equal(c->global.max_parked, 7);
    assert_int_equal(c->global.n_listen, 1);
}

/* What is known of it is looked at, the rest is DynaPM's business. */
static void the_admin_api_is_accepted(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse_global("{\"adminApi\": {\"enabled\": false, \"authToken\": "
                                                      "null, \"allowedIps\": [\"::1\"], \"cors\": {}}}");
    assert_problems(c, "");
    assert_int_equal(c->global.n_listen, 0);
}

static void the_file_of_global_settings_has_the_first_word(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse_global(
            "{\"port\": 80, \"logging\": {\"enableRequestLog\": false}, \"limits\": {\"maxConnections\": 5}, "
            "\"trustedProxies\": []}");
    char listen[SOCKET_ADDRESS_STRING_MAX];

    add_text(c, "/d/a.json",
            "{\"port\": 3000, \"host\": \"::\", \"logging\": {\"enableRequestLog\": true}, \"limits\": "
            "{\"maxConnections\": 6, \"maxRequestHead\": 2048}, \"trustedProxies\": [\"::1\"], \"services\": "
            "{\"a\": {" BASE ", \"port\": 90, \"proxyOnly\": true}}}");
    add_text(c, "/d/b.json", "{\"limits\": {\"maxRequestHead\": 4096}, \"services\": {}}");
    assert_problems(c, "");
    assert_int_equal(c->global.n_listen, 1);
    assert_string_equal(socket_address_format(listen, &c->global.listen[0]), "127.0.0.1:80");
    assert_false(c->global.request_log);
    assert_int_equal(c->global.max_connections, 5);
    assert_int_equal(c->global.max_head_size, 2048); /* the first that says it */
    assert_int_equal(c->global.n_trusted_proxies, 0);
    /* A service's port goes by the file that it is in. */
    assert_string_equal(socket_address_format(listen, &c->services[0]->routes[0].listen), "[::]:90");
}

static void a_whole_configuration_may_be_the_file_of_global_settings(void **state)
{
    _cleanup_(config_unrefp) Config *c =
            parse_global("{\"services\": {\"a\": {" BASE
                         ", \"commands\": {\"start\": \"x\", \"stop\": \"y\", \"check\": \"z\"}}}}");
    assert_string_equal(only_service(c)->cwd, "/etc");
    assert_int_equal(c->global.n_listen, 1);
}

static void a_listener_that_a_service_has_already_is_not_opened(void **state)
{
    _cleanup_(config_unrefp) Config *c = config_new();
    add_text(c, "/d/a.json", "{\"port\": 3000, " BASE ", " EXEC "}");
    add_text(c, "/d/b.json", "{\n\"port\": 3000, \"services\": {}}");
    add_text(c, "/d/c.json", "{\n\"services\": {}}");
    assert_problems(c,
            "/d/b.json:2:9: port: 127.0.0.1:3000 cannot be opened, as [::]:3000 is open for /d/a.json\n"
            "/d/c.json:1:1: port: 127.0.0.1:3000 cannot be opened, as [::]:3000 is open for /d/a.json");
    assert_int_equal(c->global.n_listen, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(defaults_are_there_without_any_file),
            cmocka_unit_test(every_setting_arrives),
            cmocka_unit_test(trusted_proxies_are_networks_of_one_kind),
            cmocka_unit_test(what_is_wrong_is_explained_and_the_rest_applies),
            cmocka_unit_test(the_admin_api_is_accepted),
            cmocka_unit_test(the_file_of_global_settings_has_the_first_word),
            cmocka_unit_test(a_whole_configuration_may_be_the_file_of_global_settings),
            cmocka_unit_test(a_listener_that_a_service_has_already_is_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
