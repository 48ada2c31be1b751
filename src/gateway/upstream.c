/* SPDX-License-Identifier: ISC */

/* Owns every socket to a service. Idle connections are a stack a target: the one used last is the warmest and
 * the least likely to be given up by its peer. They are dropped after IDLE_SPAN, which is shorter than what
 * the usual servers allow (Node.js 5 s, so that both ends do not decide at the same moment), and at the first
 * event, which without a request can only be an end or nonsense.
 *
 * Invariants: u->owner is NULL exactly while u is in its pool's idle list; a pool lives as long as the set
 * that holds it or a connection that came from it. */

#include "gateway/upstream.h"

#include <netinet/tcp.h>
#include <unistd.h>

#include "ipc/index.h"
#include "ipc/routes-image.h"
#include "util/fd.h"

#define IDLE_SPAN (4 * USEC_PER_SEC)
#define IDLE_MAX 128
#define EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

struct UpstreamPool {
    Upstreams *set; /* NULL: the set has gone on to other routes */
    unsigned n_ref;
    RouteTarget target;
    Upstream *idle; /* the most recent first */
    unsigned n_idle;
    uint32_t next_set; /* while routes are exchanged: its target's index there + 1, 0 = none */
};

struct Upstream {
    PollSource source;
    Deadline deadline; /* connecting, or idle */
    UpstreamPool *pool;
    Poller *poller;
    const UpstreamOwner *ops;
    void *owner;
    Upstream *prev, *next; /* in pool->idle */
    int fd;
    uint32_t address; /* index of the one tried now */
    bool connected, reused;
};

struct Upstreams {
    Poller *poller;
    DeadlineQueue connecting, idling;
    const RouteImage *routes; /* borrowed: who sets it keeps it until the next */
    UpstreamPool **pools;
    size_t n_pools;
};

static void on_ready(PollSource *s, uint32_t events);

static UpstreamPool *pool_unref(UpstreamPool *p)
{
    assert(p->n_ref > 0);
    if (--p->n_ref == 0)
        free(p);
    return NULL;
}

static Upstream *upstream_free(Upstream *u)
{
    deadline_clear(&u->deadline);
    poller_forget(u->poller, &u->source, false);
    fd_close(u->fd);
    pool_unref(u->pool);
    return mfree(u);
}

static void idle_remove(Upstream *u)
{
    if (u->prev)
        u->prev->next = u->next;
    else
        u->pool->idle = u->next;
    if (u->next)
        u->next->prev = u->prev;
    u->prev = u->next = NULL;
    u->pool->n_idle--;
    deadline_clear(&u->deadline);
}

static void on_idle_expired(Deadline *d)
{
    Upstream *u = container_of(d, Upstream, deadline);
    idle_remove(u);
    upstream_free(u);
}

static void on_connect_expired(Deadline *d)
{
    Upstream *u = container_of(d, Upstream, deadline);
    u->ops->failed(u->owner, u, ETIMEDOUT);
}

Upstreams *upstreams_new(Poller *poller, Deadlines *deadlines, usec_t connect_timeout)
{
    Upstreams *us = new0(Upstreams, 1);
    if (!us)
        return NULL;
    us->poller = poller;
    deadline_queue_init(&us->connecting, deadlines, connect_timeout, on_connect_expired);
    deadline_queue_init(&us->idling, deadlines, IDLE_SPAN, on_idle_expired);
    return us;
}

static void drop_pools(Upstreams *us)
{
    for (size_t i = 0; i < us->n_pools; i++) {
        UpstreamPool *p = us->pools[i];
        if (!p)
            continue;
        while (p->idle) {
            Upstream *u = p->idle;
            idle_remove(u);
            upstream_free(u);
        }
        p->set = NULL;
        pool_unref(p);
    }
    us->pools = mfree(us->pools);
    us->n_pools = 0;
}

static bool same_target(const RouteTarget *a, const RouteTarget *b)
{
    if (a->n_addresses != b->n_addresses)
        return false;
    for (uint32_t i = 0; i < a->n_addresses; i++)
        if (!socket_address_equal(&a->addresses[i], &b->addresses[i]))
            return false;
    return true;
}

static uint64_t hash_target(const RouteTarget *t)
{
    uint64_t h = ROUTE_HASH_SEED;

    for (uint32_t i = 0; i < t->n_addresses; i++)
        for (size_t k = 0; k < t->addresses[i].len; k++)
            h = route_hash_step(h, ((const uint8_t *) &t->addresses[i].un)[k]);
    return h;
}

/* Pools of targets that are in the new routes too find their places there; `by_hash` has a power of two of
 * them, of which at most half are taken. */
static void move_pools(
        Upstreams *us, const RouteImage *routes, UpstreamPool **to, UpstreamPool **by_hash, size_t n_hash)
{
    size_t mask = n_hash - 1;

    for (size_t i = 0; i < us->n_pools; i++) {
        UpstreamPool *p = us->pools[i];
        size_t at = p ? hash_target(&p->target) & mask : 0;
        while (p && by_hash[at])
            at = (at + 1) & mask;
        if (p)
            by_hash[at] = p;
    }
    for (uint32_t i = 0; i < route_image_n_targets(routes); i++) {
        const RouteTarget *t = route_image_target(routes, i);
        for (size_t at = hash_target(t) & mask; by_hash[at]; at = (at + 1) & mask)
            if (by_hash[at]->next_set == 0 && same_target(&by_hash[at]->target, t)) {
                by_hash[at]->next_set = i + 1;
                to[i] = by_hash[at];
                break;
            }
    }
    for (size_t i = 0; i < us->n_pools; i++)
        if (us->pools[i] && us->pools[i]->next_set > 0) {
            us->pools[i]->next_set = 0;
            us->pools[i] = NULL; /* not to be dropped */
        }
}

int upstreams_set_routes(Upstreams *us, const RouteImage *routes)
{
    size_t n = route_image_n_targets(routes), n_hash = bucket_count(us->n_pools);
    UpstreamPool **pools = new0(UpstreamPool *, n ? n : 1);
    _cleanup_free_ UpstreamPool **by_hash = new0(UpstreamPool *, n_hash);

    if (!pools || !by_hash) {
        free(pools);
        return -ENOMEM;
    }
    move_pools(us, routes, pools, by_hash, n_hash);
    drop_pools(us);
    us->pools = pools;
    us->n_pools = n;
    us->routes = routes;
    us->connecting.span = route_image_settings(routes)->upstream_connect_timeout;
    /* Pools come into being with their first connection: thousands of services that nobody visits cost a
     * pointer each. */
    return 0;
}

Upstreams *upstreams_free(Upstreams *us)
{
    if (!us)
        return NULL;
    drop_pools(us);
    return mfree(us);
}

/* Opens a socket to the next address that does not fail at once. 0, or the -errno of the last one. */
static int connect_from(Upstream *u, uint32_t first)
{
    const RouteTarget *t = &u->pool->target;
    int r = -EADDRNOTAVAIL;

    for (u->address = first; u->address < t->n_addresses; u->address++) {
        const SocketAddress *a = &t->addresses[u->address];
        const int on = 1;
        _cleanup_close_ int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            return -errno;
        if (a->sa.sa_family != AF_UNIX)
            (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        u->connected = connect(fd, &a->sa, a->len) >= 0;
        if (!u->connected && errno != EINPROGRESS) {
            r = -errno;
            continue;
        }
        r = poller_add(u->poller, &u->source, fd, EVENTS, on_ready);
        if (r < 0)
            return r;
        u->fd = TAKE_FD(fd);
        return 0;
    }
    return r;
}

int upstream_acquire(
        Upstreams *us, uint32_t target, bool fresh, const UpstreamOwner *ops, void *owner, Upstream **ret)
{
    assert(target < us->n_pools);
    UpstreamPool *p = us->pools[target];
    Upstream *u;
    int r;

    if (p && p->idle && !fresh) {
        u = p->idle;
        idle_remove(u);
        u->ops = ops;
        u->owner = owner;
        *ret = u;
        return 0;
    }
    if (!p) {
        p = new0(UpstreamPool, 1);
        if (!p)
            return -ENOMEM;
        p->set = us;
        p->n_ref = 1;
        p->target = *route_image_target(us->routes, target);
        us->pools[target] = p;
    }
    u = new0(Upstream, 1);
    if (!u)
        return -ENOMEM;
    p->n_ref++;
    *u = (Upstream){
            .source.fd = -EBADF, .pool = p, .poller = us->poller, .ops = ops, .owner = owner, .fd = -EBADF};
    r = connect_from(u, 0);
    if (r < 0) {
        upstream_free(u);
        return r;
    }
    if (!u->connected)
        deadline_set(&u->deadline, &us->connecting);
    *ret = u;
    return 0;
}

Upstream *upstream_release(Upstream *u, bool reusable)
{
    UpstreamPool *p;

    if (!u)
        return NULL;
    p = u->pool;
    u->owner = NULL;
    u->ops = NULL;
    if (!reusable || !p->set || p->n_idle >= IDLE_MAX)
        return upstream_free(u);
    u->reused = true;
    u->next = p->idle;
    if (u->next)
        u->next->prev = u;
    p->idle = u;
    p->n_idle++;
    deadline_set(&u->deadline, &p->set->idling);
    return NULL;
}

/* A connection in the making has an event: established, or on to the next address. */
static int finish_connect(Upstream *u)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0) {
        u->connected = true;
        deadline_clear(&u->deadline);
        return 0;
    }
    poller_forget(u->poller, &u->source, false);
    u->fd = fd_close(u->fd);
    return u->address + 1 < u->pool->target.n_addresses ? connect_from(u, u->address + 1) : -error;
}

static void on_ready(PollSource *s, uint32_t events)
{
    Upstream *u = container_of(s, Upstream, source);

    if (!u->owner) {
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            idle_remove(u);
            upstream_free(u);
        }
        return;
    }
    if (!u->connected) {
        int r = finish_connect(u);
        if (r < 0) {
            u->ops->failed(u->owner, u, -r);
            return;
        }
        if (!u->connected)
            return;
    }
    u->ops->ready(u->owner, u, events);
}

void upstream_give(Upstream *u, const UpstreamOwner *ops, void *owner)
{
    u->ops = ops;
    u->owner = owner;
}

void upstream_rearm(Upstream *u)
{
    poller_rearm(u->poller, &u->source, EVENTS);
}

int upstream_fd(const Upstream *u)
{
    return u->fd;
}

bool upstream_is_connected(const Upstream *u)
{
    return u->connected;
}

bool upstream_is_reused(const Upstream *u)
{
    return u->reused;
}

bool upstream_is_alive(const Upstream *u)
{
    char c;
    return recv(u->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}
