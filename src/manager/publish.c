/* SPDX-License-Identifier: ISC */

/* Builds a publication. It runs once a configuration and kind of gateway, for the first gateway that needs
 * it: then all workers get the same image and the same sockets. One route that cannot be served takes nothing
 * else down. */

#include "manager/publish.h"

#include "ipc/routes.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/messages.h"

static const char *const listen_failed[] = {MESSAGE_LISTEN_FAILED, NULL};

typedef struct Draft {
    const Config *config;
    Listeners *listeners;
    RouteBuilder *builder;
    Publication *publication;
    int listen_failed_level;
} Draft;

Publication *publication_ref(Publication *p)
{
    p->n_ref++;
    return p;
}

Publication *publication_unref(Publication *p)
{
    if (!p || --p->n_ref > 0)
        return NULL;
    fd_close(p->routes_fd);
    free(p->listeners);
    return mfree(p);
}

int publication_want_listeners(const Config *config, Listeners *listeners)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < config->global.n_listen; i++)
        r = listeners_want(listeners, &config->global.listen[i]);
    if (r >= 0 && config->global.admin.listen.len > 0)
        r = listeners_want(listeners, &config->global.admin.listen);
    for (size_t i = 0; i < config->n_services; i++)
        for (size_t k = 0; r >= 0 && k < config->services[i]->n_routes; k++)
            if (config->services[i]->routes[k].type == ROUTE_PORT)
                r = listeners_want(listeners, &config->services[i]->routes[k].listen);
    return r;
}

static void add_settings(Draft *d)
{
    const GlobalConfig *g = &d->config->global;

    route_builder_set_settings(
            d->builder, &(RouteSettings){
                                .request_head_timeout = g->request_head_timeout,
                                .request_body_timeout = g->request_body_timeout,
                                .request_body_idle_timeout = g->request_body_idle_timeout,
                                .keep_alive_timeout = g->keep_alive_timeout,
                                .upstream_connect_timeout = g->upstream_connect_timeout,
                                .upstream_first_byte_timeout = g->upstream_first_byte_timeout,
                                .upstream_idle_timeout = g->upstream_idle_timeout,
                                .client_write_timeout = g->client_write_timeout,
                                .tunnel_idle_timeout = g->tunnel_idle_timeout,
                                .max_connections = g->max_connections,
                                .max_connections_per_address = g->max_connections_per_address,
                                .max_parked = g->max_parked,
                                .max_parked_per_service = g->max_parked_per_service,
                                .max_head_size = g->max_head_size,
                                .request_log = g->request_log,
                                .accept_proxy = g->accept_proxy,
                        });
}

/* Remembers which socket belongs to a listener of the image; indexes come in ascending order. */
static int note_listener(Publication *p, int index, int fd)
{
    if ((size_t) index < p->n_listeners)
        return 0;
    /* Doubles whenever a power of two is reached. */
    if ((p->n_listeners & (p->n_listeners - 1)) == 0) {
        int *grown = reallocarray(p->listeners, MAX(p->n_listeners * 2, (size_t) 1), sizeof(int));
        if (!grown)
            return -ENOMEM;
        p->listeners = grown;
    }
    p->listeners[p->n_listeners++] = fd;
    return 0;
}

static int add_main_listeners(Draft *d)
{
    char buf[SOCKET_ADDRESS_STRING_MAX];

    for (size_t i = 0; i < d->config->global.n_listen; i++) {
        const SocketAddress *a = &d->config->global.listen[i];
        int fd = listeners_get(d->listeners, a);
        if (fd < 0) {
            (void) log_full(d->listen_failed_level, fd, NULL, listen_failed, "Cannot listen on %s: %m",
                    socket_address_format(buf, a));
            d->publication->n_missing++;
            continue;
        }
        int r = route_builder_add_main_listener(d->builder, a);
        if (r >= 0)
            r = note_listener(d->publication, r, fd);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_port_route(Draft *d, const ServiceConfig *s, const RouteConfig *route, int service, int target)
{
    char buf[SOCKET_ADDRESS_STRING_MAX];

    int fd = listeners_get(d->listeners, &route->listen);
    if (fd < 0) {
        d->publication->n_missing++;
        (void) log_full(d->listen_failed_level, fd, s->name, listen_failed,
                "Cannot listen on %s, its requests are not served: %m",
                socket_address_format(buf, &route->listen));
        return 0;
    }
    int r = route_builder_add_port_route(
            d->builder, &route->listen, route->path, route->strip_path, service, target);
    if (r == -EADDRINUSE) {
        log_service_error(s->name, "%s is an address that all services share, it cannot be this one's own.",
                socket_address_format(buf, &route->listen));
        return 0;
    }
    if (r >= 0 && route->target.tcp)
        route_builder_set_tcp(d->builder, r, s->send_proxy_protocol);
    if (r >= 0 && route->accept_proxy)
        route_builder_set_accept_proxy(d->builder, r);
    return r < 0 ? r : note_listener(d->publication, r, fd);
}

/* Its own socket is there with --listen too: who asks for an admin API does not mean the addresses of
 * services. */
static int add_admin(Draft *d)
{
    const AdminConfig *a = &d->config->global.admin;
    char buf[SOCKET_ADDRESS_STRING_MAX];
    int fd = -EBADF;

    if (!a->enabled)
        return 0;
    if (a->listen.len > 0 && (fd = listeners_get(d->listeners, &a->listen)) < 0) {
        (void) log_full(LOG_ERR, fd, NULL, listen_failed, "Cannot listen on %s, there is no admin API: %m",
                socket_address_format(buf, &a->listen));
        return 0;
    }
    int r = route_builder_set_admin(d->builder, a->listen.len > 0 ? &a->listen : NULL, a->hostname);
    if (r == -EADDRINUSE) {
        log_error("%s is an address of services, there is no admin API.",
                socket_address_format(buf, &a->listen));
        return 0;
    }
    if (r >= 0 && fd >= 0)
        r = note_listener(d->publication, r, fd);
    for (size_t i = 0; r >= 0 && i < a->n_allowed; i++)
        r = route_builder_allow_admin(d->builder, a->allowed[i].address.s6_addr, a->allowed[i].prefix);
    return r;
}

static bool same_endpoint(const Endpoint *a, const Endpoint *b)
{
    if (a->n_addresses != b->n_addresses)
        return false;
    for (size_t i = 0; i < a->n_addresses; i++)
        if (!socket_address_equal(&a->addresses[i], &b->addresses[i]))
            return false;
    return true;
}

static int add_service(Draft *d, const ServiceConfig *s, uint32_t slot)
{
    int target = -EINVAL, r;

    int service = route_builder_add_service(d->builder, s->name, slot, s->kind == SERVICE_PROXY_ONLY);
    if (service < 0)
        return service;
    route_builder_set_web_socket_idle(d->builder, service, s->web_socket_idle);
    for (size_t i = 0; i < s->n_routes; i++) {
        const RouteConfig *route = &s->routes[i];
        /* Routes to one endpoint share one pool of connections; where they do, they mostly come in a row. */
        if (i == 0 || !same_endpoint(&route->target, &(route - 1)->target))
            target = route_builder_add_target(d->builder, route->target.addresses, route->target.n_addresses);
        if (target < 0)
            return target;
        if (route->type == ROUTE_HOST)
            r = route_builder_add_host_route(
                    d->builder, route->host, route->path, route->strip_path, service, target);
        else
            r = add_port_route(d, s, route, service, target);
        if (r == -EINVAL) {
            log_service_error(s->name, "Its route %s%s cannot be matched.",
                    route->type == ROUTE_HOST ? route->host : "", route->path);
            r = 0;
        }
        if (r < 0)
            return r;
    }
    return 0;
}

int publication_new(const Config *config, const uint32_t *slots, Listeners *listeners, bool main_listeners,
        bool tried_again, Publication **ret)
{
    _cleanup_(route_builder_freep) RouteBuilder *builder = route_builder_new();
    _cleanup_(publication_unrefp) Publication *p = new0(Publication, 1);
    int r = 0;

    if (p)
        *p = (Publication){.n_ref = 1, .routes_fd = -EBADF};
    if (!builder || !p)
        return -ENOMEM;
    Draft d = {config, listeners, builder, p, tried_again ? LOG_DEBUG : LOG_ERR};

    add_settings(&d);
    for (size_t i = 0; i < config->global.n_trusted_proxies; i++) {
        const CidrBlock *block = &config->global.trusted_proxies[i];
        r = route_builder_add_network(builder, block->address.s6_addr, block->prefix);
        if (r < 0)
            return r;
    }
    if (main_listeners)
        r = add_main_listeners(&d);
    if (r >= 0)
        r = add_admin(&d);
    for (size_t i = 0; r >= 0 && i < config->n_services; i++)
        if (slots[i] != NO_SLOT)
            r = add_service(&d, config->services[i], slots[i]);
    if (r < 0)
        return r;
    r = route_builder_finish(builder);
    if (r < 0)
        return r;
    p->routes_fd = r;
    *ret = TAKE_PTR(p);
    return 0;
}
