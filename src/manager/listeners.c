/* SPDX-License-Identifier: ISC */

/* Owns the sockets of `port` routes and of the configuration's `listen`. The set of addresses is fixed when
 * the configuration is read: another configuration gets another set, which takes over what both want. Sockets
 * come at first use, so that what gateways bring along from before a crash of ours has its chance first.
 * Those that a gateway has from its own starter are copies that live as long as any gateway does: to keep
 * them would keep their owner from ever closing the address. An address is found by hash: a configuration of
 * nothing but ports is legal. */

#include "manager/listeners.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "ipc/index.h"
#include "ipc/routes-image.h"
#include "util/fd.h"

#define BACKLOG 4096 /* cut by net.core.somaxconn */

typedef struct Listener {
    SocketAddress address;
    int fd;
    bool lent;
} Listener;

struct Listeners {
    Array array;
    Index index;
};

static Listener *listener_at(const Listeners *l, uint32_t at)
{
    return AT(Listener, &l->array, at - 1);
}

static uint64_t address_hash(const SocketAddress *a)
{
    uint64_t hash = ROUTE_HASH_SEED;
    for (size_t i = 0; i < a->len; i++)
        hash = route_hash_step(hash, ((const uint8_t *) &a->un)[i]);
    return hash;
}

static Listener *find(const Listeners *l, const SocketAddress *a)
{
    for (uint32_t at = index_first(&l->index, address_hash(a)); at != 0; at = index_next(&l->index, at))
        if (socket_address_equal(&listener_at(l, at)->address, a))
            return listener_at(l, at);
    return NULL;
}

Listeners *listeners_new(void)
{
    return new0(Listeners, 1);
}

Listeners *listeners_free(Listeners *l)
{
    if (!l)
        return NULL;
    for (uint32_t at = 1; at <= l->array.n; at++)
        fd_close(listener_at(l, at)->fd);
    array_done(&l->array);
    index_done(&l->index);
    return mfree(l);
}

int listeners_want(Listeners *l, const SocketAddress *a)
{
    if (find(l, a))
        return 0;
    Listener *x = array_extend(&l->array, sizeof(Listener), 1);
    if (!x)
        return -ENOMEM;
    *x = (Listener){.address = *a, .fd = -EBADF};
    return index_add(&l->index, address_hash(a));
}

void listeners_replace(Listeners *l, Listeners *before)
{
    for (uint32_t at = 1; at <= before->array.n; at++) {
        Listener *was = listener_at(before, at), *is = find(l, &was->address);
        if (!is || is->fd >= 0)
            continue;
        is->fd = TAKE_FD(was->fd);
        is->lent = was->lent;
    }
    listeners_free(before);
}

size_t listeners_count(const Listeners *l)
{
    return l->array.n;
}

size_t listeners_n_bound(const Listeners *l)
{
    size_t n = 0;

    for (uint32_t at = 1; at <= l->array.n; at++)
        n += listener_at(l, at)->fd >= 0 && !listener_at(l, at)->lent;
    return n;
}

/* [::] means all addresses; on a machine without IPv6 these are 0.0.0.0. */
static bool without_ipv6(const SocketAddress *a, SocketAddress *ret)
{
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr) &&
           socket_address_from_ip("0.0.0.0", socket_address_port(a), ret) == 0;
}

int listeners_get(Listeners *l, const SocketAddress *a)
{
    SocketAddress v4;

    Listener *x = find(l, a);
    if (!x)
        return -ENOENT;
    if (x->fd >= 0)
        return x->fd;
    mode_t old = umask(a->sa.sa_family == AF_UNIX ? 0117 : 0022); /* 0660 from birth */
    int fd = socket_address_listen(a, BACKLOG);
    (void) umask(old);
    if (fd == -EAFNOSUPPORT && without_ipv6(a, &v4))
        fd = socket_address_listen(&v4, BACKLOG);
    if (fd >= 0)
        x->fd = fd;
    return fd;
}

/* The address that this socket could serve and that has none yet. */
static Listener *find_for_socket(Listeners *l, int fd)
{
    SocketAddress a = {.len = sizeof a.un}, any;
    socklen_t len = sizeof(int);
    int listening = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening ||
            getsockname(fd, &a.sa, &a.len) < 0 || a.len > sizeof a.un)
        return NULL;
    Listener *x = find(l, &a);
    if (!x && a.sa.sa_family == AF_INET && a.in.sin_addr.s_addr == htonl(INADDR_ANY) &&
            socket_address_from_ip("::", socket_address_port(&a), &any) == 0)
        x = find(l, &any);
    return x && x->fd < 0 ? x : NULL;
}

static bool take(Listeners *l, int fd, bool lent)
{
    Listener *x = find_for_socket(l, fd);

    if (!x)
        return false;
    x->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    x->lent = lent;
    return x->fd >= 0;
}

bool listeners_offer(Listeners *l, int fd)
{
    return take(l, fd, false);
}

bool listeners_lend(Listeners *l, int fd)
{
    return take(l, fd, true);
}

bool listeners_forget_lent(Listeners *l)
{
    bool any = false;

    for (uint32_t at = 1; at <= l->array.n; at++) {
        Listener *x = listener_at(l, at);
        if (x->fd < 0 || !x->lent)
            continue;
        x->fd = fd_close(x->fd);
        any = true;
    }
    return any;
}
