/* SPDX-License-Identifier: ISC */

/* One service object becomes one ServiceConfig, or problems and nothing. The members are taken down first, in
 * whatever order they stand, and understood afterwards in the order in which they need each other: name, how
 * it is run, base, routes, health check; last, what it claims against the services before it. */

#include "config/service.h"

#include <stdio.h>

#include "config/endpoint.h"

#define IDLE_TIMEOUT_DEFAULT (5 * USEC_PER_MINUTE)
#define START_TIMEOUT_DEFAULT (30 * USEC_PER_SEC)
#define STOP_TIMEOUT_DEFAULT (30 * USEC_PER_SEC)

const Key service_keys[] = {
        {"$schema", key_ignored_string},
        {"name", key_keep, offsetof(ServiceDraft, name)},
        {"host", key_keep, offsetof(ServiceDraft, host)},
        {"hosts", key_keep, offsetof(ServiceDraft, hosts)},
        {"port", key_keep, offsetof(ServiceDraft, port)},
        {"path", key_keep, offsetof(ServiceDraft, path)},
        {"stripPath", key_keep, offsetof(ServiceDraft, strip_path)},
        {"routes", key_keep, offsetof(ServiceDraft, routes), .keys = route_keys, .array = true},
        {"base", key_keep, offsetof(ServiceDraft, base)},
        {"unit", key_keep, offsetof(ServiceDraft, unit)},
        {"exec", key_keep, offsetof(ServiceDraft, exec)},
        {"commands", key_keep, offsetof(ServiceDraft, commands), .keys = command_keys},
        {"proxyOnly", key_keep, offsetof(ServiceDraft, proxy_only)},
        {"cwd", key_keep, offsetof(ServiceDraft, cwd)},
        {"env", key_keep, offsetof(ServiceDraft, env)},
        {"user", key_keep, offsetof(ServiceDraft, user)},
        {"group", key_keep, offsetof(ServiceDraft, group)},
        {"memoryMax", key_keep, offsetof(ServiceDraft, limits[LIMIT_MEMORY_MAX])},
        {"memoryHigh", key_keep, offsetof(ServiceDraft, limits[LIMIT_MEMORY_HIGH])},
        {"cpuQuota", key_keep, offsetof(ServiceDraft, limits[LIMIT_CPU_QUOTA])},
        {"cpuWeight", key_keep, offsetof(ServiceDraft, limits[LIMIT_CPU_WEIGHT])},
        {"ioWeight", key_keep, offsetof(ServiceDraft, limits[LIMIT_IO_WEIGHT])},
        {"tasksMax", key_keep, offsetof(ServiceDraft, limits[LIMIT_TASKS_MAX])},
        {"notify", key_keep, offsetof(ServiceDraft, notify)},
        {"acceptProxyProtocol", key_keep, offsetof(ServiceDraft, accept_proxy_protocol)},
        {"sendProxyProtocol", key_keep, offsetof(ServiceDraft, send_proxy_protocol)},
        {"idleTimeout", key_timespan, offsetof(ServiceDraft, idle_timeout),
                .flags = TIMESPAN_NEVER | TIMESPAN_ZERO_NEVER},
        {"webSocketIdle", key_timespan, offsetof(ServiceDraft, web_socket_idle),
                .flags = TIMESPAN_NEVER | TIMESPAN_ZERO_NEVER},
        {"startTimeout", key_timespan, offsetof(ServiceDraft, start_timeout), .flags = TIMESPAN_NEVER},
        {"stopTimeout", key_timespan, offsetof(ServiceDraft, stop_timeout), .flags = TIMESPAN_NEVER},
        {"healthCheck", key_keep, offsetof(ServiceDraft, health_check), .keys = health_check_keys},
        {},
};

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

bool is_service_name(const char *s)
{
    size_t n = strspn(s, NAME_CHARACTERS);
    return n >= 1 && n <= 64 && !s[n];
}

/* Services of one DynaPM configuration may share a name there. */
static bool is_name_taken_here(const Reader *r, const char *name)
{
    ClaimHolder holder;
    return claims_name_is_taken(&config_draft(r->config)->claims, name, &holder) &&
           streq(holder.file, r->file);
}

static int set_name(Reader *r, const ServiceDraft *d, const ServicePlace *place, ServiceConfig *service)
{
    static const char what[] = "1 to 64 letters, digits, \".\", \"_\" or \"-\"";
    const char *s;

    if (!value_given(&d->name)) {
        if (is_service_name(place->name))
            return set_string(&service->name, place->name);
        return problem_missing(r, &d->object, "name", "expected %s, which the file's name is not", what);
    }
    int k = value_string(r, &d->name, what, &s);
    if (k < 0)
        return k;
    if (place->host && (!is_service_name(s) || is_name_taken_here(r, s)))
        s = place->name; /* DynaPM shows names and tells services apart by their keys */
    if (!is_service_name(s))
        return problem_expected(r, &d->name, "%s", what);
    return set_string(&service->name, s);
}

static int read_accept_proxy(Reader *r, const Value *v, RouteDrafts *routes)
{
    bool accept, port = false;

    int k = value_bool(r, v, &accept);
    if (k < 0)
        return k;
    for (size_t i = 0; i < routes->n; i++) {
        RouteConfig *route = &routes->items[i].route;
        route->accept_proxy = accept && route->type == ROUTE_PORT;
        port |= route->type == ROUTE_PORT;
    }
    if (accept && !port)
        return problem_at(r, v,
                "expected a port beside it: of the addresses that services share, the global "
                "acceptProxyProtocol says it");
    return 0;
}

static int read_send_proxy(
        Reader *r, const Value *v, const RouteDrafts *routes, const Endpoint *base, ProxyProtocol *ret)
{
    static const char what[] = "\"v1\" or \"v2\"";
    const char *s;
    bool tcp = base->tcp;

    for (size_t i = 0; i < routes->n; i++)
        tcp |= routes->items[i].route.target.tcp;
    int k = value_string(r, v, what, &s);
    if (k < 0)
        return k;
    if (!streq(s, "v1") && !streq(s, "v2"))
        return problem_expected(r, v, "%s", what);
    if (!tcp)
        return problem_at(r, v,
                "expected a tcp:// base or target beside it: services that speak HTTP are told "
                "in Forwarded and X-Forwarded-*");
    *ret = streq(s, "v1") ? PROXY_PROTOCOL_V1 : PROXY_PROTOCOL_V2;
    return 0;
}

/* ── conflicts ── */

/* "blog.example.com/api", "port 8080", "127.0.0.1:8080/api" */
static const char *describe_route(const RouteConfig *route, char *buf, size_t size)
{
    char listener[SOCKET_ADDRESS_STRING_MAX];
    const char *path = streq(route->path, "/") ? "" : route->path;

    if (route->type == ROUTE_HOST)
        snprintf(buf, size, "%s%s", route->host, path);
    else if (startswith(socket_address_format(listener, &route->listen), "[::]:"))
        snprintf(buf, size, "port %u%s", socket_address_port(&route->listen), path);
    else
        snprintf(buf, size, "%s%s", listener, path);
    return buf;
}

static int report_route(Reader *r, const RouteDraft *d, const ClaimHolder *holder)
{
    char what[400], whose[100] = "dynapm itself";
    const char *file = holder->file;

    describe_route(&d->route, what, sizeof what);
    if (holder->service)
        snprintf(whose, sizeof whose, "service \"%s\"", holder->service->name);
    if (holder->listener)
        return problem_at(r, &d->where, "%s cannot be open besides %s, which %s has in %s", what,
                holder->listener, whose, file);
    return problem_at(r, &d->where, "%s is already taken by %s in %s", what, whose, file);
}

static int check_conflicts(
        Reader *r, const ServiceDraft *d, const RouteDrafts *routes, const ServiceConfig *service)
{
    const Claims *claims = &config_draft(r->config)->claims;
    ClaimHolder holder;
    int all = 0, k = 0;

    if (claims_name_is_taken(claims, service->name, &holder)) {
        static const char format[] = "the name \"%s\" is already taken in %s";
        k = value_given(&d->name)
                    ? problem_at(r, &d->name, format, service->name, holder.file)
                    : problem_missing(r, &d->object, "name", format, service->name, holder.file);
        if (is_fatal(&all, k))
            return k;
    }
    for (size_t i = 0; i < routes->n; i++) {
        const RouteDraft *route = &routes->items[i];
        if (!value_given(&route->where))
            continue;
        k = 0;
        if (claims_route_is_taken(claims, &route->route, &holder))
            k = report_route(r, route, &holder);
        else if (claims_listener_disagrees(claims, &route->route, &holder))
            k = problem_at(r, &route->where,
                    "acceptProxyProtocol is %s for this port in %s, and the same for all",
                    holder.route->accept_proxy ? "true" : "not set", holder.file);
        if (is_fatal(&all, k))
            return k;
    }
    return all;
}

/* ── putting it together ── */

static int take_routes(RouteDrafts *drafts, ServiceConfig *service)
{
    service->routes = new0(RouteConfig, drafts->n);
    if (!service->routes)
        return -ENOMEM;
    for (size_t i = 0; i < drafts->n; i++)
        if (value_given(&drafts->items[i].where)) {
            service->routes[service->n_routes++] = drafts->items[i].route;
            drafts->items[i].route = (RouteConfig){};
        }
    return 0;
}

/* From here on the service belongs to the configuration. */
static int add_service(Reader *r, ServiceConfig *service)
{
    Claims *claims = &config_draft(r->config)->claims;

    int k = config_add_service(r->config, service);
    if (k < 0)
        return k;
    k = claims_add_name(claims, service);
    for (size_t i = 0; k == 0 && i < service->n_routes; i++)
        k = claims_add_route(claims, service, &service->routes[i]);
    return k;
}

static int build(Reader *r, const ServiceDraft *d, const ServicePlace *place, RouteDrafts *routes,
        Endpoint *base, ServiceConfig *service)
{
    int all = 0, k;

    k = set_name(r, d, place, service);
    if (is_fatal(&all, k))
        return k;
    k = run_read(r, d, service);
    if (is_fatal(&all, k))
        return k;
    k = value_given(&d->base) ? endpoint_read(r, &d->base, base, NULL) : 0;
    if (is_fatal(&all, k))
        return k;
    k = routes_read(r, d, place, base->text ? base : NULL, routes);
    if (is_fatal(&all, k))
        return k;
    /* Without a base the service is looked for where its first route leads; without either that was said. */
    const Endpoint *where = base->text ? base : routes->n > 0 ? &routes->items[0].route.target : base;
    if (where->text || value_given(&d->health_check)) {
        k = health_check_read(r, &d->health_check, where->text ? where : NULL, &service->health_check);
        if (is_fatal(&all, k))
            return k;
    }
    if (value_given(&d->accept_proxy_protocol)) {
        k = read_accept_proxy(r, &d->accept_proxy_protocol, routes);
        if (is_fatal(&all, k))
            return k;
    }
    if (value_given(&d->send_proxy_protocol)) {
        k = read_send_proxy(r, &d->send_proxy_protocol, routes, base, &service->send_proxy_protocol);
        if (is_fatal(&all, k))
            return k;
    }
    if (all < 0)
        return all;
    return check_conflicts(r, d, routes, service);
}

int service_read(Reader *r, const Value *v, const ServicePlace *place)
{
    _cleanup_(service_config_unrefp) ServiceConfig *service = service_config_new();
    _cleanup_(route_drafts_done) RouteDrafts routes = {};
    _cleanup_(endpoint_done) Endpoint base = {};
    ServiceDraft d = {
            .object = *v,
            .idle_timeout = IDLE_TIMEOUT_DEFAULT,
            .web_socket_idle = USEC_INFINITY,
            .start_timeout = START_TIMEOUT_DEFAULT,
    };
    int all = 0, k;

    if (!service)
        return -ENOMEM;
    k = set_string(&service->file, r->file);
    if (k == 0)
        k = read_object(r, v, service_keys, &d);
    if (is_fatal(&all, k))
        return k;
    if (!value_is(v, json_type_object))
        return all;
    k = build(r, &d, place, &routes, &base, service);
    if (is_fatal(&all, k))
        return k;
    if (all < 0)
        return all;

    service->idle_timeout = d.idle_timeout;
    service->web_socket_idle = d.web_socket_idle;
    service->start_timeout = d.start_timeout;
    /* A unit has a limit of its own, which is not for us to cut short unasked. */
    service->stop_timeout = d.stop_timeout                  ? d.stop_timeout
                            : service->kind == SERVICE_UNIT ? USEC_INFINITY
                                                            : STOP_TIMEOUT_DEFAULT;
    k = take_routes(&routes, service);
    return k < 0 ? k : add_service(r, TAKE_PTR(service));
}
