/* SPDX-License-Identifier: ISC */

/* Connections to real sockets on a real loop. */

#include "tests/unit/test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "gateway/upstream.h"
#include "util/fd.h"

typedef struct Fixture {
    sd_event *event;
    Poller poller;
    Deadlines deadlines;
    Upstreams *set;
    RouteImage *routes;
    SocketAddress address, nobody;
    int listener;
} Fixture;

typedef struct Owner {
    unsigned n_ready, n_failed;
    uint32_t events;
    int error;
} Owner;

static void on_ready(void *owner, Upstream *u, uint32_t events)
{
    Owner *o = owner;
    o->n_ready++;
    o->events |= events;
}

static void on_failed(void *owner, Upstream *u, int error)
{
    Owner *o = owner;
    o->n_failed++;
    o->error = error;
}

static const UpstreamOwner ops = {.ready = on_ready, .failed = on_failed};

static void after_batch(void *userdata)
{
}

static void bound_address(int fd, SocketAddress *ret)
{
    ret->len = sizeof ret->in6;
    assert_int_equal(getsockname(fd, &ret->sa, &ret->len), 0);
}

/* Targets: 0 listens, 1 refuses, 2 refuses at its first address and listens at the second. */
static int set_up(void **state)
{
    Fixture *f = new0(Fixture, 1);
    SocketAddress any;
    RouteSettings settings = {.upstream_connect_timeout = 10 * USEC_PER_SEC};

    assert_true(sd_event_new(&f->event) >= 0);
    deadlines_init(&f->deadlines, f->event);
    assert_int_equal(poller_init(&f->poller, f->event, after_batch, NULL), 0);
    assert_int_equal(socket_address_from_ip("127.0.0.1", 0, &any), 0);
    f->listener = socket_address_listen(&any, 16);
    bound_address(f->listener, &f->address);
    int closed = socket_address_listen(&any, 16);
    bound_address(closed, &f->nobody);
    close(closed);

    RouteBuilder *b = route_builder_new();
    route_builder_set_settings(b, &settings);
    assert_true(route_builder_add_target(b, &f->address, 1) >= 0);
    assert_true(route_builder_add_target(b, &f->nobody, 1) >= 0);
    assert_true(route_builder_add_target(b, (SocketAddress[]){f->nobody, f->address}, 2) >= 0);
    int fd = route_builder_finish(b);
    assert_true(fd >= 0);
    assert_int_equal(route_image_map(fd, &f->routes), 0);
    close(fd);
    route_builder_free(b);
    f->set = upstreams_new(&f->poller, &f->deadlines, 10 * USEC_PER_SEC);
    assert_int_equal(upstreams_set_routes(f->set, f->routes), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;
    upstreams_free(f->set);
    route_image_unref(f->routes);
    poller_done(&f->poller);
    deadlines_done(&f->deadlines);
    sd_event_unref(f->event);
    close(f->listener);
    free(f);
    return 0;
}

static int accept_one(Fixture *f)
{
    int fd;
    while ((fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        assert_int_equal(errno, EAGAIN);
    return fd;
}

static void turn_until(Fixture *f, const unsigned *counter)
{
    while (*counter == 0)
        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

static void a_kept_connection_is_used_again(void **state)
{
    Fixture *f = *state;
    Owner a = {}, b = {};
    Upstream *u = NULL, *again = NULL;

    assert_int_equal(upstream_acquire(f->set, 0, false, &ops, &a, &u), 0);
    turn_until(f, &a.n_ready);
    _cleanup_close_ int server = accept_one(f);
    assert_true(upstream_is_connected(u));
    assert_false(upstream_is_reused(u));
    assert_null(upstream_release(u, true));
    assert_int_equal(upstream_acquire(f->set, 0, false, &ops, &b, &again), 0);
    assert_ptr_equal(again, u);
    assert_true(upstream_is_reused(again));
    assert_true(upstream_is_alive(again));
    assert_int_equal(send(server, "x", 1, 0), 1);
    turn_until(f, &b.n_ready);
    assert_true(b.events & EPOLLIN);
    assert_false(upstream_is_alive(again)); /* bytes nobody asked for */
    upstream_release(again, false);
}

static void one_that_its_peer_closed_is_not(void **state)
{
    Fixture *f = *state;
    Owner a = {};
    Upstream *u = NULL, *next = NULL;
    char c;

    assert_int_equal(upstream_acquire(f->set, 0, false, &ops, &a, &u), 0);
    turn_until(f, &a.n_ready);
    int server = accept_one(f);
    upstream_release(u, true);
    close(server);
    while (sd_event_run(f->event, 0) > 0)
        ;
    assert_int_equal(upstream_acquire(f->set, 0, false, &ops, &a, &next), 0);
    assert_false(upstream_is_reused(next));
    server = accept_one(f);
    upstream_release(next, false);
    assert_int_equal(recv(server, &c, 1, 0), 0);
    close(server);
}

/* Routes to targets in this order. */
static RouteImage *routes_to(const SocketAddress *first, const SocketAddress *second)
{
    RouteBuilder *b = route_builder_new();
    RouteImage *routes;

    assert_true(route_builder_add_target(b, first, 1) >= 0);
    assert_true(route_builder_add_target(b, second, 1) >= 0);
    _cleanup_close_ int fd = route_builder_finish(b);
    route_builder_free(b);
    assert_int_equal(route_image_map(fd, &routes), 0);
    return routes;
}

static void connections_outlive_the_routes_if_their_target_does(void **state)
{
    Fixture *f = *state;
    Owner a = {};
    Upstream *idle = NULL, *busy = NULL, *u = NULL;
    char c;

    assert_int_equal(upstream_acquire(f->set, 0, false, &ops, &a, &idle), 0);
    turn_until(f, &a.n_ready);
    assert_int_equal(upstream_acquire(f->set, 0, false, &ops, &a, &busy), 0);
    upstream_release(idle, true);
    _cleanup_close_ int server = accept_one(f);

    RouteImage *moved = routes_to(&f->nobody, &f->address);
    assert_int_equal(upstreams_set_routes(f->set, moved), 0);
    upstream_release(busy, true); /* its pool is the same one */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(upstream_acquire(f->set, 1, false, &ops, &a, &u), 0);
        assert_true(upstream_is_reused(u));
        upstream_release(u, i == 0);
    }
    assert_int_equal(upstream_acquire(f->set, 1, false, &ops, &a, &idle), 0);
    upstream_release(idle, false);

    assert_int_equal(upstream_acquire(f->set, 1, true, &ops, &a, &idle), 0);
    assert_int_equal(upstream_acquire(f->set, 1, true, &ops, &a, &busy), 0);
    upstream_release(idle, true);
    RouteImage *gone = routes_to(&f->nobody, &f->nobody);
    assert_int_equal(upstreams_set_routes(f->set, gone), 0); /* which drops the idle one */
    upstream_release(busy, true);                            /* and the other when it is done */
    assert_int_equal(recv(server, &c, 1, 0), 0);
    for (int i = 0; i < 3; i++) {
        int end = accept_one(f);
        assert_int_equal(recv(end, &c, 1, 0), 0);
        close(end);
    }
    route_image_unref(moved);
    assert_int_equal(upstreams_set_routes(f->set, f->routes), 0);
    route_image_unref(gone);
}

static void fresh_means_fresh(void **state)
{
    Fixture *f = *state;
    Owner a = {};
    Upstream *u = NULL, *other = NULL;

    assert_int_equal(upstream_acquire(f->set, 0, false, &ops, &a, &u), 0);
    turn_until(f, &a.n_ready);
    upstream_release(u, true);
    assert_int_equal(upstream_acquire(f->set, 0, true, &ops, &a, &other), 0);
    assert_false(upstream_is_reused(other));
    upstream_release(other, false);
}

static void a_refusal_is_told_one_way_or_the_other(void **state)
{
    Fixture *f = *state;
    Owner a = {};
    Upstream *u = NULL;

    int r = upstream_acquire(f->set, 1, false, &ops, &a, &u);
    if (r == 0) {
        turn_until(f, &a.n_failed);
        r = -a.error;
        upstream_release(u, false);
    }
    assert_int_equal(r, -ECONNREFUSED);
}

static void the_second_address_is_tried(void **state)
{
    Fixture *f = *state;
    Owner a = {};
    Upstream *u = NULL;

    assert_int_equal(upstream_acquire(f->set, 2, false, &ops, &a, &u), 0);
    turn_until(f, &a.n_ready);
    assert_int_equal(a.n_failed, 0);
    close(accept_one(f));
    upstream_release(u, false);
}

static void a_connection_outlives_its_routes(void **state)
{
    Fixture *f = *state;
    Owner a = {};
    Upstream *u = NULL;

    assert_int_equal(upstream_acquire(f->set, 0, false, &ops, &a, &u), 0);
    turn_until(f, &a.n_ready);
    RouteImage *others = routes_to(&f->nobody, &f->nobody);
    assert_int_equal(upstreams_set_routes(f->set, others), 0);
    assert_int_equal(send(upstream_fd(u), "x", 1, 0), 1);
    assert_null(upstream_release(u, true)); /* closed, its pool is gone */
    int server = accept_one(f);
    char c;
    assert_int_equal(recv(server, &c, 1, 0), 1);
    assert_int_equal(recv(server, &c, 1, 0), 0);
    close(server);
    assert_int_equal(upstreams_set_routes(f->set, f->routes), 0);
    route_image_unref(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(a_kept_connection_is_used_again, set_up, tear_down),
            cmocka_unit_test_setup_teardown(one_that_its_peer_closed_is_not, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    connections_outlive_the_routes_if_their_target_does, set_up, tear_down),
            cmocka_unit_test_setup_teardown(fresh_means_fresh, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_refusal_is_told_one_way_or_the_other, set_up, tear_down),
            cmocka_unit_test_setup_teardown(the_second_address_is_tried, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_connection_outlives_its_routes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
