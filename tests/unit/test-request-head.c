/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <stdio.h>

#include "tests/unit/request.h"
#include "wire/request-head.h"

#define TAIL(host)                                                                                           \
    "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: " host                       \
    "\r\nForwarded: for=192.0.2.1;host=" host ";proto=http\r\nVia: 1.1 dynapm\r\n"

static const ForwardedBy stranger = {.peer = "192.0.2.1", .proto = "http"};
static const ForwardedBy proxy = {.peer = "192.0.2.1", .proto = "http", .trusted = true};

static void expect_with(
        const char *in, size_t strip, const char *host_override, const ForwardedBy *by, const char *out)
{
    char buf[4096];
    TestRequest r;
    RequestFacts facts;
    RequestRefusal refusal = {};

    if (test_request_read(&r, in, strlen(in)) < 0 || request_check(&r.head, &facts, &refusal) < 0)
        fail_msg("refused: %s %s", in, refusal.sentence);
    ssize_t n = request_head_write(buf, sizeof buf - 1, &r.head, &facts, strip, host_override, by);
    assert_true(n > 0);
    buf[n] = 0;
    assert_string_equal(buf, out);

    /* It needs exactly its length, and says so whatever less it gets. */
    char *exact = malloc((size_t) n);
    assert_non_null(exact);
    assert_int_equal(request_head_write(exact, (size_t) n, &r.head, &facts, strip, host_override, by), n);
    assert_memory_equal(exact, buf, n);
    for (size_t size = 0; size < (size_t) n; size++)
        assert_int_equal(
                request_head_write(exact, size, &r.head, &facts, strip, host_override, by), -ENOBUFS);
    free(exact);
    test_request_done(&r);
}

static void expect(const char *in, const char *out)
{
    expect_with(in, 0, NULL, &stranger, out);
}

static void a_plain_request_passes_with_what_a_gateway_must_say(void **state)
{
    expect("GET /a?b=c HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nX-Empty:\r\nCookie: a=1;  b\r\ncookie:c\r\n\r\n",
            "GET /a?b=c HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nX-Empty: \r\nCookie: a=1;  b\r\ncookie: "
            "c\r\n" TAIL("h") "\r\n");
}

static void the_target_passes_byte_for_byte(void **state)
{
    expect("GET //a/../b%2f%zz;x?\"<>\\^`{|}\xc3\xa4? HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET //a/../b%2f%zz;x?\"<>\\^`{|}\xc3\xa4? HTTP/1.1\r\nHost: h\r\n" TAIL("h") "\r\n");
}

static void absolute_form_becomes_origin_form_and_its_host_wins(void **state)
{
    expect("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x HTTP/1.1\r\nHost: b\r\n" TAIL("b") "\r\n");
    expect("GET http://b?x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?x HTTP/1.1\r\nHost: b\r\n" TAIL("b") "\r\n");
    expect("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: b\r\n" TAIL("b") "\r\n");
    expect("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n" TAIL("a") "\r\n");
}

static void a_prefix_is_stripped_and_a_slash_stays(void **state)
{
    static const char *const table[][2] = {{"/app", "/"}, {"/app?x=1", "/?x=1"}, {"/app/x", "/x"},
            {"/app/", "/"}, {"/app//x?/app", "//x?/app"}, {"/app/x?y", "/x?y"}};
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        char in[100], out[400];
        snprintf(in, sizeof in, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", table[i][0]);
        snprintf(out, sizeof out, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", table[i][1], TAIL("h"));
        expect_with(in, 4, NULL, &stranger, out);
    }
}

static void host_is_as_the_client_sent_it_unless_overridden(void **state)
{
    static const char in[] = "GET / HTTP/1.1\r\nHost: Ex.COM:8080\r\n\r\n";
    static const char tail[] = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
                               "X-Forwarded-Host: Ex.COM:8080\r\n"
                               "Forwarded: for=192.0.2.1;host=\"Ex.COM:8080\";proto=http\r\n"
                               "Via: 1.1 dynapm\r\n\r\n";
    char out[400];

    snprintf(out, sizeof out, "GET / HTTP/1.1\r\nHost: Ex.COM:8080\r\n%s", tail);
    expect(in, out);
    snprintf(out, sizeof out, "GET / HTTP/1.1\r\nHost: inner\r\n%s", tail);
    expect_with(in, 0, "inner", &stranger, out);
}

static void what_is_between_two_hops_is_not_passed_on(void **state)
{
    expect("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nProxy-Connection: "
           "x\r\n"
           "TE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nx-hop: 1\r\nX-End: 2\r\nProxy-Authorization: p\r\n"
           "Connection: x-two, X-End-2, host, Forwarded\r\nX-TWO: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX-End: 2\r\nProxy-Authorization: p\r\n" TAIL("h") "\r\n");
}

static void protocols_that_are_offered_are_passed_on(void **state)
{
    expect("GET / HTTP/1.1\r\nUpgrade: h2c, websocket\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n"
           "Upgrade: irc/2.0,, /x, y/\r\nSec-WebSocket-Version: 13\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Version: 13\r\n" TAIL(
                    "h") "Connection: upgrade\r\nUpgrade: websocket, irc/2.0\r\n\r\n");
    expect("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
           "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n" TAIL("h") "\r\n");
}

static void the_body_is_framed_anew(void **state)
{
    expect("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 007\r\nContent-Type: x\r\nExpect: "
           "100-continue\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: x\r\n" TAIL(
                    "h") "Content-Length: 7\r\nExpect: 100-continue\r\n\r\n");
    expect("POST / HTTP/1.1\r\nHost: h\r\ncontent-length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\n" TAIL("h") "Content-Length: 0\r\n\r\n");
    expect("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775807\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\n" TAIL("h") "Content-Length: 9223372036854775807\r\n\r\n");
    expect("POST / HTTP/1.1\r\nHost: h\r\nTransfer-encoding: Chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\n" TAIL("h") "Transfer-Encoding: chunked\r\n\r\n");
}

static void a_stranger_says_nothing_about_whence_it_came(void **state)
{
    expect("GET / HTTP/1.1\r\nX-Forwarded-For: 1.1.1.1\r\nHost: h\r\nx-forwarded-proto: https\r\n"
           "X-Forwarded-Host: evil\r\nForwarded: for=1.1.1.1\r\nX_Forwarded_For: "
           "1.1.1.1\r\nX-Forwarded_Proto: a\r\n"
           "x_forwarded-host: a\r\nX.Forwarded.For: a\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /x\r\n"
           "X_Real_Thing: stays\r\nXaForwardedbFor: stays\r\nX-Forwarded: stays\r\nVia: 1.0 other\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX_Real_Thing: stays\r\nXaForwardedbFor: stays\r\nX-Forwarded: "
            "stays\r\n"
            "Via: 1.0 other\r\n" TAIL("h") "\r\n");
}

static void what_a_trusted_proxy_says_is_kept_and_added_to(void **state)
{
    expect_with("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n"
                "x-forwarded-for: 2.2.2.2, 3.3.3.3\r\nX-Forwarded-Host: first\r\nX-Forwarded-Port: 443\r\n"
                "Forwarded: for=1.1.1.1;proto=https\r\nForwarded:\r\nForwarded: for=2.2.2.2\r\n"
                "X_Forwarded_For: 6.6.6.6\r\n\r\n",
            0, NULL, &proxy,
            "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: first\r\n"
            "X-Forwarded-Port: 443\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.1\r\n"
            "Forwarded: for=1.1.1.1;proto=https, for=2.2.2.2, for=192.0.2.1;host=h;proto=http\r\n"
            "Via: 1.1 dynapm\r\n\r\n");
    /* One that says nothing, or nothing in many words, gets what a stranger gets. */
    expect_with("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For:\r\nX-Forwarded-Proto:\r\nX-Forwarded-Host: "
                "\r\n\r\n",
            0, NULL, &proxy, "GET / HTTP/1.1\r\nHost: h\r\n" TAIL("h") "\r\n");
    /* A client behind it cannot make it take back what it said. */
    expect_with("GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Forwarded-For, X-Forwarded-Proto\r\n"
                "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\r\n",
            0, NULL, &proxy,
            "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 1.1.1.1, 192.0.2.1\r\n"
            "X-Forwarded-Host: h\r\nForwarded: for=192.0.2.1;host=h;proto=http\r\nVia: 1.1 dynapm\r\n\r\n");
}

static void ipv6_and_unix_peers_are_written_as_rfc_7239_wants(void **state)
{
    static const ForwardedBy v6 = {.peer = "2001:db8::1", .proto = "https"},
                             local = {"unknown", "http", false};
    expect_with("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0, NULL, &v6,
            "GET / HTTP/1.1\r\nHost: [::1]:80\r\nX-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: https\r\n"
            "X-Forwarded-Host: [::1]:80\r\n"
            "Forwarded: for=\"[2001:db8::1]\";host=\"[::1]:80\";proto=https\r\nVia: 1.1 dynapm\r\n\r\n");
    expect_with("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 0, NULL, &local,
            "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: unknown\r\nX-Forwarded-Proto: http\r\n"
            "X-Forwarded-Host: h\r\nForwarded: for=unknown;host=h;proto=http\r\nVia: 1.1 dynapm\r\n\r\n");
}

static void an_http_1_0_request_without_host_gets_an_empty_one(void **state)
{
    expect("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: \r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
            "Forwarded: for=192.0.2.1;proto=http\r\nVia: 1.0 dynapm\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_plain_request_passes_with_what_a_gateway_must_say),
            cmocka_unit_test(the_target_passes_byte_for_byte),
            cmocka_unit_test(absolute_form_becomes_origin_form_and_its_host_wins),
            cmocka_unit_test(a_prefix_is_stripped_and_a_slash_stays),
            cmocka_unit_test(host_is_as_the_client_sent_it_unless_overridden),
            cmocka_unit_test(what_is_between_two_hops_is_not_passed_on),
            cmocka_unit_test(protocols_that_are_offered_are_passed_on),
            cmocka_unit_test(the_body_is_framed_anew),
            cmocka_unit_test(a_stranger_says_nothing_about_whence_it_came),
            cmocka_unit_test(what_a_trusted_proxy_says_is_kept_and_added_to),
            cmocka_unit_test(ipv6_and_unix_peers_are_written_as_rfc_7239_wants),
            cmocka_unit_test(an_http_1_0_request_without_host_gets_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
