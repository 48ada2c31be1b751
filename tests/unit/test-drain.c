/* SPDX-License-Identifier: ISC */

#include "tests/unit/proxy-fixture.h"

#include "gateway/drain.h"

#define GET "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n"

static unsigned n_stopped;

static void on_stop_accepting(void *userdata)
{
    assert_int_equal(*(int *) userdata, 0); /* before it is done */
    n_stopped++;
}

static void on_done(void *userdata)
{
    assert_int_equal(n_stopped, 1);
    ++*(int *) userdata;
}

static const DrainEvents events = {.stop_accepting = on_stop_accepting, .done = on_done};

static int set_up(void **state)
{
    n_stopped = 0;
    return 0;
}

/* Runs the loop until the client's connection has ended; what it received is in buf. */
static void read_to_end(Proxy *p, int fd, char *buf, size_t size)
{
    bool ended = false;

    *buf = 0;
    RUN_UNTIL(p->event, (client_receives(fd, buf, size, &ended), ended));
}

static void with_nothing_open_it_is_done_at_once(void **state)
{
    Proxy *p = proxy_fixture_new();
    Drain d;
    int n_done = 0;

    drain_begin(&d, p, USEC_PER_MINUTE, &events, &n_done);
    assert_int_equal(n_done, 1);
    assert_true(p->draining);
    proxy_fixture_free(p);
}

static void an_idle_connection_has_its_grace_and_is_then_closed(void **state)
{
    Proxy *p = proxy_fixture_new();
    Drain d;
    char buf[1024];
    int n_done = 0, fd = proxy_fixture_connect(p);

    usec_t began = now_monotonic();
    drain_begin(&d, p, USEC_PER_MINUTE, &events, &n_done);
    read_to_end(p, fd, buf, sizeof buf);
    assert_string_equal(buf, "");
    assert_true(now_monotonic() - began >= CLIENT_GRACE - 10 * USEC_PER_MSEC);
    RUN_UNTIL(p->event, n_done > 0);
    assert_int_equal(n_done, 1);
    close(fd);
    proxy_fixture_free(p);
}

static void a_request_that_comes_in_the_grace_is_answered_and_its_connection_closed(void **state)
{
    Proxy *p = proxy_fixture_new();
    Drain d;
    char buf[4096];
    int n_done = 0, fd = proxy_fixture_connect(p);

    drain_begin(&d, p, USEC_PER_MINUTE, &events, &n_done);
    assert_int_equal(send(fd, GET, strlen(GET), 0), strlen(GET));
    read_to_end(p, fd, buf, sizeof buf);
    assert_memory_equal(buf, "HTTP/1.1 404 ", 13);
    assert_non_null(strstr(buf, "Connection: close\r\n"));
    RUN_UNTIL(p->event, n_done > 0);
    close(fd);
    proxy_fixture_free(p);
}

/* The loop was busy elsewhere: its time is up and its request is there, both unseen. */
static void a_request_that_nobody_has_read_yet_outlives_the_grace(void **state)
{
    Proxy *p = proxy_fixture_new();
    Drain d;
    char buf[4096];
    int n_done = 0, fd = proxy_fixture_connect(p);

    drain_begin(&d, p, USEC_PER_MINUTE, &events, &n_done);
    usleep(CLIENT_GRACE + 20 * USEC_PER_MSEC);
    assert_int_equal(send(fd, GET, strlen(GET), 0), strlen(GET));
    read_to_end(p, fd, buf, sizeof buf);
    assert_memory_equal(buf, "HTTP/1.1 404 ", 13);
    RUN_UNTIL(p->event, n_done > 0);
    close(fd);
    proxy_fixture_free(p);
}

static void when_the_time_is_up_it_is_done_whatever_is_open(void **state)
{
    Proxy *p = proxy_fixture_new();
    Drain d;
    int n_done = 0, fd = proxy_fixture_connect(p);

    assert_int_equal(send(fd, "GET / HTTP/1.1\r\nHost:", 21, 0), 21);
    RUN_UNTIL(p->event, p->clients.all->exchange);
    drain_begin(&d, p, 20 * USEC_PER_MSEC, &events, &n_done);
    RUN_UNTIL(p->event, n_done > 0);
    assert_int_equal(p->clients.n, 1);
    close(fd);
    proxy_fixture_free(p);
}

static void who_connects_while_idle_ones_are_waited_for_is_served(void **state)
{
    Proxy *p = proxy_fixture_new();
    Drain d;
    char buf[4096];
    int n_done = 0, idle = proxy_fixture_connect(p);

    drain_begin(&d, p, USEC_PER_MINUTE, &events, &n_done);
    assert_int_equal(n_stopped, 0);
    int fd = proxy_fixture_connect(p), silent = proxy_fixture_connect(p);
    assert_int_equal(send(fd, GET, strlen(GET), 0), strlen(GET));
    read_to_end(p, fd, buf, sizeof buf);
    assert_memory_equal(buf, "HTTP/1.1 404 ", 13);
    assert_non_null(strstr(buf, "Connection: close\r\n"));
    read_to_end(p, silent, buf, sizeof buf); /* and is not waited for any longer than others */
    assert_string_equal(buf, "");
    RUN_UNTIL(p->event, n_done > 0);
    close(fd);
    close(silent);
    close(idle);
    proxy_fixture_free(p);
}

static bool on_are_unheard(void *userdata)
{
    return true;
}

static const DrainEvents with_unheard = {
        .are_unheard = on_are_unheard, .stop_accepting = on_stop_accepting, .done = on_done};

static void who_has_not_been_accepted_yet_has_the_grace_as_well(void **state)
{
    Proxy *p = proxy_fixture_new();
    Drain d;
    char buf[4096];
    int n_done = 0;

    usec_t began = now_monotonic();
    drain_begin(&d, p, USEC_PER_MINUTE, &with_unheard, &n_done);
    while (sd_event_run(p->event, 0) > 0)
        ;
    assert_int_equal(n_stopped, 0);
    int fd = proxy_fixture_connect(p);
    assert_int_equal(send(fd, GET, strlen(GET), 0), strlen(GET));
    read_to_end(p, fd, buf, sizeof buf);
    assert_memory_equal(buf, "HTTP/1.1 404 ", 13);
    RUN_UNTIL(p->event, n_done > 0);
    assert_true(now_monotonic() - began >= CLIENT_GRACE - 10 * USEC_PER_MSEC);
    close(fd);
    proxy_fixture_free(p);
}

static void if_nobody_comes_it_is_over_after_the_grace(void **state)
{
    Proxy *p = proxy_fixture_new();
    Drain d;
    int n_done = 0;

    drain_begin(&d, p, USEC_PER_MINUTE, &with_unheard, &n_done);
    assert_int_equal(n_done, 0);
    RUN_UNTIL(p->event, n_done > 0);
    assert_int_equal(n_stopped, 1);
    proxy_fixture_free(p);
}

static void with_none_idle_no_more_are_accepted(void **state)
{
    Proxy *p = proxy_fixture_new();
    Drain d;
    char buf[4096];
    int n_done = 0, fd = proxy_fixture_connect(p);

    assert_int_equal(send(fd, "GET / HTTP/1.1\r\nHost:", 21, 0), 21);
    RUN_UNTIL(p->event, p->clients.all->exchange);
    drain_begin(&d, p, USEC_PER_MINUTE, &events, &n_done);
    assert_int_equal(n_stopped, 1);
    assert_int_equal(send(fd, " x\r\n\r\n", 6, 0), 6);
    read_to_end(p, fd, buf, sizeof buf);
    assert_memory_equal(buf, "HTTP/1.1 404 ", 13);
    RUN_UNTIL(p->event, n_done > 0);
    close(fd);
    proxy_fixture_free(p);
}

static void one_that_is_forgotten_is_never_done(void **state)
{
    Proxy *p = proxy_fixture_new();
    Drain d;
    char buf[1024];
    int n_done = 0, fd = proxy_fixture_connect(p);

    drain_begin(&d, p, USEC_PER_MSEC, &events, &n_done);
    drain_done(&d);
    read_to_end(p, fd, buf, sizeof buf);
    assert_int_equal(n_done, 0);
    close(fd);
    proxy_fixture_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(with_nothing_open_it_is_done_at_once, set_up),
            cmocka_unit_test_setup(an_idle_connection_has_its_grace_and_is_then_closed, set_up),
            cmocka_unit_test_setup(
                    a_request_that_comes_in_the_grace_is_answered_and_its_connection_closed, set_up),
            cmocka_unit_test_setup(a_request_that_nobody_has_read_yet_outlives_the_grace, set_up),
            cmocka_unit_test_setup(when_the_time_is_up_it_is_done_whatever_is_open, set_up),
            cmocka_unit_test_setup(who_connects_while_idle_ones_are_waited_for_is_served, set_up),
            cmocka_unit_test_setup(who_has_not_been_accepted_yet_has_the_grace_as_well, set_up),
            cmocka_unit_test_setup(if_nobody_comes_it_is_over_after_the_grace, set_up),
            cmocka_unit_test_setup(with_none_idle_no_more_are_accepted, set_up),
            cmocka_unit_test_setup(one_that_is_forgotten_is_never_done, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
