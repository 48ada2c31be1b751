/* SPDX-License-Identifier: ISC */

#include "tests/unit/proxy-fixture.h"

#include <fcntl.h>
#include <netinet/tcp.h>

#include "gateway/listener.h"

static int any_socket(SocketAddress *ret)
{
    assert_int_equal(socket_address_from_ip("127.0.0.1", 0, ret), 0);
    int fd = socket_address_listen(ret, 16);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, &ret->sa, &ret->len), 0);
    return fd;
}

static int connect_to(const SocketAddress *a)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, &a->sa, a->len) == 0) {
        assert_int_equal(send(fd, "G", 1, 0), 1); /* who says nothing is kept by the kernel for a second */
        return fd;
    }
    close(fd);
    return -ECONNREFUSED;
}

static uint32_t listener_of_next_client(Proxy *p, const SocketAddress *a)
{
    size_t n = p->clients.n;
    int fd = connect_to(a);

    assert_true(fd >= 0);
    RUN_UNTIL(p->event, p->clients.n == n + 1);
    uint32_t listener = p->clients.all->listener;
    close(fd);
    RUN_UNTIL(p->event, p->clients.n == n);
    return listener;
}

static void a_socket_of_ours_that_a_manager_gives_back_is_known_again(void **state)
{
    Proxy *p = proxy_fixture_new();
    Listeners *ls;
    SocketAddress a, b;
    int one = any_socket(&a), two = any_socket(&b);
    _cleanup_close_ int back = fcntl(two, F_DUPFD_CLOEXEC, 3);

    assert_int_equal(listeners_new(p, false, &ls), 0);
    assert_int_equal(listeners_add(ls, one, LISTENER_MAIN, false), 0);
    assert_int_equal(listeners_add(ls, two, LISTENER_MAIN, false), 0);
    assert_int_equal(listener_of_next_client(p, &b), LISTENER_MAIN);
    assert_true(listeners_claim(ls, back, 5));
    assert_int_equal(listener_of_next_client(p, &a), LISTENER_MAIN);
    assert_int_equal(listener_of_next_client(p, &b), 5);
    assert_int_equal(listeners_count(ls), 2);
    assert_int_equal(listeners_given(ls, 0), -EBADF);
    listeners_begin_update(ls); /* the next manager says anew what is whose */
    listeners_end_update(ls);
    assert_int_equal(listeners_count(ls), 2);
    assert_int_equal(listener_of_next_client(p, &b), LISTENER_MAIN);
    listeners_free(ls);
    proxy_fixture_free(p);
}

static void another_socket_is_none_of_ours(void **state)
{
    Proxy *p = proxy_fixture_new();
    Listeners *ls;
    SocketAddress a, b;
    int given = any_socket(&b);

    assert_int_equal(listeners_new(p, false, &ls), 0);
    assert_int_equal(listeners_add(ls, any_socket(&a), LISTENER_MAIN, false), 0);
    assert_false(listeners_claim(ls, given, 5));
    assert_int_equal(listeners_add(ls, given, 5, true), 0);
    assert_false(listeners_claim(ls, given, 6)); /* not one of our own */
    assert_int_equal(listener_of_next_client(p, &b), 5);
    assert_int_equal(listeners_given(ls, 0), given);
    listeners_begin_update(ls);
    assert_true(listeners_keep(ls, given, 7));
    listeners_end_update(ls);
    assert_int_equal(listener_of_next_client(p, &b), 7);
    int waiting = connect_to(&b); /* accepted before the socket goes */
    assert_true(waiting >= 0);
    listeners_begin_update(ls);
    listeners_end_update(ls);
    assert_non_null(p->clients.all);
    assert_int_equal(p->clients.all->listener, LISTENER_MAIN);
    close(waiting);
    assert_int_equal(connect_to(&b), -ECONNREFUSED);
    listeners_free(ls);
    proxy_fixture_free(p);
}

static void the_last_to_accept_empties_its_backlog_and_refuses_the_rest(void **state)
{
    Proxy *p = proxy_fixture_new();
    Listeners *ls;
    SocketAddress last, kept;
    int fds[4];
    int fd = any_socket(&kept);
    _cleanup_close_ int keeper = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    assert_true(keeper >= 0);
    assert_int_equal(listeners_new(p, false, &ls), 0);
    assert_int_equal(listeners_add(ls, any_socket(&last), LISTENER_MAIN, false), 0);
    assert_int_equal(listeners_add(ls, fd, LISTENER_MAIN, true), 0);
    for (size_t i = 0; i < ELEMENTSOF(fds); i++)
        fds[i] = connect_to(i % 2 == 0 ? &last : &kept);
    listeners_stop(ls, true, false);
    assert_int_equal(p->clients.n, 2);
    assert_int_equal(connect_to(&last), -ECONNREFUSED);
    int later = connect_to(&kept);
    assert_true(later >= 0);
    while (sd_event_run(p->event, 20 * USEC_PER_MSEC) > 0)
        ;
    assert_int_equal(p->clients.n, 2);                              /* it waits for the next gateway */
    assert_true(fd_is_same_socket(listeners_given(ls, 0), keeper)); /* and so may the next manager */
    close(later);
    listeners_free(ls);
    for (size_t i = 0; i < ELEMENTSOF(fds); i++)
        close(fds[i]);
    proxy_fixture_free(p);
}

static void who_has_said_nothing_yet_is_known_of(void **state)
{
    Proxy *p = proxy_fixture_new();
    Listeners *ls;
    SocketAddress a;

    assert_int_equal(listeners_new(p, false, &ls), 0);
    assert_int_equal(listeners_add(ls, any_socket(&a), LISTENER_MAIN, false), 0);
    listeners_begin_update(ls);
    listeners_end_update(ls);
    assert_false(listeners_are_unheard(ls, true, true));
    bool unheard = false;
    for (int i = 0; i < 5 && !unheard; i++) { /* a second later it is accepted all the same */
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, &a.sa, a.len), 0);
        unheard = listeners_are_unheard(ls, true, true);
        assert_false(listeners_are_unheard(ls, false, true)); /* somebody else will accept it */
        assert_int_equal(send(fd, "G", 1, 0), 1);
        assert_false(listeners_are_unheard(ls, true, true));
        close(fd);
    }
    assert_true(unheard);
    listeners_free(ls);
    proxy_fixture_free(p);
}

static int deferral(int fd)
{
    int seconds;
    socklen_t len = sizeof seconds;

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &len), 0);
    return seconds;
}

/* Its first listener is for TCP. */
static RouteImage *another_image(void)
{
    RouteBuilder *b = route_builder_new();
    SocketAddress a;
    RouteImage *image;

    route_builder_set_settings(b, &(RouteSettings){.max_connections = 100, .max_head_size = 16384});
    assert_int_equal(route_builder_add_service(b, "db", 0, true), 0);
    assert_int_equal(socket_address_from_ip("127.0.0.1", 1, &a), 0);
    assert_int_equal(route_builder_add_target(b, &a, 1), 0);
    assert_int_equal(route_builder_add_port_route(b, &a, "/", false, 0, 0), 0);
    route_builder_set_tcp(b, 0, 0);
    _cleanup_close_ int fd = route_builder_finish(b);
    assert_true(fd >= 0);
    assert_int_equal(route_image_map(fd, &image), 0);
    route_builder_free(b);
    return image;
}

static void switch_to(Proxy *p, Listeners *ls, RouteImage *image, const int *fds, size_t n)
{
    listeners_begin_update(ls);
    route_image_unref(p->routes);
    p->routes = image;
    for (size_t i = 0; i < n; i++)
        assert_true(listeners_keep(ls, fds[i], 0));
    listeners_end_update(ls);
}

static void clients_begin_where_they_speak_first_and_nobody_wants_it_otherwise(void **state)
{
    Proxy *p = proxy_fixture_new();
    Listeners *ls;
    SocketAddress a;
    int fds[] = {any_socket(&a), any_socket(&a)};

    assert_int_equal(setsockopt(fds[1], IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){30}, sizeof(int)), 0);
    const int wanted = deferral(fds[1]); /* the kernel rounds up */
    assert_int_equal(listeners_new(p, false, &ls), 0);
    for (size_t i = 0; i < ELEMENTSOF(fds); i++)
        assert_int_equal(listeners_add(ls, fds[i], 0, true), 0);
    switch_to(p, ls, route_image_ref(p->routes), fds, ELEMENTSOF(fds));
    assert_int_equal(deferral(fds[0]), 1);
    assert_int_equal(deferral(fds[1]), wanted);
    switch_to(p, ls, another_image(), fds, ELEMENTSOF(fds));
    assert_int_equal(deferral(fds[0]), 0);
    assert_int_equal(deferral(fds[1]), wanted);
    listeners_free(ls);
    proxy_fixture_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_socket_of_ours_that_a_manager_gives_back_is_known_again),
            cmocka_unit_test(another_socket_is_none_of_ours),
            cmocka_unit_test(the_last_to_accept_empties_its_backlog_and_refuses_the_rest),
            cmocka_unit_test(who_has_said_nothing_yet_is_known_of),
            cmocka_unit_test(clients_begin_where_they_speak_first_and_nobody_wants_it_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
