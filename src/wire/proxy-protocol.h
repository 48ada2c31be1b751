/* SPDX-License-Identifier: ISC */
#pragma once

/* The PROXY protocol, versions 1 and 2: what one hop says at the beginning of a connection about the one
 * before. https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt */

#include <netinet/in.h>
#include <sys/types.h>

#include "util/macro.h"

/* The longest that either version writes, and that is read of version 1; version 2's may go on with what is
 * skipped. */
#define PROXY_HEADER_MAX 107

/* An address and a port of each side; IPv4 as ::ffff:a.b.c.d. */
typedef struct ProxyEnds {
    bool known; /* false: not IP, or the hop before speaks for itself */
    struct in6_addr source, destination;
    uint16_t source_port, destination_port;
    bool tls; /* the hop before was spoken to in TLS; read only, of version 2 */
} ProxyEnds;

/* Bytes of a header that are read at most. */
#define PROXY_HEADER_READ_MAX 2048

/* Reads a header of either version at the start of buf. Returns its length, -EAGAIN when more is needed,
 * -EBADMSG for anything else, as soon as that is certain. Strict: what two readers could read differently is
 * refused. Datagrams and unix sockets, and what a proxy says for itself (LOCAL), come back as not known. */
int proxy_header_read(const char *buf, size_t len, ProxyEnds *ret);

/* Writes a header to buf (PROXY_HEADER_MAX bytes), which is not NUL-terminated: as IPv4 where both addresses
 * are. `version` 1 or 2. Returns the number of bytes. */
size_t proxy_header_write(char buf[static PROXY_HEADER_MAX], unsigned version, const ProxyEnds *ends);
