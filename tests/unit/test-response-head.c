/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <stdio.h>

#include "wire/response-head.h"

/* Parses a copy of exactly this size, so that the address sanitizer sees a read past it. */
static int parse(ResponseHead *ret, const char *text, size_t len, bool head_request)
{
    static char *kept;

    free(kept);
    kept = malloc(len ? len : 1);
    assert_non_null(kept);
    memcpy(kept, text, len);
    return response_head_parse(ret, kept, len, head_request);
}

static const Field *find(const ResponseHead *h, const char *name)
{
    for (size_t i = 0; i < h->n_fields; i++)
        if (field_is(&h->fields[i], name))
            return &h->fields[i];
    return NULL;
}

static const struct {
    const char *text;
    unsigned status;
    BodyFraming framing;
    bool keep_alive;
    uint64_t length;
    bool head_request;
} good[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, BODY_LENGTH, true, 5, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length:5\r\n\r\n", 200, BODY_LENGTH, true, 5,
                false},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, BODY_LENGTH, true, 0, false},
        {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200, BODY_LENGTH, true, 0, false},
        {"HTTP/1.1 404 Nicht \xe4\xf6\tda\r\nContent-Length: 0\r\n\r\n", 404, BODY_LENGTH, true, 0, false},
        {"HTTP/1.1 999 x\r\nTransfer-Encoding: CHUNKED\r\n\r\n", 999, BODY_CHUNKED, true, 0, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding:\t chunked \t\r\nConnection: a, Close\r\n\r\n", 200,
                BODY_CHUNKED, false, 0, false},
        {"HTTP/1.1 200 OK\r\n\r\n", 200, BODY_UNTIL_CLOSE, false, 0, false},
        {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", 200, BODY_UNTIL_CLOSE, false, 0, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", 200, BODY_LENGTH, false, 3, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\n", 200, BODY_LENGTH, true, 3,
                false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive, close\r\n\r\n", 200, BODY_LENGTH,
                false, 3, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, BODY_NONE, true, 5, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, BODY_NONE, true, 0, true},
        {"HTTP/1.1 200 OK\r\n\r\n", 200, BODY_NONE, true, 0, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", 304, BODY_NONE, true, 500, false},
        {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, BODY_NONE, true, 0, false},
        {"HTTP/1.1 204 No Content\r\n\r\n", 204, BODY_NONE, true, 0, false},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, BODY_NONE, true, 0, false},
        /* These may send what they must not: never used again. */
        {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, BODY_NONE, false, 5, false},
        {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, BODY_NONE, false, 0, false},
        {"HTTP/1.1 100 Continue\r\n\r\n", 100, BODY_NONE, true, 0, false},
        {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 103, BODY_NONE, true, 0, false},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 101,
                BODY_NONE, false, 0, false},
};

static void framing_and_persistence_follow_from_the_head(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(good); i++) {
        ResponseHead h;
        size_t n = strlen(good[i].text);
        int r = parse(&h, good[i].text, n, good[i].head_request);
        if (r != (int) n || h.status != good[i].status || h.framing != good[i].framing ||
                h.keep_alive != good[i].keep_alive || h.content_length != good[i].length ||
                h.has_content_length != !!find(&h, "content-length"))
            fail_msg("%zu: %s: %d, status %u, framing %d, keep-alive %d, length %llu", i, good[i].text, r,
                    h.status, h.framing, h.keep_alive, (unsigned long long) h.content_length);
    }
}

static void every_prefix_asks_for_more_and_what_follows_is_left_alone(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(good); i++) {
        char text[400];
        ResponseHead h;
        size_t n = strlen(good[i].text);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(parse(&h, good[i].text, k, good[i].head_request), -EAGAIN);
        snprintf(text, sizeof text, "%s\r\n\r\nHTTP/1.1 garbage", good[i].text);
        assert_int_equal(parse(&h, text, strlen(text), good[i].head_request), n);
    }
}

#define OK "HTTP/1.1 200 OK\r\n"
#define BAD(text)                                                                                            \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }

static const struct {
    const char *text;
    size_t len;
} bad[] = {
        /* status line */
        BAD("\r\n" OK "\r\n"),
        BAD("<html>"),
        BAD("SSH-2.0-OpenSSH_9\r\n"),
        BAD("http/1.1 200 OK\r\n\r\n"),
        BAD("HTTP/2.0 200 OK\r\n\r\n"),
        BAD("HTTP/0.9 200 OK\r\n\r\n"),
        BAD("HTTP/1.2 200 OK\r\n\r\n"),
        BAD("HTTP/1.10 200 OK\r\n\r\n"),
        BAD("HTTP/1.1200 OK\r\n\r\n"),
        BAD("HTTP/1.1  200 OK\r\n\r\n"),
        BAD("HTTP/1.1\t200 OK\r\n\r\n"),
        BAD("HTTP/1.1 99 OK\r\n\r\n"),
        BAD("HTTP/1.1 099 OK\r\n\r\n"),
        BAD("HTTP/1.1 000 OK\r\n\r\n"),
        BAD("HTTP/1.1 1000 OK\r\n\r\n"),
        BAD("HTTP/1.1 20 OK\r\n\r\n"),
        BAD("HTTP/1.1 2x0 OK\r\n\r\n"),
        BAD("HTTP/1.1 -20 OK\r\n\r\n"),
        BAD("HTTP/1.1 200OK\r\n\r\n"),
        BAD("HTTP/1.1 200\tOK\r\n\r\n"),
        BAD("HTTP/1.1 200 O\0K\r\n\r\n"),
        BAD("HTTP/1.1 200 O\rK\r\n\r\n"),
        BAD("HTTP/1.1 200 OK\n\n"),
        BAD("HTTP/1.1 200 O\x7fK\r\n\r\n"),
        BAD("HTTP/1.1 200\n\n"),
        /* lines */
        BAD(OK "A: b\n\r\n"),
        BAD(OK "A: b\r\r\n\r\n"),
        BAD(OK "A: b\rC: d\r\n\r\n"),
        BAD(OK "A: b\r\n\n"),
        BAD(OK "A: b\r\n\rX"),
        BAD(OK " A: b\r\n\r\n"),
        BAD(OK "A: b\r\n c\r\n\r\n"),
        BAD(OK "A: b\r\n\tc\r\n\r\n"),
        BAD(OK "A : b\r\n\r\n"),
        BAD(OK "A\t: b\r\n\r\n"),
        BAD(OK ": b\r\n\r\n"),
        BAD(OK "A\r\n\r\n"),
        BAD(OK "A b: c\r\n\r\n"),
        BAD(OK "A\0: b\r\n\r\n"),
        BAD(OK "A: b\0c\r\n\r\n"),
        BAD(OK "A: b\x01\r\n\r\n"),
        BAD(OK "A: b\x7f\r\n\r\n"),
        BAD(OK "A\xe4: b\r\n\r\n"),
        BAD(OK "A(: b\r\n\r\n"),
        BAD(OK "A: b\x0b\r\n\r\n"),
        /* framing */
        BAD(OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        BAD(OK "Content-Length: 1, 1\r\n\r\n"),
        BAD(OK "Content-Length: -1\r\n\r\n"),
        BAD(OK "Content-Length: +1\r\n\r\n"),
        BAD(OK "Content-Length:\r\n\r\n"),
        BAD(OK "Content-Length: 0x1\r\n\r\n"),
        BAD(OK "Content-Length: 9223372036854775808\r\n\r\n"),
        BAD(OK "Content-Length: 1 2\r\n\r\n"),
        BAD(OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        BAD(OK "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
        BAD(OK "Transfer-Encoding: gzip\r\n\r\n"),
        BAD(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"),
        BAD(OK "Transfer-Encoding: identity\r\n\r\n"),
        BAD(OK "Transfer-Encoding:\r\n\r\n"),
        BAD(OK "Transfer-Encoding: chunked, chunked\r\n\r\n"),
        BAD(OK "Transfer-Encoding: chunked,\r\n\r\n"),
        BAD(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        BAD(OK "Transfer-Encoding: xchunked\r\n\r\n"),
        BAD(OK "Transfer-Encoding: chunked;q=1\r\n\r\n"),
        BAD("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        BAD("HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
};

static void what_is_doubtful_is_refused_and_no_prefix_passes(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        ResponseHead h;
        int last = -EAGAIN;
        for (size_t k = 0; k <= bad[i].len; k++) {
            int r = parse(&h, bad[i].text, k, false);
            if (last == -EBADMSG ? r != -EBADMSG : r != -EAGAIN && r != -EBADMSG)
                fail_msg("%zu: %zu bytes of %s: %d", i, k, bad[i].text, r);
            last = r;
        }
        if (last != -EBADMSG)
            fail_msg("%zu: %s: %d", i, bad[i].text, last);
    }
}

static void a_head_that_can_never_be_one_is_refused_before_its_end(void **state)
{
    ResponseHead h;
    assert_int_equal(parse(&h, "S", 1, false), -EBADMSG);
    assert_int_equal(parse(&h, "HTTP/2", 6, false), -EBADMSG);
    assert_int_equal(parse(&h, OK "Content-Length: 5\n", strlen(OK "Content-Length: 5\n"), false), -EBADMSG);
    assert_int_equal(
            parse(&h, OK "Content-Length: x\r\n", strlen(OK "Content-Length: x\r\n"), false), -EBADMSG);
}

static void fields_are_views_in_order_without_whitespace(void **state)
{
    static const char text[] = OK "Set-Cookie: a=1\r\nX-Empty:\r\nX-Blank: \t \r\nset-cookie:b=2; c\t d\r\n"
                                  "X-Odd!#$%&'*+.^_`|~9: \xff:, \"\r\nContent-Length: 0\r\n\r\n";
    static const char *const expected[][2] = {{"Set-Cookie", "a=1"}, {"X-Empty", ""}, {"X-Blank", ""},
            {"set-cookie", "b=2; c\t d"}, {"X-Odd!#$%&'*+.^_`|~9", "\xff:, \""}, {"Content-Length", "0"}};
    ResponseHead h;

    assert_int_equal(parse(&h, text, (sizeof text - 1), false), (sizeof text - 1));
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.reason_len, 2);
    assert_memory_equal(h.reason, "OK", 2);
    assert_int_equal(h.n_fields, ELEMENTSOF(expected));
    for (size_t i = 0; i < h.n_fields; i++) {
        assert_int_equal(h.fields[i].name_len, strlen(expected[i][0]));
        assert_memory_equal(h.fields[i].name, expected[i][0], h.fields[i].name_len);
        assert_int_equal(h.fields[i].value_len, strlen(expected[i][1]));
        assert_memory_equal(h.fields[i].value, expected[i][1], h.fields[i].value_len);
    }
}

static void what_the_upstream_says_to_us_is_not_for_the_client(void **state)
{
    static const char text[] =
            OK "Connection: keep-alive, X-Hop, Content-Type\r\nKeep-Alive: timeout=5\r\n"
               "X-Hop: 1\r\nX-End: 2\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n";
    ResponseHead h;

    assert_true(parse(&h, text, (sizeof text - 1), false) > 0);
    for (size_t i = 0; i < h.n_fields; i++)
        assert_int_equal(
                field_is_hop_by_hop(&h.fields[i]) || connection_options_nominate(&h.connection, &h.fields[i]),
                i < 3);
}

static void size_and_number_of_fields_are_bounded(void **state)
{
    char text[RESPONSE_HEAD_MAX + 2];
    ResponseHead h;
    size_t n = 0;

    /* Exactly the longest head, then one byte more. */
    n = (size_t) snprintf(text, sizeof text, OK "X: ");
    memset(text + n, 'v', sizeof text - n);
    memcpy(text + RESPONSE_HEAD_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(parse(&h, text, RESPONSE_HEAD_MAX, false), RESPONSE_HEAD_MAX);
    memset(text + RESPONSE_HEAD_MAX - 4, 'v', 1);
    memcpy(text + RESPONSE_HEAD_MAX - 3, "\r\n\r\n", 4);
    assert_int_equal(parse(&h, text, RESPONSE_HEAD_MAX - 1, false), -EAGAIN);
    assert_int_equal(parse(&h, text, RESPONSE_HEAD_MAX, false), -EMSGSIZE);
    assert_int_equal(parse(&h, text, RESPONSE_HEAD_MAX + 1, false), -EMSGSIZE);

    n = STRLEN(OK);
    for (unsigned i = 0; i < RESPONSE_FIELDS_MAX; i++)
        n += (size_t) sprintf(text + n, "A%u: b\r\n", i);
    memcpy(text + n, "\r\n", 2);
    assert_int_equal(parse(&h, text, n + 2, false), n + 2);
    assert_int_equal(h.n_fields, RESPONSE_FIELDS_MAX);
    memcpy(text + n, "A: b\r\n\r\n", 8);
    assert_int_equal(parse(&h, text, n + 8, false), -EMSGSIZE);
}

static void nominations_are_bounded(void **state)
{
    char text[1000];
    ResponseHead h;
    size_t n = (size_t) sprintf(text, OK "Content-Length: 0\r\nConnection: close");

    for (unsigned i = 0; i <= CONNECTION_NOMINATED_MAX; i++) {
        strcpy(text + n, "\r\n\r\n");
        assert_int_equal(parse(&h, text, n + 4, false), n + 4);
        n += (size_t) sprintf(text + n, ", x%u", i);
    }
    strcpy(text + n, "\r\n\r\n");
    assert_int_equal(parse(&h, text, n + 4, false), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(framing_and_persistence_follow_from_the_head),
            cmocka_unit_test(every_prefix_asks_for_more_and_what_follows_is_left_alone),
            cmocka_unit_test(what_is_doubtful_is_refused_and_no_prefix_passes),
            cmocka_unit_test(a_head_that_can_never_be_one_is_refused_before_its_end),
            cmocka_unit_test(fields_are_views_in_order_without_whitespace),
            cmocka_unit_test(what_the_upstream_says_to_us_is_not_for_the_client),
            cmocka_unit_test(size_and_number_of_fields_are_bounded),
            cmocka_unit_test(nominations_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
