/* SPDX-License-Identifier: ISC */

/* Time and report of all probes: when an attempt is made, how long it may take, who is told. The kinds make
 * attempts and know nothing of this. Invariants: at most one attempt is under way; `done` is called from the
 * loop only, as the last thing done, so that it may free the probe. */

#include "probe/probe-internal.h"

#include <stdio.h>

#include "util/event.h"
#include "util/text.h"

/* The pause grows with the time already waited, so that readiness is seen at most about 3% late: at once when
 * a service starts in a millisecond, without burning a CPU on one that needs a minute. A finer division,
 * 1/64, sees an interpreter that needs 90 ms a millisecond or two earlier, and doubles what asking takes from
 * such a start, an attempt being some 80 µs of CPU: on a machine with one CPU that loses more than it gains.
 */
#define PAUSE_DIVISOR 32
#define PAUSE_MIN_USEC 250
/* Who needs longer is waited for with more patience: an attempt after tens of milliseconds of rest takes
 * twice what it takes in between others, and of a start of seconds nobody sees a hundredth. */
#define PAUSE_FINE_SPAN (100 * USEC_PER_MSEC)
#define PAUSE_COARSE_DIVISOR 16
#define PAUSE_MAX_DEFAULT_USEC (100 * USEC_PER_MSEC)

static void none_attempt(Probe *p)
{
    probe_attempt_done(p, 0, NULL);
}

static const ProbeVTable probe_none_vtable = {.attempt = none_attempt};

static const ProbeVTable *const vtables[_HEALTH_CHECK_TYPE_MAX] = {
        [HEALTH_CHECK_TCP] = &probe_tcp_vtable,
        [HEALTH_CHECK_HTTP] = &probe_http_vtable,
        [HEALTH_CHECK_COMMAND] = &probe_command_vtable,
        [HEALTH_CHECK_NONE] = &probe_none_vtable,
};

static usec_t next_pause(const Probe *p)
{
    usec_t max = p->config->health_check.interval ?: PAUSE_MAX_DEFAULT_USEC;
    usec_t waited = usec_sub(now_monotonic(), p->started);
    usec_t pause = waited / (waited < PAUSE_FINE_SPAN ? PAUSE_DIVISOR : PAUSE_COARSE_DIVISOR);

    pause = MIN(MAX(pause, (usec_t) PAUSE_MIN_USEC), max);
    return p->config->health_check.type == HEALTH_CHECK_COMMAND ? MAX(pause, p->context.commands->pause)
                                                                : pause;
}

static void cancel_attempt(Probe *p)
{
    event_disarm(p->limit);
    if (p->vtable->cancel)
        p->vtable->cancel(p);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    Probe *p = userdata;
    char span[TIMESPAN_STRING_MAX], why[TIMESPAN_STRING_MAX + 32];

    snprintf(why, sizeof why, "no answer within %s", timespan_format(span, p->config->health_check.timeout));
    probe_attempt_done(p, -ETIMEDOUT, why);
    return 0;
}

static void attempt(Probe *p);

static int on_pause(sd_event_source *source, uint64_t usec, void *userdata)
{
    attempt(userdata);
    return 0;
}

/* The timers exist when this is called, and arming one that exists does not fail. */
static void attempt(Probe *p)
{
    (void) event_arm_timer(p->context.event, &p->limit, p->config->health_check.timeout, on_limit, p, NULL);
    p->vtable->attempt(p);
}

static void report(Probe *p, int r)
{
    p->running = false;
    p->done(p, r, r < 0 ? p->last_error : "ready", p->userdata);
}

static int on_report(sd_event_source *source, void *userdata)
{
    Probe *p = userdata;

    report(p, p->result);
    return 0;
}

void probe_attempt_done(Probe *p, int r, const char *why)
{
    assert(p->running);
    cancel_attempt(p);
    if (r < 0)
        snprintf(p->last_error, sizeof p->last_error, "%s", why);
    if (r < 0 && p->mode == PROBE_UNTIL_READY)
        (void) event_arm_timer(p->context.event, &p->pause, next_pause(p), on_pause, p, NULL);
    else if (p->starting) {
        p->result = r;
        (void) sd_event_source_set_enabled(p->report, SD_EVENT_ONESHOT);
    } else
        report(p, r);
}

/* Creates what later turns of the loop cannot do without. */
static int create_sources(Probe *p)
{
    sd_event *event = p->context.event;
    int r;

    r = event_arm_timer(event, &p->limit, 0, on_limit, p, "probe-limit");
    if (r < 0)
        return r;
    event_disarm(p->limit);
    r = event_arm_timer(event, &p->pause, 0, on_pause, p, "probe-pause");
    if (r < 0)
        return r;
    event_disarm(p->pause);
    r = sd_event_add_defer(event, &p->report, on_report, p);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(p->report, "probe-report");
    return sd_event_source_set_enabled(p->report, SD_EVENT_OFF);
}

int probe_new(
        const ProbeContext *context, const ServiceConfig *config, ProbeDone done, void *userdata, Probe **ret)
{
    _cleanup_(probe_freep) Probe *p = new0(Probe, 1);
    int r;

    if (!p)
        return -ENOMEM;
    *p = (Probe){
            .vtable = vtables[config->health_check.type],
            .context = *context,
            .config = config,
            .done = done,
            .userdata = userdata,
            .connector.fd = -EBADF,
            .last_error = "not tried yet",
    };
    r = create_sources(p);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(p);
    return 0;
}

Probe *probe_free(Probe *p)
{
    if (!p)
        return NULL;
    probe_stop(p);
    sd_event_source_disable_unref(p->pause);
    sd_event_source_disable_unref(p->limit);
    sd_event_source_disable_unref(p->report);
    return mfree(p);
}

int probe_start(Probe *p, ProbeMode mode)
{
    probe_stop(p);
    p->mode = mode;
    p->started = now_monotonic();
    p->running = p->starting = true;
    attempt(p);
    p->starting = false;
    return 0;
}

void probe_stop(Probe *p)
{
    cancel_attempt(p);
    event_disarm(p->pause);
    event_disarm(p->report);
    p->running = false;
}

const char *probe_last_error(const Probe *p)
{
    return p->last_error;
}
