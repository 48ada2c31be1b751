/* SPDX-License-Identifier: ISC */

/* BUS_MANAGER_INTERFACE as D-Bus sees it: reads arguments, writes replies, decides nothing. See ipc/bus.h. */

#include "build-config.h"
#include "ipc/bus.h"
#include "manager/control-internal.h"
#include "util/fd.h"

/* ── looking ── */

static int append_service(sd_bus_message *reply, Service *s)
{
    _cleanup_free_ char *path = control_service_path(s);
    ServiceStatus status;

    if (!path)
        return -ENOMEM;
    service_status(s, &status);
    return sd_bus_message_append(reply, "(sssto)", service_name(s), service_state_to_string(status.state),
            status.reason, control_realtime(status.since), path);
}

static int method_list_services(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const Manager *manager = ((Control *) userdata)->manager;
    int r;

    if ((r = sd_bus_message_new_method_return(m, &reply)) < 0 ||
            (r = sd_bus_message_open_container(reply, 'a', "(sssto)")) < 0)
        return r;
    for (uint32_t slot = 0; slot < manager->n_services; slot++) {
        Service *s = manager_service(manager, slot);
        if (s && (r = append_service(reply, s)) < 0)
            return r;
    }
    r = sd_bus_message_close_container(reply);
    return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_get_service(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const Control *c = userdata;
    const char *name;

    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return r;
    const Service *s = manager_find(c->manager, name);
    if (!s)
        return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_SERVICE, "there is no service \"%s\"", name);
    _cleanup_free_ char *path = control_service_path(s);
    return path ? sd_bus_reply_method_return(m, "o", path) : -ENOMEM;
}

static int method_metrics(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *name;

    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return r;
    if (!streq(name, BUS_METRICS_PROMETHEUS) && !streq(name, BUS_METRICS_OPENMETRICS))
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "there is no format \"%s\"", name);
    Manager *manager = ((Control *) userdata)->manager;
    _cleanup_close_ int fd = renditions_get(&manager->renditions, manager,
            streq(name, BUS_METRICS_OPENMETRICS) ? METRICS_OPENMETRICS : METRICS_PROMETHEUS, now_monotonic());
    return fd < 0 ? fd : sd_bus_reply_method_return(m, "h", fd);
}

static int method_subscribe(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    ((Control *) userdata)->subscribed = true;
    return sd_bus_reply_method_return(m, NULL);
}

static int method_unsubscribe(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    ((Control *) userdata)->subscribed = false;
    return sd_bus_reply_method_return(m, NULL);
}

/* ── changing ── */

static int start(Control *c, sd_bus_message *m, const Caller *caller, sd_bus_error *error)
{
    return call_begin(c, m, OPERATION_START, caller, error);
}

static int restart(Control *c, sd_bus_message *m, const Caller *caller, sd_bus_error *error)
{
    return call_begin(c, m, OPERATION_RESTART, caller, error);
}

static int stop(Control *c, sd_bus_message *m, const Caller *caller, sd_bus_error *error)
{
    return call_begin(c, m, OPERATION_STOP, caller, error);
}

static int wake(Control *c, sd_bus_message *m, const Caller *caller, sd_bus_error *error)
{
    return call_begin(c, m, OPERATION_WAKE, caller, error);
}

/* Its findings quote from files that not everybody may read. */
static int check(Control *c, sd_bus_message *m, const Caller *caller, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_(config_unrefp) Config *config = NULL;
    int r;

    if ((r = config_load(&c->manager->paths, &config)) < 0 ||
            (r = sd_bus_message_new_method_return(m, &reply)) < 0 ||
            (r = sd_bus_message_append(reply, "u", (uint32_t) config->n_services)) < 0 ||
            (r = control_append_problems(reply, config)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

static int freeze(Control *c, sd_bus_message *m, const Caller *caller, sd_bus_error *error)
{
    const char *name;

    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return r;
    if (!manager_find(c->manager, name))
        return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_SERVICE, "there is no service \"%s\"", name);
    return sd_bus_error_set(error, SD_BUS_ERROR_NOT_SUPPORTED, "services cannot be frozen");
}

#define CHANGES(name, action, then)                                                                          \
    static int method_##name(sd_bus_message *m, void *userdata, sd_bus_error *error)                         \
    {                                                                                                        \
        return access_require(userdata, m, action, then, error);                                             \
    }
CHANGES(start, BUS_ACTION_MANAGE, start)
CHANGES(restart, BUS_ACTION_MANAGE, restart)
CHANGES(stop, BUS_ACTION_MANAGE, stop)
CHANGES(wake, BUS_ACTION_MANAGE, wake)
CHANGES(check, BUS_ACTION_MANAGE, check)
CHANGES(freeze, BUS_ACTION_MANAGE, freeze)
CHANGES(reload, BUS_ACTION_RELOAD, reload_call_begin)

/* ── properties ── */

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    return sd_bus_message_append(reply, "s", DYNAPM_VERSION);
}

static int get_problems(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const Manager *m = ((Control *) userdata)->manager;
    return sd_bus_message_append(reply, "u", (uint32_t) m->config->n_problems);
}

static int get_gateways(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const Manager *m = ((Control *) userdata)->manager;
    return sd_bus_message_append(reply, "u", (uint32_t) m->activity.n_tables);
}

static int get_bounds(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    return sd_bus_message_append_array(reply, 't', duration_bounds, sizeof duration_bounds);
}

/* Who may is decided by access_require(), not by sd-bus. */
static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        /* how many of its mistakes the configuration in use has been told, see Check */
        SD_BUS_PROPERTY("NConfigProblems", "u", get_problems, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("NGateways", "u", get_gateways, 0, 0),
        SD_BUS_PROPERTY("DurationBounds", "at", get_bounds, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD_WITH_ARGS("ListServices", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sssto)", services),
                method_list_services, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Sample", SD_BUS_NO_ARGS,
                SD_BUS_RESULT("t", realtime, "t", monotonic, "a(ssttttttttttttttatatt)", services),
                control_method_sample, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Metrics", SD_BUS_ARGS("s", format), SD_BUS_RESULT("h", text), method_metrics,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetService", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", service),
                method_get_service, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Start", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, method_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Restart", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, method_restart,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Stop", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Wake", SD_BUS_ARGS("s", name),
                SD_BUS_RESULT("b", online, "s", why, "u", retry_after_seconds), method_wake,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Check", SD_BUS_NO_ARGS, SD_BUS_RESULT("u", services, "a(suuss)", problems),
                method_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_RESULT("u", services, "a(suuss)", problems),
                method_reload, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Freeze", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, method_freeze,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Thaw", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, method_freeze, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Subscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Unsubscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_unsubscribe,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("StateChanged",
                SD_BUS_ARGS("s", name, "o", service, "s", state, "s", before, "s", reason), 0),
        SD_BUS_SIGNAL_WITH_ARGS("ServiceNew", SD_BUS_ARGS("s", name, "o", service), 0),
        SD_BUS_SIGNAL_WITH_ARGS("ServiceRemoved", SD_BUS_ARGS("s", name, "o", service), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Reloaded", SD_BUS_ARGS("u", problems), 0),
        SD_BUS_VTABLE_END,
};

int control_manager_register(Control *c)
{
    return sd_bus_add_object_vtable(
            c->bus, &c->manager_methods, BUS_PATH, BUS_MANAGER_INTERFACE, manager_vtable, c);
}
