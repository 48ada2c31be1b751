/* SPDX-License-Identifier: ISC */

/* Events for those who listen, as text/event-stream (WHATWG HTML, 9.2). The manager is asked for signals, and
 * a timer runs, only while somebody does. An event is one text that all streams share. A stream that falls
 * behind is not given more of them: it gets a new snapshot of everything as soon as it has read what it was
 * given, so that what is kept for it has an end.
 *
 * Invariants: a stream that has its snapshot is told everything that came after it, or is `stale`; a stream
 * that is suspended has nothing to say. */

#include <stdio.h>
#include <time.h>

#include "admin/admin-service.h"
#include "build-config.h"
#include "gateway/admin-internal.h"
#include "gateway/proxy.h"
#include "ipc/bus.h"
#include "util/event.h"
#include "util/log.h"

#define STREAMS_MAX 64
#define QUEUE_MAX 64
#define CHANGES_MAX 256
#define SAMPLE_PAUSE USEC_PER_SEC
#define QUIET_MAX 15 /* samples: then a comment, for proxies that cut off who is silent */

struct AdminStream {
    AdminStreams *streams;
    AdminStream *prev, *next;
    Exchange *exchange;
    Event *queue[QUEUE_MAX];
    size_t first, n, at; /* of the ring; `at` bytes of its first were sent */
    bool stale;          /* has no snapshot, or missed something since */
    bool ended;
};

/* A change of state about which the whole service is being asked. */
typedef struct StateChange {
    AdminStreams *streams;
    struct StateChange *prev, *next;
    Look *look;
    char *state, *before, *reason;
} StateChange;

static uint64_t now_ms(void)
{
    struct timespec ts;
    (void) clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}

/* ── streams ── */

static void want_snapshot(AdminStreams *s);

static void drop_from(AdminStream *s, size_t first)
{
    while (s->n > first) {
        s->n--;
        event_unref(s->queue[(s->first + s->n) % QUEUE_MAX]);
    }
}

/* NULL, or no room: it has missed it. */
static void push(AdminStream *s, Event *event)
{
    if (s->ended)
        return;
    if (!event || s->n == QUEUE_MAX) {
        drop_from(s, s->at > 0 ? 1 : 0); /* one that was begun goes on to its end */
        s->stale = true;
    } else {
        s->queue[(s->first + s->n++) % QUEUE_MAX] = event;
        event->n_ref++;
    }
    exchange_poke(s->exchange);
}

/* To all who know what it is about. */
static void publish(AdminStreams *streams, Event *event)
{
    for (AdminStream *s = streams->all; s; s = s->next)
        if (!s->stale)
            push(s, event);
}

ssize_t stream_read(AdminStream *s, char *buf, size_t max)
{
    Exchange *e = s->exchange;
    size_t n = 0;

    while (e->state != EXCHANGE_ABORTED && n < max && s->n > 0) {
        Event *event = s->queue[s->first];
        size_t part = MIN(max - n, event->len - s->at);
        memcpy(buf + n, event->text + s->at, part);
        n += part;
        s->at += part;
        if (s->at < event->len)
            break;
        s->first = (s->first + 1) % QUEUE_MAX;
        s->n--;
        s->at = 0;
        event_unref(event);
    }
    if (n > 0) {
        e->bytes_sent += n;
        deadline_set(&e->wait, &e->client->proxy->client_write);
        hall_note_progress(e->client->hall);
        return (ssize_t) n;
    }
    if (e->state == EXCHANGE_ABORTED) {
        hall_take_down(e->client->hall, e->mhd);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (s->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    deadline_clear(&e->wait);
    if (s->stale)
        want_snapshot(s->streams);
    return exchange_suspend(e) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}

/* ── the snapshot ── */

static void on_snapshot(const LookAnswer *answer, void *userdata)
{
    json_object *found = answer->found;
    AdminStreams *streams = userdata;

    streams->snapshot = NULL;
    if (!found) { /* the manager is going: that ends all streams */
        streams_end(streams);
        return;
    }
    _cleanup_(event_unrefp) Event *event =
            event_from(event_body_new("services", "services", json_object_get(found)), "data: ");
    for (AdminStream *s = streams->all; s; s = s->next) {
        if (!s->stale)
            continue;
        s->stale = false;
        push(s, event);
    }
}

static void want_snapshot(AdminStreams *streams)
{
    if (!streams->snapshot &&
            look_new(&streams->api->looks, LOOK_SERVICES, NULL, on_snapshot, streams, &streams->snapshot) < 0)
        streams_end(streams);
}

/* ── changes of state ── */

static void change_free(StateChange *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        c->streams->changes = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->streams->n_changes--;
    look_cancel(c->look);
    free(c->state);
    free(c->before);
    free(c->reason);
    free(c);
}

/* It may have gone on by now: of the state that it came into nothing is to be missed. */
static void on_changed_service(const LookAnswer *answer, void *userdata)
{
    json_object *found = answer->found;
    StateChange *c = userdata;
    AdminStreams *streams = c->streams;
    json_object *body = NULL;

    c->look = NULL;
    if (found) {
        const char *status_text = streq(c->state, "failed")   ? "offline"
                                  : streq(c->state, "frozen") ? "online"
                                                              : c->state;
        if (admin_json_add(found, "state", json_object_new_string(c->state)) &&
                admin_json_add(found, "status", json_object_new_string(status_text)) &&
                admin_json_add(found, "stateReason", json_object_new_string(c->reason)))
            body = event_body_new("state", "service", json_object_get(found));
        if (body && !admin_json_add(body, "before", json_object_new_string(c->before))) {
            json_object_put(body);
            body = NULL;
        }
        _cleanup_(event_unrefp) Event *event = event_from(body, "data: ");
        publish(streams, event);
    }
    change_free(c);
}

static void all_stale(AdminStreams *streams)
{
    for (AdminStream *s = streams->all; s; s = s->next)
        push(s, NULL);
}

static void state_changed(AdminStreams *streams, sd_bus_message *m)
{
    const char *name, *path, *state, *before, *reason;

    if (sd_bus_message_read(m, "sosss", &name, &path, &state, &before, &reason) < 0)
        return;
    StateChange *c = streams->n_changes < CHANGES_MAX ? new0(StateChange, 1) : NULL;
    if (!c) {
        all_stale(streams);
        return;
    }
    *c = (StateChange){.streams = streams,
            .next = streams->changes,
            .state = strdup(state),
            .before = strdup(before),
            .reason = strdup(reason)};
    if (c->next)
        c->next->prev = c;
    streams->changes = c;
    streams->n_changes++;
    if (!c->state || !c->before || !c->reason ||
            look_new(&streams->api->looks, LOOK_SERVICE, name, on_changed_service, c, &c->look) < 0) {
        change_free(c);
        all_stale(streams);
    }
}

/* ── changes of the configuration ── */

static void service_came_or_went(AdminStreams *streams, sd_bus_message *m, const char *type)
{
    const char *name;

    if (sd_bus_message_read(m, "s", &name) < 0)
        return;
    _cleanup_(event_unrefp) Event *event =
            event_from(event_body_new(type, "name", json_object_new_string(name)), "data: ");
    publish(streams, event);
}

/* What has become of services is in a snapshot, behind what was said before. */
static void reloaded(AdminStreams *streams, sd_bus_message *m)
{
    uint32_t problems;

    if (sd_bus_message_read(m, "u", &problems) < 0)
        return;
    _cleanup_(event_unrefp) Event *event =
            event_from(event_body_new("reloaded", "problems", json_object_new_int64(problems)), "data: ");
    publish(streams, event);
    for (AdminStream *s = streams->all; s; s = s->next) {
        s->stale = true;
        exchange_poke(s->exchange);
    }
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    AdminStreams *streams = userdata;
    const char *member = sd_bus_message_get_member(m);

    if (!member)
        return 0;
    if (streq(member, "StateChanged"))
        state_changed(streams, m);
    else if (streq(member, "ServiceNew"))
        service_came_or_went(streams, m, "new");
    else if (streq(member, "ServiceRemoved"))
        service_came_or_went(streams, m, "removed");
    else if (streq(member, "Reloaded"))
        reloaded(streams, m);
    return 0;
}

/* ── samples ── */

static void on_sample(const LookAnswer *answer, void *userdata)
{
    AdminStreams *streams = userdata;
    json_object *body = NULL, *changed = NULL;

    bool first = !streams->samples.seen; /* snapshots come after it: from there on what is another is told */
    streams->sample = NULL;
    if (!answer->reply || admin_samples_read(&streams->samples, answer->reply, &changed) < 0)
        return;
    if (first || json_object_array_length(changed) == 0) {
        json_object_put(changed);
        return;
    }
    body = event_body_new("sample", "services", changed);
    if (body && !admin_json_add(body, "time", json_object_new_uint64(now_ms()))) {
        json_object_put(body);
        body = NULL;
    }
    _cleanup_(event_unrefp) Event *event = event_from(body, "data: ");
    streams->quiet = 0;
    publish(streams, event);
}

static void ask_sample(AdminStreams *streams)
{
    if (!streams->sample)
        (void) look_new(&streams->api->looks, LOOK_SAMPLE, NULL, on_sample, streams, &streams->sample);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    AdminStreams *streams = userdata;

    streams->ticking = event_arm_timer(streams->api->proxy->event, &streams->timer, SAMPLE_PAUSE, on_timer,
                               streams, "admin-sample") >= 0;
    if (++streams->quiet >= QUIET_MAX) {
        _cleanup_(event_unrefp) Event *comment = event_new(":", "", 0);
        streams->quiet = 0;
        publish(streams, comment);
    }
    ask_sample(streams);
    return 0;
}

/* ── beginning and end ── */

static int call(AdminStreams *streams, const char *method, sd_bus_slot **slot, sd_bus_message_handler_t reply)
{
    sd_bus *bus = link_bus(streams->api->link);

    if (!bus)
        return -ENOTCONN;
    return sd_bus_call_method_async(
            bus, slot, NULL, BUS_PATH, BUS_MANAGER_INTERFACE, method, reply, streams, NULL);
}

static int on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    AdminStreams *streams = userdata;

    streams->subscription = sd_bus_slot_unref(streams->subscription);
    if (sd_bus_message_get_error(m))
        streams_end(streams);
    return 0;
}

static int listen_to_manager(AdminStreams *streams)
{
    sd_bus *bus = link_bus(streams->api->link);
    int r;

    if (!bus)
        return -ENOTCONN;
    if (streams->match)
        return 0;
    if ((r = sd_bus_match_signal(bus, &streams->match, NULL, BUS_PATH, BUS_MANAGER_INTERFACE, NULL, on_signal,
                 streams)) < 0 ||
            (r = call(streams, "Subscribe", &streams->subscription, on_subscribed)) < 0 ||
            (r = event_arm_timer(streams->api->proxy->event, &streams->timer, SAMPLE_PAUSE, on_timer, streams,
                     "admin-sample")) < 0)
        return r;
    ask_sample(streams);
    return 0;
}

static void forget_manager(AdminStreams *streams)
{
    event_disarm(streams->timer);
    streams->subscription = sd_bus_slot_unref(streams->subscription);
    if (streams->match)
        (void) call(streams, "Unsubscribe", NULL, NULL);
    streams->match = sd_bus_slot_unref(streams->match);
    streams->snapshot = look_cancel(streams->snapshot);
    streams->sample = look_cancel(streams->sample);
    while (streams->changes)
        change_free(streams->changes);
    admin_samples_done(&streams->samples);
    streams->quiet = 0;
}

/* Who knows its role can leave out buttons that would be refused, and who knows the port make links of
 * hostnames. */
static Event *greeting(const AdminApi *a, const char *role)
{
    json_object *body = event_body_new("connected", "version", json_object_new_string(DYNAPM_VERSION));
    uint16_t port = listeners_main_port(a->listeners);

    if (body && (!admin_json_add(body, "timestamp", json_object_new_uint64(now_ms())) ||
                        !admin_json_add(body, "role", json_object_new_string(role)) ||
                        !admin_json_add(body, "port", port > 0 ? json_object_new_int(port) : NULL))) {
        json_object_put(body);
        body = NULL;
    }
    return event_from(body, "event: connected\ndata: "); /* the name is DynaPM's */
}

int stream_new(AdminStreams *streams, Exchange *e, const char *role, AdminStream **ret)
{
    if (streams->n >= STREAMS_MAX)
        return -EBUSY;
    AdminStream *s = new0(AdminStream, 1);
    if (!s)
        return -ENOMEM;
    *s = (AdminStream){.streams = streams, .next = streams->all, .exchange = e, .stale = true};
    if (s->next)
        s->next->prev = s;
    streams->all = s;
    streams->n++;
    s->queue[0] = greeting(streams->api, role);
    s->n = s->queue[0] ? 1 : 0;
    int r = listen_to_manager(streams);
    if (r < 0) {
        stream_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

AdminStream *stream_free(AdminStream *s)
{
    if (!s)
        return NULL;
    AdminStreams *streams = s->streams;

    drop_from(s, 0);
    if (s->prev)
        s->prev->next = s->next;
    else
        streams->all = s->next;
    if (s->next)
        s->next->prev = s->prev;
    streams->n--;
    if (streams->n == 0)
        forget_manager(streams);
    return mfree(s);
}

void stream_end(AdminStream *s)
{
    if (s->ended)
        return;
    s->ended = true;
    exchange_poke(s->exchange);
}

void streams_end(AdminStreams *streams)
{
    for (AdminStream *s = streams->all; s; s = s->next)
        stream_end(s);
    /* What comes from another manager is for those who come then. */
    forget_manager(streams);
}

void streams_done(AdminStreams *streams)
{
    assert(!streams->all);
    forget_manager(streams);
    sd_event_source_disable_unref(streams->timer);
}
