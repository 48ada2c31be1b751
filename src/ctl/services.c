/* SPDX-License-Identifier: ISC */

/* One table says what a property is called, of what type it is and where it goes; it is read and printed as
 * JSON by it. */

#include "ctl/services.h"

#include <stdio.h>

#include "config/suggest.h"
#include "ipc/bus.h"

typedef enum FieldKind {
    FIELD_TEXT,   /* s */
    FIELD_COUNT,  /* t */
    FIELD_MOMENT, /* t, of which 0 and UINT64_MAX are none */
    FIELD_SPAN,   /* t, of which UINT64_MAX is none: spans, and what is measured */
    FIELD_PID,    /* u, of which 0 is none */
} FieldKind;

typedef struct Field {
    const char *property, *json;
    FieldKind kind;
    size_t offset;
} Field;

#define FIELD(property, json, kind, field)                                                                   \
    {                                                                                                        \
        property, json, kind, offsetof(ServiceInfo, field)                                                   \
    }
static const Field fields[] = {
        FIELD("Name", "name", FIELD_TEXT, name),
        FIELD("State", "state", FIELD_TEXT, state),
        FIELD("StateReason", "stateReason", FIELD_TEXT, state_reason),
        FIELD("Since", "since", FIELD_MOMENT, since),
        FIELD("Failure", "failure", FIELD_TEXT, failure),
        FIELD("RetryAt", "retryAt", FIELD_MOMENT, retry_at),
        FIELD("LastWakeReason", "lastWakeReason", FIELD_TEXT, last_wake_reason),
        FIELD("ActiveExchanges", "activeExchanges", FIELD_COUNT, active),
        FIELD("Waiting", "waiting", FIELD_COUNT, waiting),
        FIELD("Requests", "requests", FIELD_COUNT, requests),
        FIELD("BytesReceived", "bytesReceived", FIELD_COUNT, received),
        FIELD("BytesSent", "bytesSent", FIELD_COUNT, sent),
        FIELD("MemoryCurrent", "memoryCurrent", FIELD_SPAN, memory),
        FIELD("CPUUsageNSec", "cpuUsageNSec", FIELD_SPAN, cpu),
        FIELD("LastActivity", "lastActivity", FIELD_MOMENT, last_activity),
        FIELD("IdleDeadline", "idleDeadline", FIELD_MOMENT, idle_deadline),
        FIELD("StartCount", "startCount", FIELD_COUNT, n_starts),
        FIELD("LastStartDuration", "lastStartDuration", FIELD_SPAN, last_start),
        FIELD("TotalUptime", "totalUptime", FIELD_SPAN, uptime),
        FIELD("TotalSleep", "totalSleep", FIELD_SPAN, asleep),
        FIELD("MainPID", "mainPID", FIELD_PID, main_pid),
        FIELD("Kind", "kind", FIELD_TEXT, kind),
        FIELD("Backend", "backend", FIELD_TEXT, backend),
        FIELD("Unit", "unit", FIELD_TEXT, unit),
        FIELD("File", "file", FIELD_TEXT, file),
        FIELD("IdleTimeout", "idleTimeout", FIELD_SPAN, idle_timeout),
        FIELD("StartTimeout", "startTimeout", FIELD_SPAN, start_timeout),
        FIELD("StopTimeout", "stopTimeout", FIELD_SPAN, stop_timeout),
};

static void *at(const ServiceInfo *s, const Field *f)
{
    return (char *) s + f->offset;
}

static void info_done(ServiceInfo *s)
{
    for (size_t i = 0; i < ELEMENTSOF(fields); i++)
        if (fields[i].kind == FIELD_TEXT)
            free(*(char **) at(s, &fields[i]));
    for (size_t i = 0; i < s->n_routes; i++) {
        free(s->routes[i].where);
        free(s->routes[i].target);
    }
    free(s->routes);
}

void services_done(Services *s)
{
    for (size_t i = 0; i < s->n; i++)
        info_done(&s->items[i]);
    free(s->items);
    *s = (Services){};
}

/* ── reading ── */

/* A reason has in it what a client has asked for: it must not speak to the terminal. */
static int read_text(sd_bus_message *m, char **ret)
{
    const char *s;

    int r = sd_bus_message_read(m, "s", &s);
    if (r < 0)
        return r;
    free(*ret);
    *ret = strdup(s);
    for (char *p = *ret; p && *p; p++)
        if ((unsigned char) *p < ' ' || *p == 0x7f)
            *p = '?';
    return *ret ? 0 : -ENOMEM;
}

static int read_routes(sd_bus_message *m, ServiceInfo *s)
{
    const char *where, *target;
    int r;

    if ((r = sd_bus_message_enter_container(m, 'v', "a(ss)")) < 0 ||
            (r = sd_bus_message_enter_container(m, 'a', "(ss)")) < 0)
        return r;
    while ((r = sd_bus_message_read(m, "(ss)", &where, &target)) > 0) {
        Route *grown = reallocarray(s->routes, s->n_routes + 1, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        s->routes = grown;
        s->routes[s->n_routes] = (Route){strdup(where), strdup(target)};
        s->n_routes++;
        if (!s->routes[s->n_routes - 1].where || !s->routes[s->n_routes - 1].target)
            return -ENOMEM;
    }
    if (r >= 0 && (r = sd_bus_message_exit_container(m)) >= 0)
        r = sd_bus_message_exit_container(m);
    return r;
}

static int read_field(sd_bus_message *m, const Field *f, ServiceInfo *s)
{
    const char *type = f->kind == FIELD_TEXT ? "s" : f->kind == FIELD_PID ? "u" : "t";

    int r = sd_bus_message_enter_container(m, 'v', type);
    if (r >= 0)
        r = f->kind == FIELD_TEXT ? read_text(m, at(s, f)) : sd_bus_message_read(m, type, at(s, f));
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* What we do not know a newer manager does. */
static int read_property(sd_bus_message *m, ServiceInfo *s)
{
    const char *name;

    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return r;
    if (streq(name, "Routes"))
        return read_routes(m, s);
    for (size_t i = 0; i < ELEMENTSOF(fields); i++)
        if (streq(name, fields[i].property))
            return read_field(m, &fields[i], s);
    return sd_bus_message_skip(m, "v");
}

/* Texts that an older manager does not have. */
static int complete(ServiceInfo *s)
{
    for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
        char **text = at(s, &fields[i]);
        if (fields[i].kind == FIELD_TEXT && !*text && !(*text = strdup("")))
            return -ENOMEM;
    }
    return 0;
}

static int read_properties(sd_bus_message *m, ServiceInfo *s)
{
    int r;

    if ((r = sd_bus_message_enter_container(m, 'a', "{sv}")) < 0)
        return r;
    while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0)
        if ((r = read_property(m, s)) < 0 || (r = sd_bus_message_exit_container(m)) < 0)
            return r;
    if (r >= 0 && (r = sd_bus_message_exit_container(m)) >= 0)
        r = complete(s);
    return r;
}

/* One object with its interfaces, of which one may be what we look for. */
static int read_object(sd_bus_message *m, Services *all)
{
    const char *path, *interface;
    int r;

    if ((r = sd_bus_message_read(m, "o", &path)) < 0 ||
            (r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}")) < 0)
        return r;
    while ((r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
        if ((r = sd_bus_message_read(m, "s", &interface)) < 0)
            return r;
        if (streq(interface, BUS_SERVICE_INTERFACE)) {
            ServiceInfo *grown = reallocarray(all->items, all->n + 1, sizeof *grown);
            if (!grown)
                return -ENOMEM;
            all->items = grown;
            all->items[all->n] = (ServiceInfo){.memory = UINT64_MAX, .cpu = UINT64_MAX};
            r = read_properties(m, &all->items[all->n++]);
        } else
            r = sd_bus_message_skip(m, "a{sv}");
        if (r < 0 || (r = sd_bus_message_exit_container(m)) < 0)
            return r;
    }
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ServiceInfo *) a)->name, ((const ServiceInfo *) b)->name);
}

int services_read(sd_bus_message *m, Services *ret)
{
    _cleanup_(services_done) Services all = {};

    int r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0)
        if ((r = read_object(m, &all)) >= 0)
            r = sd_bus_message_exit_container(m);
    if (r < 0)
        return r;
    if (all.n > 1)
        qsort(all.items, all.n, sizeof *all.items, by_name);
    *ret = all;
    all = (Services){};
    return 0;
}

int services_fetch(sd_bus *bus, Services *ret)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    int r = sd_bus_call_method(bus, sd_bus_is_bus_client(bus) ? BUS_NAME : NULL, BUS_PATH,
            "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &error, &m, NULL);
    if (r < 0) {
        (void) ctl_error("The manager does not answer: %s", error.message ?: strerror(-r));
        return r;
    }
    r = services_read(m, ret);
    if (r < 0)
        (void) ctl_error("The manager's answer cannot be used: %s", strerror(-r));
    return r;
}

/* ── using ── */

const ServiceInfo *services_find(const Services *s, const char *name)
{
    ServiceInfo key = {.name = (char *) name};
    return s->n > 0 ? bsearch(&key, s->items, s->n, sizeof key, by_name) : NULL;
}

void services_say_unknown(const Services *s, const char *name)
{
    Suggestion near = {};

    for (size_t i = 0; i < s->n; i++)
        suggestion_consider(&near, name, s->items[i].name);
    if (near.best)
        (void) ctl_error("There is no service \"%s\". Did you mean \"%s\"?", name, near.best);
    else
        (void) ctl_error("There is no service \"%s\". `dynapmctl list` shows all there are.", name);
}

static json_object *field_to_json(const ServiceInfo *s, const Field *f)
{
    switch (f->kind) {
    case FIELD_TEXT:
        return json_object_new_string(*(char **) at(s, f));
    case FIELD_PID:
        return json_object_new_uint64(*(uint32_t *) at(s, f));
    default:
        return json_object_new_uint64(*(uint64_t *) at(s, f));
    }
}

static bool is_none(const ServiceInfo *s, const Field *f)
{
    uint64_t n = f->kind == FIELD_TEXT  ? !!**(char **) at(s, f)
                 : f->kind == FIELD_PID ? *(uint32_t *) at(s, f)
                                        : *(uint64_t *) at(s, f);
    return f->kind == FIELD_COUNT  ? false
           : f->kind == FIELD_SPAN ? n == UINT64_MAX
                                   : n == 0 || n == UINT64_MAX;
}

static int add(json_object *o, const char *key, json_object *value, bool null)
{
    if ((!value && !null) || json_object_object_add(o, key, value) < 0) {
        json_object_put(value);
        return -ENOMEM;
    }
    return 0;
}

json_object *service_to_json(const ServiceInfo *s)
{
    json_object *o = json_object_new_object(), *routes = json_object_new_array();
    int r = o && routes ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < ELEMENTSOF(fields); i++) {
        bool null = is_none(s, &fields[i]);
        r = add(o, fields[i].json, null ? NULL : field_to_json(s, &fields[i]), null);
    }
    for (size_t i = 0; r == 0 && i < s->n_routes; i++) {
        json_object *route = json_object_new_object();
        if (!route || json_object_array_add(routes, route) < 0) {
            json_object_put(route);
            r = -ENOMEM;
            break;
        }
        r = add(route, "where", json_object_new_string(s->routes[i].where), false);
        if (r == 0)
            r = add(route, "target", json_object_new_string(s->routes[i].target), false);
    }
    if (r == 0)
        r = add(o, "routes", json_object_get(routes), false);
    json_object_put(routes);
    if (r == 0)
        return o;
    json_object_put(o);
    return NULL;
}

int ctl_print_json(json_object *o)
{
    const char *text =
            o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)
              : NULL;
    if (text)
        puts(text);
    json_object_put(o);
    return text ? CTL_OK : ctl_oom();
}
