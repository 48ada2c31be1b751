/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <stdio.h>

#include "wire/chunked.h"

typedef struct Outcome {
    char *data;
    size_t len, consumed;
    int result;
} Outcome;

/* Decodes in[0..len) in pieces that end at the set bits of `cuts` (bit i: a cut after byte i; bytes past the
 * 64th are not cut), or, if `piece` is not 0, in pieces of that size. */
static Outcome decode(const char *in, size_t len, uint64_t cuts, size_t piece)
{
    ChunkedDecoder d = CHUNKED_DECODER_INIT;
    Outcome o = {.data = malloc(len + 1)};
    assert_non_null(o.data);

    for (size_t at = 0; at < len && o.result == 0;) {
        size_t n = 1;
        if (piece)
            n = MIN(piece, len - at);
        else
            while (at + n < len && (at + n > 64 || !(cuts >> (at + n - 1) & 1)))
                n++;
        char *buf = malloc(n); /* exactly, for the address sanitizer */
        assert_non_null(buf);
        memcpy(buf, in + at, n);
        size_t got = n, used = 0;
        o.result = chunked_decode(&d, buf, &got, &used);
        assert_true(used <= n && got <= used);
        assert_true(o.result != 0 || used == n);
        memcpy(o.data + o.len, buf, got);
        o.len += got;
        o.consumed += used;
        at += used;
        free(buf);
    }
    return o;
}

static void same(const char *in, size_t len, Outcome a, Outcome b)
{
    if (a.result != b.result || a.len != b.len || a.consumed != b.consumed || memcmp(a.data, b.data, a.len))
        fail_msg("a split of %.*s: %d, %zu bytes, %zu used; whole: %d, %zu, %zu", (int) len, in, b.result,
                b.len, b.consumed, a.result, a.len, a.consumed);
    free(b.data);
}

/* All ways to cut it when it is short; all ways to cut it twice, and into pieces of each size, when long. */
static void every_split(const char *in, size_t len, Outcome whole)
{
    if (len <= 17)
        for (uint64_t cuts = 0; cuts < UINT64_C(1) << (len ? len - 1 : 0); cuts++)
            same(in, len, whole, decode(in, len, cuts, 0));
    for (size_t i = 0; i + 1 < MIN(len, 64u); i++)
        for (size_t j = i; j + 1 < MIN(len, 64u); j++)
            same(in, len, whole, decode(in, len, UINT64_C(1) << i | UINT64_C(1) << j, 0));
    for (size_t piece = 1; piece <= len; piece++)
        same(in, len, whole, decode(in, len, 0, piece));
}

#define CASE(in, data, rest, result)                                                                         \
    {                                                                                                        \
        (in), sizeof(in) - 1, (data), sizeof(data) - 1, (rest), (result)                                     \
    }

/* Input, its data, how many of the input's last bytes are not used, result. */
static const struct {
    const char *in;
    size_t in_len;
    const char *data;
    size_t data_len, rest;
    int result;
} table[] = {
        /* whole bodies */
        CASE("0\r\n\r\n", "", 0, 1),
        CASE("5\r\nhello\r\n0\r\n\r\n", "hello", 0, 1),
        CASE("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", 0, 1),
        CASE("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0, 1),
        CASE("a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n\r\n\r\n\r\n", 0, 1),
        CASE("0003\r\n\0\r\xff\r\n000\r\n\r\n", "\0\r\xff", 0, 1),
        CASE("0\r\n\r\nHTTP/1.1 200 OK", "", 15, 1),
        CASE("0\r\n\r\n0\r\n\r\n", "", 5, 1),
        CASE("2;a=b\r\nhi\r\n0;x\r\n\r\n", "hi", 0, 1),
        CASE("2 \t;\ta=\"q;\xe4\"\r\nhi\r\n0\r\n\r\n", "hi", 0, 1),
        CASE("2;\r\nhi\r\n0\r\n\r\n", "hi", 0, 1),
        CASE("0\r\nA: b\r\n\r\n", "", 0, 1),
        CASE("1\r\nx\r\n0\r\nA: b\r\nContent-Length:\r\n\r\nx", "x", 1, 1),
        /* not yet whole */
        CASE("", "", 0, 0),
        CASE("5\r\nhel", "hel", 0, 0),
        CASE("5\r\nhello", "hello", 0, 0),
        CASE("5\r\nhello\r\n0\r\n", "hello", 0, 0),
        CASE("5\r\nhello\r\n0\r\n\r", "hello", 0, 0),
        CASE("7fffffffffffffff\r\nx", "x", 0, 0),
        CASE("00000000000000000000000000001\r\nx\r\n", "x", 0, 0),
        /* sizes */
        CASE("\r\n", "", 2, -EBADMSG),
        CASE(";a\r\n", "", 4, -EBADMSG),
        CASE(" 5\r\n", "", 4, -EBADMSG),
        CASE("+5\r\n", "", 4, -EBADMSG),
        CASE("-5\r\n", "", 4, -EBADMSG),
        CASE("0x5\r\n", "", 4, -EBADMSG),
        CASE("5g\r\n", "", 3, -EBADMSG),
        CASE("5 \r\n", "", 2, -EBADMSG),
        CASE("5 5\r\n", "", 3, -EBADMSG),
        CASE("8000000000000000\r\n", "", 3, -EBADMSG),
        CASE("fffffffffffffffff\r\n", "", 4, -EBADMSG),
        CASE("10000000000000005\r\nhello\r\n", "", 10, -EBADMSG),
        CASE("5,\r\n", "", 3, -EBADMSG),
        CASE("\0005\r\n", "", 4, -EBADMSG),
        /* line ends */
        CASE("5\nhello\r\n", "", 8, -EBADMSG),
        CASE("5\r\rhello", "", 6, -EBADMSG),
        CASE("5\rhello", "", 5, -EBADMSG),
        CASE("5;a\nhello", "", 6, -EBADMSG),
        CASE("5;a\0b\r\nhello", "", 9, -EBADMSG),
        CASE("5;a\rb\r\nhello", "", 8, -EBADMSG),
        CASE("5\r\nhello\n0\r\n\r\n", "hello", 6, -EBADMSG),
        CASE("5\r\nhello\r0\r\n\r\n", "hello", 5, -EBADMSG),
        CASE("5\r\nhello0\r\n\r\n", "hello", 5, -EBADMSG),
        CASE("5\r\nhello!\r\n", "hello", 3, -EBADMSG),
        CASE("0\n\n", "", 2, -EBADMSG),
        CASE("0\r\n\n", "", 1, -EBADMSG),
        CASE("0\r\n\rX", "", 1, -EBADMSG),
        /* trailers */
        CASE("0\r\n A: b\r\n\r\n", "", 9, -EBADMSG),
        CASE("0\r\nA : b\r\n\r\n", "", 8, -EBADMSG),
        CASE("0\r\nA\r\n\r\n", "", 4, -EBADMSG),
        CASE("0\r\n: b\r\n\r\n", "", 7, -EBADMSG),
        CASE("0\r\nA: b\n\r\n", "", 3, -EBADMSG),
        CASE("0\r\nA: b\0\r\n\r\n", "", 5, -EBADMSG),
        CASE("0\r\nA: b\r\n c\r\n\r\n", "", 6, -EBADMSG),
        CASE("0\r\nHTTP/1.1 200 OK\r\n\r\n", "", 15, -EBADMSG),
};

static void every_split_of_every_input_gives_what_the_whole_gives(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        Outcome whole = decode(table[i].in, table[i].in_len, 0, 0);
        if (whole.result != table[i].result || whole.len != table[i].data_len ||
                memcmp(whole.data, table[i].data, whole.len) ||
                whole.consumed != table[i].in_len - table[i].rest)
            fail_msg("%zu: %s: %d, %zu bytes of data, %zu used", i, table[i].in, whole.result, whole.len,
                    whole.consumed);
        every_split(table[i].in, table[i].in_len, whole);
        free(whole.data);
    }
}

static void the_end_and_an_error_are_final(void **state)
{
    static const struct {
        const char *in;
        int result;
    } ends[] = {{"0\r\n\r\n", 1}, {"x", -EBADMSG}};

    for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
        ChunkedDecoder d = CHUNKED_DECODER_INIT;
        char buf[16], more[] = "0\r\n\r\n";
        size_t len = strlen(ends[i].in), used;
        memcpy(buf, ends[i].in, len);
        assert_int_equal(chunked_decode(&d, buf, &len, &used), ends[i].result);
        len = 5;
        assert_int_equal(chunked_decode(&d, more, &len, &used), ends[i].result);
        assert_int_equal(len, 0);
        assert_int_equal(used, 0);
        assert_string_equal(more, "0\r\n\r\n");
    }
}

/* Decodes `n` times `unit` behind `first`, in pieces of 1000 bytes. */
static int decode_many(const char *first, const char *unit, size_t n, const char *last)
{
    size_t room = strlen(first) + n * strlen(unit) + strlen(last) + 1;
    char *text = malloc(room), *p = text;

    assert_non_null(text);
    p = stpcpy(p, first);
    for (size_t i = 0; i < n; i++)
        p = stpcpy(p, unit);
    p = stpcpy(p, last);
    Outcome o = decode(text, (size_t) (p - text), 0, 1000),
            whole = decode(text, (size_t) (p - text), 0, room);
    same(unit, strlen(unit), whole, o);
    free(whole.data);
    free(text);
    return whole.result;
}

static void extensions_and_trailers_are_bounded(void **state)
{
    assert_int_equal(decode_many("1;", "x", 16000, "\r\na\r\n0\r\n\r\n"), 1);
    assert_int_equal(decode_many("1;", "x", 17000, "\r\na\r\n0\r\n\r\n"), -EMSGSIZE);
    assert_int_equal(decode_many("", "0", 17000, "1\r\na\r\n0\r\n\r\n"), -EMSGSIZE);
    assert_int_equal(decode_many("0\r\n", "A: b\r\n", 2500, "\r\n"), 1);
    assert_int_equal(decode_many("0\r\n", "A: b\r\n", 3000, "\r\n"), -EMSGSIZE);
    assert_int_equal(decode_many("0\r\nA:", "b", 17000, "\r\n\r\n"), -EMSGSIZE);
}

static void only_extensions_out_of_proportion_add_up(void **state)
{
    /* Plain single bytes, and an extension on chunks of some size, may go on for ever. */
    assert_int_equal(decode_many("", "1\r\na\r\n", 20000, "0\r\n\r\n"), 1);
    assert_int_equal(decode_many("", "8;name=\"sixteen bytes\"\r\n01234567\r\n", 20000, "0\r\n\r\n"), 1);
    assert_int_equal(decode_many("", "1;name=\"sixteen bytes\"\r\na\r\n", 20000, "0\r\n\r\n"), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_split_of_every_input_gives_what_the_whole_gives),
            cmocka_unit_test(the_end_and_an_error_are_final),
            cmocka_unit_test(extensions_and_trailers_are_bounded),
            cmocka_unit_test(only_extensions_out_of_proportion_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
