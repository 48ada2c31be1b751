/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <arpa/inet.h>

#include "wire/proxy-protocol.h"

static ProxyEnds ends(
        const char *source, uint16_t source_port, const char *destination, uint16_t destination_port)
{
    ProxyEnds e = {.known = true, .source_port = source_port, .destination_port = destination_port};

    assert_int_equal(inet_pton(AF_INET6, source, &e.source), 1);
    assert_int_equal(inet_pton(AF_INET6, destination, &e.destination), 1);
    return e;
}

static void expect(unsigned version, ProxyEnds e, const char *bytes, size_t n)
{
    char buf[PROXY_HEADER_MAX];

    assert_int_equal(proxy_header_write(buf, version, &e), n);
    assert_memory_equal(buf, bytes, n);
}
#define EXPECT(version, ends, bytes) expect(version, ends, bytes, sizeof(bytes) - 1)

static void version_1_is_a_line(void **state)
{
    EXPECT(1, ends("::ffff:192.0.2.1", 56324, "::ffff:198.51.100.2", 443),
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
    EXPECT(1, ends("2001:db8::1", 1, "2001:db8::2", 65535), "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
    EXPECT(1, ((ProxyEnds){}), "PROXY UNKNOWN\r\n");

    char longest[] =
            "PROXY TCP6 ffff:f1ff:ffff:ffff:ffff:ffff:ffff:ffff ffff:f1ff:ffff:ffff:ffff:ffff:ffff:ffff "
            "65535 65535\r\n";
    assert_true(sizeof longest - 1 <= PROXY_HEADER_MAX);
    EXPECT(1,
            ends("ffff:f1ff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, "ffff:f1ff:ffff:ffff:ffff:ffff:ffff:ffff",
                    65535),
            longest);
}

static void version_2_is_binary(void **state)
{
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
    EXPECT(2, ends("::ffff:192.0.2.1", 0x1234, "::ffff:198.51.100.2", 443),
            SIGNATURE "\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb");
    EXPECT(2, ends("2001:db8::1", 1, "::1", 2),
            SIGNATURE "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01\0\x02");
    EXPECT(2, ((ProxyEnds){}), SIGNATURE "\x21\0\0\0");
}

static int read_header(const char *bytes, size_t n, ProxyEnds *ret)
{
    char *copy = malloc(n + !n); /* so that reading behind it would be noticed */

    memcpy(copy, bytes, n);
    int r = proxy_header_read(copy, n, ret);
    free(copy);
    return r;
}
#define READ(bytes, ret) read_header(bytes, sizeof(bytes) - 1, ret)

static void what_is_written_is_read(void **state)
{
    ProxyEnds table[] = {ends("::ffff:192.0.2.1", 56324, "::ffff:198.51.100.2", 443),
            ends("2001:db8::1", 1, "2001:db8::2", 65535), ends("::1", 0, "::ffff:1.2.3.4", 7), {}};
    char buf[PROXY_HEADER_MAX + 3];

    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        for (unsigned version = 1; version <= 2; version++) {
            ProxyEnds e, *want = &table[i];
            size_t n = proxy_header_write(buf, version, want);
            memcpy(buf + n, "GET", 3);
            for (size_t k = 0; k < n; k++)
                assert_int_equal(read_header(buf, k, &e), -EAGAIN);
            assert_int_equal(read_header(buf, n + 3, &e), n);
            assert_int_equal(e.known, want->known);
            if (!want->known)
                continue;
            assert_memory_equal(&e.source, &want->source, 16);
            assert_memory_equal(&e.destination, &want->destination, 16);
            assert_int_equal(e.source_port, want->source_port);
            assert_int_equal(e.destination_port, want->destination_port);
            assert_false(e.tls);
        }
}

static void what_is_not_exact_is_refused(void **state)
{
    static const char *const lines[] = {"GET / HTTP/1.1\r\n", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n",
            "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 ::1 1 2\r\n", "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY UNKNOWNX\r\n"};
    ProxyEnds e;

    for (size_t i = 0; i < ELEMENTSOF(lines); i++)
        if (read_header(lines[i], strlen(lines[i]), &e) != -EBADMSG)
            fail_msg("%s", lines[i]);
    assert_int_equal(READ("PROXY UNKNOWN anything at all\r\n", &e), 31);
    assert_int_equal(READ(SIGNATURE "\x11", &e), -EBADMSG);         /* version 1 in binary */
    assert_int_equal(READ(SIGNATURE "\x22", &e), -EBADMSG);         /* a command nobody knows */
    assert_int_equal(READ(SIGNATURE "\x21\x41\0\0", &e), -EBADMSG); /* a family nobody knows */
    assert_int_equal(READ(SIGNATURE "\x21\x11\0\x0b", &e), -EAGAIN);
    assert_int_equal(READ(SIGNATURE "\x21\x11\0\x0b"
                                    "12345678901",
                             &e),
            -EBADMSG);                                                  /* too short */
    assert_int_equal(READ(SIGNATURE "\x21\x11\x7f\xff", &e), -EBADMSG); /* too long */
    assert_int_equal(READ(SIGNATURE "\x20\0\0\3abc", &e), 19);
    assert_false(e.known);
}

static void what_the_proxy_adds_is_looked_through(void **state)
{
#define ENDS "\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"
    ProxyEnds e;

    assert_int_equal(READ(SIGNATURE "\x21\x11\0\x19" ENDS "\1\0\2h2\x20\0\5\1\0\0\0\0", &e), 16 + 25);
    assert_true(e.tls);
    assert_int_equal(READ(SIGNATURE "\x21\x11\0\x14" ENDS "\x20\0\5\2\0\0\0\0", &e), 16 + 20);
    assert_false(e.tls);
    assert_int_equal(READ(SIGNATURE "\x21\x11\0\x10" ENDS "\1\0\2h", &e), -EBADMSG);
    assert_int_equal(READ(SIGNATURE "\x21\x11\0\x0e" ENDS "\1\0", &e), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(version_1_is_a_line),
            cmocka_unit_test(version_2_is_binary),
            cmocka_unit_test(what_is_written_is_read),
            cmocka_unit_test(what_is_not_exact_is_refused),
            cmocka_unit_test(what_the_proxy_adds_is_looked_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
