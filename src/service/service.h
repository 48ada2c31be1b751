/* SPDX-License-Identifier: ISC */
#pragma once

/* One service's life: offline → starting → online → stopping → offline, and failed while a back-off runs. The
 * only place where a state changes. Knows no HTTP and no D-Bus: wakes come in as calls with a callback,
 * activity is read through a function. */

#include <systemd/sd-event.h>

#include "backend/backend.h"
#include "ipc/counters.h"
#include "ipc/state.h"
#include "probe/probe.h"
#include "service/turns.h"

typedef struct Service Service;

/* Sum over all workers, from the shared table. `last_activity`: CLOCK_MONOTONIC µs of the last end of an
 * exchange, 0 = never. */
typedef struct ServiceActivity {
    uint64_t active;
    uint64_t in_flight; /* of these, those that do not wait for it */
    uint64_t waiting;   /* and those that do */
    usec_t last_activity;
    uint64_t requests; /* exchanges begun since the manager began, for whom it may concern: nothing here does
                        */
} ServiceActivity;

typedef struct ServiceHost {
    BackendContext backend;
    Turns *turns; /* for starts; NULL: as many at the same time as come */
    /* Reads what the gateways do with the service now. */
    void (*read_activity)(Service *s, ServiceActivity *ret, void *userdata);
    /* Asks the gateways to tell (or no longer) when nothing is open with it any more:
     * service_activity_changed(). */
    void (*watch_activity)(Service *s, bool on, void *userdata);
    /* Called by service_set_state() after each transition, to publish it (table, signal). */
    void (*state_changed)(Service *s, ServiceState from, ServiceState to, const char *reason, void *userdata);
    /* The state is as it was, but its reason is not: a service's turn to start has come. NULL: nobody wants
     * to know. */
    void (*reason_changed)(Service *s, void *userdata);
    /* What service_recover() began has ended; NULL: nobody wants to know. */
    void (*recovered)(Service *s, void *userdata);
    void *userdata;
} ServiceHost;

/* The answer to a wake. */
typedef struct WakeResult {
    bool online;
    uint32_t epoch;  /* of this being online */
    const char *why; /* when not: a sentence for the client, such as "blog could not be started: exited with
                        status 1" */
    unsigned retry_after; /* when not: seconds until it is worth asking again, at least 1 */
} WakeResult;
typedef void (*WakeDone)(Service *s, const WakeResult *result, void *userdata);
typedef struct Waiter Waiter;

/* `host` must outlive it; `slot` is its place in the table. Logs nothing on failure. */
int service_new(const ServiceHost *host, ServiceConfig *config, uint32_t slot, Service **ret);
Service *service_free(
        Service *s); /* waiters get their answer (not online, "shutting down"); processes are left alone */
DEFINE_CLEANUP(Service *, service_free)

const ServiceConfig *service_config(const Service *s);
const char *service_name(const Service *s);
uint32_t service_slot(const Service *s);
ServiceState service_state(const Service *s);
uint32_t service_epoch(const Service *s); /* grows by one each time it comes online; 0 = never was */

/* Finds out whether it already runs (remembered processes, `check`, for neither: nothing) and adopts it:
 * online with the idle clock armed. Wakes that come meanwhile wait for the outcome. `recovered`
 * follows always, possibly before this returns, but for -errno. */
int service_recover(Service *s);

/* Someone needs it. `dead_epoch`: the caller could not connect to the service of this epoch before it sent a
 * byte (0: has not tried); if that is still the current epoch, readiness is checked again, and the service
 * restarted if its process is gone. `reason` is for the log ("GET blog.example.com/"). `done` is called
 * exactly once, in order of calls, possibly before this returns; *ret is valid until then (NULL after), for
 * service_waiter_cancel(). */
int service_wake(
        Service *s, uint32_t dead_epoch, const char *reason, WakeDone done, void *userdata, Waiter **ret);
/* Forgets a waiter without calling back. NULL is accepted. */
void service_waiter_cancel(Waiter *w);

/* Are its processes ours, to be ended when the manager ends? */
bool service_ends_with_us(const Service *s);

/* Stops it now, whatever is open; `reason` for the log. Returns 0, also when it is offline already. */
int service_stop(Service *s, const char *reason);

/* Another definition of the same name holds from now on. What it says about time and about being idle counts
 * at once. Where it says something else about how the service is started, found ready or stopped, what runs
 * goes on running and is stopped by the definition that it was started with: when it is idle, when somebody
 * stops it, or when a gateway finds that it does not listen where it is expected now. A start under way
 * begins anew. One that was removed is there again, without a stop if nothing was stopped yet. */
void service_reconfigure(Service *s, ServiceConfig *config);

/* It is not configured any more: stops as soon as nothing is in flight, however long that takes; is not
 * started again; who waits is told. */
void service_remove(Service *s);
/* Is it ours to start and stop? Of one that runs by an earlier definition that one says so. */
bool service_is_managed(const Service *s);
/* Was it removed, and does nothing of it run any more? Then it is to be freed. */
bool service_is_gone(const Service *s);
bool service_is_removed(const Service *s);
/* Is it being found out whether it runs? */
bool service_is_recovering(const Service *s);

/* Stops it as soon as nothing is in flight, at the latest after `limit` µs (USEC_INFINITY: whenever that is):
 * requests that come meanwhile wait, and find it offline when it is. Where it is not online, the same as
 * service_stop(). */
int service_retire(Service *s, const char *reason, usec_t limit);

/* As someone who knows better wishes, who does not wait for a back-off: starts it, or first stops it whatever
 * is open (who waits for it goes on waiting). Then as service_wake(). */
int service_start(Service *s, const char *reason, WakeDone done, void *userdata, Waiter **ret);
int service_restart(Service *s, const char *reason, WakeDone done, void *userdata, Waiter **ret);

/* How it is, for people. Strings are the service's until its state changes, "" where there is nothing to say;
 * times are CLOCK_MONOTONIC; what is counted is counted since the manager began. */
typedef struct ServiceStatus {
    ServiceState state;
    const char *reason; /* of the last transition, or what it waits for that is not its own */
    usec_t since;       /* of the state */
    const char *wake_reason;
    const char *failure;  /* why the last start failed, or why there can be none */
    usec_t retry_at;      /* FAILED: when it may be started again; else 0 */
    usec_t idle_deadline; /* when it will be stopped if nobody comes; USEC_INFINITY: not by what is known */
    uint64_t n_starts;    /* that came to be ready */
    usec_t uptime;        /* time online */
    usec_t last_start;    /* how long it took, 0 = there was none */
    const char *backend;
    const char *unit; /* of the service manager */
    pid_t main_pid;   /* 0: none is known */
} ServiceStatus;
void service_status(Service *s, ServiceStatus *ret);

/* What became of it since the manager began. Spans are µs. */
typedef struct ServiceHistory {
    uint64_t starts[_START_RESULT_MAX];
    uint64_t start_durations[START_BUCKETS]; /* of those that came to be ready, by start_bounds */
    usec_t start_duration_sum;
    uint64_t idle_stops;
    usec_t online;
    usec_t asleep; /* offline, and known to be */
} ServiceHistory;
void service_history(const Service *s, ServiceHistory *ret);
/* See backend_usage(). */
void service_usage(const Service *s, ResourceUsage *ret);

/* A gateway tells that nothing is in flight with it any more, or its counts are gone because it died. */
void service_activity_changed(Service *s);
