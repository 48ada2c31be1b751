/* SPDX-License-Identifier: ISC */

/* Puts the parts together. The order of life: the runtime folder's lock first, so that a second manager fails
 * before it touches anything; then the configuration, one Service for each of its services in a slot that
 * belongs to the name; then the door opens. Gateways are served from then on, also while it is still being
 * found out what runs.
 *
 * A state is written to the shared table in one place, on_state_changed(), the epoch before the state, so
 * that who sees a service online also sees of which epoch. What sums up all services (STATUS=, the end of a
 * shutdown) is not counted along but looked at, at most once a turn of the loop, when something has changed.
 */

#include "manager/manager.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "manager/configuration.h"
#include "manager/peer.h"
#include "util/event.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/messages.h"
#include "util/text.h"

#define RETIRE_LIMIT (10 * USEC_PER_SEC) /* for what is in flight at the end */
#define STOP_LIMIT_EXTRA (5 * USEC_PER_SEC)

Service *manager_service(const Manager *m, uint32_t slot)
{
    return slot < m->n_services ? m->services[slot] : NULL;
}

Service *manager_find(const Manager *m, const char *name)
{
    uint32_t slot;
    return slots_find(&m->slots, name, &slot) ? manager_service(m, slot) : NULL;
}

/* ── what all services do together ── */

char *manager_describe(const Manager *m)
{
    static const ServiceState told[] = {SERVICE_ONLINE, SERVICE_STARTING, SERVICE_STOPPING, SERVICE_FAILED};
    size_t n[_SERVICE_STATE_MAX] = {}, n_services = 0, len = 0;
    char text[256];

    for (size_t i = 0; i < m->n_services; i++)
        if (m->services[i]) {
            n[service_state(m->services[i])]++;
            n_services++;
        }
    for (size_t i = 0; i < ELEMENTSOF(told); i++)
        if (n[told[i]] > 0)
            len += (size_t) snprintf(text + len, sizeof text - len, "%s%zu %s", len > 0 ? ", " : "",
                    n[told[i]], service_state_to_string(told[i]));
    if (len == 0)
        strcpy(text, "all offline");
    return text_format("%zu service%s%s%s", n_services, n_services == 1 ? "" : "s",
            n_services > 0 ? ": " : "", n_services > 0 ? text : "");
}

static size_t n_still_up(const Manager *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n_services; i++) {
        const Service *s = m->services[i];
        if (s && service_ends_with_us(s) && service_state(s) != SERVICE_OFFLINE &&
                service_state(s) != SERVICE_FAILED)
            n++;
    }
    return n;
}

bool manager_is_at_rest(const Manager *m)
{
    if (!recovery_is_over(&m->recovery))
        return false;
    for (size_t i = 0; i < m->n_services; i++) {
        const Service *s = m->services[i];
        if (s && ((service_is_managed(s) && service_state(s) != SERVICE_OFFLINE) || service_is_recovering(s)))
            return false;
    }
    return true;
}

void manager_exit(Manager *m, int status)
{
    /* Connections that are open when a loop ends are flushed by sd-bus, which waits for whoever does not
     * read. */
    peers_done(&m->peers);
    (void) sd_event_exit(m->event, status);
}

static int on_report(sd_event_source *source, void *userdata)
{
    Manager *m = userdata;

    configuration_sweep(m);
    _cleanup_free_ char *text = manager_describe(m);

    if (text && !(m->reported && streq(text, m->reported))) {
        (void) sd_notifyf(false, "STATUS=%s", text);
        free(m->reported);
        m->reported = TAKE_PTR(text);
    }
    if (m->stopping && n_still_up(m) == 0)
        manager_exit(m, EXIT_SUCCESS);
    else {
        peers_tell_if_offline(&m->peers);
        idle_exit_check(&m->idle_exit);
    }
    return 0;
}

static void report_soon(Manager *m)
{
    if (m->report)
        (void) sd_event_source_set_enabled(m->report, SD_EVENT_ONESHOT);
}

/* ── what services tell and ask ── */

static void on_read_activity(Service *s, ServiceActivity *ret, void *userdata)
{
    const Manager *m = userdata;
    activity_read(&m->activity, service_slot(s), ret);
}

static void on_watch_activity(Service *s, bool on, void *userdata)
{
    Manager *m = userdata;
    atomic_store(&m->status->slots[service_slot(s)].watch, on);
}

void manager_publish_state(Manager *m, const Service *s)
{
    StatusSlot *slot = &m->status->slots[service_slot(s)];

    atomic_store(&slot->epoch, service_epoch(s));
    atomic_store(&slot->state, (uint32_t) service_state(s));
}

static void on_state_changed(
        Service *s, ServiceState from, ServiceState to, const char *reason, void *userdata)
{
    Manager *m = userdata;

    manager_publish_state(m, s);
    controls_state_changed(m, s, from, to, reason);
    operations_state_changed(&m->operations, s);
    report_soon(m);
}

static void on_reason_changed(Service *s, void *userdata)
{
    controls_reason_changed(userdata, s);
}

static void on_recovered(Service *s, void *userdata)
{
    Manager *m = userdata;
    recovery_ended(&m->recovery, service_slot(s));
    report_soon(m);
}

void manager_forget(Manager *m, uint32_t slot)
{
    Service *s = m->services[slot];

    log_service_info(service_name(s), "Gone from the configuration.");
    controls_service_removed(m, s);
    m->services[slot] = NULL;
    service_free(s);
}

/* ── what gateways are given ── */

int manager_publication(Manager *m, bool main_listeners, Publication **ret)
{
    Publication **p = &m->publications[main_listeners];

    if (!*p) {
        int r = publication_new(
                m->config, m->config_slots, m->listeners, main_listeners, reloads_will_retry(&m->reloads), p);
        if (r < 0)
            return r;
    }
    *ret = *p;
    return 0;
}

void manager_listeners_changed(Manager *m)
{
    for (size_t i = 0; i < ELEMENTSOF(m->publications); i++)
        m->publications[i] = publication_unref(m->publications[i]);
}

void manager_gateways_changed(Manager *m)
{
    reloads_check(&m->reloads);
    if (m->peers.n == 0 && listeners_forget_lent(m->listeners))
        manager_listeners_changed(m);
    report_soon(m);
}

/* ── life ── */

static int manager_begin(Manager *m)
{
    int r = sd_event_add_defer(m->event, &m->report, on_report, m);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(m->report, "report");
    (void) sd_event_source_set_priority(m->report, SD_EVENT_PRIORITY_IDLE + 1);
    report_soon(m);
    if ((r = recovery_start(&m->recovery, m)) < 0 || (r = reloads_init(&m->reloads, m)) < 0)
        return r;
    return peers_init(&m->peers, m, m->runtime.listen_fd);
}

/* Decides, once and for all, who starts services. */
static int reach_service_manager(Manager *m, ServiceManager which)
{
    if (which == SERVICE_MANAGER_NONE) {
        log_info("There is no service manager: services are started as children.");
        return 0;
    }
    m->user = which == SERVICE_MANAGER_USER;
    int r = bus_link_new(m->event, which == SERVICE_MANAGER_USER, &m->bus);
    if (r >= 0)
        r = systemd_new(m->bus, &m->systemd);
    if (r >= 0)
        r = control_link_new(m, m->bus, &m->control_link);
    if (r < 0)
        return r;
    systemd_runner_init(&m->systemd_commands, m->systemd, &m->runtime.environments);
    log_info("Services are started by the %s service manager.",
            which == SERVICE_MANAGER_USER ? "user's" : "system's");
    return 0;
}

int manager_new(sd_event *event, const ManagerOptions *options, Manager **ret)
{
    ConfigurationChange change;

    _cleanup_(manager_freep) Manager *m = new0(Manager, 1);
    if (!m) {
        fd_close(options->listen_fd);
        return log_oom();
    }
    *m = (Manager){
            .event = sd_event_ref(event),
            .began = now_realtime(),
            .runtime = RUNTIME_NULL,
            .status_fd = -EBADF,
            .gateway_uid = options->gateway_uid,
            .paths = options->config,
            .renditions = RENDITIONS_NULL,
    };
    idle_exit_init(&m->idle_exit, m, options->exit_idle_time > 0 ? options->exit_idle_time : USEC_INFINITY);
    int r = runtime_open(&m->runtime, options->runtime_dir, options->listen_fd);
    if (r < 0)
        return r;
    r = children_new(event, &m->children);
    if (r < 0)
        return log_error_errno(r, "Cannot look after child processes: %m");
    m->sessions = session_table_new();
    if (!m->sessions)
        return log_oom();
    m->commands = command_runner_for_children(event, m->children);
    r = reach_service_manager(m, options->service_manager);
    if (r < 0)
        return log_error_errno(r, "Cannot reach the service manager: %m");
    r = status_table_new(&m->status, &m->status_fd);
    if (r < 0)
        return log_error_errno(r, "Cannot make the status table: %m");
    m->listeners = listeners_new();
    if (!m->listeners)
        return log_oom();
    r = turns_init(&m->turns, event, 0);
    if (r < 0)
        return log_error_errno(r, "Cannot let starts take turns: %m");
    m->host = (ServiceHost){
            .backend =
                    {
                            .event = event,
                            .children = m->children,
                            .commands = m->systemd ? &m->systemd_commands.runner : &m->commands,
                            .environments = &m->runtime.environments,
                            .sessions = m->sessions,
                            .self = options->self,
                            .systemd = m->systemd,
                            .state_dir_fd = m->runtime.state_dir_fd,
                            .default_user = options->default_user,
                    },
            .turns = &m->turns,
            .read_activity = on_read_activity,
            .watch_activity = on_watch_activity,
            .state_changed = on_state_changed,
            .reason_changed = on_reason_changed,
            .recovered = on_recovered,
            .userdata = m,
    };
    r = configuration_load(m, &change);
    if (r < 0)
        return r;
    r = manager_begin(m);
    if (r < 0)
        return log_error_errno(r, "Cannot begin: %m");
    *ret = TAKE_PTR(m);
    return 0;
}

Manager *manager_free(Manager *m)
{
    if (!m)
        return NULL;
    /* Services tell of themselves while they go, and gateways' ends are told to services. */
    peers_done(&m->peers);
    control_link_free(m->control_link);
    reloads_done(&m->reloads);
    recovery_done(&m->recovery);
    idle_exit_done(&m->idle_exit);
    for (size_t i = 0; i < m->n_services; i++)
        service_free(m->services[i]);
    free(m->services);
    turns_done(&m->turns);
    free(m->config_slots);
    sd_event_source_disable_unref(m->report);
    sd_event_source_disable_unref(m->stop_limit);
    free(m->reported);
    for (size_t i = 0; i < ELEMENTSOF(m->publications); i++)
        publication_unref(m->publications[i]);
    listeners_free(m->listeners);
    activity_done(&m->activity);
    renditions_done(&m->renditions);
    status_table_unmap(m->status);
    fd_close(m->status_fd);
    slots_done(&m->slots);
    admin_done(&m->admin);
    logs_done(&m->logs);
    config_unref(m->config);
    systemd_free(m->systemd);
    bus_link_free(m->bus);
    children_free(m->children);
    session_table_free(m->sessions);
    runtime_close(&m->runtime);
    sd_event_unref(m->event);
    return mfree(m);
}

static int on_stop_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    Manager *m = userdata;
    size_t n = n_still_up(m);

    log_error("%zu service%s did not stop in time, leaving %s behind.", n, n == 1 ? "" : "s",
            n == 1 ? "it" : "them");
    manager_exit(m, EXIT_FAILURE);
    return 0;
}

void manager_shutdown(Manager *m, const char *reason)
{
    usec_t limit = 0;

    if (m->stopping)
        return;
    m->stopping = true;
    size_t n = n_still_up(m);
    log_info("Shutting down (%s), %zu service%s to stop.", reason, n, n == 1 ? "" : "s");
    (void) sd_notify(false, "STOPPING=1");
    reloads_done(&m->reloads);
    peers_close_door(&m->peers);
    recovery_done(&m->recovery);
    for (size_t i = 0; i < m->n_services; i++) {
        Service *s = m->services[i];
        if (!s || !service_ends_with_us(s))
            continue;
        limit = MAX(limit, service_config(s)->stop_timeout);
        int r = service_retire(s, "shutting down", RETIRE_LIMIT);
        if (r < 0)
            log_service_warning_errno(service_name(s), r, "Cannot stop it: %m");
    }
    limit = usec_add(limit, RETIRE_LIMIT + STOP_LIMIT_EXTRA);
    (void) sd_notifyf(false, "EXTEND_TIMEOUT_USEC=%" PRIu64, MIN(limit, (usec_t) INT64_MAX));
    int r = event_arm_timer(m->event, &m->stop_limit, limit, on_stop_limit, m, "stop-limit");
    if (r < 0)
        log_warning_errno(r, "Cannot limit the time that services have to stop: %m");
    report_soon(m);
}
