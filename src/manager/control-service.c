/* SPDX-License-Identifier: ISC */

/* BUS_SERVICE_INTERFACE as D-Bus sees it: an object for each service that there is at the moment of the call.
 * sd-bus asks for the object first and for its properties then; between the two everything lies in a
 * ServiceView, so that the properties are nothing but offsets. */

#include <stdio.h>

#include "ipc/bus.h"
#include "manager/control-internal.h"
#include "util/text.h"

/* Strings belong to the service. */
typedef struct ServiceView {
    const ServiceConfig *config;
    const char *name, *file, *kind, *unit, *backend;
    const char *state, *state_reason, *last_wake_reason, *failure;
    uint64_t since, retry_at, last_activity, idle_deadline;                 /* CLOCK_REALTIME */
    uint64_t idle_timeout, start_timeout, stop_timeout, uptime, last_start; /* spans */
    uint64_t active, requests, n_starts;
    uint32_t main_pid;
} ServiceView;

static void fill(ServiceView *v, const Manager *m, Service *s)
{
    const ServiceConfig *config = service_config(s);
    ServiceActivity activity;
    ServiceStatus status;

    service_status(s, &status);
    activity_read(&m->activity, service_slot(s), &activity);
    *v = (ServiceView){
            .config = config,
            .name = config->name,
            .file = config->file,
            .kind = service_kind_to_string(config->kind),
            .unit = *status.unit ? status.unit : config->unit ?: "",
            .backend = status.backend,
            .state = service_state_to_string(status.state),
            .state_reason = status.reason,
            .last_wake_reason = status.wake_reason,
            .failure = status.failure,
            .since = control_realtime(status.since),
            .retry_at = control_realtime(status.retry_at),
            .last_activity = control_realtime(activity.last_activity),
            .idle_deadline = control_realtime(status.idle_deadline),
            .idle_timeout = config->idle_timeout,
            .start_timeout = config->start_timeout,
            .stop_timeout = config->stop_timeout,
            .uptime = status.uptime,
            .last_start = status.last_start,
            .active = activity.active,
            .requests = activity.requests,
            .n_starts = status.n_starts,
            .main_pid = (uint32_t) status.main_pid,
    };
}

/* "blog.example.com/api", ":8080", "127.0.0.1:8080" */
static int append_route(sd_bus_message *reply, const RouteConfig *route)
{
    char listener[SOCKET_ADDRESS_STRING_MAX] = "";
    const char *where = route->host, *any;

    if (route->type == ROUTE_PORT) {
        socket_address_format(listener, &route->listen);
        any = startswith(listener, "[::]:");
        where = any ? any - 1 : listener;
    }
    _cleanup_free_ char *text = text_format("%s%s", where, streq(route->path, "/") ? "" : route->path);
    return text ? sd_bus_message_append(reply, "(ss)", text, route->target.text) : -ENOMEM;
}

static int get_routes(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const ServiceConfig *config = ((const ServiceView *) userdata)->config;

    int r = sd_bus_message_open_container(reply, 'a', "(ss)");
    for (size_t i = 0; r >= 0 && i < config->n_routes; i++)
        r = append_route(reply, &config->routes[i]);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_entry(sd_bus_message *reply, const char *key, const char *type, uint64_t number)
{
    int r;

    if ((r = sd_bus_message_open_container(reply, 'e', "sv")) < 0 ||
            (r = sd_bus_message_append(reply, "s", key)) < 0 ||
            (r = *type == 'u' ? sd_bus_message_append(reply, "v", "u", (uint32_t) number)
                              : sd_bus_message_append(reply, "v", "t", number)) < 0)
        return r;
    return sd_bus_message_close_container(reply);
}

/* Not its command, which may hold secrets. */
static int get_health_check(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const HealthCheckConfig *h = &((const ServiceView *) userdata)->config->health_check;
    bool connects = h->type == HEALTH_CHECK_TCP || h->type == HEALTH_CHECK_HTTP;
    int r;

    if ((r = sd_bus_message_open_container(reply, 'a', "{sv}")) < 0 ||
            (r = sd_bus_message_append(reply, "{sv}", "type", "s", health_check_type_to_string(h->type))) < 0)
        return r;
    if (connects && h->endpoint.text) {
        _cleanup_free_ char *url = text_format("%s%s", h->endpoint.text, h->path ?: "");
        r = url ? sd_bus_message_append(reply, "{sv}", "url", "s", url) : -ENOMEM;
    }
    if (r >= 0 && h->expected_status > 0)
        r = append_entry(reply, "expectedStatus", "u", h->expected_status);
    if (r >= 0 && h->type != HEALTH_CHECK_NONE)
        r = append_entry(reply, "timeout", "t", h->timeout);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

#define PROPERTY(name, type, field, flags)                                                                   \
    SD_BUS_PROPERTY(name, type, NULL, offsetof(ServiceView, field), flags)
#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define TELLS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        PROPERTY("Name", "s", name, CONST),
        PROPERTY("File", "s", file, TELLS),
        PROPERTY("Kind", "s", kind, TELLS),
        PROPERTY("Unit", "s", unit, TELLS),
        PROPERTY("Backend", "s", backend, TELLS),
        SD_BUS_PROPERTY("Routes", "a(ss)", get_routes, 0, TELLS),
        SD_BUS_PROPERTY("HealthCheck", "a{sv}", get_health_check, 0, TELLS),
        PROPERTY("IdleTimeout", "t", idle_timeout, TELLS),
        PROPERTY("StartTimeout", "t", start_timeout, TELLS),
        PROPERTY("StopTimeout", "t", stop_timeout, TELLS),
        PROPERTY("State", "s", state, TELLS),
        PROPERTY("StateReason", "s", state_reason, TELLS),
        PROPERTY("Since", "t", since, TELLS),
        PROPERTY("Failure", "s", failure, TELLS),
        PROPERTY("RetryAt", "t", retry_at, TELLS),
        PROPERTY("LastWakeReason", "s", last_wake_reason, TELLS),
        PROPERTY("MainPID", "u", main_pid, TELLS),
        PROPERTY("StartCount", "t", n_starts, TELLS),
        PROPERTY("LastStartDuration", "t", last_start, TELLS),
        PROPERTY("TotalUptime", "t", uptime, 0),
        PROPERTY("ActiveExchanges", "t", active, 0),
        PROPERTY("Requests", "t", requests, 0),
        PROPERTY("LastActivity", "t", last_activity, 0),
        PROPERTY("IdleDeadline", "t", idle_deadline, 0),
        SD_BUS_VTABLE_END,
};

int control_service_emit_definition(Control *c, const char *path)
{
    return sd_bus_emit_properties_changed(c->bus, path, BUS_SERVICE_INTERFACE, "File", "Kind", "Unit",
            "Backend", "Routes", "IdleTimeout", "StartTimeout", "StopTimeout", NULL);
}

int control_service_emit(Control *c, const char *path)
{
    return sd_bus_emit_properties_changed(c->bus, path, BUS_SERVICE_INTERFACE, "State", "StateReason",
            "Since", "Failure", "RetryAt", "LastWakeReason", "MainPID", "StartCount", "LastStartDuration",
            NULL);
}

char *control_service_path(const Service *s)
{
    char *path;
    return sd_bus_path_encode(BUS_SERVICES_PATH, service_name(s), &path) < 0 ? NULL : path;
}

int control_service_find(const Control *c, const char *path, Service **ret)
{
    _cleanup_free_ char *name = NULL;

    int r = sd_bus_path_decode(path, BUS_SERVICES_PATH, &name);
    if (r <= 0)
        return r;
    *ret = manager_find(c->manager, name);
    return *ret ? 1 : 0;
}

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
        sd_bus_error *error)
{
    Control *c = userdata;
    Service *s;

    int r = control_service_find(c, path, &s);
    if (r > 0) {
        fill(c->view, c->manager, s);
        *ret_found = c->view;
    }
    return r;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error)
{
    const Manager *m = ((Control *) userdata)->manager;
    size_t n = 0;

    char **nodes = new0(char *, m->n_services + 1);
    if (!nodes)
        return -ENOMEM;
    for (uint32_t slot = 0; slot < m->n_services; slot++) {
        const Service *s = manager_service(m, slot);
        if (!s)
            continue;
        nodes[n] = control_service_path(s);
        if (!nodes[n]) {
            while (n > 0)
                free(nodes[--n]);
            free(nodes);
            return -ENOMEM;
        }
        n++;
    }
    *ret_nodes = nodes;
    return 0;
}

int control_service_register(Control *c)
{
    c->view = new0(ServiceView, 1);
    if (!c->view)
        return -ENOMEM;
    int r = sd_bus_add_fallback_vtable(
            c->bus, &c->services, BUS_SERVICES_PATH, BUS_SERVICE_INTERFACE, service_vtable, find, c);
    return r < 0 ? r : sd_bus_add_node_enumerator(c->bus, &c->enumerator, BUS_SERVICES_PATH, enumerate, c);
}
