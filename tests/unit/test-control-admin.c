/* SPDX-License-Identifier: ISC */

/* What a gateway may do in the name of somebody who has a token, and what it may not do without one. */

#include "tests/unit/control-fixture.h"

#include "manager/admin.h"

#define TOKEN "manage-0123456789"
#define READ_TOKEN "read-0123456789ab"

typedef struct Site {
    Fixture f;
    Gateway me;
    uint16_t port;
} Site;

static void write_global(Fixture *f, const char *json)
{
    _cleanup_close_ int fd = open(f->global, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, json, strlen(json)), strlen(json));
}

static void site_init(Site *s, const char *global)
{
    fixture_init(&s->f);
    s->port = fixture_service(&s->f, "blog", "\"idleTimeout\": \"1h\"");
    fixture_config(
            &s->f, "nas", "{\"host\": \"nas.test\", \"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true}");
    write_global(&s->f, global);
    fixture_start(&s->f);
    gateway_init(&s->me, &s->f);
}

static void site_done(Site *s)
{
    gateway_done(&s->me);
    fixture_done(&s->f);
}

#define admin_call(s, c, method, ...)                                                                        \
    (*(c) = (Call){}, assert_true(sd_bus_call_method_async((s)->me.bus, &(c)->slot, NULL, BUS_PATH,          \
                                          BUS_ADMIN_INTERFACE, method, on_reply, c, __VA_ARGS__) >= 0))

static void assert_role(Site *s, const char *token, const char *expected)
{
    const char *role;
    Call c;

    admin_call(s, &c, BUS_AUTHORIZE, "s", token);
    expect_reply(&s->f, &c);
    assert_true(sd_bus_message_read(c.reply, "s", &role) > 0);
    assert_string_equal(role, expected);
    call_done(&c);
}

static const char both[] = "{\"adminApi\": {\"enabled\": true, \"authToken\": \"" TOKEN
                           "\", \"readOnlyToken\": \"" READ_TOKEN "\"}}";

static void a_token_is_the_right_one_or_nobodys(void **state)
{
    static const char *const wrong[] = {
            "", "x", TOKEN "x", "manage-012345678", "Manage-0123456789", READ_TOKEN "="};
    char longer[2 * BUS_TOKEN_MAX];
    Site s;

    site_init(&s, both);
    assert_role(&s, TOKEN, BUS_ROLE_MANAGE);
    assert_role(&s, READ_TOKEN, BUS_ROLE_READ);
    for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
        assert_role(&s, wrong[i], BUS_ROLE_NONE);
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    assert_role(&s, longer, BUS_ROLE_NONE);
    site_done(&s);
}

static void without_a_token_a_gateway_changes_nothing(void **state)
{
    static const char *const methods[] = {"Start", "Stop", "Restart"}, *const tokens[] = {
                                                                               "", "x", READ_TOKEN};
    Site s;
    Call c;

    site_init(&s, both);
    for (size_t i = 0; i < ELEMENTSOF(methods); i++)
        for (size_t k = 0; k < ELEMENTSOF(tokens); k++) {
            admin_call(&s, &c, methods[i], "sss", "blog", tokens[k], "192.0.2.1");
            expect_failure(&s.f, &c, SD_BUS_ERROR_ACCESS_DENIED, "token");
        }
    for (size_t k = 0; k < ELEMENTSOF(tokens); k++) {
        admin_call(&s, &c, "Reload", "ss", tokens[k], "192.0.2.1");
        expect_failure(&s.f, &c, SD_BUS_ERROR_ACCESS_DENIED, "token");
        admin_call(&s, &c, "Logs", "ssu", "blog", tokens[k], 1U);
        expect_failure(&s.f, &c, SD_BUS_ERROR_ACCESS_DENIED, "token");
    }
    assert_text(&s.f, s.me.bus, "blog", "State", "offline");
    site_done(&s);
}

static void with_one_it_does_what_it_is_asked_for_in_the_right_state(void **state)
{
    Site s;
    Call c;

    site_init(&s, both);
    admin_call(&s, &c, "Stop", "sss", "blog", TOKEN, "192.0.2.1");
    expect_failure(&s.f, &c, BUS_ERROR_WRONG_STATE, "blog is offline already");
    admin_call(&s, &c, "Start", "sss", "blog", TOKEN, "192.0.2.1");
    expect_reply(&s.f, &c);
    call_done(&c);
    assert_true(somebody_listens(s.port));
    assert_text(&s.f, s.me.bus, "blog", "LastWakeReason", "start by hand: admin API, 192.0.2.1");
    admin_call(&s, &c, "Start", "sss", "blog", TOKEN, "192.0.2.1");
    expect_failure(&s.f, &c, BUS_ERROR_WRONG_STATE, "blog is online already");
    admin_call(&s, &c, "Stop", "sss", "nas", TOKEN, "192.0.2.1");
    expect_failure(&s.f, &c, SD_BUS_ERROR_NOT_SUPPORTED, "proxied only");
    admin_call(&s, &c, "Start", "sss", "none", TOKEN, "192.0.2.1");
    expect_failure(&s.f, &c, BUS_ERROR_NO_SUCH_SERVICE, "none");
    admin_call(&s, &c, "Logs", "ssu", "blog", TOKEN, 1U);
    expect_failure(&s.f, &c, BUS_ERROR_NO_JOURNAL, "no journal");
    admin_call(&s, &c, "Stop", "sss", "blog", TOKEN, "192.0.2.1");
    expect_reply(&s.f, &c);
    call_done(&c);
    site_done(&s);
}

static void there_is_no_such_api_unless_it_is_enabled(void **state)
{
    Site s;
    Call c;

    site_init(&s, "{}");
    admin_call(&s, &c, BUS_AUTHORIZE, "s", "");
    expect_failure(&s.f, &c, BUS_ERROR_NO_ADMIN, "no admin API");
    admin_call(&s, &c, "Start", "sss", "blog", "", "192.0.2.1");
    expect_failure(&s.f, &c, SD_BUS_ERROR_ACCESS_DENIED, "token");
    site_done(&s);
}

static void where_none_is_configured_none_is_asked_for(void **state)
{
    Site s;

    site_init(&s, "{\"adminApi\": {\"enabled\": true}}");
    assert_role(&s, "", BUS_ROLE_MANAGE);
    assert_role(&s, "whatever", BUS_ROLE_MANAGE);
    site_done(&s);
}

/* ── where tokens come from ── */

static AdminRole role_with(const char *text, const char *token)
{
    char path[] = "/tmp/test-admin-XXXXXX";
    Admin a = {};

    _cleanup_close_ int fd = mkstemp(path);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(admin_load(&a, &(AdminConfig){.enabled = true, .token.file = path}), 0);
    AdminRole role = admin_role(&a, token);
    admin_done(&a);
    unlink(path);
    return role;
}

static void a_file_holds_one_token(void **state)
{
    assert_int_equal(role_with("0123456789abcdef\n", "0123456789abcdef"), ADMIN_MANAGE);
    assert_int_equal(role_with(" \t0123456789abcdef\r\n\n", "0123456789abcdef"), ADMIN_MANAGE);
    static const char *const none[] = {"", "\n", "two words", "line\nline"};
    for (size_t i = 0; i < ELEMENTSOF(none); i++) {
        assert_int_equal(role_with(none[i], ""), ADMIN_NOBODY);
        assert_int_equal(role_with(none[i], none[i]), ADMIN_NOBODY);
    }
}

static void a_credential_is_where_the_service_manager_puts_it(void **state)
{
    char folder[] = "/tmp/test-admin-XXXXXX";
    AdminConfig config = {.enabled = true, .token.credential = (char *) "dynapm.admin-token"};
    Admin a = {};

    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(admin_load(&a, &config), 0);
    assert_int_equal(admin_role(&a, ""), ADMIN_NOBODY); /* it cannot be had: nobody gets in */
    assert_non_null(mkdtemp(folder));
    setenv("CREDENTIALS_DIRECTORY", folder, true);
    _cleanup_free_ char *path = text_format("%s/dynapm.admin-token", folder);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
    assert_int_equal(write(fd, "0123456789abcdef", 16), 16);
    assert_int_equal(admin_load(&a, &config), 0);
    assert_int_equal(admin_role(&a, "0123456789abcdef"), ADMIN_MANAGE);
    assert_int_equal(admin_role(&a, ""), ADMIN_NOBODY);
    admin_done(&a);
    unlink(path);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_token_is_the_right_one_or_nobodys),
            cmocka_unit_test(without_a_token_a_gateway_changes_nothing),
            cmocka_unit_test(with_one_it_does_what_it_is_asked_for_in_the_right_state),
            cmocka_unit_test(there_is_no_such_api_unless_it_is_enabled),
            cmocka_unit_test(where_none_is_configured_none_is_asked_for),
            cmocka_unit_test(a_file_holds_one_token),
            cmocka_unit_test(a_credential_is_where_the_service_manager_puts_it),
    };
    int r = fixture_main(argc, argv);
    return r >= 0 ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
