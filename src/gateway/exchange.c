/* SPDX-License-Identifier: ISC */

/* The request's phases. libmicrohttpd calls exchange_handle() with the head, with pieces of the body, with
 * the end of the request, and again while there is no answer; what happens depends on the state alone.
 * Everything that waits is either suspended (then exactly one of: the gate, the upstream connection, a
 * deadline, the client's end will poke it) or lingers for a moment.
 *
 * Invariants: e->suspended is what the library believes; an exchange in READY is poked; e->ticket is open
 * from the moment the route is known until completion, so no service is stopped under a request. */

#include "gateway/exchange.h"

#include <stdio.h>
#include <sys/socket.h>

#include "gateway/access-log.h"
#include "gateway/admin.h"
#include "gateway/error-page.h"
#include "gateway/head-audit.h"
#include "gateway/lodging.h"
#include "gateway/proxy.h"
#include "util/log.h"

#define BAD_CHUNKS "The request's chunks are malformed."
#define DISCARD_MAX                                                                                          \
    (64 * 1024 * 1024) /* bytes read on after an early answer, so that the client gets to see it */

static Proxy *proxy_of(const Exchange *e)
{
    return e->client->proxy;
}

Exchange *exchange_new(Client *c, struct MHD_Connection *mhd, const char *target)
{
    size_t n = target ? strlen(target) : 0;

    client_head_begins(c);
    if (c->exchange) { /* it has come from another hall, to bring its answer to the client */
        c->exchange->mhd = mhd;
        client_head_complete(c);
        return c->exchange;
    }
    Exchange *e = calloc(1, sizeof *e + n + 1);
    if (!e)
        return NULL;
    e->client = c;
    e->mhd = mhd;
    e->raw_target = target;
    e->target_len = n;
    memcpy(e->target, target ?: "", n);
    e->begun = deadlines_now(&c->proxy->deadlines);
    c->exchange = e;
    return e;
}

void exchange_release_upstream(Exchange *e, bool reusable)
{
    e->upstream = upstream_release(e->upstream, reusable);
}

static void stop_lingering(Exchange *e)
{
    if (e->lingering) {
        e->lingering = false;
        hall_linger_end(e->client->hall);
    }
}

/* Was it of the kind that small halls are for? */
static bool is_small(const Exchange *e)
{
    return e->facts.body == REQUEST_BODY_NONE && !e->large_answer && !e->open_ended;
}

void exchange_completed(Exchange *e, bool ok)
{
    if (!e || TAKE_GENERIC(e->moving, false))
        return;
    Client *c = e->client;

    lodging_note(c, is_small(e));
    deadline_clear(&e->wait);
    deadline_clear(&e->total);
    deadline_clear(&e->admission);
    stop_lingering(e);
    exchange_release_upstream(e, false);
    if (e->state != EXCHANGE_SWITCHED && e->routes && route_image_settings(e->routes)->request_log)
        access_log(e, ok);
    if (e->state != EXCHANGE_SWITCHED && !e->admin)
        exchange_count(e, e->ticket.gate);
    ticket_close(&e->ticket);
    admin_exchange_over(e);
    if (e->response)
        MHD_destroy_response(e->response);
    route_image_unref(e->routes);
    tap_next(&c->tap, e->facts.body == REQUEST_BODY_CHUNKED ? c->tap.scanned : e->facts.content_length);
    free(e->authority);
    free(e->out);
    free(e->in);
    free(e);
    client_exchange_over(c);
}

void exchange_poke(Exchange *e)
{
    if (e->suspended) {
        e->suspended = false;
        MHD_resume_connection(e->mhd);
    }
    hall_kick(e->client->hall);
}

bool exchange_suspend(Exchange *e)
{
    if (e->suspended) /* the library hands out the next chunk that it has, suspended or not; twice would break
                         its lists */
        return true;
    stop_lingering(e);
    if (e->client->gone || client_watch(e->client) < 0) {
        exchange_abort(e);
        return false;
    }
    MHD_suspend_connection(e->mhd);
    e->suspended = true;
    return true;
}

void exchange_abort(Exchange *e)
{
    if (e->state == EXCHANGE_ABORTED)
        return;
    e->state = EXCHANGE_ABORTED;
    deadline_clear(&e->wait);
    deadline_clear(&e->total);
    exchange_release_upstream(e, false);
    client_shutdown(e->client);
    exchange_poke(e);
}

void exchange_make_ready(Exchange *e)
{
    Proxy *p = proxy_of(e);

    e->state = EXCHANGE_READY;
    if (e->head_done && !e->request_done) {
        deadline_set(&e->wait, &p->body_idle);
        deadline_set(&e->total, &p->body_total);
    }
    if (e->ticket.state == TICKET_ADMITTED)
        deadline_set(&e->admission, &p->admission);
}

static void on_proceed(Ticket *t, const GateVerdict *verdict)
{
    Exchange *e = container_of(t, Exchange, ticket);

    if (verdict->online)
        exchange_make_ready(e);
    else
        answer_error(e, 503, verdict->why, verdict->retry_after);
    exchange_poke(e);
}

/* "GET blog.example.com/": without the query, which may hold secrets. */
static void write_reason(const Exchange *e, char *buf, size_t size)
{
    size_t path_len = strcspn(e->target, "?#");

    if (e->target[0] != '/') /* absolute-form holds the host already */
        path_len = 0;
    snprintf(buf, size, "%s %.*s%.*s", e->method, (int) MIN(e->facts.host_len, (size_t) 255),
            e->facts.host ?: "", (int) MIN(path_len, (size_t) 200), e->target);
    /* It goes into a D-Bus string, which has to be UTF-8; a target need not be. */
    for (char *c = buf; *c; c++)
        if ((unsigned char) *c < 0x20 || (unsigned char) *c >= 0x7f)
            *c = '?';
}

void exchange_park(Exchange *e, uint32_t dead_epoch)
{
    char reason[512];

    deadline_clear(&e->wait);
    deadline_clear(&e->total); /* the client's time does not run while we make it wait */
    write_reason(e, reason, sizeof reason);
    int r = ticket_park(&e->ticket, dead_epoch, reason);
    if (r == -EBUSY)
        answer_error(e, 503, "Too many requests wait for this service to start.", 5);
    else if (r < 0)
        answer_error(e, 503, "The service manager of dynapm cannot be reached.", 5);
    else
        e->state = EXCHANGE_PARKED;
}

static const RouteEntry *find_route(Exchange *e, bool *ret_host_known)
{
    const RequestFacts *f = &e->facts;

    *ret_host_known = true;
    if (e->client->listener == LISTENER_MAIN)
        return route_image_match_host(
                e->routes, f->host ?: "", f->host_len, f->target, f->target_len, ret_host_known);
    return route_image_match_listener(e->routes, e->client->listener, f->target, f->target_len);
}

/* Has the body's framing watched, and looks at what of it came along with the head. */
static bool check_body(Exchange *e, size_t head_size, RequestRefusal *refusal)
{
    Tap *tap = &e->client->tap;
    const char *end = e->method + head_size;

    size_t n = tap_head(tap, end);
    if (n > 0) /* it does not wait */
        e->facts.expect_continue = false;
    if (e->facts.body != REQUEST_BODY_CHUNKED)
        return true;
    tap_scan(tap, end, n);
    *refusal = (RequestRefusal){400, BAD_CHUNKS};
    return tap->verdict >= 0;
}

/* Everything that can be said of a request by its head, and by what came along with it, alone. False: an
 * answer is ready, after which the connection closes. */
static bool check_head(Exchange *e)
{
    Field fields[REQUEST_FIELDS_MAX];
    RequestRefusal refusal = {};
    size_t n;

    const union MHD_ConnectionInfo *size =
            MHD_get_connection_info(e->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    AuditResult a = head_audit(
            e->mhd, &(RequestLine){e->method, e->raw_target, e->version, e->target_len}, fields, &n);
    RequestHead head = {.method = e->method,
            .target = e->target,
            .version = e->version,
            .target_len = e->target_len,
            .fields = fields,
            .n_fields = n};

    if (a == AUDIT_BAD)
        refusal = (RequestRefusal){400, "The request's header fields are malformed."};
    else if (e->target_len > hall_max_head(e->client->hall) / 2)
        refusal = (RequestRefusal){414, "The request target is too long."};
    else if (a == AUDIT_TOO_MANY || size->header_size > hall_max_head(e->client->hall))
        refusal = (RequestRefusal){431, "The request's header fields are too many or too long."};
    else if (request_check(&head, &e->facts, &refusal) == 0 && check_body(e, size->header_size, &refusal)) {
        if (e->facts.expects && !e->facts.expect_continue)
            interim_forgo(e);
        return true;
    }

    e->close = true;
    e->facts = (RequestFacts){};
    answer_error(e, refusal.status, refusal.sentence, 0);
    return false;
}

bool exchange_find_route(Exchange *e)
{
    Proxy *p = proxy_of(e);
    bool host_known;

    if (e->routes != p->routes) {
        route_image_unref(e->routes);
        e->routes = route_image_ref(p->routes);
    }
    e->route = find_route(e, &host_known);
    if (!e->route) {
        answer_error(e, 404,
                host_known ? "No service is configured for this path."
                           : "No service is configured for this host.",
                0);
        return false;
    }
    Gate *g = gates_get(p->gates, e->route->service);
    if (!g) {
        answer_error(e, 503, "The gateway is out of memory.", 1);
        return false;
    }
    if (e->ticket.gate != g) {
        ticket_close(&e->ticket);
        ticket_open(&e->ticket, g, on_proceed);
    }
    return true;
}

/* The head is complete: is it acceptable, whose is it? Leaves READY, ADMIN, or ANSWERED. */
static void begin(Exchange *e)
{
    client_head_complete(e->client);
    e->routes = route_image_ref(proxy_of(e)->routes);
    if (!check_head(e))
        return;
    if (admin_is_addressed(e))
        admin_begin(e);
    else if (exchange_find_route(e))
        e->state = EXCHANGE_READY;
}

/* Waits for the answer: lingering if it may come at once, else suspended. */
static enum MHD_Result wait_for_answer(Exchange *e)
{
    Proxy *p = proxy_of(e);

    if (e->state == EXCHANGE_WAITING && deadlines_now(&p->deadlines) - e->dispatched < SERVER_LINGER_SPAN) {
        if (e->lingering)
            return MHD_YES;
        if (hall_linger_begin(e->client->hall)) {
            e->lingering = true;
            return MHD_YES;
        }
    }
    return exchange_suspend(e) ? MHD_YES : MHD_NO;
}

/* The request was read to its end, or its body is of no interest: hand the answer over. */
static enum MHD_Result queue_answer(Exchange *e)
{
    stop_lingering(e);
    if (e->large_answer && e->client->small) {
        if (!lodging_take_answer(e))
            exchange_abort(e);
        return MHD_NO;
    }
    return answer_queue(e) ? MHD_YES : MHD_NO;
}

void exchange_refuse_body(Exchange *e, unsigned status)
{
    char answer[128];

    int n = snprintf(answer, sizeof answer,
            "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status,
            status_phrase(status));
    (void) send(e->client->fd, answer, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
    e->status = status;
    exchange_abort(e);
}

void exchange_body_broken(Exchange *e)
{
    if (e->state != EXCHANGE_ABORTED)
        exchange_refuse_body(e, 400);
}

/* The library reads chunks less strictly than RFC 9112 7.1 does: what it makes of them counts only as long as
 * the tap agrees, that there is more to come or that it was all. */
static bool body_is_sound(const Exchange *e, bool more)
{
    const Tap *tap = &e->client->tap;
    return !tap->scanning || e->request_done || (more ? tap->verdict >= 0 : tap->verdict > 0);
}

/* A piece of the body: consumes from *upload_size what it can. */
static enum MHD_Result take_body(Exchange *e, const char *upload, size_t *upload_size)
{
    Proxy *p = proxy_of(e);

    if (e->state == EXCHANGE_ANSWERED) {
        /* The library takes no answer before the request has been read. */
        e->discarded += *upload_size;
        *upload_size = 0;
        if (e->discarded > DISCARD_MAX)
            return MHD_NO;
        deadline_set(&e->wait, &p->body_idle);
        return MHD_YES;
    }
    if (e->state == EXCHANGE_ADMIN) {
        e->discarded += *upload_size;
        *upload_size = 0;
        if (e->discarded > ADMIN_BODY_MAX) {
            exchange_refuse_body(e, 413);
            return MHD_NO;
        }
        deadline_set(&e->wait, &p->body_idle);
        return MHD_YES;
    }
    if (e->state == EXCHANGE_UPLOADING) {
        hall_note_progress(e->client->hall);
        return exchange_upload(e, upload, upload_size) ? MHD_YES : MHD_NO;
    }
    return exchange_suspend(e) ? MHD_YES : MHD_NO; /* parked again: what was read stays where it is */
}

static enum MHD_Result handle_body(Exchange *e, const char *upload, size_t *upload_size)
{
    size_t before = *upload_size;

    enum MHD_Result r = take_body(e, upload, upload_size);
    if (e->ticket.gate)
        gate_count(e->ticket.gate, COUNT_RECEIVED, before - *upload_size);
    return r;
}

enum MHD_Result exchange_handle(
        Exchange *e, const char *method, const char *version, const char *upload, size_t *upload_size)
{
    if (!e)
        return MHD_NO;
    if (e->state == EXCHANGE_HEAD) {
        e->method = method;
        e->version = version;
        begin(e);
    }
    while (e->state == EXCHANGE_READY) /* a kept connection may turn out dead: once more, on a fresh one */
        exchange_dispatch(e);
    if (e->state == EXCHANGE_ABORTED)
        return MHD_NO;

    if (!e->head_done) {
        if (e->state == EXCHANGE_PARKED)
            return exchange_suspend(e) ? MHD_YES : MHD_NO;
        if (interim_is_awaited(e)) {
            interim_await(e);
            return exchange_suspend(e) ? MHD_YES : MHD_NO;
        }
        e->head_done = true;
        /* An answer that is queued now closes the connection, which is what a refused head needs, and a body
         * that was not asked for. */
        bool unasked = e->facts.expect_continue && !e->go_on;
        if (e->state != EXCHANGE_ANSWERED || (!e->close && !unasked))
            return MHD_YES;
        deadline_clear(&e->total);
        return queue_answer(e);
    }
    if (!body_is_sound(e, *upload_size > 0)) {
        exchange_refuse_body(e, 400);
        return MHD_NO;
    }
    if (*upload_size > 0)
        return handle_body(e, upload, upload_size);

    if (!e->request_done) {
        e->request_done = true;
        deadline_clear(&e->total);
        if (e->state == EXCHANGE_ADMIN) {
            deadline_clear(&e->wait);
            admin_request_done(e);
        }
    }
    if (e->state == EXCHANGE_UPLOADING)
        exchange_upload_done(e);
    if (e->state == EXCHANGE_ANSWERED)
        return queue_answer(e);
    if (e->state == EXCHANGE_ABORTED)
        return MHD_NO;
    return wait_for_answer(e);
}
