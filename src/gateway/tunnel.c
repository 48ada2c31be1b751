/* SPDX-License-Identifier: ISC */

/* Owns the descriptors on both sides, the client whose connection it is, and the service's ticket. Most
 * tunnels say nothing most of the time: one that is silent is this struct and two sockets. What was received
 * is handed on from the proxy's scratch memory at once; only what a side does not take is kept, and as long
 * as something is, nothing more is read for that side: who is slow slows the other one.
 *
 * Each of the two ways ends by itself. An orderly end is passed on as such (shutdown(2)) when all before it
 * has been delivered, and the other way goes on; a broken connection is passed on as a broken one. The tunnel
 * is over when both ways are.
 *
 * Invariants: a way with stuck bytes has a receiver that will have room (EPOLLOUT) or end; no descriptor has
 * unread bytes that no event will tell of, unless its way is stuck. */

#include "gateway/tunnel.h"

#include <inttypes.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "gateway/proxy.h"
#include "util/fd.h"
#include "util/log.h"

#define PIECE ((size_t) (64 * 1024))    /* read at once, and so the most that can be stuck */
#define TURN (16 * PIECE)               /* then others have theirs */
#define CLOSING_SPAN (5 * USEC_PER_SEC) /* for a side to take note of the end */
#define KEEPALIVE_IDLE 120              /* s; a client that has vanished is missed after 3 minutes */
#define KEEPALIVE_INTERVAL 20
#define KEEPALIVE_COUNT 3
#define EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

typedef enum WayEnd { WAY_OPEN, WAY_ENDED, WAY_BROKEN } WayEnd;

typedef struct Way {
    int from, to;
    uint32_t len, at;
    char *stuck; /* bytes that the receiver did not take yet */
    uint64_t bytes;
    WayEnd end; /* of the sender */
    bool told;  /* the receiver was told of the end, or takes no more: what still comes is dropped */
} Way;

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
    free(t->up.stuck);
    free(t->down.stuck);
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

static void way_empty(Way *w)
{
    w->stuck = mfree(w->stuck);
    w->len = w->at = 0;
}

/* Sends what was just received, and keeps what is not taken. False: the receiver is gone. */
static bool way_send(Tunnel *t, Way *w, const char *data, size_t n)
{
    ssize_t sent = send(w->to, data, n, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN)
        return false;
    sent = MAX(sent, 0);
    w->bytes += (uint64_t) sent;
    if ((size_t) sent < n) {
        w->stuck = memdup_bytes(data + sent, n - (size_t) sent);
        w->len = (uint32_t) (n - (size_t) sent);
        if (!w->stuck)
            w->end = WAY_BROKEN; /* as a gap in the stream would be worse */
    }
    note_activity(t);
    return true;
}

/* Sends what is stuck. False: the receiver is gone. */
static bool way_flush(Tunnel *t, Way *w)
{
    ssize_t sent = send(w->to, w->stuck + w->at, w->len - w->at, MSG_NOSIGNAL);

    if (sent < 0)
        return errno == EAGAIN;
    w->bytes += (uint64_t) sent;
    w->at += (uint32_t) sent;
    if (w->at == w->len)
        way_empty(w);
    note_activity(t);
    return true;
}

/* All was delivered: the receiver is told that no more comes. */
static void way_tell(Way *w)
{
    if (!w->told) {
        w->told = true;
        (void) shutdown(w->to, SHUT_WR);
    }
}

/* Passes on what there is to pass on. A short read means that this was all, but where an end was announced
 * along with the bytes. Returns false when the receiver is gone. */
static bool way_run(Tunnel *t, Way *w, bool to_the_end)
{
    char *piece = t->proxy->scratch;

    for (size_t turn = 0; turn < TURN;) {
        if (w->stuck && !way_flush(t, w))
            return false;
        if (w->stuck || w->end == WAY_BROKEN)
            return true;
        if (w->end == WAY_ENDED || t->ending)
            way_tell(w);
        if (w->end == WAY_ENDED)
            return true;
        ssize_t n = recv(w->from, piece, PIECE, 0);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0) {
            w->end = n == 0 ? WAY_ENDED : WAY_BROKEN;
            continue;
        }
        if (!w->told && !way_send(t, w, piece, (size_t) n))
            return false;
        if (w->stuck || ((size_t) n < PIECE && !to_the_end))
            return true;
        turn += (size_t) n;
    }
    /* There may be more, which no edge will tell of. */
    if (w == &t->up)
        poller_rearm(&t->proxy->poller, &t->source, EVENTS);
    else
        upstream_rearm(t->upstream);
    return true;
}

/* The receiver of `w` takes nothing any more. What it has said before still counts, and where that was all,
 * so does the other side's turn to take note. */
static void receiver_gone(Tunnel *t, Way *w)
{
    Way *back = w == &t->up ? &t->down : &t->up;

    way_empty(w);
    w->told = true;
    if (!way_run(t, back, true)) {
        w->end = WAY_BROKEN;
        way_empty(back);
        back->told = true;
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
    if (up && !way_run(t, &t->up, to_the_end))
        receiver_gone(t, &t->up);
    if (down && !way_run(t, &t->down, to_the_end))
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
    t->up = (Way){.from = ends->fd,
            .to = upstream_fd(ends->upstream),
            .stuck = TAKE_PTR(ahead),
            .len = (uint32_t) ends->n_to_upstream};
    t->down = (Way){.from = t->up.to,
            .to = ends->fd,
            .stuck = ends->to_client,
            .at = (uint32_t) ends->at_to_client,
            .len = (uint32_t) ends->n_to_client};
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
