/* SPDX-License-Identifier: ISC */
#pragma once

/* A data path with services that do not speak HTTP, all of which are this test, and with the tables of a
 * manager that is not there: a service that has to be started is waited for. */

#include "tests/unit/proxy-fixture.h"

/* The services, by index in the image. */
enum {
    SERVICE_OPEN, /* proxyOnly; listens at f->address */
    SERVICE_DEAD, /* proxyOnly; nobody listens */
    SERVICE_COLD, /* is to be started; would listen at f->address, too */
};
/* The listeners, as far as they are for TCP. */
enum { PORT_OPEN, PORT_TOLD, PORT_RETOLD, PORT_DEAD, PORT_COLD };

#define FIRST_SLOT 3U /* of SERVICE_OPEN; the others follow */

typedef struct TunnelFixture {
    Proxy *p;
    StatusTable *status;
    const StatusTable *mapped_status;
    ActivityTable *activity;
    const ActivityTable *manager_activity;
    Link *link;
    char dir[32];
    SocketAddress address, nobody;
    int listener;
} TunnelFixture;

/* A connection's end that is the test's. Whatever happens on it has the loop turn. */
typedef struct End {
    int fd;
    sd_event_source *source;
} End;

static inline int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    return 0;
}

static inline End end_of(TunnelFixture *f, int fd)
{
    End e = {.fd = fd};

    assert_true(fd >= 0);
    assert_true(sd_event_add_io(f->p->event, &e.source, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_end,
                        NULL) >= 0);
    return e;
}

static inline void end_close(End *e)
{
    e->source = sd_event_source_disable_unref(e->source);
    e->fd = fd_close(e->fd);
}

/* Its peer gets a reset. */
static inline void end_break(End *e)
{
    assert_int_equal(
            setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger)),
            0);
    end_close(e);
}

static inline void end_say(const End *e, const char *text)
{
    assert_int_equal(send(e->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Runs the loop until exactly this has come. */
static inline void end_expect(TunnelFixture *f, const End *e, const char *text)
{
    char buf[1024] = "";
    bool ended = false;

    while (strlen(buf) < strlen(text)) {
        assert_false(ended);
        RUN_UNTIL(f->p->event, client_receives(e->fd, buf, sizeof buf, &ended) || ended);
    }
    assert_string_equal(buf, text);
}

/* Runs the loop until the connection has ended, which it does without another byte. True: it was reset. */
static inline bool end_is_reset(TunnelFixture *f, const End *e)
{
    ssize_t n;
    char c;

    RUN_UNTIL(f->p->event, (n = recv(e->fd, &c, 1, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
    if (n == 0)
        return false;
    assert_int_equal(n, -1);
    assert_int_equal(errno, ECONNRESET);
    return true;
}

/* Nothing has come, and nothing will by itself. */
static inline void end_expect_silence(TunnelFixture *f, const End *e)
{
    char c;

    while (sd_event_run(f->p->event, 0) > 0)
        ;
    assert_int_equal(recv(e->fd, &c, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static inline End service_accept(TunnelFixture *f)
{
    int fd;

    /* A connection that is established on the other side may still be on its way into the queue. */
    while ((fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0)
        assert_int_equal(errno, EAGAIN);
    return end_of(f, fd);
}

/* Connected over the network. `*ret_fd` is the gateway's end. */
static inline End client_of_network(TunnelFixture *f, int *ret_fd, SocketAddress *ret_address)
{
    SocketAddress any, at = {.len = sizeof at.un};

    assert_int_equal(socket_address_from_ip("127.0.0.1", 0, &any), 0);
    _cleanup_close_ int listener = socket_address_listen(&any, 1);
    assert_int_equal(getsockname(listener, &at.sa, &at.len), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &at.sa, at.len), 0);
    assert_int_equal(fd_adopt(fd), 0);
    ret_address->len = sizeof ret_address->un;
    while ((*ret_fd = accept4(listener, &ret_address->sa, &ret_address->len, SOCK_CLOEXEC | SOCK_NONBLOCK)) <
            0)
        assert_int_equal(errno, EAGAIN);
    return end_of(f, fd);
}

static inline uint64_t service_active(const TunnelFixture *f, uint32_t service)
{
    return atomic_load(&f->manager_activity->slots[FIRST_SLOT + service].active);
}

static inline uint64_t service_count(const TunnelFixture *f, uint32_t service, ServiceCounter counter)
{
    return counter_read(&f->manager_activity->counters[FIRST_SLOT + service].n[counter]);
}

/* Services by these names, of which the last is `cold` or not, and the ports that lead to them. */
static inline RouteImage *tunnel_fixture_routes(const TunnelFixture *f, const char *last_name, bool cold)
{
    RouteBuilder *b = route_builder_new();
    SocketAddress a;
    RouteImage *routes;

    route_builder_set_settings(b, &(RouteSettings){.max_connections = 100,
                                          .max_head_size = 16384,
                                          .max_parked = 4,
                                          .max_parked_per_service = 2,
                                          .upstream_connect_timeout = USEC_INFINITY});
    assert_int_equal(route_builder_add_service(b, "open", FIRST_SLOT, true), SERVICE_OPEN);
    assert_int_equal(route_builder_add_service(b, "dead", FIRST_SLOT + SERVICE_DEAD, true), SERVICE_DEAD);
    assert_int_equal(route_builder_add_service(b, last_name, FIRST_SLOT + SERVICE_COLD, !cold), SERVICE_COLD);
    int up = route_builder_add_target(b, &f->address, 1), down = route_builder_add_target(b, &f->nobody, 1);
    static const struct {
        int service, send_proxy;
    } ports[] = {
            {SERVICE_OPEN, 0}, {SERVICE_OPEN, 1}, {SERVICE_OPEN, 1}, {SERVICE_DEAD, 0}, {SERVICE_COLD, 0}};
    for (int i = 0; i < (int) ELEMENTSOF(ports); i++) {
        assert_int_equal(socket_address_from_ip("127.0.0.1", (uint16_t) (i + 1), &a), 0);
        int target = ports[i].service == SERVICE_DEAD ? down : up;
        assert_int_equal(route_builder_add_port_route(b, &a, "/", false, ports[i].service, target), i);
        route_builder_set_tcp(b, i, (unsigned) ports[i].send_proxy);
    }
    route_builder_set_accept_proxy(b, PORT_RETOLD);
    _cleanup_close_ int fd = route_builder_finish(b);
    assert_true(fd >= 0);
    assert_int_equal(route_image_map(fd, &routes), 0);
    route_builder_free(b);
    return routes;
}

static inline void tunnel_fixture_attach(TunnelFixture *f)
{
    static const LinkEvents no_events = {};
    _cleanup_close_ int status_fd = -EBADF, activity_fd = -EBADF;

    assert_int_equal(status_table_new(&f->status, &status_fd), 0);
    assert_int_equal(status_table_map(status_fd, &f->mapped_status), 0);
    assert_int_equal(activity_table_new(&f->manager_activity, &activity_fd), 0);
    assert_int_equal(activity_table_map(activity_fd, &f->activity), 0);
    assert_int_equal(link_new(f->p->event, &f->nobody, false, &no_events, NULL, &f->link), 0);
    route_image_unref(f->p->routes);
    f->p->routes = tunnel_fixture_routes(f, "cold", true);
    assert_int_equal(upstreams_set_routes(f->p->upstreams, f->p->routes), 0);
    assert_int_equal(gates_attach(f->p->gates, f->link, f->mapped_status, f->activity, f->p->routes), 0);
    gates_attached(f->p->gates);
}

/* `network`: the service listens on TCP, where connections can break, else on a unix socket, where nothing is
 * ever under way. */
static inline TunnelFixture *tunnel_fixture_new(bool network)
{
    TunnelFixture *f = new0(TunnelFixture, 1);
    char path[64];

    f->p = proxy_fixture_new();
    strcpy(f->dir, "/tmp/test-tunnel-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof path, "%s/nobody", f->dir);
    assert_int_equal(socket_address_from_path(path, &f->nobody), 0);
    snprintf(path, sizeof path, "%s/service", f->dir);
    assert_int_equal(network ? socket_address_from_ip("127.0.0.1", 0, &f->address)
                             : socket_address_from_path(path, &f->address),
            0);
    f->listener = socket_address_listen(&f->address, 16);
    assert_true(f->listener >= 0);
    f->address.len = sizeof f->address.un;
    assert_int_equal(getsockname(f->listener, &f->address.sa, &f->address.len), 0);
    tunnel_fixture_attach(f);
    return f;
}

static inline void tunnel_fixture_free(TunnelFixture *f)
{
    if (f->address.sa.sa_family == AF_UNIX)
        unlink(f->address.un.sun_path);
    rmdir(f->dir);
    close(f->listener);
    link_free(f->link);
    proxy_fixture_free(f->p);
    status_table_unmap(f->mapped_status);
    status_table_unmap(f->status);
    activity_table_unmap(f->manager_activity);
    activity_table_unmap(f->activity);
    free(f);
}
