/* SPDX-License-Identifier: ISC */
#pragma once

/* What service.c (the outside), lifecycle.c (states), waiters.c (who waits), idle.c (when to stop) and
 * change.c (other definitions) share. */

#include "service/service.h"

typedef struct WaiterList {
    Waiter *head, *tail;
    uint64_t last; /* number of the one that came last */
} WaiterList;

struct Service {
    const ServiceHost *host;
    ServiceConfig *config;
    uint32_t slot;
    ServiceConfig *made_of; /* what backend and probe were made of: it may run by an earlier definition */
    Backend *backend;       /* NULL: never started or stopped */
    Probe *probe;
    const char *unsupported; /* why a service of this kind cannot be started; static */

    ServiceState state;
    uint32_t epoch;
    usec_t since;      /* of the state */
    char *reason;      /* of the last transition; NULL: there was none, or no memory for it */
    bool recovering;   /* OFFLINE, and finding out whether that is true */
    bool freeing;      /* service_free() is answering who waits */
    bool removed;      /* it is not configured any more, and goes when nothing of it runs */
    bool verifying;    /* STARTING, and whether it still runs is what the probe is to say */
    char *failure;     /* why the last start failed: until the next one begins */
    char *wake_reason; /* of the first who waits */
    WaiterList waiters;
    Turn turn; /* STARTING: awaited, nothing of it runs; or taken, for as long as that takes */
    usec_t asked_for_turn, start_began;

    ServiceHistory history; /* of times in a state, the state that it is in now left out */
    usec_t last_start;      /* how long the last that came to be ready took */
    usec_t asleep_since;    /* OFFLINE, and known to be; else 0 */

    unsigned n_failures; /* in a row, for the back-off */

    usec_t backoff_until;
    bool retiring; /* STOPPING, and waiting for what is in flight */
    bool watched;  /* the gateways are asked to tell when it falls idle */

    sd_event_source *start_timer, *idle_timer, *backoff_timer, *retire_timer;
};

/* service.c */

/* It is known now whether it runs, or of no interest any more. */
void service_end_recovery(Service *s);
/* What someone is told who asks now; false: has to wait. *ret is good until the state changes. */
bool service_answer_now(const Service *s, WakeResult *ret);

/* lifecycle.c */

/* The only place where a state changes. Takes from the service what the new state has no right to, logs,
 * publishes. */
void service_set_state(Service *s, ServiceState to, const char *reason);
/* OFFLINE or ONLINE → STARTING → …, as soon as it is its turn. */
void service_launch(Service *s, const char *reason);
void service_on_turn(Turn *turn);
/* Is it STARTING only in that it waits for its turn to? */
bool service_is_queued(const Service *s);
/* ONLINE → STARTING: a gateway could not connect. */
void service_verify(Service *s);
/* → STOPPING, and on to OFFLINE. */
void service_begin_stop(Service *s, const char *reason);
unsigned service_retry_after(const Service *s);
/* It is being found out whether it runs: who waits does so no longer than for a start. 0 or -errno. */
int service_limit_recovery(Service *s);
extern const BackendEvents service_backend_events;
void service_on_probe_done(Probe *p, int r, const char *why, void *userdata);

/* Notes that a start has ended. */
void service_note_start(Service *s, StartResult result);

/* change.c */

/* Makes backend and probe of the definition that it has now. 0 or -errno. */
int service_make(Service *s);
void service_unmake(Service *s);
/* Is it not what its definition says now? */
bool service_is_outdated(const Service *s);
/* Nothing of it runs: if it is outdated, it becomes what its definition says, and whether that runs is found
 * out. Returns whether it is; who waits goes on waiting then. Whatever the backend was is gone. */
bool service_renew(Service *s);

/* waiters.c */

int waiters_add(Service *s, WakeDone done, void *userdata, Waiter **ret);
/* Does the one with this number still wait? */
bool waiters_has(const Service *s, uint64_t number);
/* A copy that stays good whatever a callback does to the service; *ret_why is freed by the caller. */
WakeResult waiters_lasting(const WakeResult *result, char **ret_why);
/* Answers all who wait now, in the order in which they came. They may wake or stop the service, or cancel
 * others. Who comes meanwhile is answered after them, if there is an answer by then. */
void waiters_answer(Service *s, const WakeResult *result);

/* idle.c */

/* When the idle clock will stop it if nobody comes; USEC_INFINITY: not by what is known now. */
usec_t idle_deadline(Service *s);
/* The service is online: its clock starts, or runs on. */
void idle_arm(Service *s);
void idle_disarm(Service *s);
/* Waits for nothing any more: it is stopped at once. */
void retire_now(Service *s);
