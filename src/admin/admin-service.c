/* SPDX-License-Identifier: ISC */

/* One table says what a property is called in JSON and how it is told. A newer manager's properties that are
 * not in it are left out. What DynaPM has and the bus does not (status, base, proxyOnly) is derived. */

#include "admin/admin-service.h"

#include "ipc/bus.h"
#include "ipc/state.h"

typedef enum FieldKind {
    FIELD_TEXT,    /* s */
    FIELD_COUNT,   /* t, of which UINT64_MAX is unknown */
    FIELD_NSEC,    /* the same; ms */
    FIELD_MOMENT,  /* µs of CLOCK_REALTIME, 0 and UINT64_MAX are none */
    FIELD_ACCESS,  /* the same, of which 0 stays 0, as in DynaPM */
    FIELD_SPAN,    /* µs, UINT64_MAX is none */
    FIELD_TIMEOUT, /* the same, told as 0, as configurations do */
    FIELD_PID,     /* u, 0 is none */
    FIELD_ROUTES,  /* a(ss) */
    FIELD_CHECK,   /* a{sv} */
    FIELD_NAMED,   /* a{st}: counts by name */
    FIELD_BUCKETS, /* a(tt): µs up to which, UINT64_MAX for the last, and how many */
} FieldKind;

typedef struct Field {
    const char *property, *json;
    FieldKind kind;
} Field;

/* Becomes a part of the durations. */
#define DURATION_SUM "durationSum"

static const Field fields[] = {
        {"Name", "name", FIELD_TEXT},
        {"State", "state", FIELD_TEXT},
        {"StateReason", "stateReason", FIELD_TEXT},
        {"Since", "since", FIELD_MOMENT},
        {"Failure", "failure", FIELD_TEXT},
        {"RetryAt", "retryAt", FIELD_MOMENT},
        {"LastWakeReason", "lastWakeReason", FIELD_TEXT},
        {"Kind", "kind", FIELD_TEXT},
        {"Backend", "backend", FIELD_TEXT},
        {"Unit", "unit", FIELD_TEXT},
        {"MainPID", "pid", FIELD_PID},
        {"Routes", "routes", FIELD_ROUTES},
        {"HealthCheck", "healthCheck", FIELD_CHECK},
        {"IdleTimeout", "idleTimeout", FIELD_TIMEOUT},
        {"StartTimeout", "startTimeout", FIELD_TIMEOUT},
        {"StopTimeout", "stopTimeout", FIELD_TIMEOUT},
        {"TotalUptime", "totalUptime", FIELD_SPAN},
        {"StartCount", "startCount", FIELD_COUNT},
        {"LastStartDuration", "lastStartDuration", FIELD_SPAN},
        {"LastActivity", "lastAccessTime", FIELD_ACCESS},
        {"ActiveExchanges", "activeConnections", FIELD_COUNT},
        {"Waiting", "waiting", FIELD_COUNT},
        {"Requests", "requests", FIELD_COUNT},
        {"IdleDeadline", "idleDeadline", FIELD_MOMENT},
        {"MemoryCurrent", "memoryCurrent", FIELD_COUNT},
        {"CPUUsageNSec", "cpuUsage", FIELD_NSEC},
        {"RequestsByClass", "requestsByClass", FIELD_NAMED},
        {"DurationHistogram", "durations", FIELD_BUCKETS},
        {"DurationSum", DURATION_SUM, FIELD_SPAN},
        {"BytesReceived", "bytesReceived", FIELD_COUNT},
        {"BytesSent", "bytesSent", FIELD_COUNT},
};

bool admin_json_add(json_object *object, const char *key, json_object *value)
{
    if (json_object_object_add(object, key, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

char *admin_json_text(json_object *o, size_t *ret_len)
{
    size_t n;
    const char *s =
            json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
    if (!s)
        return NULL;
    char *copy = malloc(n + 1);
    if (!copy)
        return NULL;
    memcpy(copy, s, n + 1);
    if (ret_len)
        *ret_len = n;
    return copy;
}

static json_object *number(FieldKind kind, uint64_t n)
{
    bool none = n == UINT64_MAX;

    switch (kind) {
    case FIELD_COUNT:
        return none ? NULL : json_object_new_uint64(n);
    case FIELD_NSEC:
        return none ? NULL : json_object_new_uint64(n / 1000000);
    case FIELD_MOMENT:
        return none || n == 0 ? NULL : json_object_new_uint64(n / 1000);
    case FIELD_ACCESS:
    case FIELD_TIMEOUT:
        return json_object_new_uint64(none ? 0 : n / 1000);
    default:
        return none ? NULL : json_object_new_uint64(n / 1000);
    }
}

static int read_text(sd_bus_message *m, json_object **ret)
{
    const char *s;
    int r;

    if ((r = sd_bus_message_enter_container(m, 'v', "s")) < 0 || (r = sd_bus_message_read(m, "s", &s)) < 0)
        return r;
    *ret = json_object_new_string(s);
    return sd_bus_message_exit_container(m);
}

static int read_number(sd_bus_message *m, FieldKind kind, json_object **ret)
{
    uint32_t u;
    uint64_t n;
    int r;

    if (kind == FIELD_PID) {
        if ((r = sd_bus_message_read(m, "v", "u", &u)) < 0)
            return r;
        *ret = u > 0 ? json_object_new_int64(u) : NULL;
        return 0;
    }
    if ((r = sd_bus_message_read(m, "v", "t", &n)) < 0)
        return r;
    *ret = number(kind, n);
    return 0;
}

static int read_routes(sd_bus_message *m, json_object **ret)
{
    const char *where, *target;
    json_object *all = json_object_new_array();
    int r;

    if (!all)
        return -ENOMEM;
    *ret = all;
    if ((r = sd_bus_message_enter_container(m, 'v', "a(ss)")) < 0 ||
            (r = sd_bus_message_enter_container(m, 'a', "(ss)")) < 0)
        return r;
    while ((r = sd_bus_message_read(m, "(ss)", &where, &target)) > 0) {
        json_object *route = json_object_new_object();
        if (!route || !admin_json_add(route, "route", json_object_new_string(where)) ||
                !admin_json_add(route, "target", json_object_new_string(target)) ||
                json_object_array_add(all, route) < 0) {
            json_object_put(route);
            return -ENOMEM;
        }
    }
    if (r < 0 || (r = sd_bus_message_exit_container(m)) < 0)
        return r;
    return sd_bus_message_exit_container(m);
}

static int read_check_entry(sd_bus_message *m, json_object *check)
{
    const char *key, *type;
    json_object *value = NULL;
    uint32_t u;
    int r;

    if ((r = sd_bus_message_read(m, "s", &key)) < 0 || (r = sd_bus_message_peek_type(m, NULL, &type)) < 0)
        return r;
    if (*type == 's')
        r = read_text(m, &value);
    else if (*type == 'u' && (r = sd_bus_message_read(m, "v", "u", &u)) >= 0)
        value = json_object_new_int64(u);
    else if (*type == 't')
        r = read_number(m, FIELD_TIMEOUT, &value);
    else if (r >= 0)
        return sd_bus_message_skip(m, "v");
    if (r >= 0 && !admin_json_add(check, key, TAKE_PTR(value)))
        r = -ENOMEM;
    json_object_put(value);
    return r;
}

static int read_check(sd_bus_message *m, json_object **ret)
{
    int r;

    *ret = json_object_new_object();
    if (!*ret)
        return -ENOMEM;
    if ((r = sd_bus_message_enter_container(m, 'v', "a{sv}")) < 0 ||
            (r = sd_bus_message_enter_container(m, 'a', "{sv}")) < 0)
        return r;
    while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0)
        if ((r = read_check_entry(m, *ret)) < 0 || (r = sd_bus_message_exit_container(m)) < 0)
            return r;
    if (r < 0 || (r = sd_bus_message_exit_container(m)) < 0)
        return r;
    return sd_bus_message_exit_container(m);
}

static int read_named(sd_bus_message *m, json_object **ret)
{
    const char *name;
    uint64_t n;
    int r;

    *ret = json_object_new_object();
    if (!*ret)
        return -ENOMEM;
    if ((r = sd_bus_message_enter_container(m, 'v', "a{st}")) < 0 ||
            (r = sd_bus_message_enter_container(m, 'a', "{st}")) < 0)
        return r;
    while ((r = sd_bus_message_read(m, "{st}", &name, &n)) > 0)
        if (!admin_json_add(*ret, name, json_object_new_uint64(n)))
            return -ENOMEM;
    if (r < 0 || (r = sd_bus_message_exit_container(m)) < 0)
        return r;
    return sd_bus_message_exit_container(m);
}

static bool append(json_object *array, json_object *value)
{
    if (array && value && json_object_array_add(array, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

/* {"bounds": [ms…], "counts": [one more]}: the last count is of all that took longer. */
static int read_buckets(sd_bus_message *m, json_object **ret)
{
    json_object *bounds = json_object_new_array(), *counts = json_object_new_array();
    uint64_t bound, n;
    int r;

    *ret = json_object_new_object();
    if (!*ret || !bounds || !counts) {
        json_object_put(bounds);
        json_object_put(counts);
        return -ENOMEM;
    }
    if (!admin_json_add(*ret, "bounds", bounds)) {
        json_object_put(counts);
        return -ENOMEM;
    }
    if (!admin_json_add(*ret, "counts", counts))
        return -ENOMEM;
    if ((r = sd_bus_message_enter_container(m, 'v', "a(tt)")) < 0 ||
            (r = sd_bus_message_enter_container(m, 'a', "(tt)")) < 0)
        return r;
    while ((r = sd_bus_message_read(m, "(tt)", &bound, &n)) > 0)
        if ((bound != UINT64_MAX && !append(bounds, json_object_new_double((double) bound / 1000))) ||
                !append(counts, json_object_new_uint64(n)))
            return -ENOMEM;
    if (r < 0 || (r = sd_bus_message_exit_container(m)) < 0)
        return r;
    return sd_bus_message_exit_container(m);
}

static int read_property(sd_bus_message *m, json_object *service)
{
    json_object *value = NULL;
    const Field *f = fields;
    const char *property;

    int r = sd_bus_message_read(m, "s", &property);
    if (r < 0)
        return r;
    while (f < fields + ELEMENTSOF(fields) && !streq(f->property, property))
        f++;
    if (f == fields + ELEMENTSOF(fields))
        return sd_bus_message_skip(m, "v");
    r = f->kind == FIELD_TEXT      ? read_text(m, &value)
        : f->kind == FIELD_ROUTES  ? read_routes(m, &value)
        : f->kind == FIELD_CHECK   ? read_check(m, &value)
        : f->kind == FIELD_NAMED   ? read_named(m, &value)
        : f->kind == FIELD_BUCKETS ? read_buckets(m, &value)
                                   : read_number(m, f->kind, &value);
    if (r >= 0 && !admin_json_add(service, f->json, TAKE_PTR(value)))
        r = -ENOMEM;
    json_object_put(value);
    return r;
}

/* ── what DynaPM calls otherwise ── */

static const char *text_of(json_object *o, const char *key)
{
    json_object *v = json_object_object_get(o, key);
    return v ? json_object_get_string(v) : "";
}

const char *admin_service_name(json_object *service)
{
    return text_of(service, "name");
}

/* It knows no service that failed: that one is offline. */
static const char *status_of(const char *state)
{
    return streq(state, "failed") ? "offline" : streq(state, "frozen") ? "online" : state;
}

static bool derive(json_object *service)
{
    json_object *routes = json_object_object_get(service, "routes");
    json_object *first = routes ? json_object_array_get_idx(routes, 0) : NULL;
    json_object *durations = json_object_object_get(service, "durations");

    if (durations &&
            !admin_json_add(durations, "sum", json_object_get(json_object_object_get(service, DURATION_SUM))))
        return false;
    json_object_object_del(service, DURATION_SUM);
    return admin_json_add(service, "status", json_object_new_string(status_of(text_of(service, "state")))) &&
           admin_json_add(service, "base", json_object_new_string(first ? text_of(first, "target") : "")) &&
           admin_json_add(
                   service, "uptime", json_object_get(json_object_object_get(service, "totalUptime"))) &&
           admin_json_add(service, "proxyOnly",
                   json_object_new_boolean(streq(text_of(service, "kind"), "proxyOnly")));
}

int admin_service_read(sd_bus_message *m, json_object **ret)
{
    json_object *service = json_object_new_object();
    int r;

    if (!service)
        return -ENOMEM;
    r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0)
        if ((r = read_property(m, service)) >= 0)
            r = sd_bus_message_exit_container(m);
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    /* Whatever this manager does not know is there, too, and null. */
    for (size_t i = 0; r >= 0 && i < ELEMENTSOF(fields); i++)
        if (!json_object_object_get_ex(service, fields[i].json, NULL) &&
                !admin_json_add(service, fields[i].json, NULL))
            r = -ENOMEM;
    if (r >= 0 && !derive(service))
        r = -ENOMEM;
    if (r < 0) {
        json_object_put(service);
        return r;
    }
    *ret = service;
    return 0;
}

/* One object's interfaces, a{sa{sv}}: the services' is what counts. */
static int read_object(sd_bus_message *m, json_object *all)
{
    const char *interface;
    int r;

    r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
        json_object *service = NULL;
        r = sd_bus_message_read(m, "s", &interface);
        if (r >= 0)
            r = streq(interface, BUS_SERVICE_INTERFACE) ? admin_service_read(m, &service)
                                                        : sd_bus_message_skip(m, "a{sv}");
        if (r >= 0 && service && json_object_array_add(all, service) < 0) {
            json_object_put(service);
            r = -ENOMEM;
        }
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_problem(sd_bus_message *m, json_object *all)
{
    const char *file, *path, *message;
    uint32_t line, column;

    int r = sd_bus_message_read(m, "(suuss)", &file, &line, &column, &path, &message);
    if (r <= 0)
        return r;
    json_object *p = json_object_new_object();
    if (!p || !admin_json_add(p, "file", json_object_new_string(file)) ||
            !admin_json_add(p, "line", json_object_new_int64(line)) ||
            !admin_json_add(p, "column", json_object_new_int64(column)) ||
            !admin_json_add(p, "path", json_object_new_string(path)) ||
            !admin_json_add(p, "message", json_object_new_string(message)) ||
            json_object_array_add(all, p) < 0) {
        json_object_put(p);
        return -ENOMEM;
    }
    return 1;
}

int admin_reload_read(sd_bus_message *m, json_object **ret)
{
    json_object *o = json_object_new_object(), *problems = json_object_new_array();
    uint32_t services;

    int r = o && problems ? sd_bus_message_read(m, "u", &services) : -ENOMEM;
    if (r >= 0)
        r = sd_bus_message_enter_container(m, 'a', "(suuss)");
    while (r > 0)
        r = read_problem(m, problems);
    size_t n = problems ? json_object_array_length(problems) : 0;
    if (r >= 0 && (!admin_json_add(o, "success", json_object_new_boolean(n == 0)) ||
                          !admin_json_add(o, "message",
                                  json_object_new_string(n == 0 ? "The configuration is used as it is now."
                                                                : "What has problems stays as it was.")) ||
                          !admin_json_add(o, "services", json_object_new_int64(services)) ||
                          !admin_json_add(o, "problems", json_object_get(problems))))
        r = -ENOMEM;
    json_object_put(problems);
    if (r < 0) {
        json_object_put(o);
        return r;
    }
    *ret = o;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(admin_service_name(*(json_object **) a), admin_service_name(*(json_object **) b));
}

int admin_services_read(sd_bus_message *m, json_object **ret)
{
    json_object *all = json_object_new_array();
    const char *path;

    int r = all ? sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}") : -ENOMEM;
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0)
        if ((r = sd_bus_message_read(m, "o", &path)) >= 0 && (r = read_object(m, all)) >= 0)
            r = sd_bus_message_exit_container(m);
    if (r < 0) {
        json_object_put(all);
        return r;
    }
    json_object_array_sort(all, compare_names);
    *ret = all;
    return 0;
}
