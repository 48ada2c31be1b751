/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <stdio.h>

#include "tests/unit/request.h"

/* 0 when the request passes, else the status it is refused with. */
static unsigned check(TestRequest *r, const char *text, RequestFacts *facts)
{
    RequestRefusal refusal = {};

    if (test_request_read(r, text, strlen(text)) < 0)
        fail_msg("not a head: %s", text);
    int e = request_check(&r->head, facts, &refusal);
    if (e == 0)
        return 0;
    assert_int_equal(e, -EBADMSG);
    assert_non_null(refusal.sentence);
    assert_int_equal(refusal.sentence[strlen(refusal.sentence) - 1], '.');
    return refusal.status;
}

static unsigned status_of(const char *text)
{
    TestRequest r;
    RequestFacts facts;
    unsigned status = check(&r, text, &facts);
    test_request_done(&r);
    return status;
}

#define H "Host: a\r\n"
#define GET_(fields) "GET / HTTP/1.1\r\n" H fields "\r\n"
#define POST_(fields) "POST / HTTP/1.1\r\n" H fields "\r\n"

static void what_is_wrong_gets_its_status(void **state)
{
    static const struct {
        unsigned status;
        const char *text;
    } table[] = {
            /* method */
            {400, " / HTTP/1.1\r\n" H "\r\n"},
            {400, "G(T / HTTP/1.1\r\n" H "\r\n"},
            {400, "G\tT / HTTP/1.1\r\n" H "\r\n"},
            {400, "G\xe4T / HTTP/1.1\r\n" H "\r\n"},
            {405, "CONNECT a:80 HTTP/1.1\r\n" H "\r\n"},
            {405, "TRACE / HTTP/1.1\r\n" H "\r\n"},
            {0, "BREW / HTTP/1.1\r\n" H "\r\n"},
            {0, "get / HTTP/1.1\r\n" H "\r\n"},
            {0, "M!#$%&'*+-.^_`|~0 / HTTP/1.1\r\n" H "\r\n"},
            {0, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n" H "\r\n"},
            {501, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" H "\r\n"},
            /* version */
            {505, "GET / HTTP/2.0\r\n" H "\r\n"},
            {505, "GET / HTTP/0.9\r\n" H "\r\n"},
            {505, "GET / HTTP/1.2\r\n" H "\r\n"},
            {400, "GET / http/1.1\r\n" H "\r\n"},
            {400, "GET / HTTP/1.1 \r\n" H "\r\n"},
            {400, "GET / HTTP/11\r\n" H "\r\n"},
            {400, "GET / HTTP/1.10\r\n" H "\r\n"},
            {400, "GET / HTTP/1\r\n" H "\r\n"},
            {400, "GET / HTTP/1,1\r\n" H "\r\n"},
            {400, "GET / HTTPS/1.1\r\n" H "\r\n"},
            {400, "GET / x HTTP/1.1\r\n" H "\r\n"},
            {400, "GET / \r\n" H "\r\n"},
            /* target */
            {400, "GET  HTTP/1.1\r\n" H "\r\n"},
            {400, "GET x HTTP/1.1\r\n" H "\r\n"},
            {400, "GET ?x HTTP/1.1\r\n" H "\r\n"},
            {400, "GET * HTTP/1.1\r\n" H "\r\n"},
            {400, "OPTIONS ** HTTP/1.1\r\n" H "\r\n"},
            {400, "OPTIONS *?x HTTP/1.1\r\n" H "\r\n"},
            {400, "GET /# HTTP/1.1\r\n" H "\r\n"},
            {400, "GET /a\tb HTTP/1.1\r\n" H "\r\n"},
            {400, "GET /a\x01 HTTP/1.1\r\n" H "\r\n"},
            {400, "GET /a\x7f HTTP/1.1\r\n" H "\r\n"},
            {400, "GET a:80 HTTP/1.1\r\n" H "\r\n"},
            {400, "GET ftp://a/ HTTP/1.1\r\n" H "\r\n"},
            {400, "GET http: HTTP/1.1\r\n" H "\r\n"},
            {400, "GET http:/a/ HTTP/1.1\r\n" H "\r\n"},
            {400, "GET http:///x HTTP/1.1\r\n" H "\r\n"},
            {400, "GET http://u@a/ HTTP/1.1\r\n" H "\r\n"},
            {400, "GET http://u:p@a/ HTTP/1.1\r\n" H "\r\n"},
            {400, "GET http://a:b/ HTTP/1.1\r\n" H "\r\n"},
            {400, "GET http://a\\b/ HTTP/1.1\r\n" H "\r\n"},
            {400, "GET http://a/x#y HTTP/1.1\r\n" H "\r\n"},
            {0, "OPTIONS * HTTP/1.1\r\n" H "\r\n"},
            {0, "GET /\xc3\xa4?\"<>\\^`{|}%zz%00[]'' HTTP/1.1\r\n" H "\r\n"},
            {0, "GET //x/../y//z?a?b/c HTTP/1.1\r\n" H "\r\n"},
            {0, "GET HTTPS://b/ HTTP/1.1\r\n" H "\r\n"},
            /* Host */
            {400, "GET / HTTP/1.1\r\n\r\n"},
            {400, "GET http://a/ HTTP/1.1\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
            {400, "GET / HTTP/1.0\r\nHost:\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\n" H H "\r\n"},
            {400, "GET / HTTP/1.0\r\n" H H "\r\n"},
            {400, "GET / HTTP/1.1\r\n" H "host: b\r\n\r\n"},
            {400, "GET http://a/ HTTP/1.1\r\n" H H "\r\n"},
            {400, "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: a: 80\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: [::1]]\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: [v1.x]\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: "
                  "[0000:0000:0000:0000:0000:0000:0000:00000000000000000001]\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\nHost: [::1]:x\r\n\r\n"},
            {0, "GET / HTTP/1.0\r\n\r\n"},
            {0, "GET / HTTP/1.1\r\nHost: a_b-c.d~:0\r\n\r\n"},
            {0, "GET / HTTP/1.1\r\nHost: 1.2.3.4:65535\r\n\r\n"},
            {0, "GET / HTTP/1.1\r\nHost: [2001:DB8::1.2.3.4]:8080\r\n\r\n"},
            /* Content-Length */
            {400, POST_("Content-Length: 1\r\nContent-Length: 2\r\n")},
            {400, POST_("Content-Length: 1\r\ncontent-length: 1\r\n")},
            {400, POST_("Content-Length: 1, 1\r\n")},
            {400, POST_("Content-Length: -1\r\n")},
            {400, POST_("Content-Length: +1\r\n")},
            {400, POST_("Content-Length: 1 1\r\n")},
            {400, POST_("Content-Length: 0x1\r\n")},
            {400, POST_("Content-Length:\r\n")},
            {400, POST_("Content-Length: 9223372036854775808\r\n")},
            {0, POST_("Content-Length: 0\r\n")},
            {0, GET_("Content-Length: 5\r\n")},
            /* Transfer-Encoding */
            {0, POST_("Transfer-Encoding: chunked\r\n")},
            {0, POST_("transfer-encoding: \t CHUNKED\r\n")},
            {400, POST_("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")},
            {400, POST_("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")},
            {400, POST_("Content-Length: 1\r\nTransfer-Encoding: gzip\r\n")},
            {400, POST_("Content-Length: 1\r\nTransfer-Encoding:\r\n")},
            {400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"},
            {400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: identity\r\n\r\n"},
            {400, POST_("Transfer-Encoding: chunked, chunked\r\n")},
            {400, POST_("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
            {400, POST_("Transfer-Encoding: chunked, gzip\r\n")},
            {400, POST_("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")},
            {400, POST_("Transfer-Encoding: chunked,\r\n")},
            {400, POST_("Transfer-Encoding: ,chunked\r\n")},
            {400, POST_("Transfer-Encoding:\r\n")},
            {400, POST_("Transfer-Encoding: \"chunked\"\r\n")},
            {501, POST_("Transfer-Encoding: gzip\r\n")},
            {501, POST_("Transfer-Encoding: gzip, chunked\r\n")},
            {501, POST_("Transfer-Encoding: identity\r\n")},
            {501, POST_("Transfer-Encoding: xchunked\r\n")},
            {501, POST_("Transfer-Encoding: chunked;q=1\r\n")},
            {501, POST_("Transfer-Encoding: chunked chunked\r\n")},
            {501, POST_("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")},
            /* Expect, Connection */
            {417, POST_("Expect: 200-ok\r\n")},
            {417, POST_("Expect:\r\n")},
            {417, POST_("Expect: 100-continue, x\r\n")},
            {0, POST_("Expect: 100-Continue\r\n")},
            {0, GET_("Connection: close, keep-alive, upgrade\r\n")},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        unsigned status = status_of(table[i].text);
        if (status != table[i].status)
            fail_msg("%u, not %u: %s", status, table[i].status, table[i].text);
    }
}

static void bytes_that_a_view_may_hold_do_not_slip_through(void **state)
{
    static const Field host = {.name = "Host", .name_len = 4, .value = "[::1\0]", .value_len = 6};
    RequestHead head = {.method = "GET",
            .target = "/a\0b",
            .target_len = 4,
            .version = "HTTP/1.1",
            .fields = &host,
            .n_fields = 1};
    RequestFacts facts;
    RequestRefusal refusal;

    assert_int_equal(request_check(&head, &facts, &refusal), -EBADMSG);
    head.target_len = 2;
    assert_int_equal(request_check(&head, &facts, &refusal), -EBADMSG);
    assert_int_equal(refusal.status, 400);
}

static void host_and_target_are_told_apart_in_every_form(void **state)
{
    static const struct {
        const char *line, *fields, *host, *authority, *target;
    } table[] = {
            {"GET /x?y HTTP/1.1", "Host: Example.COM:80\r\n", "Example.COM", "Example.COM:80", "/x?y"},
            {"GET / HTTP/1.1", "Host: a:\r\n", "a", "a", "/"},
            {"GET / HTTP/1.1", "Host: [::1]:8080\r\n", "[::1]", "[::1]:8080", "/"},
            {"GET / HTTP/1.1", "Host: [::1]\r\n", "[::1]", "[::1]", "/"},
            {"GET http://b:1/p?q HTTP/1.1", "Host: a\r\n", "b", "b:1", "/p?q"},
            {"GET hTTps://b/p HTTP/1.0", "", "b", "b", "/p"},
            {"GET http://b HTTP/1.1", "Host: a\r\n", "b", "b", "/"},
            {"OPTIONS http://b HTTP/1.1", "Host: a\r\n", "b", "b", "*"},
            {"OPTIONS http://b/ HTTP/1.1", "Host: a\r\n", "b", "b", "/"},
            {"OPTIONS * HTTP/1.1", "Host: a\r\n", "a", "a", "*"},
            {"GET http://b?q/@x HTTP/1.1", "Host: a\r\n", "b", "b", "?q/@x"},
            {"GET http://[::1]:/ HTTP/1.1", "Host: a\r\n", "[::1]", "[::1]", "/"},
            {"GET /http://b/ HTTP/1.1", "Host: a\r\n", "a", "a", "/http://b/"},
            {"GET / HTTP/1.0", "", "", "", "/"},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        char text[300];
        TestRequest r;
        RequestFacts f;
        snprintf(text, sizeof text, "%s\r\n%s\r\n", table[i].line, table[i].fields);
        assert_int_equal(check(&r, text, &f), 0);
        if (f.host_len != strlen(table[i].host) || memcmp(f.host, table[i].host, f.host_len) ||
                f.authority_len != strlen(table[i].authority) ||
                memcmp(f.authority, table[i].authority, f.authority_len) ||
                f.target_len != strlen(table[i].target) || memcmp(f.target, table[i].target, f.target_len))
            fail_msg("%s: host %.*s, authority %.*s, target %.*s", text, (int) f.host_len, f.host,
                    (int) f.authority_len, f.authority, (int) f.target_len, f.target);
        test_request_done(&r);
    }
}

static void a_host_has_at_most_255_bytes(void **state)
{
    char text[400];
    for (int n = 250; n < 260; n++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %0*d:80\r\n\r\n", n, 0);
        assert_int_equal(status_of(text), n <= 255 ? 0 : 400);
    }
}

typedef struct Expected {
    const char *text;
    RequestFacts facts;
} Expected;

static void the_rest_is_derived(void **state)
{
    static const Expected table[] = {
            {GET_(""), {.keep_alive = true, .idempotent = true}},
            {"HEAD / HTTP/1.1\r\n" H "\r\n", {.keep_alive = true, .idempotent = true, .is_head = true}},
            {"OPTIONS / HTTP/1.1\r\n" H "\r\n", {.keep_alive = true, .idempotent = true}},
            {"DELETE / HTTP/1.1\r\n" H "\r\n", {.keep_alive = true, .idempotent = true}},
            {"PUT / HTTP/1.1\r\n" H "Content-Length: 7\r\n\r\n", {.keep_alive = true,
                                                                         .idempotent = true,
                                                                         .body = REQUEST_BODY_LENGTH,
                                                                         .content_length = 7}},
            {"PATCH / HTTP/1.1\r\n" H "\r\n", {.keep_alive = true}},
            {"get / HTTP/1.1\r\n" H "\r\n", {.keep_alive = true}},
            {POST_("Content-Length: 0\r\nExpect: 100-continue\r\n"),
                    {.keep_alive = true, .body = REQUEST_BODY_LENGTH, .expects = true}},
            {POST_("Content-Length: 1\r\nExpect: 100-continue\r\n"), {.keep_alive = true,
                                                                             .body = REQUEST_BODY_LENGTH,
                                                                             .content_length = 1,
                                                                             .expects = true,
                                                                             .expect_continue = true}},
            {POST_("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"),
                    {.keep_alive = true,
                            .body = REQUEST_BODY_CHUNKED,
                            .expects = true,
                            .expect_continue = true}},
            {POST_("Expect: 100-continue\r\n"), {.keep_alive = true, .expects = true}},
            {"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
                    {.http_1_0 = true, .body = REQUEST_BODY_LENGTH, .content_length = 1}},
            {POST_("Connection: x, CLOSE\r\n"), {}},
            {"GET / HTTP/1.0\r\n\r\n", {.http_1_0 = true, .idempotent = true}},
            {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
                    {.http_1_0 = true, .idempotent = true, .keep_alive = true}},
            {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nConnection: close\r\n\r\n",
                    {.http_1_0 = true, .idempotent = true}},
            {GET_("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"),
                    {.keep_alive = true, .idempotent = true, .upgrade = true}},
            {GET_("Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: irc/2\r\n"),
                    {.keep_alive = true, .idempotent = true, .upgrade = true}},
            {GET_("Connection: Upgrade\r\nUpgrade: h2c, , \"x\"\r\n"),
                    {.keep_alive = true, .idempotent = true}},
            {GET_("Upgrade: websocket\r\n"), {.keep_alive = true, .idempotent = true}},
            {GET_("Connection: Upgrade\r\n"), {.keep_alive = true, .idempotent = true}},
            {"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                    {.http_1_0 = true, .idempotent = true}},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        TestRequest r;
        RequestFacts f;
        const RequestFacts *e = &table[i].facts;
        assert_int_equal(check(&r, table[i].text, &f), 0);
        if (f.http_1_0 != e->http_1_0 || f.body != e->body || f.content_length != e->content_length ||
                f.expects != e->expects || f.expect_continue != e->expect_continue ||
                f.keep_alive != e->keep_alive || f.upgrade != e->upgrade || f.idempotent != e->idempotent ||
                f.is_head != e->is_head)
            fail_msg("%s", table[i].text);
        test_request_done(&r);
    }
}

static void nothing_is_filled_in_for_what_is_refused(void **state)
{
    TestRequest r;
    RequestFacts facts, before;

    memset(&facts, 0x5a, sizeof facts);
    before = facts;
    assert_int_equal(check(&r, GET_("Expect: x\r\n"), &facts), 417);
    assert_memory_equal(&facts, &before, sizeof facts);
    test_request_done(&r);
}

static void a_connection_field_nominates_only_so_many(void **state)
{
    char text[400] = "GET / HTTP/1.1\r\n" H "Connection: close";
    size_t n = strlen(text);

    for (unsigned i = 0; i <= CONNECTION_NOMINATED_MAX; i++) {
        strcpy(text + n, "\r\n\r\n");
        assert_int_equal(status_of(text), 0);
        n += (size_t) sprintf(text + n, ",x%u", i);
    }
    strcpy(text + n, "\r\n\r\n");
    assert_int_equal(status_of(text), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_is_wrong_gets_its_status),
            cmocka_unit_test(bytes_that_a_view_may_hold_do_not_slip_through),
            cmocka_unit_test(host_and_target_are_told_apart_in_every_form),
            cmocka_unit_test(a_host_has_at_most_255_bytes),
            cmocka_unit_test(the_rest_is_derived),
            cmocka_unit_test(nothing_is_filled_in_for_what_is_refused),
            cmocka_unit_test(a_connection_field_nominates_only_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
