/* SPDX-License-Identifier: ISC */
#pragma once

/* A data path without a manager: it has no service, so that every request is answered 404, listeners that
 * nobody has bound, and clients that are the other end of a socket pair. */

#include "tests/unit/test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "gateway/exchange.h"
#include "gateway/proxy.h"
#include "ipc/routes.h"
#include "tests/unit/loop.h"
#include "util/fd.h"

static inline void on_nothing(void *userdata)
{
}

static inline void on_proxy_batch(void *userdata)
{
    Proxy *p = userdata;
    if (p->server)
        server_run_if_kicked(p->server);
}

#define FIXTURE_LISTENERS 8

static inline Proxy *proxy_fixture_new(void)
{
    Proxy *p = new0(Proxy, 1);
    RouteBuilder *builder = route_builder_new();
    SocketAddress a;

    assert_int_equal(sd_event_new(&p->event), 0);
    deadlines_init(&p->deadlines, p->event);
    exchange_init_deadlines(p);
    tunnels_init(&p->tunnels, p);
    assert_int_equal(poller_init(&p->poller, p->event, on_proxy_batch, p), 0);
    assert_int_equal(clients_init(&p->clients, &p->deadlines), 0);
    p->clients.on_change = on_nothing;
    p->max_clients = 100;
    p->gates = gates_new(p->event);
    p->upstreams = upstreams_new(&p->poller, &p->deadlines, USEC_INFINITY);
    route_builder_set_settings(builder, &(RouteSettings){.max_connections = 100, .max_head_size = 16384});
    for (int i = 0; i < FIXTURE_LISTENERS; i++) {
        assert_int_equal(socket_address_from_ip("127.0.0.1", (uint16_t) (i + 1), &a), 0);
        assert_int_equal(route_builder_add_main_listener(builder, &a), i);
    }
    _cleanup_close_ int fd = route_builder_finish(builder);
    assert_true(fd >= 0);
    assert_int_equal(route_image_map(fd, &p->routes), 0);
    route_builder_free(builder);
    assert_int_equal(server_new(p, 16384, &p->server), 0);
    return p;
}

static inline void proxy_fixture_free(Proxy *p)
{
    tunnels_done(&p->tunnels);
    server_free(p->server);
    upstreams_free(p->upstreams);
    gates_free(p->gates);
    route_image_unref(p->routes);
    clients_done(&p->clients);
    poller_done(&p->poller);
    deadlines_done(&p->deadlines);
    sd_event_unref(p->event);
    free(p);
}

/* Returns the client's end, which does not block. */
static inline int proxy_fixture_connect(Proxy *p)
{
    struct sockaddr a = {.sa_family = AF_UNIX};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(client_accept(p, fds[1], LISTENER_MAIN, &a, sizeof a), 0);
    return fds[0];
}

/* Has more come? Appends it; `*ret_ended` when that was all. */
static inline bool client_receives(int fd, char *buf, size_t size, bool *ret_ended)
{
    size_t len = strlen(buf);
    ssize_t n = recv(fd, buf + len, size - 1 - len, MSG_DONTWAIT);

    if (n > 0)
        buf[len + (size_t) n] = 0;
    *ret_ended = n == 0 || (n < 0 && errno == ECONNRESET);
    return n > 0;
}
