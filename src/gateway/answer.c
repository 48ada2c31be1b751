/* SPDX-License-Identifier: ISC */

/* The answer's way to the client: from an upstream head, or from an error, to a response of libmicrohttpd. A
 * body that came whole with its head goes out with it in one call, and its connection is free for the next
 * request at once; any other is fetched by the library when the client can take it, straight from the
 * upstream's socket into the library's buffer: a slow client slows its service, and nothing is stored in
 * between.
 *
 * What the library would get wrong by itself: it sends "0\r\n\r\n" after heads that have no body if their
 * length is unknown; it refuses empty field values; it adds a second Date. */

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "gateway/error-page.h"
#include "gateway/exchange.h"
#include "gateway/lodging.h"
#include "gateway/proxy.h"
#include "util/log.h"

/* What is fetched and sent at a time. It is what the kernel puts into one piece of memory when it sends, and
 * stays in the CPU's cache between the two: with four times as much, fewer system calls cost a fifth more. */
#define BLOCK_SIZE (32 * 1024)
#define WHOLE_MAX (96 * 1024)
#define OWN_FIELDS 512 /* what the library and we add to a head, at most */

static bool add_header(struct MHD_Response *r, const char *name, const char *value)
{
    /* An empty value is refused; whitespace around a value is not part of it (RFC 9110 5.5). */
    return MHD_add_response_header(r, name, *value ? value : " ") == MHD_YES;
}

static bool add_date(struct MHD_Response *r)
{
    char date[64];
    time_t now = time(NULL);
    struct tm tm;

    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    gmtime_r(&now, &tm);
    snprintf(date, sizeof date, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
            months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return add_header(r, "Date", date);
}

static bool finish_headers(Exchange *e, struct MHD_Response *r, bool has_date)
{
    return (has_date || add_date(r)) &&
           (!(e->close || e->client->proxy->draining) || add_header(r, "Connection", "close"));
}

static void answered(Exchange *e, struct MHD_Response *r, unsigned status)
{
    deadline_clear(&e->wait);
    exchange_drop_out(e); /* an early answer: the service wants no more */
    e->response = r;
    e->status = status;
    e->answered = deadlines_now(&e->client->proxy->deadlines);
    e->state = EXCHANGE_ANSWERED;
    ticket_answered(&e->ticket);
    if (!e->request_done && exchange_has_body(e)) { /* the rest of it is read and dropped */
        deadline_set(&e->wait, &e->client->proxy->body_idle);
        if (!e->total.queue)
            deadline_set(&e->total, &e->client->proxy->body_total);
    }
}

void answer_error(Exchange *e, unsigned status, const char *sentence, unsigned retry_after)
{
    const char *accept = NULL;
    size_t accept_len = 0;
    ErrorPage page;
    char seconds[16];

    assert(!e->upstream && !e->response);
    (void) MHD_lookup_connection_value_n(
            e->mhd, MHD_HEADER_KIND, "Accept", STRLEN("Accept"), &accept, &accept_len);
    if (error_page_make(status, sentence, accept, accept_len, &page) < 0) {
        exchange_abort(e);
        return;
    }
    struct MHD_Response *r = MHD_create_response_from_buffer(page.len, page.body, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(page.body);
        exchange_abort(e);
        return;
    }
    snprintf(seconds, sizeof seconds, "%u", retry_after);
    if (!add_header(r, "Content-Type", page.content_type) || !add_header(r, "Cache-Control", "no-store") ||
            (retry_after > 0 && !add_header(r, "Retry-After", seconds)) ||
            (status == 405 && !add_header(r, "Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")) ||
            !finish_headers(e, r, false)) {
        MHD_destroy_response(r);
        exchange_abort(e);
        return;
    }
    e->bytes_sent = page.len;
    e->answer_complete = true;
    answered(e, r, status);
}

void answer_own(Exchange *e, unsigned status, struct MHD_Response *r)
{
    if (e->state == EXCHANGE_ABORTED || e->response || !finish_headers(e, r, false)) {
        MHD_destroy_response(r);
        exchange_abort(e);
        return;
    }
    e->answer_complete = true;
    answered(e, r, status);
}

/* The upstream has said all: its connection goes back to the pool if it may and nothing but the answer came.
 */
static void answer_is_complete(Exchange *e, bool excess)
{
    e->answer_complete = true;
    if (e->upstream)
        exchange_release_upstream(e, e->upstream_keep_alive && !excess);
}

/* Copies what was received ahead. */
static size_t take_in(Exchange *e, char *buf, size_t max)
{
    size_t n = MIN(max, e->in_len - e->in_at);

    memcpy(buf, e->in + e->in_at, n);
    e->in_at += n;
    if (e->in_at == e->in_len) {
        e->in = mfree(e->in);
        e->in_len = e->in_at = 0;
    }
    return n;
}

/* Has the service sent more than its answer? The next request on the connection would be answered with that.
 */
static bool has_excess(const Exchange *e)
{
    return !e->upstream || !upstream_is_alive(e->upstream);
}

static ssize_t broken_off(Exchange *e, UpstreamError error)
{
    exchange_count_error(e, error);
    log_service_debug(gate_name(e->ticket.gate), "The service broke off in the middle of an answer.");
    exchange_release_upstream(e, false);
    /* Where only the connection's end marks the body's, an orderly end would make the part look whole. */
    if (e->facts.http_1_0)
        (void) setsockopt(
                e->client->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* Raw bytes of the body: what was received ahead, then the socket's. 0: none now. */
static ssize_t fetch(Exchange *e, char *buf, size_t max)
{
    if (e->in)
        return (ssize_t) take_in(e, buf, max);
    ssize_t n = recv(upstream_fd(e->upstream), buf, max, 0);
    if (n < 0 && errno == EAGAIN) {
        deadline_set(&e->wait, &e->client->proxy->upstream_idle);
        return exchange_suspend(e) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (n == 0 && e->framing == BODY_UNTIL_CLOSE) {
        answer_is_complete(e, true);
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    return n <= 0 ? broken_off(e, UPSTREAM_TRUNCATED) : n;
}

static ssize_t fetch_chunked(Exchange *e, char *buf, size_t max)
{
    if (e->in) /* was decoded when it came with the head */
        return (ssize_t) take_in(e, buf, max);
    if (e->answer_complete)
        return MHD_CONTENT_READER_END_OF_STREAM;
    for (;;) {
        ssize_t n = fetch(e, buf, max);
        if (n <= 0)
            return n;
        size_t len = (size_t) n, consumed;
        int r = chunked_decode(&e->chunked, buf, &len, &consumed);
        if (r < 0)
            return broken_off(e, UPSTREAM_BAD_ANSWER);
        if (r > 0)
            answer_is_complete(e, consumed < (size_t) n || has_excess(e));
        if (len > 0)
            return (ssize_t) len;
        if (r > 0)
            return MHD_CONTENT_READER_END_OF_STREAM;
    }
}

static ssize_t fetch_body(Exchange *e, char *buf, size_t max)
{
    ssize_t n;

    if (e->state == EXCHANGE_ABORTED)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    switch (e->framing) {
    case BODY_CHUNKED:
        return fetch_chunked(e, buf, max);
    case BODY_LENGTH:
        n = fetch(e, buf, (size_t) MIN((uint64_t) max, e->left));
        if (n > 0) {
            e->left -= (uint64_t) n;
            if (e->left == 0)
                answer_is_complete(e, e->in || has_excess(e));
        }
        return n;
    default:
        return fetch(e, buf, max);
    }
}

static ssize_t on_read(void *cls, uint64_t at, char *buf, size_t max)
{
    Exchange *e = cls;
    Hall *hall = e->client->hall;

    ssize_t n = fetch_body(e, buf, max);
    if (n == MHD_CONTENT_READER_END_WITH_ERROR)
        hall_take_down(hall, e->mhd);
    else if (n > 0) {
        e->bytes_sent += (uint64_t) n;
        gate_count(e->ticket.gate, COUNT_SENT, (uint64_t) n);
        deadline_set(&e->wait, &e->client->proxy->client_write);
        hall_note_progress(hall);
    }
    return n;
}

static struct MHD_Response *make_streaming(Exchange *e, uint64_t size)
{
    size_t block = BLOCK_SIZE;

    e->open_ended = size == MHD_SIZE_UNKNOWN;
    if (e->open_ended)
        /* Chunks are built in the connection's own memory; who does not know them gets plain blocks until the
         * end. */
        block = e->facts.http_1_0 ? BLOCK_SIZE : 64;
    else if (size < block)
        block = (size_t) MAX(size, UINT64_C(64));
    return MHD_create_response_from_callback(size, block, on_read, e, NULL);
}

/* An answer that has no body, whatever its fields say. */
static struct MHD_Response *make_bodyless(Exchange *e, const ResponseHead *h, bool excess)
{
    struct MHD_Response *r;

    answer_is_complete(e, excess);
    if (h->status == 204)
        return MHD_create_response_from_buffer(0, (void *) "", MHD_RESPMEM_PERSISTENT);
    if (h->has_content_length)
        return make_streaming(e, h->content_length);
    /* Of unknown length, and not to be called chunked: the library then has the connection's end as the only
     * end. */
    r = make_streaming(e, MHD_SIZE_UNKNOWN);
    if (r)
        (void) MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return r;
}

/* Keeps body bytes that came with the head. */
static bool keep_in(Exchange *e, const char *data, size_t len)
{
    if (len == 0)
        return true;
    e->in = memdup_bytes(data, len);
    e->in_len = len;
    e->in_at = 0;
    return e->in;
}

static struct MHD_Response *make_response(
        Exchange *e, const ResponseHead *h, char *data, size_t len, bool *ret_bad)
{
    size_t body = len, consumed = 0;
    int r;

    e->framing = h->framing;
    /* Whose request was not taken whole will not take another. */
    e->upstream_keep_alive = h->keep_alive && e->request_done && !e->out;
    switch (h->framing) {
    case BODY_NONE:
        if (h->status == 101)
            return keep_in(e, data, len) ? upgrade_response(e, h) : NULL;
        return make_bodyless(e, h, len > 0); /* what follows makes the connection unfit for reuse */
    case BODY_LENGTH:
        if (len >= h->content_length && h->content_length <= WHOLE_MAX) {
            answer_is_complete(e, len > h->content_length);
            e->bytes_sent = h->content_length;
            return MHD_create_response_from_buffer((size_t) h->content_length, data, MHD_RESPMEM_MUST_COPY);
        }
        e->left = h->content_length;
        e->upstream_keep_alive &= len <= h->content_length;
        len = (size_t) MIN((uint64_t) len, h->content_length);
        return keep_in(e, data, len) ? make_streaming(e, h->content_length) : NULL;
    case BODY_CHUNKED:
        r = chunked_decode(&e->chunked, data, &body, &consumed);
        if (r < 0) {
            *ret_bad = true;
            return NULL;
        }
        if (r > 0) {
            answer_is_complete(e, consumed < len);
            e->bytes_sent = body;
            return MHD_create_response_from_buffer(body, data, MHD_RESPMEM_MUST_COPY);
        }
        return keep_in(e, data, body) ? make_streaming(e, MHD_SIZE_UNKNOWN) : NULL;
    default:
        return keep_in(e, data, len) ? make_streaming(e, MHD_SIZE_UNKNOWN) : NULL;
    }
}

/* Passes on all that is end to end. The head's buffer is ours: names and values get their NUL in place of ':'
 * and CR. */
static bool copy_headers(Exchange *e, struct MHD_Response *r, const ResponseHead *h)
{
    bool has_date = false;

    for (uint32_t i = 0; i < h->n_fields; i++) {
        const Field *f = &h->fields[i];
        if (field_is_hop_by_hop(f) || field_is(f, "content-length") ||
                connection_options_nominate(&h->connection, f))
            continue;
        has_date |= field_is(f, "date");
        ((char *) f->name)[f->name_len] = 0;
        ((char *) f->value)[f->value_len] = 0;
        if (!add_header(r, f->name, f->value))
            return false;
    }
    return h->status == 101 || finish_headers(e, r, has_date);
}

typedef struct PoolUse {
    size_t bytes;
} PoolUse;

static enum MHD_Result on_any_value(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
        const char *value, size_t value_len)
{
    PoolUse *u = cls;
    u->bytes += 80; /* the library's record of it */
    if (kind == MHD_COOKIE_KIND)
        u->bytes += name_len + value_len + 4; /* of which it keeps a copy */
    return MHD_YES;
}

/* The library builds an answer's head in what the request has left of its memory, and closes without a word
 * where that does not do. `always`: what there is room for in any case. */
static bool head_fits(Exchange *e, size_t head_len, size_t pool, size_t always)
{
    PoolUse u = {};
    const union MHD_ConnectionInfo *size;

    if (head_len < always)
        return true;
    size = MHD_get_connection_info(e->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    (void) MHD_get_connection_values_n(
            e->mhd, MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND, on_any_value, &u);
    return size && size->header_size + u.bytes + head_len + OWN_FIELDS < pool;
}

/* Where the client is, or after it has moved: a small hall is left for an answer that is too large, which is
 * the last that happens on the connection. */
static bool make_fit(Exchange *e, size_t head_len)
{
    Client *c = e->client;
    size_t pool = c->small ? server_pool_size(c->proxy->server) : hall_pool_size(c->hall);

    e->large_answer = head_len >= SMALL_ANSWER - OWN_FIELDS;
    bool fits = !c->small && head_fits(e, head_len, pool, 4096); /* twice the largest request head */
    if (c->small) {
        e->large_answer = !head_fits(e, head_len, SMALL_POOL, SMALL_ANSWER - OWN_FIELDS);
        fits = !e->large_answer || head_fits(e, head_len, pool, 0);
    }
    if (!fits) {
        e->large_answer = false;
        return false;
    }
    e->close |= c->small && e->large_answer;
    return true;
}

void answer_from_upstream(Exchange *e, const ResponseHead *head, size_t head_len, char *data, size_t len)
{
    bool bad = false;

    if (!make_fit(e, head_len)) {
        exchange_release_upstream(e, false);
        exchange_count_error(e, UPSTREAM_BAD_ANSWER);
        answer_error(e, 502, "The service sent an answer with too large a head.", 0);
        return;
    }
    struct MHD_Response *r = make_response(e, head, data, len, &bad);
    if (bad) {
        exchange_release_upstream(e, false);
        exchange_count_error(e, UPSTREAM_BAD_ANSWER);
        answer_error(e, 502, "The service sent an answer that is not valid HTTP.", 0);
        return;
    }
    if (!r || !copy_headers(e, r, head)) {
        if (r)
            MHD_destroy_response(r);
        exchange_abort(e);
        return;
    }
    answered(e, r, head->status);
}

bool answer_queue(Exchange *e)
{
    Proxy *p = e->client->proxy;

    if (e->ticket.gate && !e->facts.is_head) /* what comes whole; on_read() counts the rest as it goes */
        gate_count(e->ticket.gate, COUNT_SENT, e->bytes_sent);
    enum MHD_Result r = MHD_queue_response(e->mhd, e->status, e->response);
    MHD_destroy_response(TAKE_PTR(e->response));
    if (r != MHD_YES) {
        exchange_abort(e);
        return false;
    }
    e->state = EXCHANGE_STREAMING;
    deadline_set(&e->wait, &p->client_write);
    hall_note_progress(e->client->hall);
    return true;
}
