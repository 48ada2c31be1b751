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

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(version_1_is_a_line),
            cmocka_unit_test(version_2_is_binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
