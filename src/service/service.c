/* SPDX-License-Identifier: ISC */

/* The outside of a service: making one, waking it, stopping it, asking it. What happens then is in
 * lifecycle.c. */

#include "service/service-internal.h"
#include "util/log.h"

int service_new(const ServiceHost *host, ServiceConfig *config, uint32_t slot, Service **ret)
{
    _cleanup_(service_freep) Service *s = new0(Service, 1);
    if (!s)
        return -ENOMEM;
    *s = (Service){.host = host,
            .config = service_config_ref(config),
            .slot = slot,
            .since = now_monotonic(),
            .turn.came = service_on_turn};
    int r = service_make(s);
    if (r < 0)
        return r;
    if (config->kind == SERVICE_PROXY_ONLY) {
        s->state = SERVICE_ONLINE;
        s->epoch = 1;
    }
    *ret = TAKE_PTR(s);
    return 0;
}

Service *service_free(Service *s)
{
    WakeResult no;

    if (!s)
        return NULL;
    s->freeing = true;
    (void) service_answer_now(s, &no);
    waiters_answer(s, &no);
    turns_end(s->host->turns, &s->turn);
    sd_event_source_disable_unref(s->start_timer);
    sd_event_source_disable_unref(s->idle_timer);
    sd_event_source_disable_unref(s->backoff_timer);
    sd_event_source_disable_unref(s->retire_timer);
    service_unmake(s);
    service_config_unref(s->config);
    free(s->failure);
    free(s->wake_reason);
    free(s->reason);
    return mfree(s);
}

void service_end_recovery(Service *s)
{
    if (!s->recovering)
        return;
    s->recovering = false;
    if (s->state == SERVICE_OFFLINE && s->backend)
        s->asleep_since = now_monotonic();
    if (s->host->recovered)
        s->host->recovered(s, s->host->userdata);
}

int service_recover(Service *s)
{
    s->recovering = true;
    if (!s->backend) {
        service_end_recovery(s);
        return 0;
    }
    int r = backend_check(s->backend);
    if (r < 0)
        s->recovering = false;
    return r;
}

bool service_answer_now(const Service *s, WakeResult *ret)
{
    if (s->freeing)
        *ret = (WakeResult){.why = "dynapm is shutting down", .retry_after = 1};
    else if (s->state == SERVICE_ONLINE)
        *ret = (WakeResult){.online = true, .epoch = s->epoch};
    else if (s->removed)
        *ret = (WakeResult){.why = "This service is not configured any more.", .retry_after = 1};
    else if (s->unsupported)
        *ret = (WakeResult){.why = s->unsupported, .retry_after = 60};
    else if (s->state == SERVICE_FAILED || (s->state == SERVICE_STOPPING && s->failure))
        *ret = (WakeResult){.why = s->failure ?: "out of memory", .retry_after = service_retry_after(s)};
    else
        return false;
    return true;
}

int service_wake(
        Service *s, uint32_t dead_epoch, const char *reason, WakeDone done, void *userdata, Waiter **ret)
{
    WakeResult result;
    int r;

    *ret = NULL;
    bool dead = s->backend && s->state == SERVICE_ONLINE && dead_epoch == s->epoch && !s->freeing;
    /* While others are being answered, this one is called by one of them and queues behind the rest. */
    if (!dead && !s->waiters.head && service_answer_now(s, &result)) {
        _cleanup_free_ char *why = NULL;
        result = waiters_lasting(&result, &why);
        done(s, &result, userdata);
        return 0;
    }
    if (s->recovering && !s->waiters.head) {
        r = service_limit_recovery(s);
        if (r < 0)
            return r;
    }
    if (!s->waiters.head) {
        char *copy = strdup(reason);
        if (!copy)
            return -ENOMEM;
        free(s->wake_reason);
        s->wake_reason = copy;
    }
    r = waiters_add(s, done, userdata, ret);
    if (r < 0)
        return r;
    uint64_t number = s->waiters.last;
    if (dead)
        service_verify(s);
    else if (s->state == SERVICE_OFFLINE && !s->recovering && !s->freeing)
        service_launch(s, reason);
    /* A start that failed at once has answered everybody already. */
    if (!waiters_has(s, number))
        *ret = NULL;
    return 0;
}

/* Lets nobody wait for a back-off. */
static void forget_failure(Service *s, const char *reason)
{
    if (s->state == SERVICE_FAILED)
        service_set_state(s, SERVICE_OFFLINE, reason);
    s->failure = mfree(s->failure);
}

/* Returns whether a stop has begun. */
static bool begin_stop(Service *s, const char *reason)
{
    if (!s->backend || s->state == SERVICE_STOPPING)
        return false;
    if (s->state == SERVICE_FAILED)
        forget_failure(s, reason);
    if (s->state == SERVICE_OFFLINE && !s->recovering)
        return false;
    if (s->state == SERVICE_STARTING && !s->verifying)
        service_note_start(s, START_STOPPED);
    service_end_recovery(s);
    s->failure = mfree(s->failure);
    if (service_is_queued(s)) /* nothing of it runs */
        service_set_state(s, SERVICE_OFFLINE, reason);
    else
        service_begin_stop(s, reason);
    return true;
}

int service_stop(Service *s, const char *reason)
{
    WakeResult no = {.why = "The service was stopped.", .retry_after = 1};

    if (s->retiring)
        retire_now(s);
    if (begin_stop(s, reason))
        waiters_answer(s, &no);
    return 0;
}

int service_start(Service *s, const char *reason, WakeDone done, void *userdata, Waiter **ret)
{
    if (s->state == SERVICE_FAILED || s->state == SERVICE_STOPPING)
        forget_failure(s, reason);
    return service_wake(s, 0, reason, done, userdata, ret);
}

int service_restart(Service *s, const char *reason, WakeDone done, void *userdata, Waiter **ret)
{
    if (!service_is_queued(s)) /* else it keeps its turn */
        (void) begin_stop(s, reason);
    return service_start(s, reason, done, userdata, ret);
}

void service_status(Service *s, ServiceStatus *ret)
{
    *ret = (ServiceStatus){
            .state = s->state,
            .reason = service_is_queued(s) ? "waiting for its turn to start" : s->reason ?: "",
            .since = s->since,
            .wake_reason = s->wake_reason ?: "",
            .failure = s->state == SERVICE_ONLINE || s->state == SERVICE_STARTING ? ""
                       : s->failure                                               ? s->failure
                                                                                  : s->unsupported ?: "",
            .retry_at = s->state == SERVICE_FAILED ? s->backoff_until : 0,
            .idle_deadline = idle_deadline(s),
            .n_starts = s->history.starts[START_READY],
            .uptime = s->history.online + (s->state == SERVICE_ONLINE ? now_monotonic() - s->since : 0),
            .last_start = s->last_start,
            .backend = s->backend ? backend_name(s->backend) : "",
            .unit = s->backend ? backend_unit(s->backend) ?: "" : "",
            .main_pid = s->backend ? backend_main_pid(s->backend) : 0,
    };
}

void service_history(const Service *s, ServiceHistory *ret)
{
    usec_t now = now_monotonic();

    *ret = s->history;
    if (s->state == SERVICE_ONLINE)
        ret->online += now - s->since;
    else if (s->asleep_since > 0)
        ret->asleep += now - s->asleep_since;
}

void service_usage(const Service *s, ResourceUsage *ret)
{
    if (s->backend)
        backend_usage(s->backend, ret);
    else
        *ret = RESOURCE_USAGE_UNKNOWN;
}

bool service_ends_with_us(const Service *s)
{
    return s->backend && backend_ends_with_us(s->backend);
}

const ServiceConfig *service_config(const Service *s)
{
    return s->config;
}

const char *service_name(const Service *s)
{
    return s->config->name;
}

uint32_t service_slot(const Service *s)
{
    return s->slot;
}

ServiceState service_state(const Service *s)
{
    return s->state;
}

uint32_t service_epoch(const Service *s)
{
    return s->epoch;
}
