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
