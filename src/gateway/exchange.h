/* SPDX-License-Identifier: ISC */
#pragma once

/* One request and its answer, from the first line to the last byte. */

#include <microhttpd.h>

#include "gateway/client.h"
#include "gateway/gate.h"
#include "gateway/upstream.h"
#include "wire/chunked.h"
#include "wire/request-rules.h"
#include "wire/response-head.h"

typedef enum ExchangeState {
    EXCHANGE_HEAD,      /* the request's head is arriving */
    EXCHANGE_PARKED,    /* waits for its service, or for room in a backlog */
    EXCHANGE_READY,     /* may go upstream at the handler's next call */
    EXCHANGE_UPLOADING, /* head sent (or about to be), body on its way */
    EXCHANGE_WAITING,   /* request sent, waits for the answer's head */
    EXCHANGE_ADMIN,     /* is for the admin API, which finds the answer */
    EXCHANGE_ANSWERED,  /* there is an answer, to be queued as soon as the request has been read */
    EXCHANGE_STREAMING, /* the answer is with libmicrohttpd */
    EXCHANGE_SWITCHED,  /* its connection is a tunnel */
    EXCHANGE_ABORTED,   /* the client's connection is to be closed */
    _EXCHANGE_STATE_MAX,
} ExchangeState;

typedef struct Exchange {
    Client *client;
    struct MHD_Connection *mhd;
    ExchangeState state;

    /* How libmicrohttpd sees it. */
    bool suspended;
    bool lingering;
    bool head_done;    /* the handler's first call is over */
    bool request_done; /* the handler's last call has come: the request was read */
    bool close;        /* close the connection after the answer */
    bool large_answer; /* its head is not for a small hall (lodging.h) */
    bool open_ended;   /* it is sent in pieces of what memory its connection has */
    bool moving;       /* to another hall, with its answer */

    /* The request. */
    RequestFacts facts;
    char *authority;              /* a copy, of one whose answer has moved */
    const char *method, *version; /* libmicrohttpd's, until completion */
    const char *raw_target;       /* where it was read to */
    size_t target_len;
    RouteImage *routes;
    const RouteEntry *route;
    Ticket ticket;
    struct AdminExchange *admin; /* NULL: it is for a service */

    /* The way upstream. */
    Upstream *upstream;
    char *out; /* bytes for upstream that its socket did not take yet */
    size_t out_len, out_at;
    uint64_t body_sent;   /* bytes of the body that went (or were put) upstream */
    uint64_t discarded;   /* bytes of the body read after the answer was known */
    uint32_t epoch;       /* of the service when it was dispatched */
    uint8_t dead_reports; /* how often the manager was told that it refuses connections */
    bool fresh, retried;
    bool go_on;           /* the client need not wait with its body any more */
    uint16_t n_interim;   /* answers before the answer */
    bool blocked;         /* an upload waits until upstream takes more */
    bool switching;       /* the answer is a 101, which has to wait for the request's end */
    usec_t backlog_since; /* a unix socket's backlog has been full since then, 0 = is not */

    /* The way back. */
    char *in; /* bytes of the answer that were received ahead */
    size_t in_len, in_at;
    struct MHD_Response *response; /* until queued */
    unsigned status;
    BodyFraming framing;
    ChunkedDecoder chunked;
    uint64_t left; /* BODY_LENGTH: bytes still to come from the socket */
    bool answer_complete;
    bool upstream_keep_alive;
    uint64_t bytes_sent;

    Deadline wait;      /* for whatever it waits for */
    Deadline total;     /* the whole request body */
    Deadline admission; /* how long it may keep others waiting who were parked with it */
    usec_t begun, dispatched, answered;

    char target[]; /* byte for byte as received */
} Exchange;

struct Proxy;

/* exchange-limits.c: sets up the proxy's queues of limits, all unlimited until the settings are known. */
void exchange_init_deadlines(struct Proxy *p);
/* It may go upstream, which it does when the handler is called next. If the library waits for more of its
 * body just now, that is for its client to bring about: within the limits of a body. */
void exchange_make_ready(Exchange *e);
/* The library takes no answer in the middle of a request; as nothing of one was written yet, we may. */
void exchange_refuse_body(Exchange *e, unsigned status);

/* ── called by the server ── */

/* A request's first line was read, of a new one or of one that stands for the client's request whose answer
 * moves here (lodging.h). NULL when out of memory: the handler then closes. */
Exchange *exchange_new(Client *c, struct MHD_Connection *mhd, const char *target);
/* libmicrohttpd's access handler. */
enum MHD_Result exchange_handle(
        Exchange *e, const char *method, const char *version, const char *upload, size_t *upload_size);
/* The only place where an exchange is freed. */
void exchange_completed(Exchange *e, bool ok);

/* ── called from elsewhere in the loop ── */

/* Ends it without an answer. */
void exchange_abort(Exchange *e);
/* Its body has turned out to be none. */
void exchange_body_broken(Exchange *e);

/* The client need not wait with its body any more, if it does. */
void interim_go_on(Exchange *e);

/* ── between exchange.c, exchange-upstream.c, interim.c, answer.c and upgrade.c ── */

/* Does the request have a body that is not empty? */
static inline bool exchange_has_body(const Exchange *e)
{
    return e->facts.body == REQUEST_BODY_CHUNKED ||
           (e->facts.body == REQUEST_BODY_LENGTH && e->facts.content_length > 0);
}

/* Something went wrong with its service. */
static inline void exchange_count_error(const Exchange *e, UpstreamError error)
{
    gate_count(e->ticket.gate, COUNT_ERRORS + error, 1);
}
/* It has come to its end, or to that of HTTP: counts it, for the service of `g`, or as nobody's (NULL). */
void exchange_count(const Exchange *e, const Gate *g);

/* Finds out whose the request is, again where the routes have changed since. False: it has its answer. */
bool exchange_find_route(Exchange *e);

/* Has the handler (or the body's reader) called soon. */
void exchange_poke(Exchange *e);
/* In the handler or the reader only. Returns false when the client has gone: the exchange is aborted then. */
bool exchange_suspend(Exchange *e);
/* Waits for the service; answers by itself when that cannot be. */
void exchange_park(Exchange *e, uint32_t dead_epoch);
/* Forgets what was still to be sent upstream. */
void exchange_drop_out(Exchange *e);
/* Gives up the upstream connection, for good or for the pool. */
void exchange_release_upstream(Exchange *e, bool reusable);

/* READY → UPLOADING or WAITING, or PARKED, or ANSWERED. */
void exchange_dispatch(Exchange *e);
/* Sends body bytes upstream: consumes from *upload_size what it can. May suspend. Returns false when the
 * exchange was aborted. */
bool exchange_upload(Exchange *e, const char *upload, size_t *upload_size);
/* Does the client wait with its body, and should it? */
bool interim_is_awaited(const Exchange *e);
/* For a request whose client has nothing to wait with, or does not wait: libmicrohttpd does not get to say
 * 100, which it would do behind its handler's first call. Without a body it would then call with an empty
 * one, and take no answer at that, where a further request is in its buffer (0.9.75). */
void interim_forgo(Exchange *e);
/* Has interim_go_on() called at the latest after a while. */
void interim_await(Exchange *e);
void interim_init_deadline(struct Proxy *p);
/* The service has sent an interim answer (other than 101). False: one too many. */
bool interim_received(Exchange *e, const ResponseHead *head);
/* The body has ended: UPLOADING → WAITING. */
void exchange_upload_done(Exchange *e);

/* → ANSWERED with a page of our own. `retry_after` in seconds, 0 = none. */
void answer_error(Exchange *e, unsigned status, const char *sentence, unsigned retry_after);
/* → ANSWERED with a response of our own, which is taken; an exchange that was aborted stays so. */
void answer_own(Exchange *e, unsigned status, struct MHD_Response *r);
/* → ANSWERED with what upstream said; data are the bytes behind its head, in a buffer that may be written to.
 */
void answer_from_upstream(Exchange *e, const ResponseHead *head, size_t head_len, char *data, size_t len);
/* Is the 101 an answer to what the request offered? */
bool upgrade_was_offered(const Exchange *e, const ResponseHead *head);
/* The response for a 101, with its Upgrade fields, after which the exchange becomes a tunnel. NULL when out
 * of memory. */
struct MHD_Response *upgrade_response(Exchange *e, const ResponseHead *head);
/* ANSWERED → STREAMING. False: libmicrohttpd refused it, the exchange is aborted. */
bool answer_queue(Exchange *e);
