/* SPDX-License-Identifier: ISC */

/* A service's configuration as it is in effect, complete, in the form that it could be written in; what is as
 * by default is marked. It is read from the file that the manager names, with the rights of whoever asks:
 * what may not be read is not shown. */

#include <stdio.h>

#include "ctl/load.h"
#include "ctl/pager.h"
#include "ctl/services.h"
#include "util/text.h"

/* Members of an object, one a line; the last one is kept back until it is known whether a comma follows. */
typedef struct Writer {
    bool plain; /* no comments */
    bool failed;
    char *last;
    bool last_is_default;
    size_t n;
} Writer;

static void flush_last(Writer *w, const char *comma)
{
    if (w->last)
        printf("%s%s%s%s%s\n", w->last, comma, w->last_is_default && !w->plain ? colour_on(COLOUR_GREY) : "",
                w->last_is_default && !w->plain ? " // default" : "",
                w->last_is_default && !w->plain ? colour_off() : "");
    w->last = mfree(w->last);
}

/* Takes the value. */
static void member(Writer *w, const char *key, json_object *value, bool is_default)
{
    const char *text = value ? json_object_to_json_string_ext(
                                       value, JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)
                             : NULL;

    flush_last(w, ",");
    w->last = text ? text_format("  \"%s\": %s", key, text) : NULL;
    w->last_is_default = is_default;
    w->failed |= !w->last;
    json_object_put(value);
}

static json_object *text(const char *s)
{
    return json_object_new_string(s);
}

/* As it can be written: a text where that says it exactly. */
static json_object *span(usec_t t)
{
    char s[TIMESPAN_STRING_MAX];
    usec_t back;

    timespan_format(s, t);
    if (t == USEC_INFINITY || (timespan_parse(s, &back) == 0 && back == t))
        return text(s);
    if (t % USEC_PER_MSEC == 0)
        return json_object_new_uint64(t / USEC_PER_MSEC);
    snprintf(s, sizeof s, "%lluus", (unsigned long long) t);
    return text(s);
}

static json_object *strings(char **v)
{
    json_object *a = json_object_new_array();
    for (; a && *v; v++)
        if (json_object_array_add(a, text(*v)) < 0) {
            json_object_put(a);
            return NULL;
        }
    return a;
}

/* "KEY=value" strings */
static json_object *environment(char **v)
{
    json_object *o = json_object_new_object();

    for (; o && *v; v++) {
        const char *value = strchr(*v, '=') + 1;
        _cleanup_free_ char *key = strndup(*v, (size_t) (value - 1 - *v));
        if (!key || json_object_object_add(o, key, text(value)) < 0) {
            json_object_put(o);
            return NULL;
        }
    }
    return o;
}

static void set(json_object *o, const char *key, json_object *value)
{
    if (o && value)
        (void) json_object_object_add(o, key, value);
}

static json_object *routes(const ServiceConfig *s)
{
    char listener[SOCKET_ADDRESS_STRING_MAX];
    json_object *a = json_object_new_array();

    for (size_t i = 0; a && i < s->n_routes; i++) {
        const RouteConfig *route = &s->routes[i];
        json_object *o = json_object_new_object();

        set(o, "type", text(route->type == ROUTE_HOST ? "host" : "port"));
        if (route->type == ROUTE_HOST)
            set(o, "value", text(route->host));
        else if (startswith(socket_address_format(listener, &route->listen), "[::]:"))
            set(o, "value", json_object_new_int(socket_address_port(&route->listen)));
        else
            set(o, "value", text(listener));
        set(o, "path", text(route->path));
        set(o, "stripPath", json_object_new_boolean(route->strip_path));
        set(o, "target", text(route->target.text));
        (void) json_object_array_add(a, o);
    }
    return a;
}

static json_object *commands(const ServiceConfig *s)
{
    json_object *o = json_object_new_object();

    set(o, "start", text(s->start_command));
    if (s->stop_command)
        set(o, "stop", text(s->stop_command));
    if (s->check_command)
        set(o, "check", text(s->check_command));
    return o;
}

static json_object *health_check(const HealthCheckConfig *h)
{
    json_object *o = json_object_new_object();
    bool http = h->type == HEALTH_CHECK_HTTP;

    set(o, "type", text(health_check_type_to_string(h->type)));
    if (http) {
        _cleanup_free_ char *url = text_format("%s%s", h->endpoint.text, h->path);
        bool unix_socket = startswith(h->endpoint.text, "http+unix:");
        set(o, "url", url ? text(unix_socket ? h->path : url) : NULL);
        if (h->expected_status > 0)
            set(o, "expectedStatus", json_object_new_uint64(h->expected_status));
    } else if (h->type == HEALTH_CHECK_TCP && h->endpoint.n_addresses > 0 &&
               h->endpoint.addresses[0].sa.sa_family != AF_UNIX)
        set(o, "port", json_object_new_int(socket_address_port(&h->endpoint.addresses[0])));
    if (h->command)
        set(o, "command", text(h->command));
    set(o, "timeout", span(h->timeout));
    set(o, "interval", span(h->interval > 0 ? h->interval : 20 * USEC_PER_MSEC));
    return o;
}

/* Of the two that a percentage may have, those that are not 0. */
static int decimals_of(double percent)
{
    uint64_t hundredths = (uint64_t) (percent * 100 + 0.5);
    return hundredths % 100 == 0 ? 0 : hundredths % 10 == 0 ? 1 : 2;
}

/* Back to the words of dynapm.d(5). */
static void limit(Writer *w, const UnitLimit *l)
{
    static const struct {
        const char *property, *key;
    } names[] = {{"MemoryMax", "memoryMax"}, {"MemoryMaxScale", "memoryMax"}, {"MemoryHigh", "memoryHigh"},
            {"MemoryHighScale", "memoryHigh"}, {"CPUQuotaPerSecUSec", "cpuQuota"}, {"CPUWeight", "cpuWeight"},
            {"IOWeight", "ioWeight"}, {"TasksMax", "tasksMax"}, {"TasksMaxScale", "tasksMax"}};
    char percentage[32];
    const char *key = l->property;
    double percent =
            l->type == 'u' ? (double) l->value * 100 / UINT32_MAX : (double) l->value * 100 / USEC_PER_SEC;

    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        if (streq(names[i].property, l->property))
            key = names[i].key;
    snprintf(percentage, sizeof percentage, "%.*f%%", decimals_of(percent), percent);
    if (l->type == 'u' || streq(key, "cpuQuota"))
        member(w, key, text(percentage), false);
    else if (l->value == UINT64_MAX)
        member(w, key, text("infinity"), false);
    else if (l->value == 0 && streq(key, "cpuWeight"))
        member(w, key, text("idle"), false);
    else
        member(w, key, json_object_new_uint64(l->value), false);
}

static void how(Writer *w, const ServiceConfig *s)
{
    switch (s->kind) {
    case SERVICE_EXEC:
        member(w, "exec", strings(s->exec), false);
        break;
    case SERVICE_COMMANDS:
        member(w, "commands", commands(s), false);
        break;
    case SERVICE_UNIT:
        member(w, "unit", text(s->unit), false);
        return;
    default:
        member(w, "proxyOnly", json_object_new_boolean(true), false);
        return;
    }
    member(w, "cwd", text(s->cwd ?: "/"), !s->cwd);
    if (s->env)
        member(w, "env", environment(s->env), false);
    if (s->user)
        member(w, "user", text(s->user), false);
    if (s->group)
        member(w, "group", text(s->group), false);
    for (size_t i = 0; i < s->n_limits; i++)
        limit(w, &s->limits[i]);
    if (s->kind == SERVICE_EXEC)
        member(w, "notify", json_object_new_boolean(s->notify), !s->notify);
}

static int print_service(const CtlOptions *options, const ServiceConfig *s)
{
    usec_t stop_default = s->kind == SERVICE_UNIT ? USEC_INFINITY : 30 * USEC_PER_SEC;
    Writer w = {.plain = options->json};

    if (!options->json)
        printf("%s// %s%s\n", colour_on(COLOUR_GREY), s->file, colour_off());
    puts("{");
    member(&w, "name", text(s->name), false);
    member(&w, "routes", routes(s), false);
    how(&w, s);
    if (s->kind != SERVICE_PROXY_ONLY) {
        member(&w, "idleTimeout", span(s->idle_timeout), s->idle_timeout == 5 * USEC_PER_MINUTE);
        member(&w, "startTimeout", span(s->start_timeout), s->start_timeout == 30 * USEC_PER_SEC);
        member(&w, "stopTimeout", span(s->stop_timeout), s->stop_timeout == stop_default);
        member(&w, "healthCheck", health_check(&s->health_check), s->health_check.implied);
    }
    flush_last(&w, "");
    puts("}");
    return w.failed ? ctl_oom() : CTL_OK;
}

/* ── where it stands ── */

static const ServiceConfig *find(const Config *config, const char *name)
{
    for (size_t i = 0; i < config->n_services; i++)
        if (streq(config->services[i]->name, name))
            return config->services[i];
    return NULL;
}

static int print_from_file(const CtlOptions *options, const ServiceInfo *info)
{
    _cleanup_(config_unrefp) Config *config = config_new();

    if (!config)
        return ctl_oom();
    int r = ctl_parse_file(config, info->file);
    if (r < 0)
        return ctl_error("Cannot read %s: %s", info->file, strerror(-r));
    const ServiceConfig *s = find(config, info->name);
    return s ? print_service(options, s)
             : ctl_error("%s has no service \"%s\" any more, or a broken one: see `dynapmctl check`.",
                       info->file, info->name);
}

static int cat_running(const CtlOptions *options, const Services *all, char **names)
{
    int status = CTL_OK;

    pager_open(options->pager);
    for (; *names; names++) {
        const ServiceInfo *s = services_find(all, *names);
        if (!s)
            services_say_unknown(all, *names);
        int r = s ? print_from_file(options, s) : CTL_UNKNOWN;
        status = MAX(status, r);
    }
    return status;
}

static int cat_files(const CtlOptions *options, char **names)
{
    _cleanup_(config_unrefp) Config *config = NULL;
    int status = ctl_load_config(options, &config);

    if (status == CTL_OK)
        pager_open(options->pager);
    for (; status == CTL_OK && *names; names++) {
        const ServiceConfig *s = find(config, *names);
        status = s ? print_service(options, s) : CTL_UNKNOWN;
        if (!s)
            (void) ctl_error("There is no service \"%s\" in the configuration.", *names);
    }
    return status;
}

int ctl_cat(const CtlOptions *options, char **names)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(services_done) Services all = {};

    /* What is not in use yet is asked for by its folder; without a manager there is nothing in use. */
    if (options->config_dirs || ctl_connect_quietly(options, &bus) < 0)
        return cat_files(options, names);
    return services_fetch(bus, &all) < 0 ? CTL_FAILURE : cat_running(options, &all, names);
}
