/* SPDX-License-Identifier: ISC */

/* When to stop a service: at its end, as soon as what is in flight has its answer; else `idleTimeout` after
 * its last exchange ended, never while one is open, and without asking again and again. One timer is set for
 * the earliest moment at which it could be. If then something is open, no timer runs at all: the gateways are
 * asked (by a flag in the table) to tell when nothing is any more, and the clock starts from what they wrote
 * down then.
 *
 * The stop itself cannot race with a request: STOPPING is published before the counts are read for the last
 * time, and a gateway counts before it reads the state; both sequentially consistent, so that at least one of
 * the two sees the other. */

#include <stdio.h>

#include "service/service-internal.h"
#include "util/event.h"
#include "util/log.h"

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata);

static void watch(Service *s, bool on)
{
    if (s->watched == on)
        return;
    s->watched = on;
    s->host->watch_activity(s, on, s->host->userdata);
}

/* The moment up to which it has to stay, by what is known now. */
static usec_t stay_until(const Service *s, const ServiceActivity *a)
{
    return usec_add(MAX(a->last_activity, s->since), s->config->idle_timeout);
}

usec_t idle_deadline(Service *s)
{
    ServiceActivity a;

    if (s->state != SERVICE_ONLINE || !s->backend || s->config->idle_timeout == USEC_INFINITY)
        return USEC_INFINITY;
    s->host->read_activity(s, &a, s->host->userdata);
    return a.active > 0 ? USEC_INFINITY : stay_until(s, &a);
}

void idle_arm(Service *s)
{
    ServiceActivity a;

    watch(s, false);
    if (s->config->idle_timeout == USEC_INFINITY || !s->backend)
        return;
    s->host->read_activity(s, &a, s->host->userdata);
    int r = event_arm_timer(s->host->backend.event, &s->idle_timer,
            usec_sub(stay_until(s, &a), now_monotonic()), on_idle, s, "idle");
    if (r < 0)
        log_service_error_errno(service_name(s), r, "Cannot set the idle timer, the service stays: %m");
}

void idle_disarm(Service *s)
{
    event_disarm(s->idle_timer);
    event_disarm(s->retire_timer);
    s->retiring = false;
    watch(s, false);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
    Service *s = userdata;
    ServiceActivity a, again;
    char span[TIMESPAN_STRING_MAX], reason[TIMESPAN_STRING_MAX + 16];

    if (s->state != SERVICE_ONLINE)
        return 0;
    watch(s, true); /* before reading: who falls idle from here on tells */
    s->host->read_activity(s, &a, s->host->userdata);
    if (a.active > 0)
        return 0;
    if (stay_until(s, &a) > now_monotonic()) {
        idle_arm(s);
        return 0;
    }
    snprintf(reason, sizeof reason, "idle for %s", timespan_format(span, s->config->idle_timeout));
    service_set_state(s, SERVICE_STOPPING, reason);
    s->host->read_activity(s, &again, s->host->userdata);
    if (again.active > 0 || again.last_activity != a.last_activity) {
        service_set_state(s, SERVICE_ONLINE, "a request came at the last moment");
        return 0;
    }
    s->history.idle_stops++;
    service_begin_stop(s, reason);
    return 0;
}

void retire_now(Service *s)
{
    idle_disarm(s);
    service_begin_stop(s, "retired");
}

static int on_retire_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    Service *s = userdata;
    ServiceActivity a;

    s->host->read_activity(s, &a, s->host->userdata);
    log_service_warning(
            service_name(s), "%llu requests are still in flight.", (unsigned long long) a.in_flight);
    retire_now(s);
    return 0;
}

/* As with the idle stop, STOPPING is published before the counts are read: who is not counted here waits. */
static void retire_check(Service *s)
{
    ServiceActivity a;

    s->host->read_activity(s, &a, s->host->userdata);
    if (a.in_flight == 0)
        retire_now(s);
}

static int limit_retirement(Service *s, usec_t limit)
{
    return event_arm_timer(
            s->host->backend.event, &s->retire_timer, limit, on_retire_limit, s, "retire-limit");
}

int service_retire(Service *s, const char *reason, usec_t limit)
{
    if (s->retiring)
        return limit_retirement(s, limit);
    if (!s->backend || s->state != SERVICE_ONLINE)
        return service_stop(s, reason);
    service_set_state(s, SERVICE_STOPPING, reason);
    s->retiring = true;
    watch(s, true);
    int r = limit_retirement(s, limit);
    if (r < 0) {
        log_service_error_errno(service_name(s), r, "Cannot limit the time for what is in flight: %m");
        retire_now(s);
    } else
        retire_check(s);
    return 0;
}

void service_activity_changed(Service *s)
{
    if (s->state == SERVICE_ONLINE)
        idle_arm(s);
    else if (s->retiring)
        retire_check(s);
}
