/* SPDX-License-Identifier: ISC */

/* A service whose definition becomes another one, or goes. What runs was started by `made_of` and is stopped
 * by it, however often `config` changes meanwhile; the moment at which nothing runs is the only one at which
 * backend and probe are exchanged, service_renew(). */

#include "service/service-internal.h"
#include "util/log.h"

void service_unmake(Service *s)
{
    s->probe = probe_free(s->probe);
    s->backend = backend_free(s->backend);
    s->unsupported = NULL;
    s->made_of = service_config_unref(s->made_of);
}

int service_make(Service *s)
{
    ServiceConfig *config = s->config;
    int r;

    assert(!s->made_of);
    s->made_of = service_config_ref(config);
    if (config->kind == SERVICE_PROXY_ONLY)
        return 0;
    r = backend_new(&s->host->backend, config, &service_backend_events, s, &s->backend, &s->unsupported);
    if (r == -EOPNOTSUPP)
        log_service_warning(config->name, "%s", s->unsupported);
    else if (r < 0)
        return r;
    ProbeContext probe = {.event = s->host->backend.event, .commands = s->host->backend.commands};
    if (s->backend)
        probe.command = backend_spec(s->backend, NULL);
    return probe_new(&probe, config, service_on_probe_done, s, &s->probe);
}

bool service_is_outdated(const Service *s)
{
    return s->made_of != s->config && !s->removed && !service_config_runs_alike(s->made_of, s->config);
}

/* It is proxied only from now on, or not any more. Returns whether it is. */
static bool become_kind(Service *s)
{
    bool proxied = s->config->kind == SERVICE_PROXY_ONLY;
    WakeResult yes = {.online = true};

    if (!proxied && s->state == SERVICE_ONLINE)
        service_set_state(s, SERVICE_OFFLINE, "is proxied only no longer");
    if (proxied && s->state != SERVICE_ONLINE)
        service_set_state(s, SERVICE_ONLINE, "is proxied only from now on");
    if (proxied) {
        yes.epoch = s->epoch;
        waiters_answer(s, &yes);
    }
    return proxied;
}

bool service_renew(Service *s)
{
    if (!service_is_outdated(s))
        return false;
    if (s->state == SERVICE_FAILED) /* another definition, another attempt */
        service_set_state(s, SERVICE_OFFLINE, "its definition has changed");
    s->failure = mfree(s->failure);
    s->n_failures = 0;
    service_unmake(s);
    int r = service_make(s);
    if (r < 0) {
        log_service_error_errno(service_name(s), r, "Cannot be started any more: %m");
        s->backend = backend_free(s->backend);
        s->unsupported = "dynapm was out of memory when the definition of this service had changed";
    }
    if (become_kind(s))
        return true;
    if (s->waiters.head && s->unsupported) {
        WakeResult no = {.why = s->unsupported, .retry_after = 60};
        waiters_answer(s, &no);
    }
    r = s->waiters.head ? service_limit_recovery(s) : 0;
    if (r >= 0)
        r = service_recover(s);
    if (r < 0)
        log_service_warning_errno(service_name(s), r, "Cannot find out whether it runs already: %m");
    return r >= 0;
}

/* One that is about to stop because it was removed. */
static void take_back(Service *s)
{
    WakeResult yes = {.online = true, .epoch = s->epoch};

    service_set_state(s, SERVICE_ONLINE, "is configured again");
    waiters_answer(s, &yes);
}

void service_reconfigure(Service *s, ServiceConfig *config)
{
    bool was_removed = s->removed;

    ServiceConfig *before = s->config;
    s->config = service_config_ref(config);
    service_config_unref(before);
    s->removed = false;
    if (was_removed && s->retiring)
        take_back(s);

    if (service_is_queued(s) && service_is_outdated(s)) /* nothing of it runs */
        service_set_state(s, SERVICE_OFFLINE, "its definition has changed");
    if (s->state == SERVICE_ONLINE && s->backend) { /* goes on, by other times */
        idle_disarm(s);
        idle_arm(s);
    } else if (s->state == SERVICE_STARTING && service_is_outdated(s))
        service_begin_stop(s, "its definition has changed");
    else if (s->state != SERVICE_STARTING && s->state != SERVICE_STOPPING && !s->recovering)
        (void) service_renew(s);
}

void service_remove(Service *s)
{
    WakeResult no;

    if (s->removed)
        return;
    s->removed = true;
    if (s->state != SERVICE_ONLINE && service_answer_now(s, &no))
        waiters_answer(s, &no);
    if (s->backend && !s->retiring)
        (void) service_retire(s, "removed from the configuration", USEC_INFINITY);
}

bool service_is_managed(const Service *s)
{
    return s->made_of->kind != SERVICE_PROXY_ONLY;
}

bool service_is_removed(const Service *s)
{
    return s->removed;
}

bool service_is_gone(const Service *s)
{
    return s->removed && !s->recovering &&
           (!s->backend || s->state == SERVICE_OFFLINE || s->state == SERVICE_FAILED);
}

bool service_is_recovering(const Service *s)
{
    return s->recovering;
}
