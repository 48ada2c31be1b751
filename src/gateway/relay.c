/* SPDX-License-Identifier: ISC */

/* Such a client says nothing that we could read, so all that is known of it is where it came in. It is left
 * unread until its service has accepted the connection. As nobody can tell an error page from an answer, a
 * client that cannot be served gets a reset.
 *
 * A client that has ended its own direction may still want to hear: it is given up only when its connection
 * breaks. Invariant: a relay has a ticket, and either waits at the gate or has a connection in the making. */

#include "gateway/relay.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "gateway/proxy.h"
#include "util/fd.h"
#include "util/log.h"
#include "wire/proxy-protocol.h"

#define DEAD_REPORTS_MAX 2

struct Relay {
    Client *client;
    RouteImage *routes;
    const RouteListener *listener;
    const RouteEntry *route;
    Ticket ticket;
    Upstream *upstream;
    uint32_t epoch;       /* of the service when it was connected to */
    uint8_t dead_reports; /* how often the manager was told that it refuses connections */
    usec_t begun;
};

static void on_connected(void *owner, Upstream *u, uint32_t events);
static void on_failed(void *owner, Upstream *u, int error);

static const UpstreamOwner upstream_owner = {.ready = on_connected, .failed = on_failed};

static const RouteListener *listener_of(const Client *c)
{
    if (c->listener == LISTENER_MAIN)
        return NULL;
    const RouteListener *l = route_image_listener(c->proxy->routes, c->listener);
    return l->tcp ? l : NULL;
}

bool relay_is_wanted(const Client *c)
{
    return listener_of(c);
}

static Relay *relay_free(Relay *r)
{
    r->client->relay = NULL;
    upstream_release(r->upstream, false);
    ticket_close(&r->ticket);
    route_image_unref(r->routes);
    return mfree(r);
}

static char *describe(const Relay *r, char *buf, size_t size)
{
    char address[SOCKET_ADDRESS_STRING_MAX];

    snprintf(buf, size, "TCP %s", r->listener ? socket_address_format(address, &r->listener->address) : "-");
    return buf;
}

/* It cannot be served. */
static void relay_refuse(Relay *r, const char *why)
{
    Client *c = r->client;
    char what[SOCKET_ADDRESS_STRING_MAX + 8];

    if (route_image_settings(r->routes)->request_log)
        log_service_info(r->ticket.gate ? gate_name(r->ticket.gate) : NULL,
                "%s %s - 0 %.1fms (not served: %s)", c->peer, describe(r, what, sizeof what),
                (double) usec_sub(now_monotonic(), r->begun) / 1e3, why);
    (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    relay_free(r);
    client_drop(c);
}

void relay_broken(Relay *r)
{
    relay_refuse(r, "the client has left");
}

void relay_end(Relay *r)
{
    relay_refuse(r, "dynapm is shutting down");
}

static void relay_dispatch(Relay *r);

static void on_proceed(Ticket *t, const GateVerdict *verdict)
{
    Relay *r = container_of(t, Relay, ticket);

    if (verdict->online)
        relay_dispatch(r);
    else
        relay_refuse(r, verdict->why);
}

static void relay_park(Relay *r, uint32_t dead_epoch)
{
    char reason[SOCKET_ADDRESS_STRING_MAX + 8];

    int k = ticket_park(&r->ticket, dead_epoch, describe(r, reason, sizeof reason));
    if (k < 0)
        relay_refuse(r, k == -EBUSY ? "too many wait for this service to start"
                                    : "the service manager of dynapm cannot be reached");
}

/* Whose is it, by the routes of today? False: nobody's any more, and it is gone. */
static bool find_route(Relay *r)
{
    Proxy *p = r->client->proxy;

    r->listener = listener_of(r->client);
    if (r->routes != p->routes) {
        route_image_unref(r->routes);
        r->routes = route_image_ref(p->routes);
    }
    r->route = r->listener ? route_image_match_listener(p->routes, r->client->listener, "/", 1) : NULL;
    Gate *g = r->route ? gates_get(p->gates, r->route->service) : NULL;
    if (!g) {
        relay_refuse(
                r, r->route ? "the gateway is out of memory" : "no service is configured for it any more");
        return false;
    }
    if (r->ticket.gate != g) {
        ticket_close(&r->ticket);
        ticket_open(&r->ticket, g, on_proceed);
    }
    return true;
}

static void connection_refused(Relay *r, int error)
{
    r->upstream = upstream_release(r->upstream, false);
    log_service_debug(gate_name(r->ticket.gate), "Cannot connect: %s", strerror(error));
    if (r->routes != r->client->proxy->routes) { /* whose it is has to be found out again */
        relay_dispatch(r);
        return;
    }
    bool is_timeout = error == ETIMEDOUT || error == EAGAIN;
    bool is_ours = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
    if (!is_ours)
        gate_count(
                r->ticket.gate, COUNT_ERRORS + (is_timeout ? UPSTREAM_CONNECT_TIMEOUT : UPSTREAM_REFUSED), 1);
    bool is_dead = !is_timeout && !is_ours;
    if (is_dead && !gate_is_proxy_only(r->ticket.gate) && r->dead_reports++ < DEAD_REPORTS_MAX)
        relay_park(r, r->epoch);
    else
        relay_refuse(r, strerror(error));
}

static void to_mapped(const struct sockaddr_storage *a, struct in6_addr *ret, uint16_t *ret_port)
{
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *) a;
        *ret = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
        memcpy(ret->s6_addr + 12, &in->sin_addr, 4);
        *ret_port = ntohs(in->sin_port);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) a;
        *ret = in6->sin6_addr;
        *ret_port = ntohs(in6->sin6_port);
    }
}

static size_t write_proxy_header(const Relay *r, char buf[static PROXY_HEADER_MAX])
{
    struct sockaddr_storage peer = {}, local = {};
    socklen_t n_peer = sizeof peer, n_local = sizeof local;
    ProxyEnds ends = {};

    if (r->client->ends)
        ends = *r->client->ends;
    else if (getpeername(r->client->fd, (struct sockaddr *) &peer, &n_peer) == 0 &&
             getsockname(r->client->fd, (struct sockaddr *) &local, &n_local) == 0 &&
             (peer.ss_family == AF_INET || peer.ss_family == AF_INET6)) {
        ends.known = true;
        to_mapped(&peer, &ends.source, &ends.source_port);
        to_mapped(&local, &ends.destination, &ends.destination_port);
    }
    return proxy_header_write(buf, r->listener->send_proxy, &ends);
}

/* The service has accepted: from here on both are a tunnel. */
static void relay_join(Relay *r)
{
    Client *c = r->client;
    char header[PROXY_HEADER_MAX], what[SOCKET_ADDRESS_STRING_MAX + 8];
    char *log = NULL;

    ticket_answered(&r->ticket);
    size_t n = r->listener->send_proxy ? write_proxy_header(r, header) : 0;
    if (route_image_settings(r->routes)->request_log &&
            asprintf(&log, "%s %s -", c->peer, describe(r, what, sizeof what)) < 0)
        log = NULL;
    client_unwatch(c);
    Gate *gate = r->ticket.gate;
    TunnelEnds ends = {.client = c,
            .fd = c->fd,
            .upstream = r->upstream,
            .ticket = &r->ticket,
            .to_upstream = header,
            .n_to_upstream = n,
            .nap = route_image_service(r->routes, r->route->service)->web_socket_idle,
            .log = log,
            .begun = r->begun};
    int k = tunnel_new(c->proxy, &ends);
    if (k < 0) {
        log_service_error_errno(gate_name(r->ticket.gate), k, "Cannot pass a connection on: %m");
        free(log);
        relay_refuse(r, strerror(-k));
        return;
    }
    gate_count(gate, COUNT_TUNNELS, 1);
    TAKE_PTR(r->upstream);
    relay_free(r);
}

static void relay_dispatch(Relay *r)
{
    Proxy *p = r->client->proxy;

    if (r->routes != p->routes && !find_route(r))
        return;
    r->epoch = gate_is_proxy_only(r->ticket.gate) ? 1 : gate_online_epoch(r->ticket.gate);
    if (r->epoch == 0) {
        relay_park(r, 0);
        return;
    }
    int k = upstream_acquire(p->upstreams, r->route->target, true, &upstream_owner, r, &r->upstream);
    if (k < 0)
        connection_refused(r, -k);
    else if (upstream_is_connected(r->upstream))
        relay_join(r);
}

static void on_connected(void *owner, Upstream *u, uint32_t events)
{
    relay_join(owner);
}

static void on_failed(void *owner, Upstream *u, int error)
{
    connection_refused(owner, error);
}

void relay_start(Client *c)
{
    Relay *r = new0(Relay, 1);

    if (!r) {
        log_oom();
        client_drop(c);
        return;
    }
    r->client = c;
    r->begun = deadlines_now(&c->proxy->deadlines);
    c->relay = r;
    if (find_route(r))
        relay_dispatch(r);
}
