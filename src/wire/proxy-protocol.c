/* SPDX-License-Identifier: ISC */

/* Owns the form of PROXY headers. Section numbers are those of the specification. */

#include "wire/proxy-protocol.h"

#include <arpa/inet.h>
#include <stdio.h>

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n"; /* 2.2 */

static bool is_ipv4(const ProxyEnds *e)
{
    return IN6_IS_ADDR_V4MAPPED(&e->source) && IN6_IS_ADDR_V4MAPPED(&e->destination);
}

/* A word of a version 1 line up to `stop`, NUL-terminated into word. False: too long, or not there. */
static bool cut(const char **p, const char *end, char stop, char *word, size_t size)
{
    const char *at = memchr(*p, stop, (size_t) (end - *p));

    if (!at || (size_t) (at - *p) >= size)
        return false;
    memcpy(word, *p, (size_t) (at - *p));
    word[at - *p] = 0;
    *p = at + 1;
    return true;
}

/* Decimal, without a sign and without zeros in front. */
static bool read_port(const char *s, uint16_t *ret)
{
    unsigned v = 0;

    if (!*s || (*s == '0' && s[1]))
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return false;
        v = v * 10 + (unsigned) (*s - '0');
        if (v > UINT16_MAX)
            return false;
    }
    *ret = (uint16_t) v;
    return true;
}

/* IPv4 becomes ::ffff:a.b.c.d. */
static void set_address(struct in6_addr *a, const void *bytes, size_t n)
{
    *a = (struct in6_addr){};
    if (n == 4)
        a->s6_addr[10] = a->s6_addr[11] = 0xff;
    memcpy(a->s6_addr + 16 - n, bytes, n);
}

static bool read_address(const char *s, int family, struct in6_addr *ret)
{
    struct in6_addr a;

    if (inet_pton(family, s, &a) != 1)
        return false;
    set_address(ret, &a, family == AF_INET ? 4 : 16);
    return true;
}

/* 2.1: "PROXY TCP4 SOURCE DESTINATION PORT PORT\r\n" */
static int read_v1(const char *buf, size_t len, ProxyEnds *ret)
{
    char word[INET6_ADDRSTRLEN];
    ProxyEnds e = {.known = true};
    const char *eol = memmem(buf, MIN(len, (size_t) PROXY_HEADER_MAX), "\r\n", 2),
               *p = buf + STRLEN("PROXY ");

    if (!eol)
        return len >= PROXY_HEADER_MAX || memchr(buf, '\n', len) ? -EBADMSG : -EAGAIN;
    if (memchr(buf, '\n', (size_t) (eol - buf)))
        return -EBADMSG;
    int total = (int) (eol + 2 - buf);
    if (eol - p >= (ptrdiff_t) STRLEN("UNKNOWN") && memcmp(p, "UNKNOWN", STRLEN("UNKNOWN")) == 0) {
        p += STRLEN("UNKNOWN");
        if (p != eol && *p != ' ')
            return -EBADMSG;
        *ret = (ProxyEnds){};
        return total;
    }
    if (!cut(&p, eol, ' ', word, sizeof word) || (!streq(word, "TCP4") && !streq(word, "TCP6")))
        return -EBADMSG;
    int family = word[3] == '4' ? AF_INET : AF_INET6;
    if (!cut(&p, eol, ' ', word, sizeof word) || !read_address(word, family, &e.source) ||
            !cut(&p, eol, ' ', word, sizeof word) || !read_address(word, family, &e.destination) ||
            !cut(&p, eol, ' ', word, sizeof word) || !read_port(word, &e.source_port) ||
            !cut(&p, eol + 1, '\r', word, sizeof word) || !read_port(word, &e.destination_port))
        return -EBADMSG;
    *ret = e;
    return total;
}

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t) (p[0] << 8 | p[1]);
}

#define PP2_TYPE_SSL 0x20
#define PP2_CLIENT_SSL 0x01

/* 2.2.6 */
static bool read_extras(const uint8_t *p, const uint8_t *end, ProxyEnds *e)
{
    while (p < end) {
        if (end - p < 3 || end - p - 3 < get16(p + 1))
            return false;
        uint16_t n = get16(p + 1);
        if (p[0] == PP2_TYPE_SSL && n >= 5)
            e->tls = p[3] & PP2_CLIENT_SSL;
        p += 3 + n;
    }
    return true;
}

static int read_v2(const char *buf, size_t len, ProxyEnds *ret)
{
    const uint8_t *p = (const uint8_t *) buf;
    ProxyEnds e = {};

    if (len >= 13 && p[12] != 0x20 && p[12] != 0x21)
        return -EBADMSG;
    if (len < 16)
        return -EAGAIN;
    size_t total = 16 + (size_t) get16(p + 14), n = p[13] == 0x11 ? 4 : p[13] == 0x21 ? 16 : 0;
    if (total > PROXY_HEADER_READ_MAX || p[13] >> 4 > 3 || (p[13] & 15) > 2)
        return -EBADMSG;
    if (len < total)
        return -EAGAIN;
    if (p[12] == 0x21 && n > 0) {
        const uint8_t *a = p + 16;
        if (total < 16 + 2 * n + 4)
            return -EBADMSG;
        e.known = true;
        set_address(&e.source, a, n);
        set_address(&e.destination, a + n, n);
        e.source_port = get16(a + 2 * n);
        e.destination_port = get16(a + 2 * n + 2);
        if (!read_extras(a + 2 * n + 4, p + total, &e))
            return -EBADMSG;
    }
    *ret = e;
    return (int) total;
}

int proxy_header_read(const char *buf, size_t len, ProxyEnds *ret)
{
    static const char v1[] = "PROXY ";

    if (memcmp(buf, signature, MIN(len, sizeof signature)) == 0)
        return len < sizeof signature ? -EAGAIN : read_v2(buf, len, ret);
    if (memcmp(buf, v1, MIN(len, STRLEN("PROXY "))) == 0)
        return len < STRLEN("PROXY ") ? -EAGAIN : read_v1(buf, len, ret);
    return -EBADMSG;
}

/* 2.1 */
static size_t write_v1(char *buf, const ProxyEnds *e)
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN], line[PROXY_HEADER_MAX + 1];
    bool v4 = is_ipv4(e);
    int family = v4 ? AF_INET : AF_INET6, n;

    if (e->known) {
        (void) inet_ntop(family, e->source.s6_addr + (v4 ? 12 : 0), source, sizeof source);
        (void) inet_ntop(family, e->destination.s6_addr + (v4 ? 12 : 0), destination, sizeof destination);
        n = snprintf(line, sizeof line, "PROXY TCP%d %s %s %u %u\r\n", v4 ? 4 : 6, source, destination,
                e->source_port, e->destination_port);
    } else
        n = snprintf(line, sizeof line, "PROXY UNKNOWN\r\n");
    memcpy(buf, line, (size_t) n);
    return (size_t) n;
}

static char *put(char *p, const void *bytes, size_t n)
{
    memcpy(p, bytes, n);
    return p + n;
}

/* 2.2: signature, version and command, family and protocol, length, addresses, ports. */
static size_t write_v2(char *buf, const ProxyEnds *e)
{
    bool v4 = is_ipv4(e);
    size_t n = v4 ? 4 : 16;
    uint16_t length = htons(e->known ? (uint16_t) (2 * n + 4) : 0);
    uint16_t source = htons(e->source_port), destination = htons(e->destination_port);

    char *p = put(buf, signature, sizeof signature);
    *p++ = 0x21;
    *p++ = e->known ? v4 ? 0x11 : 0x21 : 0x00;
    p = put(p, &length, 2);
    if (e->known) {
        p = put(p, e->source.s6_addr + 16 - n, n);
        p = put(p, e->destination.s6_addr + 16 - n, n);
        p = put(p, &source, 2);
        p = put(p, &destination, 2);
    }
    return (size_t) (p - buf);
}

size_t proxy_header_write(char buf[static PROXY_HEADER_MAX], unsigned version, const ProxyEnds *ends)
{
    return version == 1 ? write_v1(buf, ends) : write_v2(buf, ends);
}
