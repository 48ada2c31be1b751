/* SPDX-License-Identifier: ISC */

/* An exchange's dealings with its upstream connection: the request's way there and the answer's head.
 *
 * What may be tried again, and what never: a connection that was refused has carried nothing, so the service
 * is woken again and the request goes to it (twice at most); a kept connection that dies before a byte of the
 * answer takes the request along only if that is idempotent and has no body (RFC 9110 9.2.2), once; for
 * others a kept connection is looked at before it is used. Anything else is a 502. */

#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "gateway/exchange.h"
#include "gateway/head-audit.h"
#include "gateway/proxy.h"
#include "util/log.h"
#include "wire/request-head.h"

#define DEAD_REPORTS_MAX 2

static void on_ready(void *owner, Upstream *u, uint32_t events);
static void on_failed(void *owner, Upstream *u, int error);
static void switch_if_due(Exchange *e);

static const UpstreamOwner upstream_owner = {.ready = on_ready, .failed = on_failed};

void exchange_drop_out(Exchange *e)
{
    e->out = mfree(e->out);
    e->out_len = e->out_at = 0;
}

/* Tries again a little later, as long as connecting may take. */
static bool wait_for_backlog(Exchange *e)
{
    Proxy *p = e->client->proxy;
    usec_t now = deadlines_now(&p->deadlines);

    if (e->backlog_since == 0)
        e->backlog_since = now;
    if (now - e->backlog_since >= route_image_settings(e->routes)->upstream_connect_timeout)
        return false;
    e->state = EXCHANGE_PARKED;
    deadline_set(&e->wait, &p->backlog);
    return true;
}

/* Nothing was sent, as nobody accepted the connection. */
static void connection_refused(Exchange *e, int error)
{
    exchange_drop_out(e);
    log_service_debug(gate_name(e->ticket.gate), "Cannot connect: %s", strerror(error));
    if (e->routes != e->client->proxy->routes) { /* whose it is has to be found out again */
        e->state = EXCHANGE_READY;
        return;
    }
    switch (error) {
    case EAGAIN: /* a unix socket's backlog is full, which only time can change */
        if (wait_for_backlog(e))
            return;
        /* fall through */
    case ETIMEDOUT:
        exchange_count_error(e, UPSTREAM_CONNECT_TIMEOUT);
        answer_error(e, 504, "The service did not accept a connection in time.", 0);
        return;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: /* ours to regret, not the service's */
        answer_error(e, 503, "The gateway is out of resources.", 1);
        return;
    default:
        exchange_count_error(e, UPSTREAM_REFUSED);
        if (!gate_is_proxy_only(e->ticket.gate) && e->dead_reports++ < DEAD_REPORTS_MAX)
            exchange_park(e, e->epoch);
        else
            answer_error(e, 502, "The service refused the connection.", 0);
    }
}

/* The connection is lost before there was an answer. */
static void connection_lost(Exchange *e, bool answer_begun)
{
    bool reused = upstream_is_reused(e->upstream);

    exchange_release_upstream(e, false);
    exchange_drop_out(e);
    if (reused && !answer_begun && !e->retried && e->facts.idempotent && !exchange_has_body(e)) {
        e->retried = e->fresh = true;
        e->state = EXCHANGE_READY;
        return;
    }
    exchange_count_error(e, UPSTREAM_CLOSED);
    answer_error(e, 502, "The service closed the connection without an answer.", 0);
}

static bool write_head(Exchange *e, size_t *ret_len)
{
    Proxy *p = e->client->proxy;
    Field fields[REQUEST_FIELDS_MAX];
    RequestHead head = {.method = e->method,
            .target = e->target,
            .version = e->version,
            .target_len = e->target_len,
            .fields = fields};
    ForwardedBy by = {.peer = e->client->peer,
            .proto = e->client->tls ? "https" : "http",
            .trusted = e->client->trusted};

    /* Read again, not kept: most requests are sent at once, and the library keeps it for those that wait. */
    RequestLine line = {e->method, e->raw_target, e->version, e->target_len};
    if (head_audit(e->mhd, &line, fields, &head.n_fields) != AUDIT_OK)
        return false;
    ssize_t n = request_head_write(p->scratch, sizeof p->scratch, &head, &e->facts,
            e->route->strip ? e->route->path_len : 0, NULL, &by);
    if (n < 0)
        return false;
    *ret_len = (size_t) n;
    return true;
}

/* Keeps what the socket did not take. */
static bool keep_out(Exchange *e, const struct iovec *iov, size_t n, size_t skip)
{
    size_t total = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        total += iov[i].iov_len;
    char *buf = malloc(total - skip);
    if (!buf)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t cut = MIN(skip, iov[i].iov_len);
        memcpy(buf + at, (const char *) iov[i].iov_base + cut, iov[i].iov_len - cut);
        at += iov[i].iov_len - cut;
        skip -= cut;
    }
    exchange_drop_out(e);
    e->out = buf;
    e->out_len = at;
    return true;
}

/* Takes a connection that is fit for this request. */
static int take_connection(Exchange *e)
{
    Proxy *p = e->client->proxy;
    bool repeatable = e->facts.idempotent && !exchange_has_body(e);

    for (;;) {
        int r = upstream_acquire(p->upstreams, e->route->target, e->fresh, &upstream_owner, e, &e->upstream);
        if (r < 0 || repeatable || !upstream_is_reused(e->upstream) || upstream_is_alive(e->upstream))
            return r;
        exchange_release_upstream(e, false);
    }
}

void exchange_dispatch(Exchange *e)
{
    Proxy *p = e->client->proxy;
    size_t n;

    deadline_clear(&e->wait);
    if (unlikely(e->routes != p->routes) && !exchange_find_route(e))
        return;
    e->epoch = gate_is_proxy_only(e->ticket.gate) ? 1 : gate_online_epoch(e->ticket.gate);
    if (e->epoch == 0) {
        exchange_park(e, 0);
        return;
    }
    int r = take_connection(e);
    if (r < 0) {
        connection_refused(e, -r);
        return;
    }
    if (!write_head(e, &n)) {
        exchange_release_upstream(e, false);
        answer_error(e, 431, "The request's header fields are too long to be passed on.", 0);
        return;
    }
    e->state = EXCHANGE_UPLOADING;
    e->dispatched = deadlines_now(&p->deadlines);
    bool has_body = exchange_has_body(e);
    struct iovec iov = {p->scratch, n};
    /* With a body the head waits a moment for its first bytes, unless the client in turn waits for a word. */
    ssize_t sent = 0;
    if (upstream_is_connected(e->upstream))
        sent = send(upstream_fd(e->upstream), p->scratch, n,
                MSG_NOSIGNAL | (has_body && !e->facts.expect_continue ? MSG_MORE : 0));
    if (sent < 0 && errno != EAGAIN) {
        connection_lost(e, false);
        return;
    }
    sent = MAX(sent, 0);
    if ((size_t) sent < n && !keep_out(e, &iov, 1, (size_t) sent)) {
        exchange_abort(e);
        return;
    }
    deadline_set(&e->wait, has_body ? &p->body_idle : &p->first_byte);
    if (has_body)
        deadline_set(&e->total, &p->body_total);
}

/* Sends iov whole: what the socket does not take now is kept and goes first later. Returns the number of
 * bytes that it took, or -1: lost. */
static ssize_t send_or_keep(Exchange *e, struct iovec *iov, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += iov[i].iov_len;
    assert(!e->out);
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
    ssize_t sent = sendmsg(upstream_fd(e->upstream), &m, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return -1;
    sent = MAX(sent, 0);
    if ((size_t) sent < total && !keep_out(e, iov, n, (size_t) sent))
        return -1;
    return sent;
}

static bool wait_for_upstream(Exchange *e)
{
    e->blocked = true;
    deadline_set(&e->wait, &e->client->proxy->first_byte);
    return exchange_suspend(e);
}

/* An upload cannot go on. What the upstream may have said before it closed (an early 413) is worth more than
 * the fact. */
static void upload_broken(Exchange *e)
{
    on_ready(e, e->upstream, EPOLLIN);
    if (e->state == EXCHANGE_UPLOADING)
        connection_lost(e, false);
}

bool exchange_upload(Exchange *e, const char *upload, size_t *upload_size)
{
    Proxy *p = e->client->proxy;
    size_t n = *upload_size;
    ssize_t sent;

    if (e->out)
        return wait_for_upstream(e);
    if (e->facts.body == REQUEST_BODY_CHUNKED) {
        char size[24];
        struct iovec iov[] = {{size, (size_t) snprintf(size, sizeof size, "%zx\r\n", n)},
                {(void *) upload, n}, {(void *) "\r\n", 2}};
        sent = send_or_keep(e, iov, ELEMENTSOF(iov));
        if (sent >= 0)
            sent = (ssize_t) n; /* a chunk that was begun is ours to finish */
    } else {
        sent = send(upstream_fd(e->upstream), upload, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            sent = 0;
    }
    if (sent < 0) {
        upload_broken(e);
        e->discarded += n;
        *upload_size = 0; /* nobody wants it; left where it is, nothing would call us again */
        return e->state != EXCHANGE_ABORTED;
    }
    e->body_sent += (uint64_t) sent;
    *upload_size = n - (size_t) sent;
    if (*upload_size > 0 || e->out)
        return wait_for_upstream(e);
    deadline_set(&e->wait, &p->body_idle);
    return true;
}

void exchange_upload_done(Exchange *e)
{
    if (e->facts.body == REQUEST_BODY_CHUNKED) {
        static const char last[] = "0\r\n\r\n";
        struct iovec iov = {(void *) last, sizeof last - 1};
        if (e->out) {
            /* Behind what is kept already. */
            struct iovec both[] = {{e->out + e->out_at, e->out_len - e->out_at}, iov};
            if (!keep_out(e, both, 2, 0)) {
                exchange_abort(e);
                return;
            }
        } else if (send_or_keep(e, &iov, 1) < 0) {
            upload_broken(e);
            return;
        }
    }
    e->state = EXCHANGE_WAITING;
    deadline_set(&e->wait, &e->client->proxy->first_byte);
    switch_if_due(e);
}

/* The socket takes more. False: the connection is lost. */
static bool flush_out(Exchange *e)
{
    if (e->out) {
        ssize_t n = send(upstream_fd(e->upstream), e->out + e->out_at, e->out_len - e->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        e->out_at += (size_t) MAX(n, 0);
        if (e->out_at < e->out_len)
            return true;
        exchange_drop_out(e);
        switch_if_due(e);
    }
    if (e->blocked) {
        e->blocked = false;
        exchange_poke(e);
    }
    return true;
}

static void bad_answer(Exchange *e, const char *sentence)
{
    exchange_release_upstream(e, false);
    exchange_count_error(e, UPSTREAM_BAD_ANSWER);
    answer_error(e, 502, sentence, 0);
}

/* Until there is more of it, or it can be used. */
static void keep_head(Exchange *e, const char *buf, size_t len)
{
    if (len == 0)
        return;
    e->in = memdup_bytes(buf, len);
    if (e->in)
        e->in_len = len;
    else
        exchange_abort(e);
}

/* A 101 has come: the last word of HTTP on this connection, and so not before the request has been sent. */
static void switch_protocols(Exchange *e, const ResponseHead *head, size_t head_len, char *buf, size_t len)
{
    if (!upgrade_was_offered(e, head))
        bad_answer(e, "The service switched to a protocol that was not asked for.");
    else if (e->state == EXCHANGE_UPLOADING || e->out) {
        e->switching = true;
        keep_head(e, buf, len);
    } else
        answer_from_upstream(e, head, head_len, buf + head_len, len - head_len);
}

/* Parses what has been received of the answer's head. */
static void parse_head(Exchange *e, char *buf, size_t len)
{
    ResponseHead head;

    for (;;) {
        int n = response_head_parse(&head, buf, len, e->facts.is_head);
        if (n == -EAGAIN) {
            keep_head(e, buf, len);
            return;
        }
        if (n < 0) {
            bad_answer(e, n == -EMSGSIZE ? "The service sent an answer with too large a head."
                                         : "The service sent an answer that is not valid HTTP.");
            return;
        }
        if (head.status == 101) {
            switch_protocols(e, &head, (size_t) n, buf, len);
            return;
        }
        if (head.status >= 200) {
            answer_from_upstream(e, &head, (size_t) n, buf + n, len - (size_t) n);
            return;
        }
        if (!interim_received(e, &head)) {
            bad_answer(e, "The service sent no end of interim answers.");
            return;
        }
        if (e->state == EXCHANGE_ABORTED)
            return;
        buf += n;
        len -= (size_t) n;
    }
}

/* Reads until the head is there or nothing more is: the connection's end may have come along with the last
 * bytes, and edge-triggered as the socket is watched, nothing would tell of it again. */
static void read_head(Exchange *e)
{
    Proxy *p = e->client->proxy;

    do {
        size_t have = e->in_len;
        assert(have < sizeof p->scratch);
        ssize_t n = recv(upstream_fd(e->upstream), p->scratch + have, sizeof p->scratch - have, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            connection_lost(e, have > 0);
            break;
        }
        if (have > 0) {
            memcpy(p->scratch, e->in, have);
            e->in = mfree(e->in);
            e->in_len = 0;
        }
        parse_head(e, p->scratch, have + (size_t) n);
    } while (!e->switching && (e->state == EXCHANGE_UPLOADING || e->state == EXCHANGE_WAITING));
    exchange_poke(e);
}

/* The request has been sent to its end, and the 101 that waited for that can be used. */
static void switch_if_due(Exchange *e)
{
    Proxy *p = e->client->proxy;

    if (!e->switching || e->state != EXCHANGE_WAITING || e->out)
        return;
    size_t len = e->in_len;
    e->switching = false;
    memcpy(p->scratch, e->in, len);
    e->in = mfree(e->in);
    e->in_len = 0;
    parse_head(e, p->scratch, len);
    exchange_poke(e);
}

static void on_ready(void *owner, Upstream *u, uint32_t events)
{
    Exchange *e = owner;
    bool readable = events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);

    if (e->state == EXCHANGE_STREAMING && readable)
        exchange_poke(e); /* the reader fetches it */
    if (e->state != EXCHANGE_UPLOADING && e->state != EXCHANGE_WAITING)
        return;
    /* What it has said counts for more than that it takes no more: an answer may be there although the
     * connection is broken. */
    if (readable && !e->switching)
        read_head(e);
    if ((e->state == EXCHANGE_UPLOADING || e->state == EXCHANGE_WAITING) && (events & EPOLLOUT) &&
            (e->out || e->blocked) && !flush_out(e)) {
        connection_lost(e, e->in_len > 0);
        exchange_poke(e);
    }
}

static void on_failed(void *owner, Upstream *u, int error)
{
    Exchange *e = owner;

    exchange_release_upstream(e, false);
    if (e->body_sent > 0) {
        exchange_count_error(e, UPSTREAM_REFUSED);
        answer_error(e, 502, "The service refused the connection.", 0);
    } else
        connection_refused(e, error);
    exchange_poke(e);
}
