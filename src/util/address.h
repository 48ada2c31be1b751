/* SPDX-License-Identifier: ISC */
#pragma once

/* Socket addresses as configuration, command line and logs write them. No look-up ever happens here: a host
 * is an IP address, or `localhost`. */

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util/macro.h"

typedef struct SocketAddress {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
    socklen_t len;
} SocketAddress;

#define SOCKET_ADDRESS_STRING_MAX 128

/* Reads "PORT" (all addresses, IPv6 dual stack), "A.B.C.D:PORT", "[V6]:PORT", "localhost:PORT" (127.0.0.1) or
 * "unix:/PATH". Ports are 1–65535. Returns 0, -EINVAL, -ERANGE for a port out of range, -ENAMETOOLONG for a
 * path over 107 bytes. */
int socket_address_parse(const char *s, SocketAddress *ret);

/* Fills ret from an IP literal ("127.0.0.1", "::1", without brackets). Returns 0 or -EINVAL. */
int socket_address_from_ip(const char *ip, uint16_t port, SocketAddress *ret);

/* Fills ret with a unix path. Returns 0, -EINVAL for an empty path, -ENAMETOOLONG. */
int socket_address_from_path(const char *path, SocketAddress *ret);

/* Port of an IP address, 0 for unix. */
uint16_t socket_address_port(const SocketAddress *a) _pure_;

bool socket_address_equal(const SocketAddress *a, const SocketAddress *b) _pure_;

/* The text form that socket_address_parse() reads. Returns buf. */
const char *socket_address_format(char buf[static SOCKET_ADDRESS_STRING_MAX], const SocketAddress *a);

/* Opens a listening stream socket: SO_REUSEADDR, IPV6_V6ONLY off for [::] alone, a stale unix socket that
 * nobody listens on is replaced, CLOEXEC and NONBLOCK. Returns the descriptor or -errno. */
int socket_address_listen(const SocketAddress *a, int backlog);
