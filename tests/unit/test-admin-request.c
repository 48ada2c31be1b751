/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "admin/admin-request.h"

static AdminRefusal refused(const char *method, const char *target)
{
    AdminRefusal refusal;
    AdminRequest r;

    if (admin_request_parse(method, target, strlen(target), &r, &refusal) != -EBADMSG)
        fail_msg("%s %s is not refused", method, target);
    return refusal;
}

static AdminRequest accepted(const char *method, const char *target)
{
    AdminRefusal refusal;
    AdminRequest r;

    if (admin_request_parse(method, target, strlen(target), &r, &refusal) != 0)
        fail_msg("%s %s: %u", method, target, refusal.status);
    return r;
}

static void each_path_is_an_operation(void **state)
{
    assert_int_equal(accepted("GET", "/_dynapm/api/services").operation, ADMIN_SERVICES);
    assert_int_equal(accepted("HEAD", "/_dynapm/api/services?x=/y").operation, ADMIN_SERVICES);
    assert_int_equal(accepted("GET", "/_dynapm/api/events").operation, ADMIN_EVENTS);
    AdminRequest r = accepted("GET", "/_dynapm/api/services/a.b-c_9");
    assert_int_equal(r.operation, ADMIN_SERVICE);
    assert_string_equal(r.name, "a.b-c_9");
    r = accepted("POST", "/_dynapm/api/services/start/start");
    assert_int_equal(r.operation, ADMIN_START);
    assert_string_equal(r.name, "start");
    assert_int_equal(accepted("POST", "/_dynapm/api/services/x/stop").operation, ADMIN_STOP);
    assert_int_equal(accepted("POST", "/_dynapm/api/services/x/restart").operation, ADMIN_RESTART);
    assert_int_equal(accepted("POST", "/_dynapm/api/reload").operation, ADMIN_RELOAD);
    r = accepted("GET", "/_dynapm/api/services/x/logs");
    assert_int_equal(r.operation, ADMIN_LOGS);
    assert_int_equal(r.lines, 100);
    assert_int_equal(accepted("GET", "/_dynapm/api/services/x/logs?").lines, 100);
    assert_int_equal(accepted("GET", "/_dynapm/api/services/x/logs?lines=1000").lines, 1000);
    static const char *const queries[] = {"lines", "lines=", "lines=0", "lines=01", "lines=1001", "lines=-1",
            "line=1", "lines=1&x", "lines=99999999999999999999", "lines=1 "};
    for (size_t i = 0; i < ELEMENTSOF(queries); i++) {
        char target[128] = "/_dynapm/api/services/x/logs?";
        assert_int_equal(refused("GET", strcat(target, queries[i])).status, 400);
    }
    assert_int_equal(accepted("GET", "/metrics").operation, ADMIN_METRICS);
    assert_int_equal(accepted("GET", "/").operation, ADMIN_HOME);
    assert_int_equal(accepted("GET", "/_dynapm").operation, ADMIN_HOME);
    assert_string_equal(accepted("GET", "/_dynapm/").asset->name, "index.html");
    assert_string_equal(accepted("GET", "/_dynapm/app.js").asset->type, "text/javascript; charset=utf-8");
    assert_string_equal(accepted("GET", "/_dynapm/api/openapi.json").asset->type, "application/json");
}

static void what_is_not_there_is_not_guessed_at(void **state)
{
    static const char *const targets[] = {
            "*",
            "//",
            "/x",
            "/_dynapm//",
            "/_dynapm/api/",
            "/_dynapm/api/services/",
            "/_dynapm/api/services//start",
            "/_dynapm/api/services/a/b",
            "/_dynapm/api/services/a/start/",
            "/_dynapm/api/services/%61",
            "/_dynapm/api/services/a%2f..",
            "/_dynapm/api/services/\xc3\xbc",
            "/_dynapm/api/../api/services",
            "/_dynapm/../etc/passwd",
            "/_dynapm/dashboard/app.js",
            "/_DYNAPM/",
            ("/_dynapm/api/services/"
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    };
    for (size_t i = 0; i < ELEMENTSOF(targets); i++)
        assert_int_equal(refused("GET", targets[i]).status, 404);
    char longer[5000] = "/_dynapm/api/services/a";
    memset(longer + strlen(longer), 'a', sizeof longer - strlen(longer) - 1);
    assert_int_equal(refused("GET", longer).status, 404);
}

static void a_wrong_method_is_told_the_right_ones(void **state)
{
    assert_string_equal(refused("POST", "/_dynapm/api/services").allow, "GET, HEAD");
    assert_string_equal(refused("GET", "/_dynapm/api/services/a/start").allow, "POST");
    assert_string_equal(refused("HEAD", "/_dynapm/api/events").allow, "GET");
    static const char *const methods[] = {"OPTIONS", "DELETE", "PUT", "get", "GE", "E", ", ", "HEA", "OST"};
    for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
        assert_int_equal(refused(methods[i], "/_dynapm/api/services").status, 405);
        assert_int_equal(refused(methods[i], "/_dynapm/api/services/a/stop").status, 405);
        assert_int_equal(refused(methods[i], "/_dynapm/").status, 405);
    }
}

static bool host(const char *s, const char *name)
{
    return admin_host_is_ours(s, strlen(s), name);
}

static void a_name_that_may_be_anybodys_is_not_ours(void **state)
{
    assert_true(host("localhost", NULL));
    assert_true(host("LocalHost.", NULL));
    assert_true(host("127.0.0.1", NULL));
    assert_true(host("192.0.2.1", NULL));
    assert_true(host("[::1]", NULL));
    assert_true(host("Admin.Test", "admin.test"));
    assert_false(host("admin.test", NULL));
    assert_false(host("evil.test", "admin.test"));
    assert_false(host("admin.test.evil.test", "admin.test"));
    assert_false(host("127.0.0.1.evil.test", NULL));
    assert_false(host("localhost.evil.test", NULL));
    assert_false(host("", NULL));
    assert_false(host(".", NULL));
    assert_false(host("[]", NULL));
    assert_false(host("[::1", NULL));
    assert_false(host("2130706433", NULL));
}

static bool origin(const char *o, const char *site, const char *authority)
{
    return admin_origin_is_ours(
            o, o ? strlen(o) : 0, site, site ? strlen(site) : 0, authority, strlen(authority));
}

static void pages_of_others_change_nothing(void **state)
{
    assert_true(origin(NULL, NULL, "localhost:4000")); /* no browser */
    assert_true(origin("http://localhost:4000", NULL, "localhost:4000"));
    assert_true(origin("https://admin.test", "same-origin", "Admin.Test"));
    assert_true(origin(NULL, "none", "localhost:4000"));
    assert_false(origin("http://localhost:3000", NULL, "localhost:4000"));
    assert_false(origin("http://evil.test", NULL, "localhost:4000"));
    assert_false(origin("null", NULL, "localhost:4000"));
    assert_false(origin("", NULL, "localhost:4000"));
    assert_false(origin("http://", NULL,
            ""
            "x"));
    assert_false(origin("ftp://localhost:4000", NULL, "localhost:4000"));
    assert_false(origin("http://localhost:40001", NULL, "localhost:4000"));
    assert_false(origin(NULL, "cross-site", "localhost:4000"));
    assert_false(origin(NULL, "same-site", "localhost:4000"));
    assert_false(origin("http://localhost:4000", "cross-site", "localhost:4000"));
}

static void a_token_is_taken_or_refused_whole(void **state)
{
    char token[ADMIN_TOKEN_MAX + 1], longest[7 + ADMIN_TOKEN_MAX + 1] = "Bearer ";

    assert_int_equal(admin_bearer(NULL, 0, token), 0);
    assert_string_equal(token, "");
    assert_int_equal(admin_bearer("bearer  a.-_~+/9==", 18, token), 0);
    assert_string_equal(token, "a.-_~+/9==");
    static const char *const bad[] = {"", "Bearer", "Bearer ", "Bearer  ", "Basic YTpi", "Bearer a b",
            "Bearer a=b", "Bearer =", "Bearer \xc3\xbc", "Bearer a\"", "Bearera", "Bearer a, Bearer b"};
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        assert_int_equal(admin_bearer(bad[i], strlen(bad[i]), token), -EINVAL);
        assert_string_equal(token, "");
    }
    memset(longest + 7, 'a', ADMIN_TOKEN_MAX);
    assert_int_equal(admin_bearer(longest, 7 + ADMIN_TOKEN_MAX, token), 0);
    char longer[7 + ADMIN_TOKEN_MAX + 1];
    memcpy(longer, longest, 7 + ADMIN_TOKEN_MAX);
    longer[7 + ADMIN_TOKEN_MAX] = 'a';
    assert_int_equal(admin_bearer(longer, sizeof longer, token), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_path_is_an_operation),
            cmocka_unit_test(what_is_not_there_is_not_guessed_at),
            cmocka_unit_test(a_wrong_method_is_told_the_right_ones),
            cmocka_unit_test(a_name_that_may_be_anybodys_is_not_ours),
            cmocka_unit_test(pages_of_others_change_nothing),
            cmocka_unit_test(a_token_is_taken_or_refused_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
