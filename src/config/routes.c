/* SPDX-License-Identifier: ISC */

/* What a service answers to. `host`, `hosts`, `port` and the members of `routes` all add up (in a DynaPM
 * configuration `routes` replaces the others, as it does there), and a service of one without any of them has
 * its key as hostname. Every route has a path and a target of its own when this is done. */

#include "config/endpoint.h"
#include "config/hostname.h"
#include "config/service.h"

typedef struct RouteMembers {
    Value type, value, path, strip_path, target;
} RouteMembers;

const Key route_keys[] = {
        {"type", key_keep, offsetof(RouteMembers, type)},
        {"value", key_keep, offsetof(RouteMembers, value)},
        {"path", key_keep, offsetof(RouteMembers, path)},
        {"stripPath", key_keep, offsetof(RouteMembers, strip_path)},
        {"target", key_keep, offsetof(RouteMembers, target)},
        {},
};

/* What a route has unless it says otherwise. */
typedef struct RouteDefaults {
    const ServicePlace *place;
    const Endpoint *base;
    char *path;
    bool strip_path;
    bool wanted_base; /* somebody needed a base that there is not */
} RouteDefaults;

void route_drafts_done(RouteDrafts *d)
{
    for (size_t i = 0; i < d->n; i++)
        route_config_done(&d->items[i].route);
    free(d->items);
    *d = (RouteDrafts){};
}

static int read_path(Reader *r, const Value *v, char **ret)
{
    const char *s;

    int k = value_string(r, v, "a path such as \"/api\"", &s);
    if (k < 0)
        return k;
    if (!is_request_path(s, false))
        return problem_expected_hint(r, v, "a path such as \"/api\"",
                *s != '/' ? "" : "; no space, \"?\", \"#\" or letter beyond ASCII (write it as %XX)");
    size_t n = strlen(s);
    while (n > 1 && s[n - 1] == '/')
        n--;
    *ret = strndup(s, n);
    return *ret ? 0 : -ENOMEM;
}

static int read_host(Reader *r, const Value *v, char **ret)
{
    const char *s, *why;

    int k = value_string(r, v, "a hostname", &s);
    if (k < 0)
        return k;
    k = hostname_normalize(s, ret, &why);
    return k == -EINVAL ? problem_expected_hint(r, v, "a hostname", why) : k;
}

static int read_listen(Reader *r, const Value *v, const SocketAddress *address, SocketAddress *ret)
{
    static const char what[] = "a port from 1 to 65535 or ADDRESS:PORT";
    SocketAddress a = {};
    uint16_t port;
    int k;

    if (value_is(v, json_type_string)) {
        const char *s = json_object_get_string(v->json);
        k = startswith(s, "unix:") ? -EINVAL : socket_address_parse(s, &a);
        if (k < 0)
            return problem_expected(r, v, "%s", what);
        if (strchr(s, ':')) {
            *ret = a;
            return 0;
        }
        port = socket_address_port(&a);
    } else {
        k = value_port(r, v, what, &port);
        if (k < 0)
            return k;
    }
    if (address) {
        a = *address;
        *(a.sa.sa_family == AF_INET ? &a.in.sin_port : &a.in6.sin6_port) = htons(port);
    } else
        (void) socket_address_from_ip("::", port, &a);
    *ret = a;
    return 0;
}

/* Fills in what the route itself does not say. */
static int complete(RouteDefaults *defaults, RouteConfig *route)
{
    if (!route->path) {
        route->path = strdup(defaults->path);
        if (!route->path)
            return -ENOMEM;
    }
    if (route->target.text)
        return 0;
    if (!defaults->base) {
        defaults->wanted_base = true;
        return 0;
    }
    return endpoint_copy(defaults->base, &route->target);
}

/* One of host, hosts[i] and port: `v` says what the route answers to, the rest is defaults. */
static int add_simple(Reader *r, const Value *v, RouteType type, RouteDefaults *defaults, RouteDrafts *ret)
{
    RouteDraft *d = &ret->items[ret->n++];
    int k;

    *d = (RouteDraft){.route = {.type = type, .strip_path = defaults->strip_path}, .where = *v};
    k = type == ROUTE_HOST ? read_host(r, v, &d->route.host)
                           : read_listen(r, v, defaults->place->listen, &d->route.listen);
    return k < 0 ? k : complete(defaults, &d->route);
}

static int read_members(Reader *r, RouteDraft *d, RouteMembers *m, RouteDefaults *defaults)
{
    const char *type;
    int all = 0, k;

    k = read_object(r, &d->object, route_keys, m);
    if (k < 0)
        return k;
    if (!value_given(&m->type))
        return problem_missing(r, &d->object, "type", "expected \"host\" or \"port\", got nothing");
    k = value_string(r, &m->type, "\"host\" or \"port\"", &type);
    if (k < 0)
        return k;
    if (!streq(type, "host") && !streq(type, "port"))
        return problem_expected(r, &m->type, "\"host\" or \"port\"");
    d->route.type = streq(type, "host") ? ROUTE_HOST : ROUTE_PORT;
    if (!value_given(&m->value))
        return problem_missing(r, &d->object, "value",
                d->route.type == ROUTE_HOST ? "expected a hostname, got nothing"
                                            : "expected a port, got nothing");
    d->where = m->value;

    k = d->route.type == ROUTE_HOST ? read_host(r, &m->value, &d->route.host)
                                    : read_listen(r, &m->value, defaults->place->listen, &d->route.listen);
    if (is_fatal(&all, k))
        return k;
    k = value_given(&m->path) ? read_path(r, &m->path, &d->route.path) : 0;
    if (is_fatal(&all, k))
        return k;
    k = value_given(&m->strip_path) ? value_bool(r, &m->strip_path, &d->route.strip_path) : 0;
    if (is_fatal(&all, k))
        return k;
    k = value_given(&m->target) ? endpoint_read(r, &m->target, &d->route.target, NULL) : 0;
    if (is_fatal(&all, k))
        return k;
    return all;
}

static int add_routes(Reader *r, const Value *v, RouteDefaults *defaults, RouteDrafts *ret)
{
    ValueIterator it = {};
    int all = 0;

    for (Value route = {}; value_next(r, v, &it, &route);) {
        RouteDraft *d = &ret->items[ret->n++];
        RouteMembers members = {};

        *d = (RouteDraft){.route = {.strip_path = defaults->strip_path}, .object = route};
        int k = read_members(r, d, &members, defaults);
        if (k == 0)
            k = complete(defaults, &d->route);
        if (is_fatal(&all, k))
            return k;
    }
    return all;
}

static int add_hosts(Reader *r, const Value *v, RouteDefaults *defaults, RouteDrafts *ret)
{
    ValueIterator it = {};
    int all = 0;

    for (Value host = {}; value_next(r, v, &it, &host);) {
        int k = add_simple(r, &host, ROUTE_HOST, defaults, ret);
        if (is_fatal(&all, k))
            return k;
    }
    return all;
}

/* The hostname that is the key of a service in a DynaPM configuration. */
static int add_key(Reader *r, const ServiceDraft *d, RouteDefaults *defaults, RouteDrafts *ret)
{
    RouteDraft *route = &ret->items[ret->n++];
    const char *why;

    *route = (RouteDraft){
            .route = {.type = ROUTE_HOST, .strip_path = defaults->strip_path}, .where = d->object};
    int k = hostname_normalize(defaults->place->host, &route->route.host, &why);
    if (k == -EINVAL)
        return problem_at_key(
                r, &d->object, "expected host, port or routes in a service whose key is no hostname%s", why);
    return k < 0 ? k : complete(defaults, &route->route);
}

static int add_all(Reader *r, const ServiceDraft *d, RouteDefaults *defaults, RouteDrafts *ret)
{
    bool only_routes = r->dynapm && value_given(&d->routes) && d->routes.node->n_children > 0;
    int all = 0, k;

    if (value_given(&d->host) && !only_routes) {
        k = add_simple(r, &d->host, ROUTE_HOST, defaults, ret);
        if (is_fatal(&all, k))
            return k;
    }
    if (value_given(&d->hosts) && !only_routes) {
        k = value_is(&d->hosts, json_type_array) ? add_hosts(r, &d->hosts, defaults, ret)
                                                 : problem_expected(r, &d->hosts, "an array of hostnames");
        if (is_fatal(&all, k))
            return k;
    }
    if (value_given(&d->port) && !only_routes) {
        k = add_simple(r, &d->port, ROUTE_PORT, defaults, ret);
        if (is_fatal(&all, k))
            return k;
    }
    if (value_given(&d->routes)) {
        k = value_is(&d->routes, json_type_array) ? add_routes(r, &d->routes, defaults, ret)
                                                  : problem_expected(r, &d->routes, "an array of routes");
        if (is_fatal(&all, k))
            return k;
    }
    if (all < 0 || ret->n > 0)
        return all;
    if (defaults->place->host)
        return add_key(r, d, defaults, ret);
    return problem_at(r, &d->object,
            "expected one of host, hosts, port and routes, got none of them, so that no request would reach "
            "this "
            "service");
}

/* Bytes of any protocol name no host and no path: only the listener can tell whose they are. */
static int check_tcp(Reader *r, RouteDrafts *d)
{
    int all = 0, k = 0;

    for (size_t i = 0; i < d->n; i++) {
        const RouteDraft *this = &d->items[i];
        if (!this->route.target.tcp)
            continue;
        if (this->route.type != ROUTE_PORT)
            k = problem_at(r, &this->where, "expected a port for %s, where no request names a host",
                    this->route.target.text);
        else if (!streq(this->route.path, "/") || this->route.strip_path)
            k = problem_at(r, &this->where, "expected no path for %s, where no request names one",
                    this->route.target.text);
        if (is_fatal(&all, k))
            return k;
    }
    return all;
}

/* The same route twice is written twice and meant once, unless the two lead to different places. */
static int mark_duplicates(Reader *r, RouteDrafts *d)
{
    Claims own = {};
    ServiceConfig self = {.file = (char *) r->file};
    int all = 0;

    for (size_t i = 0; i < d->n && (all == 0 || all == -EBADMSG); i++) {
        RouteDraft *this = &d->items[i];
        char got[DESCRIPTION_MAX];
        ClaimHolder holder;

        if (!claims_route_is_taken(&own, &this->route, &holder)) {
            if (claims_add_route(&own, &self, &this->route) < 0)
                all = -ENOMEM;
        } else if (holder.listener)
            all = problem_at(r, &this->where, "expected listeners that can be open together, got %s and %s",
                    holder.listener, value_describe(&this->where, got));
        else if (!streq(holder.route->target.text, this->route.target.text))
            all = problem_at(r, &this->where, "expected one target for %s, got %s and %s",
                    value_describe(&this->where, got), holder.route->target.text, this->route.target.text);
        else
            this->where = (Value){};
    }
    claims_done(&own);
    return all;
}

static size_t count(const Value *v)
{
    return value_given(v) ? v->node->n_children : 0;
}

int routes_read(
        Reader *r, const ServiceDraft *d, const ServicePlace *place, const Endpoint *base, RouteDrafts *ret)
{
    _cleanup_free_ char *path = NULL;
    RouteDefaults defaults = {.place = place, .base = base};
    int all = 0, k;

    ret->items = new0(RouteDraft, count(&d->hosts) + count(&d->routes) + 2);
    if (!ret->items)
        return -ENOMEM;
    k = value_given(&d->path) ? read_path(r, &d->path, &path) : 0;
    if (is_fatal(&all, k))
        return k;
    if (!path && !(path = strdup("/")))
        return -ENOMEM;
    defaults.path = path;
    k = value_given(&d->strip_path) ? value_bool(r, &d->strip_path, &defaults.strip_path) : 0;
    if (is_fatal(&all, k))
        return k;

    k = add_all(r, d, &defaults, ret);
    if (is_fatal(&all, k))
        return k;
    if (defaults.wanted_base && !value_given(&d->base)) {
        k = problem_missing(r, &d->object, "base",
                "expected " ENDPOINT_FORMS ", where the service listens, unless every route has a target");
        if (is_fatal(&all, k))
            return k;
    }
    if (all < 0 || defaults.wanted_base)
        return -EBADMSG;
    k = check_tcp(r, ret);
    return k < 0 ? k : mark_duplicates(r, ret);
}
