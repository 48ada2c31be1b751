/* SPDX-License-Identifier: ISC */

/* The state machine. What a state has a right to, and what service_set_state() takes away when it ends:
 *   STARTING  its turn, and once that has come the probe and the start timer
 *   ONLINE    the idle clock
 *   FAILED    the back-off timer
 * STOPPING has the backend's promise that `stopped` will follow, OFFLINE has nothing.
 *
 * Invariants: the epoch grows with each coming online but for the one that takes back a stop that had not
 * begun; s->failure is set from a failed start until the next attempt; nobody waits in ONLINE or FAILED. */

#include <stdarg.h>
#include <stdio.h>

#include "service/service-internal.h"
#include "util/event.h"
#include "util/log.h"
#include "util/text.h"
#include "util/messages.h"

#define BACKOFF_MIN USEC_PER_SEC
#define BACKOFF_MAX (60 * USEC_PER_SEC)
#define STABLE_AFTER (10 * USEC_PER_SEC)

static bool __attribute__((unused)) transition_is_legal(ServiceState from, ServiceState to)
{
    static const bool table[_SERVICE_STATE_MAX][_SERVICE_STATE_MAX] = {
            [SERVICE_OFFLINE] =
                    {[SERVICE_STARTING] = true, [SERVICE_ONLINE] = true, [SERVICE_STOPPING] = true},
            [SERVICE_STARTING] = {[SERVICE_ONLINE] = true,
                    [SERVICE_STOPPING] = true,
                    [SERVICE_FAILED] = true,
                    [SERVICE_OFFLINE] = true},
            [SERVICE_ONLINE] =
                    {[SERVICE_STARTING] = true, [SERVICE_STOPPING] = true, [SERVICE_OFFLINE] = true},
            [SERVICE_STOPPING] = {[SERVICE_OFFLINE] = true, [SERVICE_ONLINE] = true, [SERVICE_FAILED] = true},
            [SERVICE_FAILED] = {[SERVICE_OFFLINE] = true, [SERVICE_ONLINE] = true},
    };
    return table[from][to];
}

void service_set_state(Service *s, ServiceState to, const char *reason)
{
    ServiceState from = s->state;
    char *copy = strdup(reason);
    usec_t now = now_monotonic();
    char state_field[64], from_field[64];
    const char *fields[] = {state_field, from_field,
            to == SERVICE_FAILED ? MESSAGE_START_FAILED : MESSAGE_SERVICE_STATE, NULL};

    assert(transition_is_legal(from, to));
    if (from == SERVICE_STARTING) {
        probe_stop(s->probe);
        event_disarm(s->start_timer);
        s->verifying = false;
        turns_end(s->host->turns, &s->turn);
    }
    if (from == SERVICE_ONLINE || from == SERVICE_STOPPING)
        idle_disarm(s);
    if (from == SERVICE_ONLINE)
        s->history.online += now - s->since;
    if (from == SERVICE_OFFLINE && s->asleep_since > 0)
        s->history.asleep += now - s->asleep_since;
    s->asleep_since = to == SERVICE_OFFLINE ? now : 0;
    if (from == SERVICE_FAILED)
        event_disarm(s->backoff_timer);
    if (to == SERVICE_ONLINE && from != SERVICE_STOPPING && ++s->epoch == 0)
        s->epoch = 1;

    s->state = to;
    free(s->reason);
    s->reason = copy;
    if (!(from == SERVICE_STOPPING && to == SERVICE_ONLINE))
        s->since = now;
    snprintf(state_field, sizeof state_field, "DYNAPM_STATE=%s", service_state_to_string(to));
    snprintf(from_field, sizeof from_field, "DYNAPM_STATE_BEFORE=%s", service_state_to_string(from));
    log_full(to == SERVICE_FAILED ? LOG_ERR : LOG_INFO, 0, service_name(s), fields, "%s → %s (%s)",
            service_state_to_string(from), service_state_to_string(to), reason);
    s->host->state_changed(s, from, to, reason, s->host->userdata);
    if (to == SERVICE_ONLINE)
        idle_arm(s);
}

void service_note_start(Service *s, StartResult result)
{
    ServiceHistory *h = &s->history;

    h->starts[result]++;
    if (result == START_READY) {
        s->last_start = now_monotonic() - s->start_began;
        h->start_durations[histogram_bucket(start_bounds, START_BUCKETS - 1, s->last_start)]++;
        h->start_duration_sum += s->last_start;
    }
}

unsigned service_retry_after(const Service *s)
{
    usec_t left = usec_sub(s->backoff_until, now_monotonic());
    return (unsigned) MAX((left + USEC_PER_SEC - 1) / USEC_PER_SEC, UINT64_C(1));
}

static void answer_online(Service *s)
{
    WakeResult yes = {.online = true, .epoch = s->epoch};

    s->failure = mfree(s->failure);
    waiters_answer(s, &yes);
}

static int on_backoff_over(sd_event_source *source, uint64_t usec, void *userdata)
{
    Service *s = userdata;

    if (s->state == SERVICE_FAILED)
        service_set_state(s, SERVICE_OFFLINE, "may be started again");
    return 0;
}

/* Remembers why, and from when on another start may be tried. */
static void note_failure(Service *s, StartResult result, const char *format, ...) _printf_(3, 4);
static void note_failure(Service *s, StartResult result, const char *format, ...)
{
    va_list ap;
    char *text = NULL;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    service_note_start(s, result);
    free(s->failure);
    s->failure = text;
    usec_t pause = BACKOFF_MIN << MIN(s->n_failures, 10U);
    s->n_failures++;
    s->backoff_until = usec_add(now_monotonic(), MIN(pause, BACKOFF_MAX));
}

/* Nothing runs: FAILED until the back-off is over. Those who wait get the reason. */
static void enter_failed(Service *s)
{
    const char *why = s->failure ?: "out of memory";

    service_set_state(s, SERVICE_FAILED, why);
    int r = event_arm_timer(s->host->backend.event, &s->backoff_timer,
            usec_sub(s->backoff_until, now_monotonic()), on_backoff_over, s, "back-off");
    if (r < 0) {
        log_service_error_errno(service_name(s), r, "Cannot set the back-off timer: %m");
        service_set_state(s, SERVICE_OFFLINE, "without a back-off");
    }
    WakeResult no = {.why = why, .retry_after = service_retry_after(s)};
    waiters_answer(s, &no);
    if (s->state == SERVICE_FAILED)
        (void) service_renew(s);
}

/* Something may still run: stop it first, but let nobody wait for that. */
static void fail_and_stop(Service *s)
{
    WakeResult no = {.why = s->failure ?: "out of memory", .retry_after = service_retry_after(s)};

    service_begin_stop(s, no.why);
    waiters_answer(s, &no);
}

static int on_start_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    Service *s = userdata;
    char span[TIMESPAN_STRING_MAX], reason[TIMESPAN_STRING_MAX + 32];

    timespan_format(span, s->config->start_timeout);
    if (s->recovering) {
        _cleanup_free_ char *why = text_format(
                "It is not known within %s whether %s runs: there is no answer from the service manager.",
                span, service_name(s));
        WakeResult no = {.why = why ?: "out of memory", .retry_after = 5};
        waiters_answer(s, &no);
        return 0;
    }
    if (s->state != SERVICE_STARTING)
        return 0;
    if (s->verifying) { /* it hangs: who waits goes on waiting, for a fresh one */
        snprintf(reason, sizeof reason, "not ready again within %s", span);
        service_begin_stop(s, reason);
        return 0;
    }
    note_failure(s, START_TIMEOUT, "%s did not become ready within %s: %s", service_name(s), span,
            probe_last_error(s->probe));
    fail_and_stop(s);
    return 0;
}

int service_limit_recovery(Service *s)
{
    return event_arm_timer(s->host->backend.event, &s->start_timer, s->config->start_timeout,
            on_start_timeout, s, "start-timeout");
}

/* The part of a start that waits: a limit, and a probe unless it is too early for one. */
static void await_ready(Service *s, bool probe, ProbeMode mode)
{
    int r = event_arm_timer(s->host->backend.event, &s->start_timer, s->config->start_timeout,
            on_start_timeout, s, "start-timeout");
    if (r >= 0 && probe)
        r = probe_start(s->probe, mode);
    if (r < 0) {
        note_failure(s, START_FAILED, "%s could not be started: %s", service_name(s), strerror(-r));
        fail_and_stop(s);
    }
}

bool service_is_queued(const Service *s)
{
    return s->turn.state == TURN_AWAITED;
}

static void launch(Service *s)
{
    _cleanup_free_ char *why = NULL;

    s->start_began = now_monotonic();
    int r = backend_start(s->backend, &why);
    if (r < 0) {
        note_failure(s, START_FAILED, "%s could not be started: %s", service_name(s), why ?: strerror(-r));
        enter_failed(s);
        return;
    }
    await_ready(s, r != BACKEND_WILL_TELL, PROBE_UNTIL_READY);
}

static void tell_reason(Service *s)
{
    if (s->host->reason_changed)
        s->host->reason_changed(s, s->host->userdata);
}

void service_launch(Service *s, const char *reason)
{
    bool now = turns_ask(s->host->turns, &s->turn);

    s->asked_for_turn = now_monotonic();
    if (s->state != SERVICE_STARTING)
        service_set_state(s, SERVICE_STARTING, reason);
    else
        tell_reason(s);
    s->verifying = false;
    if (now) {
        launch(s);
        return;
    }
    probe_stop(s->probe);
    event_disarm(s->start_timer);
}

void service_on_turn(Turn *turn)
{
    Service *s = container_of(turn, Service, turn);

    assert(s->state == SERVICE_STARTING);
    tell_reason(s);
    launch(s);
}

void service_verify(Service *s)
{
    bool has_process = backend_has_process(s->backend);
    char reason[96];

    snprintf(reason, sizeof reason, "a connection was refused in epoch %u%s", s->epoch,
            service_is_outdated(s) ? ", by an earlier definition" : "");
    if (service_is_outdated(s)) { /* what is expected now is another one */
        service_begin_stop(s, reason);
        return;
    }
    /* Nothing is there that could say otherwise: the refusal is what is known. */
    if (!has_process &&
            (s->config->kind == SERVICE_EXEC || s->config->health_check.type == HEALTH_CHECK_NONE)) {
        service_launch(s, reason);
        return;
    }
    s->start_began = now_monotonic();
    service_set_state(s, SERVICE_STARTING, reason);
    s->verifying = true;
    await_ready(s, true, has_process ? PROBE_UNTIL_READY : PROBE_ONCE);
}

static void log_ready(Service *s)
{
    char total[TIMESPAN_STRING_MAX], start[TIMESPAN_STRING_MAX], wait[TIMESPAN_STRING_MAX], field[64],
            turn[TIMESPAN_STRING_MAX], queued[TIMESPAN_STRING_MAX + 40] = "";
    const char *fields[] = {field, NULL};
    usec_t now = now_monotonic(), launched = backend_launched_at(s->backend);
    usec_t began = usec_sub(MIN(MAX(launched, s->start_began), now), s->start_began);
    usec_t all = usec_sub(now, s->start_began), before = usec_sub(s->start_began, s->asked_for_turn);

    if (before >= USEC_PER_MSEC)
        snprintf(queued, sizeof queued, ", having waited %s for its turn",
                timespan_format(turn, before - before % USEC_PER_MSEC));
    snprintf(field, sizeof field, "DYNAPM_START_USEC=%llu", (unsigned long long) all);
    log_full(LOG_INFO, 0, service_name(s), fields, "ready in %s (start %s, wait %s)%s",
            timespan_format(total, all), timespan_format(start, began), timespan_format(wait, all - began),
            queued);
}

void service_on_probe_done(Probe *p, int r, const char *why, void *userdata)
{
    Service *s = userdata;

    if (s->state != SERVICE_STARTING)
        return;
    if (r < 0) { /* only a look at one that has no process of ours ends this way */
        service_launch(s, why);
        return;
    }
    bool started = !s->verifying;
    if (started)
        service_note_start(s, START_READY);
    backend_set_ready(s->backend);
    service_set_state(s, SERVICE_ONLINE, started ? "ready" : "ready again");
    if (started)
        log_ready(s);
    answer_online(s);
}

void service_begin_stop(Service *s, const char *reason)
{
    if (s->state != SERVICE_STOPPING)
        service_set_state(s, SERVICE_STOPPING, reason);
    int r = backend_stop(s->backend);
    if (r < 0) {
        log_service_error_errno(service_name(s), r, "Cannot stop the service: %m");
        service_set_state(s, SERVICE_OFFLINE, "given up");
        (void) service_renew(s);
    }
}

static void on_launched(Backend *b, bool ready, void *userdata)
{
    Service *s = userdata;

    if (s->state != SERVICE_STARTING || s->verifying)
        return;
    if (ready) {
        service_on_probe_done(s->probe, 0, "ready", s);
        return;
    }
    int r = probe_start(s->probe, PROBE_UNTIL_READY);
    if (r < 0) {
        note_failure(s, START_FAILED, "%s could not be started: %s", service_name(s), strerror(-r));
        fail_and_stop(s);
    }
}

static void on_appeared(Backend *b, const char *why, void *userdata)
{
    Service *s = userdata;

    if (s->state != SERVICE_OFFLINE && s->state != SERVICE_FAILED && !service_is_queued(s))
        return;
    service_end_recovery(s);
    service_set_state(s, SERVICE_ONLINE, why);
    answer_online(s);
}

static void on_start_failed(Backend *b, const char *why, void *userdata)
{
    Service *s = userdata;

    if (s->state != SERVICE_STARTING)
        return;
    note_failure(s, START_FAILED, "%s could not be started: %s", service_name(s), why);
    enter_failed(s);
}

static void on_stopped(Backend *b, const char *why, void *userdata)
{
    Service *s = userdata;

    if (s->state != SERVICE_STOPPING)
        return;
    if (s->failure) {
        enter_failed(s);
        return;
    }
    s->n_failures = 0; /* it ran until it was stopped: that is no failure */
    service_set_state(s, SERVICE_OFFLINE, why);
    if (!service_renew(s) && s->waiters.head)
        service_launch(s, s->wake_reason ?: "requests came meanwhile");
}

static void on_exited(Backend *b, const char *why, void *userdata)
{
    Service *s = userdata;

    if (s->state == SERVICE_STARTING) { /* while it was looked at */
        if (service_is_outdated(s))
            service_begin_stop(s, why);
        else
            service_launch(s, why);
        return;
    }
    if (s->retiring) {
        idle_disarm(s);
        on_stopped(b, why, userdata);
        return;
    }
    if (s->state != SERVICE_ONLINE)
        return;
    if (now_monotonic() - s->since >= STABLE_AFTER)
        s->n_failures = 0;
    service_set_state(s, SERVICE_OFFLINE, why);
    (void) service_renew(s);
}

static void on_checked(Backend *b, bool running, void *userdata)
{
    Service *s = userdata;

    service_end_recovery(s);
    if (s->state != SERVICE_OFFLINE)
        return;
    if (running) {
        service_set_state(s, SERVICE_ONLINE, "found running");
        answer_online(s);
    } else if (!service_renew(s) && s->waiters.head)
        service_launch(s, s->wake_reason ?: "requests came meanwhile");
}

const BackendEvents service_backend_events = {.launched = on_launched,
        .appeared = on_appeared,
        .start_failed = on_start_failed,
        .exited = on_exited,
        .stopped = on_stopped,
        .checked = on_checked};
