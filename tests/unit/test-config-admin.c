/* SPDX-License-Identifier: ISC */

/* adminApi: what it says, and that what is doubtful leaves it off. */

#include "tests/unit/config-fixture.h"

#include "config/internal.h"

static Config *parse_global(const char *text)
{
    Config *c = config_new();
    assert_non_null(c);
    assert_int_equal(
            config_parse_file(c, CONFIG_FILE_GLOBAL, "/etc/dynapm.json", "/etc", text, strlen(text)), 0);
    return c;
}

static void assert_listens(const AdminConfig *a, const char *expected)
{
    char listen[SOCKET_ADDRESS_STRING_MAX];
    assert_true(a->enabled);
    assert_string_equal(socket_address_format(listen, &a->listen), expected);
}

static void there_is_none_unless_it_is_enabled(void **state)
{
    static const char *const texts[] = {"{}", "{\"adminApi\": {}}",
            "{\"adminApi\": {\"enabled\": false, \"port\": 4000, \"host\": \"x.test\"}}",
            "{\"adminApi\": {\"listen\": \"0.0.0.0:80\"}}"};
    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        _cleanup_(config_unrefp) Config *c = parse_global(texts[i]);
        assert_problems(c, "");
        assert_false(c->global.admin.enabled);
    }
}

static void it_listens_where_dynapm_users_expect_it(void **state)
{
    static const char *const table[][2] = {
            {"", "127.0.0.1:4000"},
            {", \"port\": 4001", "127.0.0.1:4001"},
            {", \"host\": \"::1\"", "[::1]:4000"},
            {", \"host\": \"localhost\", \"port\": 5", "127.0.0.1:5"},
            {", \"host\": \"0.0.0.0\", \"authToken\": \"x\"", "0.0.0.0:4000"},
            {", \"listen\": \"[::1]:80\"", "[::1]:80"},
            {", \"listen\": \"localhost:80\", \"hostname\": \"Admin.Test\"", "127.0.0.1:80"},
            {", \"listen\": \"unix:/run/dynapm/admin\"", "unix:/run/dynapm/admin"},
            {", \"listen\": \"0.0.0.0:80\", \"allowedIps\": [\"10.0.0.0/8\"]", "0.0.0.0:80"},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_free_ char *text = NULL;
        assert_true(asprintf(&text, "{\"adminApi\": {\"enabled\": true%s}}", table[i][0]) >= 0);
        _cleanup_(config_unrefp) Config *c = parse_global(text);
        assert_problems(c, "");
        assert_listens(&c->global.admin, table[i][1]);
    }
}

static void everything_arrives(void **state)
{
    _cleanup_(config_unrefp) Config *c =
            parse_global("{\"adminApi\": {\"enabled\": true, \"hostname\": \"Admin.Test\", "
                         "\"tokenCredential\": \"dynapm.admin\", "
                         "\"readOnlyTokenFile\": \"/etc/t\", \"allowedIps\": [\"127.0.0.1\", \"fd00::/8\"], "
                         "\"cors\": {}}}");
    const AdminConfig *a = &c->global.admin;

    assert_problems(c, "");
    assert_true(a->enabled);
    assert_int_equal(a->listen.len, 0); /* it is there where the services are */
    assert_string_equal(a->hostname, "admin.test");
    assert_string_equal(a->file, "/etc/dynapm.json");
    assert_string_equal(a->token.credential, "dynapm.admin");
    assert_string_equal(a->read_token.file, "/etc/t");
    assert_null(a->token.text);
    assert_int_equal(a->n_allowed, 2);
    assert_int_equal(a->allowed[0].prefix, 128);
    assert_int_equal(a->allowed[1].prefix, 8);
}

#define ON "{\"adminApi\": {\"enabled\": true, "

static void what_is_doubtful_leaves_it_off(void **state)
{
    static const Refusal table[] = {
            {ON "\"host\": \"0.0.0.0\"}}",
                    "1:14: adminApi: 0.0.0.0:4000 can be reached from outside: expected tokenCredential, "
                    "tokenFile, authToken or allowedIps"},
            {ON "\"host\": \"::\", \"allowedIps\": []}}",
                    "1:14: adminApi: [::]:4000 can be reached from outside: expected tokenCredential, "
                    "tokenFile, authToken or allowedIps"},
            {ON "\"hostname\": \"admin.test\"}}",
                    "1:14: adminApi: admin.test can be reached from outside: expected tokenCredential, "
                    "tokenFile, authToken or allowedIps"},
            {ON "\"host\": \"admin.test\"}}",
                    "1:40: adminApi.host: expected an IP address or localhost, got \"admin.test\""},
            {ON "\"listen\": \"127.0.0.1:80\", \"port\": 80}}",
                    "1:14: adminApi: expected either listen, or host and port, got both"},
            {ON "\"listen\": \"80\"}}",
                    "1:42: adminApi.listen: expected ADDRESS:PORT or unix:/PATH, got \"80\""},
            {ON "\"authToken\": \"se cret\"}}", "1:45: adminApi.authToken: expected a token of at most 256 "
                                                "letters, digits and -._~+/, with = "
                                                "at its end"},
            {ON "\"authToken\": \"a\", \"tokenFile\": \"/a\"}}",
                    "1:14: adminApi: expected one of authToken, tokenFile and tokenCredential, got 2"},
            {ON "\"readOnlyToken\": \"a\"}}",
                    "1:14: adminApi: expected a token for everything beside the one for reading"},
            {ON "\"tokenFile\": \"t\"}}", "1:45: adminApi.tokenFile: expected an absolute path, got \"t\""},
            {ON "\"tokenCredential\": \"../t\"}}",
                    "1:51: adminApi.tokenCredential: expected the name of a credential such as "
                    "\"dynapm.admin-token\", got \"../t\""},
            {ON "\"allowedIp\": [\"::1\"]}}",
                    "1:32: adminApi.allowedIp: unknown key; did you mean \"allowedIps\"?"},
            {ON "\"hostname\": \"*.test\"}}", "1:44: adminApi.hostname: expected a hostname, got \"*.test\""},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_(config_unrefp) Config *c = parse_global(table[i].text);
        _cleanup_free_ char *expected = NULL;
        assert_true(asprintf(&expected, "/etc/dynapm.json:%s", table[i].problems) >= 0);
        assert_problems(c, expected);
        assert_false(c->global.admin.enabled);
        assert_null(c->global.admin.token.text);
    }
}

static void its_address_is_nobody_elses(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse_global("{\"port\": 4000, \"adminApi\": {\"enabled\": true}}");
    assert_problems(c,
            "/etc/dynapm.json:1:28: adminApi: 127.0.0.1:4000 cannot be its own address, services are there");
    assert_false(c->global.admin.enabled);

    _cleanup_(config_unrefp) Config *d = parse_global("{\"adminApi\": {\"enabled\": true}}");
    add_text(d, "/d/a.json", "{\"port\": \"127.0.0.1:4000\", " BASE ", " EXEC "}");
    add_text(d, "/d/b.json", "{\"port\": 4000, \"services\": {}}");
    assert_int_equal(d->n_problems, 2);
    assert_int_equal(d->n_services, 0);
    assert_int_equal(d->global.n_listen, 0);
    assert_listens(&d->global.admin, "127.0.0.1:4000");

    _cleanup_(config_unrefp) Config *e = config_new();
    add_text(e, "/d/a.json", "{\"port\": 4000, " BASE ", " EXEC "}");
    add_text(e, "/d/b.json", "{\"adminApi\": {\"enabled\": true}, \"services\": {}}");
    assert_problems(e,
            "/d/b.json:1:14: adminApi: 127.0.0.1:4000 cannot be its own address, /d/a.json has one that "
            "excludes it");
    assert_false(e->global.admin.enabled);
}

static void the_first_file_that_has_it_has_all_of_it(void **state)
{
    _cleanup_(config_unrefp) Config *c = parse_global("{\"adminApi\": {\"enabled\": true, \"port\": 5}}");
    add_text(c, "/d/a.json", "{\"adminApi\": {\"enabled\": true, \"authToken\": \"x\"}, \"services\": {}}");
    assert_problems(c, "");
    assert_listens(&c->global.admin, "127.0.0.1:5");
    assert_null(c->global.admin.token.text);

    _cleanup_(config_unrefp) Config *d = parse_global("{\"adminApi\": {\"enabled\": false}}");
    add_text(d, "/d/a.json", "{\"adminApi\": {\"enabled\": true}, \"services\": {}}");
    assert_problems(d, "");
    assert_false(d->global.admin.enabled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(there_is_none_unless_it_is_enabled),
            cmocka_unit_test(it_listens_where_dynapm_users_expect_it),
            cmocka_unit_test(everything_arrives),
            cmocka_unit_test(what_is_doubtful_leaves_it_off),
            cmocka_unit_test(its_address_is_nobody_elses),
            cmocka_unit_test(the_first_file_that_has_it_has_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
