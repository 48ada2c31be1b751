/* SPDX-License-Identifier: ISC */
#pragma once

/* Between admin.c (requests), admin-answer.c, admin-look.c (asking the manager) and admin-stream.c (events).
 */

#include <json-c/json.h>

#include "admin/admin-request.h"
#include "admin/admin-sample.h"
#include "gateway/admin.h"

typedef struct Look Look;
typedef struct AdminStream AdminStream;
typedef struct LogReader LogReader;

typedef struct Looks {
    AdminApi *api;
    Look *first, *last;
    size_t n;
    sd_bus_slot *call;
} Looks;

typedef struct AdminStreams {
    AdminApi *api;
    AdminStream *all;
    size_t n;
    sd_bus_slot *match, *subscription;
    sd_event_source *timer;
    AdminSamples samples; /* as they were told last */
    Look *snapshot, *sample;
    struct StateChange *changes;
    size_t n_changes;
    unsigned quiet; /* turns of the timer without anything to tell */
    bool ticking;
} AdminStreams;

typedef struct AdminExchange {
    AdminApi *api;
    struct AdminExchange *prev, *next;
    Exchange *exchange;
    AdminRequest request;
    char client[INET6_ADDRSTRLEN]; /* for the log */
    sd_bus_slot *call;
    Look *look;
    AdminStream *stream;
    LogReader *logs;
} AdminExchange;

struct AdminApi {
    struct Proxy *proxy;
    Link *link;
    const Listeners *listeners;
    AdminExchange *exchanges;
    Looks looks;
    AdminStreams streams;
    usec_t warned;
    unsigned n_unsaid;
};

/* ── admin-client.c ── */

/* The value of a request's field, not terminated, until the request's end; NULL: there is none. */
const char *admin_field(const Exchange *e, const char *name, size_t *ret_len);
/* Did it come through a unix socket that is the API's alone? */
bool admin_is_local(const Exchange *e);
/* Who asks: the client behind the proxies that are trusted. False: they do not say. */
bool admin_find_client(const Exchange *e, uint8_t address[static 16]);
void admin_write_client(AdminExchange *x, const uint8_t address[static 16]);

/* ── admin-answer.c: each → ANSWERED ── */

/* `text` is taken. */
void admin_answer_json(Exchange *e, unsigned status, char *text, size_t len);
/* {"error": SENTENCE}; `allow` is for 405, else NULL. */
void admin_answer_error(Exchange *e, unsigned status, const char *sentence, const char *allow);
/* The reply to a call of the manager's was no good. */
void admin_answer_failure(Exchange *e, const sd_bus_error *error);
void admin_answer_asset(Exchange *e, const AdminAsset *asset);
/* `fd` stays the caller's. */
void admin_answer_metrics(Exchange *e, int fd, bool openmetrics);
void admin_answer_redirect(Exchange *e, const char *where);
void admin_answer_stream(Exchange *e, AdminStream *stream);
#define ADMIN_MANAGER_AWAY "The service manager of dynapm cannot be reached."

/* ── admin-look.c ──
 *
 * The manager bears only few unread answers about all services from us: one question at a time goes to it,
 * and whoever has the same one while it waits gets the same answer. */

typedef enum LookKind {
    LOOK_SERVICES, /* an array */
    LOOK_SERVICE,  /* an object, NULL: there is none of that name */
    LOOK_SAMPLE,   /* the reply itself, for one who asks */
    LOOK_METRICS,  /* a file for Prometheus */
    LOOK_OPENMETRICS,
} LookKind;

/* Borrowed. `status` other than 0: the question could not be answered. */
typedef struct LookAnswer {
    json_object *found;
    sd_bus_message *reply;
    int fd; /* of metrics, to be read from 0 on */
    unsigned status;
} LookAnswer;

/* The look is gone by then. */
typedef void (*LookDone)(const LookAnswer *answer, void *userdata);

/* `name` is the service's. *ret is good until `done`, which does not come before this returns. Returns 0,
 * -ENOTCONN, -EBUSY when too many wait, or -errno. */
int look_new(Looks *l, LookKind kind, const char *name, LookDone done, void *userdata, Look **ret);
/* Forgets it; NULL is accepted. */
Look *look_cancel(Look *look);
/* None is answered any more: each is told so. */
void looks_lost(Looks *l);

/* ── admin-logs.c ── */

/* Reads lines from fd, which stays the caller's, and answers with them; x->logs is NULL by then. 0 or -errno.
 */
int log_reader_new(AdminExchange *x, int fd, LogReader **ret);
/* Forgets it; NULL is accepted. */
LogReader *log_reader_free(LogReader *l);

/* ── admin-event.c ── */

typedef struct Event {
    unsigned n_ref;
    size_t len;
    char text[];
} Event;

/* BEFORE TEXT and the empty line that ends an event. NULL: out of memory. */
Event *event_new(const char *before, const char *text, size_t len);
/* The same of a body, which is taken, and may be NULL. */
Event *event_from(json_object *body, const char *before);
Event *event_unref(Event *e);
DEFINE_CLEANUP(Event *, event_unref)

/* {"type": TYPE, KEY: VALUE}; `value` is taken. NULL: out of memory. */
json_object *event_body_new(const char *type, const char *key, json_object *value);

/* ── admin-stream.c ── */

/* Opens a stream for an exchange of somebody who is `role`, a BUS_ROLE_*. Returns 0, -EBUSY, or -errno. */
int stream_new(AdminStreams *s, Exchange *e, const char *role, AdminStream **ret);
/* Forgets it; NULL is accepted. */
AdminStream *stream_free(AdminStream *s);
/* The next bytes, as libmicrohttpd's reader has to return them. */
ssize_t stream_read(AdminStream *s, char *buf, size_t max);
/* It ends when it has sent what it has begun. */
void stream_end(AdminStream *s);
/* Each ends when it has sent what it has begun. */
void streams_end(AdminStreams *s);
void streams_done(AdminStreams *s);
