/* SPDX-License-Identifier: ISC */

/* Accepting, and not accepting: at the limit of connections, or when the process or the system is out of
 * descriptors, all sockets are taken out of the poller, so that waiting connections cost nothing and stay in
 * their backlog. They come back with the first connection that ends, or after a pause, for what others may
 * have freed. */

#include "gateway/listener.h"

#include <netinet/tcp.h>
#include <unistd.h>

#include "gateway/proxy.h"
#include "gateway/unheard.h"
#include "util/event.h"
#include "util/fd.h"
#include "util/log.h"

#define UNSENT_MAX (128 * 1024) /* bytes that the system takes for a client and cannot send yet */
#define BATCH 64U
#define SWEEP_MAX 4096 /* a backlog's worth: more have come meanwhile */
#define WARN_PAUSE (10 * USEC_PER_SEC)
#define PAUSE (250 * USEC_PER_MSEC)

typedef struct Listener {
    PollSource source;
    Listeners *set;
    struct Listener *next;
    int fd;
    unsigned expected; /* connections that wait when there are any */
    uint32_t listener;
    uint64_t cookie; /* of the socket, SO_COOKIE of socket(7) */
    bool given;
    bool unwanted, is_tcp; /* while others come: was given and has not come again; was not for HTTP */
} Listener;

struct Listeners {
    Proxy *proxy;
    Listener *all;
    size_t n;
    bool shared, paused, stopped;
    usec_t warned;
    sd_event_source *resume;
};

static void on_incoming(PollSource *s, uint32_t events);

static void listener_watch(Listener *l)
{
    uint32_t events = EPOLLIN | (l->set->shared ? EPOLLEXCLUSIVE : 0);
    int r = poller_add(&l->set->proxy->poller, &l->source, l->fd, events, on_incoming);
    if (r < 0)
        log_error_errno(r, "Cannot watch a listening socket: %m");
}

static void resume(Listeners *ls)
{
    if (!ls->paused || ls->stopped)
        return;
    ls->paused = false;
    event_disarm(ls->resume);
    for (Listener *l = ls->all; l; l = l->next)
        listener_watch(l);
}

static int on_resume(sd_event_source *source, uint64_t usec, void *userdata)
{
    resume(userdata);
    return 0;
}

static void on_less(void *userdata)
{
    Listeners *ls = userdata;

    /* Not at once: the connection that ended still holds its descriptor here. */
    if (ls->paused)
        (void) event_arm_timer(ls->proxy->event, &ls->resume, 0, on_resume, ls, "accept-resume");
}

static void pause_all(Listeners *ls, const char *why)
{
    if (ls->paused)
        return;
    usec_t now = now_monotonic();
    if (ls->warned == 0 || now - ls->warned > WARN_PAUSE) {
        ls->warned = now;
        log_warning("Not accepting connections for now: %s", why);
    }
    ls->paused = true;
    proxy_count(ls->proxy, COUNT_PAUSES, 1);
    for (Listener *l = ls->all; l; l = l->next)
        poller_forget(&ls->proxy->poller, &l->source, true);
    (void) event_arm_timer(ls->proxy->event, &ls->resume, PAUSE, on_resume, ls, "accept-resume");
}

/* Takes one connection: true if another may be there. */
static bool accept_one(Listener *l)
{
    Listeners *ls = l->set;
    Proxy *p = ls->proxy;
    SocketAddress a = {.len = sizeof(struct sockaddr_un)};

    if (p->clients.n >= route_image_settings(p->routes)->max_connections) {
        pause_all(ls, "limits.maxConnections is reached.");
        return false;
    }
    if (p->clients.n >= p->max_clients) {
        pause_all(ls, "each connection needs two descriptors, and RLIMIT_NOFILE allows no more.");
        return false;
    }
    int fd = accept4(l->fd, &a.sa, &a.len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        switch (errno) {
        case EAGAIN:
        case EINTR:
            return false;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            pause_all(ls, strerror(errno));
            return false;
        case EINVAL: /* it was shut down by another worker that is at its end, as ours is about to be */
            poller_forget(&p->poller, &l->source, true);
            return false;
        default: /* accept(2): errors of the connection itself; the next may be fine */
            return true;
        }
    }
    if (a.len < sizeof a.sa.sa_family)
        a.sa.sa_family = AF_UNIX;
    (void) client_accept(p, fd, l->listener, &a.sa, MAX(a.len, (socklen_t) sizeof(struct sockaddr)));
    return true;
}

static void on_incoming(PollSource *s, uint32_t events)
{
    Listener *l = container_of(s, Listener, source);
    unsigned n = 0;

    /* Asking until there are none costs a call more than there are connections, where most come alone: as
     * many are taken as there were the last time, and whoever is left makes itself heard again. */
    while (accept_one(l))
        if (++n >= l->expected) {
            l->expected = MIN(2 * n, BATCH);
            return;
        }
    l->expected = MAX(n, 1U);
}

int listeners_new(Proxy *p, bool shared, Listeners **ret)
{
    Listeners *ls = new0(Listeners, 1);
    if (!ls)
        return -ENOMEM;
    ls->proxy = p;
    ls->shared = shared;
    p->clients.on_less = on_less;
    p->clients.userdata = ls;
    *ret = ls;
    return 0;
}

static uint64_t socket_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;

    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}

/* Every connection that it accepts inherits it. Not of a socket that has no TCP. */
static void limit_unsent(int fd)
{
    const int unsent = UNSENT_MAX;
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

static bool is_for_tcp(const Listener *l)
{
    const RouteImage *routes = l->set->proxy->routes;

    return routes && l->listener < route_image_n_listeners(routes) &&
           route_image_listener(routes, l->listener)->tcp;
}

/* Where clients speak first, as those of HTTP do, the kernel keeps a connection to itself until they have, or
 * have not for a second (TCP_DEFER_ACCEPT of tcp(7)). Nearly all would come a moment before their request
 * else, and each would be received from for nothing, and watched: a sixth of what a connection for one
 * request costs. A socket may have come to us with another time, which is then left to it (DeferAcceptSec= of
 * systemd.socket(5)), or with that of an earlier run. */
static void let_clients_begin(const Listener *l)
{
    const int ours = 1, wanted = is_for_tcp(l) ? 0 : ours;
    int seconds;
    socklen_t len = sizeof seconds;

    if (getsockopt(l->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &len) < 0) /* it has no TCP */
        return;
    if (seconds <= ours && seconds != wanted)
        (void) setsockopt(l->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wanted, sizeof wanted);
}

int listeners_add(Listeners *ls, int fd, uint32_t listener, bool given)
{
    Listener *l = new0(Listener, 1);
    if (!l) {
        fd_close(fd);
        return -ENOMEM;
    }
    *l = (Listener){.source.fd = -EBADF,
            .set = ls,
            .next = ls->all,
            .fd = fd,
            .expected = 1,
            .listener = listener,
            .cookie = socket_cookie(fd),
            .given = given};
    limit_unsent(fd);
    ls->all = l;
    ls->n++;
    if (!ls->paused && !ls->stopped)
        listener_watch(l);
    return 0;
}

static void drop(Listeners *ls, bool unwanted_only)
{
    for (Listener **p = &ls->all; *p;) {
        Listener *l = *p;
        if (unwanted_only && !l->unwanted) {
            p = &l->next;
            continue;
        }
        *p = l->next;
        poller_forget(&ls->proxy->poller, &l->source, true);
        fd_close(l->fd);
        free(l);
        ls->n--;
    }
}

bool listeners_claim(Listeners *ls, int fd, uint32_t listener)
{
    for (Listener *l = ls->all; l; l = l->next)
        if (!l->given && fd_is_same_socket(l->fd, fd)) {
            l->listener = listener;
            return true;
        }
    return false;
}

void listeners_begin_update(Listeners *ls)
{
    for (Listener *l = ls->all; l; l = l->next) {
        l->unwanted = l->given;
        l->is_tcp = is_for_tcp(l);
        l->listener = LISTENER_MAIN;
    }
}

bool listeners_keep(Listeners *ls, int fd, uint32_t listener)
{
    uint64_t cookie = socket_cookie(fd);

    for (Listener *l = ls->all; l; l = l->next)
        if (l->unwanted && l->cookie == cookie && cookie != 0) {
            l->unwanted = false;
            l->listener = listener;
            return true;
        }
    return false;
}

/* Those who wait in a backlog were let in by the kernel already. */
static void sweep(Listener *l)
{
    for (int n = 0; n < SWEEP_MAX && accept_one(l); n++)
        ;
}

void listeners_end_update(Listeners *ls)
{
    for (Listener *l = ls->all; l; l = l->next)
        if (l->unwanted && !l->is_tcp)
            sweep(l);
    drop(ls, true);
    for (Listener *l = ls->all; l; l = l->next)
        let_clients_begin(l);
}

bool listeners_are_unheard(const Listeners *ls, bool own_last, bool given_last)
{
    for (const Listener *l = ls->all; l; l = l->next)
        if ((l->given ? given_last : own_last) && unheard_are_there(l->fd))
            return true;
    return false;
}

void listeners_stop(Listeners *ls, bool own_last, bool given_last)
{
    for (Listener *l = ls->all; l; l = l->next) {
        if (l->given ? given_last : own_last) {
            sweep(l);
            /* Whoever else has it open, it listens no more. */
            (void) shutdown(l->fd, SHUT_RD);
        }
        poller_forget(&ls->proxy->poller, &l->source, true);
    }
    ls->stopped = true;
    event_disarm(ls->resume);
}

int listeners_given(const Listeners *ls, size_t at)
{
    for (Listener *l = ls->all; l; l = l->next)
        if (l->given && at-- == 0)
            return l->fd;
    return -EBADF;
}

size_t listeners_count(const Listeners *ls)
{
    return ls->n;
}

size_t listeners_n_given(const Listeners *ls)
{
    size_t n = 0;

    for (Listener *l = ls->all; l; l = l->next)
        n += l->given;
    return n;
}

Listeners *listeners_free(Listeners *ls)
{
    if (!ls)
        return NULL;
    drop(ls, false);
    ls->proxy->clients.on_less = NULL;
    sd_event_source_disable_unref(ls->resume);
    return mfree(ls);
}

uint16_t listeners_main_port(const Listeners *ls)
{
    uint16_t lowest = 0;

    for (Listener *l = ls->all; l; l = l->next) {
        SocketAddress a = {.len = sizeof a.un};
        if (l->listener != LISTENER_MAIN || getsockname(l->fd, &a.sa, &a.len) < 0)
            continue;
        uint16_t port = socket_address_port(&a);
        if (port > 0 && (lowest == 0 || port < lowest))
            lowest = port;
    }
    return lowest;
}
