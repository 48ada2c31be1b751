/* SPDX-License-Identifier: ISC */

#include "util/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "util/fd.h"

static int parse_port(const char *s, uint16_t *ret)
{
    unsigned long v = 0;

    if (!*s)
        return -EINVAL;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -EINVAL;
        v = v * 10 + (unsigned long) (*s - '0');
        if (v > 65535)
            return -ERANGE;
    }
    if (v == 0)
        return -ERANGE;
    *ret = (uint16_t) v;
    return 0;
}

int socket_address_from_ip(const char *ip, uint16_t port, SocketAddress *ret)
{
    SocketAddress a = {};

    if (inet_pton(AF_INET, ip, &a.in.sin_addr) == 1) {
        a.in.sin_family = AF_INET;
        a.in.sin_port = htons(port);
        a.len = sizeof a.in;
    } else if (inet_pton(AF_INET6, ip, &a.in6.sin6_addr) == 1) {
        a.in6.sin6_family = AF_INET6;
        a.in6.sin6_port = htons(port);
        a.len = sizeof a.in6;
    } else
        return -EINVAL;
    *ret = a;
    return 0;
}

int socket_address_from_path(const char *path, SocketAddress *ret)
{
    SocketAddress a = {};
    size_t n = strlen(path);

    if (path[0] != '/')
        return -EINVAL;
    if (n >= sizeof a.un.sun_path)
        return -ENAMETOOLONG;
    a.un.sun_family = AF_UNIX;
    memcpy(a.un.sun_path, path, n + 1);
    a.len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n + 1);
    *ret = a;
    return 0;
}

int socket_address_parse(const char *s, SocketAddress *ret)
{
    char host[INET6_ADDRSTRLEN];
    uint16_t port;
    int r;

    const char *path = startswith(s, "unix:");
    if (path)
        return socket_address_from_path(path, ret);

    const char *colon = strrchr(s, ':');
    r = parse_port(colon ? colon + 1 : s, &port);
    if (r < 0)
        return r;
    if (!colon)
        return socket_address_from_ip("::", port, ret);

    size_t n = (size_t) (colon - s);
    bool v6 = n >= 2 && s[0] == '[' && s[n - 1] == ']';
    if (v6) {
        s++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof host)
        return -EINVAL;
    memcpy(host, s, n);
    host[n] = 0;
    if (!v6 && streq(host, "localhost"))
        strcpy(host, "127.0.0.1");
    if (v6 != (strchr(host, ':') != NULL))
        return -EINVAL;
    return socket_address_from_ip(host, port, ret);
}

uint16_t socket_address_port(const SocketAddress *a)
{
    switch (a->sa.sa_family) {
    case AF_INET:
        return ntohs(a->in.sin_port);
    case AF_INET6:
        return ntohs(a->in6.sin6_port);
    default:
        return 0;
    }
}

bool socket_address_equal(const SocketAddress *a, const SocketAddress *b)
{
    return a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
}

const char *socket_address_format(char buf[static SOCKET_ADDRESS_STRING_MAX], const SocketAddress *a)
{
    char ip[INET6_ADDRSTRLEN] = "";

    switch (a->sa.sa_family) {
    case AF_INET:
        (void) inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof ip);
        snprintf(buf, SOCKET_ADDRESS_STRING_MAX, "%s:%u", ip, socket_address_port(a));
        break;
    case AF_INET6:
        (void) inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof ip);
        snprintf(buf, SOCKET_ADDRESS_STRING_MAX, "[%s]:%u", ip, socket_address_port(a));
        break;
    case AF_UNIX:
        snprintf(buf, SOCKET_ADDRESS_STRING_MAX, "unix:%s", a->un.sun_path);
        break;
    default:
        snprintf(buf, SOCKET_ADDRESS_STRING_MAX, "(unknown address family %d)", a->sa.sa_family);
    }
    return buf;
}

/* A socket file whose owner is gone refuses connections; only such a one may be removed. */
static bool unix_socket_is_stale(const SocketAddress *a)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && connect(fd, &a->sa, a->len) < 0 && errno == ECONNREFUSED;
}

int socket_address_listen(const SocketAddress *a, int backlog)
{
    _cleanup_close_ int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1, off = 0;

    if (fd < 0)
        return -errno;
    if (a->sa.sa_family == AF_UNIX) {
        if (unix_socket_is_stale(a))
            (void) unlink(a->un.sun_path);
    } else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return -errno;
    if (a->sa.sa_family == AF_INET6) {
        bool any = IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
        if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof on) < 0)
            return -errno;
    }
    if (bind(fd, &a->sa, a->len) < 0 || listen(fd, backlog) < 0)
        return -errno;
    return TAKE_FD(fd);
}
