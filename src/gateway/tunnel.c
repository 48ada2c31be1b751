/* SPDX-License-Identifier: ISC */

/* Owns the descriptors on both sides, the client whose connection it is, and the service's ticket. Most
 * tunnels say nothing most of the time: one that is silent is this struct and two sockets.
 *
 * Each of the two ways ends by itself. An orderly end is passed on as such (shutdown(2)) when all before it
 * has been delivered, and the other way goes on; a broken connection is passed on as a broken one. The tunnel
 * is over when both ways are.
 *
 * Invariant: no descriptor has unread bytes that no event will tell of, unless its way is stuck, and then its
 * receiver will have room (EPOLLOUT) or end. */

#include "gateway/tunnel.h"

#include <inttypes.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "gateway/proxy.h"
#include "util/fd.h"
#include "util/log.h"

#define CLOSING_SPAN (5 * USEC_PER_SEC) /* for a side to take note of the end */
#define KEEPALIVE_IDLE 120              /* s; a client that has vanished is missed after 3 minutes */
#define KEEPALIVE_INTERVAL 20
#define KEEPALIVE_COUNT 3
#define EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

struct Tunnel {
    Proxy *proxy;
    Client *client;
    Upstream *upstream;
    PollSource source; /* the client's descriptor */
    Ticket ticket;
    Way up, down;
    Deadline idle;  /* and, while it is ending, the end */
    Deadline stuck; /* the client takes nothing */
    Deadline nap;
    NapQueue *naps;
    Tunnel *prev, *next;
    char *log;
    usec_t begun;
    bool ending;
};

/* Tunnels that may rest when they were silent for so long. */
struct NapQueue {
    Deadlines deadlines;
    DeadlineQueue queue;
    NapQueue *next;
};

static void on_upstream(void *owner, Upstream *u, uint32_t events);
static void on_upstream_failed(void *owner, Upstream *u, int error);

static const UpstreamOwner upstream_owner = {.ready = on_upstream, .failed = on_upstream_failed};

static void log_end(const Tunnel *t, bool broken)
{
    log_service_info(gate_name(t->ticket.gate), "%s %" PRIu64 " %.1fms, %" PRIu64 " from the client%s",
            t->log, t->down.bytes, (double) usec_sub(now_monotonic(), t->begun) / 1e3, t->up.bytes,
            broken ? " (not finished)" : "");
}

/* Ends it now. */
static Tunnel *tunnel_free(Tunnel *t)
{
    Tunnels *ts = &t->proxy->tunnels;

    if (t->log)
        log_end(t, t->up.end != WAY_ENDED || t->down.end != WAY_ENDED || t->up.stuck || t->down.stuck);
    deadline_clear(&t->idle);
    deadline_clear(&t->stuck);
    deadline_clear(&t->nap);
    /* To be removed from the poller by hand: libmicrohttpd may still hold its descriptor of this connection.
     */
    poller_forget(&t->proxy->poller, &t->source, true);
    upstream_release(t->upstream, false);
    t->client->fd = fd_close(t->client->fd);
    t->client->tunnel = NULL;
    client_detached(t->client);
    ticket_close(&t->ticket);
    if (t->prev)
        t->prev->next = t->next;
    else
        ts->all = t->next;
    if (t->next)
        t->next->prev = t->prev;
    ts->n--;
    way_done(&t->up);
    way_done(&t->down);
    free(t->log);
    return mfree(t);
}

/* Ends it now, and so that both sides see that it did not end in order: close(2) then sends a reset. */
static Tunnel *tunnel_break(Tunnel *t)
{
    const struct linger reset = {.l_onoff = 1};

    (void) setsockopt(t->up.from, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    (void) setsockopt(t->up.to, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return tunnel_free(t);
}

/* From here on nothing is passed on but what is stuck; what still comes is dropped, until the sides have
 * taken note or their time is over. */
static void begin_ending(Tunnel *t)
{
    t->ending = true;
    deadline_clear(&t->nap);
    deadline_set(&t->idle, &t->proxy->tunnels.closing);
}

/* Bytes have moved. */
static void note_activity(Tunnel *t)
{
    Tunnels *ts = &t->proxy->tunnels;

    if (t->down.stuck)
        deadline_set(&t->stuck, &ts->stuck);
    else
        deadline_clear(&t->stuck);
    if (t->ending)
        return;
    if (t->ticket.state == TICKET_RESTING)
        ticket_stir(&t->ticket);
    if (t->naps)
        deadline_set(&t->nap, &t->naps->queue);
    deadline_set(&t->idle, &ts->idle);
}

/* Passes on what has come one way. False: its receiver is gone. */
static bool pass(Tunnel *t, Way *w, bool to_the_end)
{
    uint64_t before = w->bytes;
    bool was_stuck = w->stuck;

    WayResult r = way_run(w, &t->proxy->tunnels.mover, to_the_end, t->ending);
    gate_count(t->ticket.gate, w == &t->up ? COUNT_RECEIVED : COUNT_SENT, w->bytes - before);
    if (w->bytes != before || (w->stuck && !was_stuck))
        note_activity(t);
    if (r == WAY_MORE && w == &t->up)
        poller_rearm(&t->proxy->poller, &t->source, EVENTS);
    else if (r == WAY_MORE)
        upstream_rearm(t->upstream);
    return r != WAY_GONE;
}

/* The receiver of `w` takes nothing any more. What it has said before still counts, and where that was all,
 * so does the other side's turn to take note. */
static void receiver_gone(Tunnel *t, Way *w)
{
    Way *back = w == &t->up ? &t->down : &t->up;

    way_close(w);
    if (!pass(t, back, true)) {
        w->end = WAY_BROKEN;
        way_close(back);
    } else if (back->end == WAY_ENDED && !t->ending)
        begin_ending(t);
}

/* Is it over? Frees the tunnel then. */
static void settle(Tunnel *t)
{
    bool broken = t->up.end == WAY_BROKEN || t->down.end == WAY_BROKEN;

    if (broken) {
        /* What a side has said before it broke is still delivered to the other. */
        if (!(t->up.end == WAY_BROKEN ? &t->up : &t->down)->stuck)
            tunnel_break(t);
        else if (!t->ending)
            begin_ending(t);
    } else if (t->up.end == WAY_ENDED && t->down.end == WAY_ENDED && !t->up.stuck && !t->down.stuck)
        tunnel_free(t);
}

static void run(Tunnel *t, bool up, bool down, bool to_the_end)
{
    if (up && !pass(t, &t->up, to_the_end))
        receiver_gone(t, &t->up);
    if (down && !pass(t, &t->down, to_the_end))
        receiver_gone(t, &t->down);
    settle(t);
}

static void on_client(PollSource *s, uint32_t events)
{
    Tunnel *t = container_of(s, Tunnel, source);
    bool ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

    run(t, (events & EPOLLIN) || ended, (events & EPOLLOUT) && t->down.stuck, ended);
}

static void on_upstream(void *owner, Upstream *u, uint32_t events)
{
    Tunnel *t = owner;
    bool ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

    run(t, (events & EPOLLOUT) && t->up.stuck, (events & EPOLLIN) || ended, ended);
}

static void on_upstream_failed(void *owner, Upstream *u, int error)
{
    tunnel_break(owner);
}

void tunnel_end(Tunnel *t)
{
    if (t->ending)
        return;
    begin_ending(t);
    run(t, true, true, true);
}

static void on_idle(Deadline *d)
{
    tunnel_end(container_of(d, Tunnel, idle));
}

static void on_stuck(Deadline *d)
{
    tunnel_break(container_of(d, Tunnel, stuck));
}

static void on_closing(Deadline *d)
{
    Tunnel *t = container_of(d, Tunnel, idle);

    if (t->up.end == WAY_BROKEN || t->down.end == WAY_BROKEN)
        tunnel_break(t);
    else
        tunnel_free(t);
}

static void on_nap(Deadline *d)
{
    ticket_rest(&container_of(d, Tunnel, nap)->ticket);
}

void tunnels_init(Tunnels *ts, Proxy *p)
{
    *ts = (Tunnels){};
    mover_init(&ts->mover, p->scratch);
    deadline_queue_init(&ts->idle, &p->deadlines, USEC_INFINITY, on_idle);
    deadline_queue_init(&ts->stuck, &p->deadlines, USEC_INFINITY, on_stuck);
    deadline_queue_init(&ts->closing, &p->deadlines, CLOSING_SPAN, on_closing);
}

void tunnels_end_all(Tunnels *ts)
{
    for (Tunnel *t = ts->all, *next; t; t = next) {
        next = t->next;
        tunnel_end(t);
    }
}

void tunnels_done(Tunnels *ts)
{
    while (ts->all)
        tunnel_free(ts->all);
    mover_done(&ts->mover);
    while (ts->naps) {
        NapQueue *q = ts->naps;
        ts->naps = q->next;
        deadlines_done(&q->deadlines);
        free(q);
    }
}

/* There are as many as the configuration has spans; NULL when out of memory. */
static NapQueue *nap_queue(Proxy *p, usec_t span)
{
    NapQueue *q = p->tunnels.naps;

    while (q && q->queue.span != span)
        q = q->next;
    if (!q && (q = new0(NapQueue, 1))) {
        deadlines_init(&q->deadlines, p->event);
        deadline_queue_init(&q->queue, &q->deadlines, span, on_nap);
        q->next = p->tunnels.naps;
        p->tunnels.naps = q;
    }
    return q;
}

/* A client that was switched off says nothing, and neither does one that has nothing to say: only the network
 * can tell them apart. tcp(7) */
static void watch_for_vanishing(int fd)
{
    static const struct {
        int level, option, value;
    } options[] = {{SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE},
            {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL}, {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT}};

    for (size_t i = 0; i < ELEMENTSOF(options); i++)
        (void) setsockopt(
                fd, options[i].level, options[i].option, &options[i].value, sizeof options[i].value);
}

int tunnel_new(Proxy *p, const TunnelEnds *ends)
{
    Tunnels *ts = &p->tunnels;
    const int on = 1;

    _cleanup_free_ Tunnel *t = new0(Tunnel, 1);
    _cleanup_free_ char *ahead = ends->n_to_upstream > 0 ? malloc(ends->n_to_upstream) : NULL;
    if (!t || (ends->n_to_upstream > 0 && !ahead))
        return -ENOMEM;
    if (ends->nap != USEC_INFINITY && !(t->naps = nap_queue(p, ends->nap)))
        return -ENOMEM;
    t->source.fd = -EBADF;
    int r = poller_add(&p->poller, &t->source, ends->fd, EVENTS, on_client);
    if (r < 0)
        return r;
    if (ahead)
        memcpy(ahead, ends->to_upstream, ends->n_to_upstream);
    t->proxy = p;
    t->client = ends->client;
    t->upstream = ends->upstream;
    int service = upstream_fd(ends->upstream);
    way_init(&t->up, ends->fd, service, TAKE_PTR(ahead), 0, ends->n_to_upstream);
    way_init(&t->down, service, ends->fd, ends->to_client, ends->at_to_client, ends->n_to_client);
    t->log = ends->log;
    t->begun = ends->begun;
    ticket_move(ends->ticket, &t->ticket);
    upstream_give(t->upstream, &upstream_owner, t);
    t->client->fd = ends->fd;
    t->client->tunnel = t;
    watch_for_vanishing(ends->fd);
    (void) setsockopt(ends->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    t->next = ts->all;
    if (t->next)
        t->next->prev = t;
    ts->all = t;
    ts->n++;
    note_activity(t);
    upstream_rearm(t->upstream); /* it may have said something that no further edge will tell of */
    TAKE_PTR(t);
    return 0;
}
