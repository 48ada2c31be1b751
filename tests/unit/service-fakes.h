/* SPDX-License-Identifier: ISC */
#pragma once

/* The state machine alone: backend and probe are played by this file, which defines their functions instead
 * of linking them, so that every order of events can be had. */

#include <stdio.h>

#include "service/service.h"
#include "tests/unit/loop.h"
#include "util/log.h"

struct Backend {
    const BackendEvents *events;
    void *userdata;
    bool has_process;
    bool refuses; /* starts fail at once */
    unsigned starts, stops, checks, readies;
};

struct Probe {
    ProbeDone done;
    void *userdata;
    bool running;
    ProbeMode mode;
    unsigned starts;
};

static Backend backend;
static const ServiceConfig *backend_config; /* of which it was made */
static Probe probe;

int backend_new(const BackendContext *context, const ServiceConfig *config, const BackendEvents *events,
        void *userdata, Backend **ret, const char **ret_why)
{
    backend = (Backend){.events = events, .userdata = userdata};
    backend_config = config;
    *ret = &backend;
    return 0;
}

Backend *backend_free(Backend *b)
{
    return NULL;
}

ProcessSpec backend_spec(const Backend *b, const char *const *argv)
{
    return (ProcessSpec){.argv = argv};
}

bool backend_ends_with_us(const Backend *b)
{
    return true;
}

const char *backend_name(const Backend *b)
{
    return "fake";
}

int backend_start(Backend *b, char **ret_why)
{
    b->starts++;
    if (b->refuses) {
        *ret_why = strdup("cannot execute nod: No such file or directory");
        return -ENOENT;
    }
    b->has_process = true;
    return 0;
}

void backend_set_ready(Backend *b)
{
    b->readies++;
}

int backend_stop(Backend *b)
{
    b->stops++;
    return 0;
}

int backend_check(Backend *b)
{
    b->checks++;
    return 0;
}

bool backend_has_process(const Backend *b)
{
    return b->has_process;
}

const char *backend_unit(const Backend *b)
{
    return NULL;
}

pid_t backend_main_pid(const Backend *b)
{
    return b->has_process ? 4711 : 0;
}

void backend_usage(Backend *b, ResourceUsage *ret)
{
    *ret = RESOURCE_USAGE_UNKNOWN;
}

usec_t backend_launched_at(const Backend *b)
{
    return 0;
}

int probe_new(
        const ProbeContext *context, const ServiceConfig *config, ProbeDone done, void *userdata, Probe **ret)
{
    probe = (Probe){.done = done, .userdata = userdata};
    *ret = &probe;
    return 0;
}

Probe *probe_free(Probe *p)
{
    if (p)
        p->running = false;
    return NULL;
}

int probe_start(Probe *p, ProbeMode mode)
{
    p->running = true;
    p->mode = mode;
    p->starts++;
    return 0;
}

void probe_stop(Probe *p)
{
    if (p)
        p->running = false;
}

const char *probe_last_error(const Probe *p)
{
    return "connection refused";
}

/* What the world does. */

static inline void becomes_ready(void)
{
    assert_true(probe.running);
    probe.running = false;
    probe.done(&probe, 0, "ready", probe.userdata);
}

static inline void is_not_ready(void)
{
    assert_true(probe.running && probe.mode == PROBE_ONCE);
    probe.running = false;
    probe.done(&probe, -ECONNREFUSED, "connection refused", probe.userdata);
}

static inline void fails_to_start(void)
{
    backend.has_process = false;
    backend.events->start_failed(&backend, "exited with status 1", backend.userdata);
}

static inline void exits(void)
{
    backend.has_process = false;
    backend.events->exited(&backend, "exited with status 0", backend.userdata);
}

static inline void has_stopped(void)
{
    backend.has_process = false;
    backend.events->stopped(&backend, "stopped", backend.userdata);
}

typedef struct Fixture {
    Loop loop;
    ServiceHost host;
    ServiceConfig config;
    Service *service;
    ServiceActivity activity;
    unsigned changes;
    ServiceState published;
} Fixture;

static inline void read_activity(Service *s, ServiceActivity *ret, void *userdata)
{
    *ret = ((Fixture *) userdata)->activity;
}

static inline void watch_activity(Service *s, bool on, void *userdata)
{
}

static inline void state_changed(
        Service *s, ServiceState from, ServiceState to, const char *reason, void *userdata)
{
    Fixture *f = userdata;

    assert_int_equal(from, f->published); /* each transition is told, once */
    assert_int_equal(to, service_state(s));
    assert_true(strlen(reason) > 0);
    f->published = to;
    f->changes++;
}

static inline int set_up(void **state)
{
    Fixture *f = new0(Fixture, 1);

    f->loop = loop_new();
    f->host = (ServiceHost){
            .backend = {.event = f->loop.event, .commands = &f->loop.commands, .state_dir_fd = -EBADF},
            .read_activity = read_activity,
            .watch_activity = watch_activity,
            .state_changed = state_changed,
            .userdata = f};
    f->config = (ServiceConfig){.n_ref = 1,
            .name = (char *) "blog",
            .kind = SERVICE_COMMANDS,
            .health_check = {.type = HEALTH_CHECK_TCP},
            .idle_timeout = USEC_INFINITY,
            .start_timeout = PATIENCE,
            .stop_timeout = PATIENCE};
    assert_int_equal(service_new(&f->host, &f->config, 7, &f->service), 0);
    assert_int_equal(service_slot(f->service), 7);
    assert_string_equal(service_name(f->service), "blog");
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    Fixture *f = *state;
    service_free(f->service);
    loop_done(&f->loop);
    free(f);
    return 0;
}

typedef struct Answer {
    unsigned n, order;
    bool online;
    uint32_t epoch;
    unsigned retry_after;
    char why[200];
    Fixture *then; /* does something of its own when answered */
    void (*act)(Fixture *f, struct Answer *a);
    struct Answer *next;
} Answer;

static unsigned n_answers;

static inline void on_done(Service *s, const WakeResult *r, void *userdata)
{
    Answer *a = userdata;

    a->n++;
    a->order = ++n_answers;
    a->online = r->online;
    a->epoch = r->epoch;
    a->retry_after = r->retry_after;
    if (a->act)
        a->act(a->then, a); /* before `why` is read: it must stay readable */
    snprintf(a->why, sizeof a->why, "%s", r->why ?: "");
}

static inline Waiter *wake(Fixture *f, Answer *a, uint32_t dead_epoch)
{
    Waiter *w = NULL;
    assert_int_equal(service_wake(f->service, dead_epoch, "GET blog/", on_done, a, &w), 0);
    assert_int_equal(w != NULL, a->n == 0);
    return w;
}

static inline void assert_state(Fixture *f, ServiceState state)
{
    assert_string_equal(service_state_to_string(service_state(f->service)), service_state_to_string(state));
}

static inline void bring_online(Fixture *f)
{
    Answer a = {};
    wake(f, &a, 0);
    assert_state(f, SERVICE_STARTING);
    becomes_ready();
    assert_true(a.online);
    assert_state(f, SERVICE_ONLINE);
}
