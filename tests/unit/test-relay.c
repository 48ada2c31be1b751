/* SPDX-License-Identifier: ISC */

/* Connections for services that do not speak HTTP, from accept(2) until they are tunnels, or are not. */

#include "tests/unit/tunnel-fixture.h"

#include "wire/proxy-protocol.h"

static int set_up(void **state)
{
    *state = tunnel_fixture_new(true);
    return 0;
}

static int tear_down(void **state)
{
    tunnel_fixture_free(*state);
    return 0;
}

/* Comes in on a port, as the gateway's listener would have it. */
static End client_of(TunnelFixture *f, uint32_t port)
{
    SocketAddress address;
    int fd;

    End client = client_of_network(f, &fd, &address);
    assert_int_equal(client_accept(f->p, fd, port, &address.sa, address.len), 0);
    return client;
}

/* The connection that the client's has become. */
static End service_of(TunnelFixture *f)
{
    size_t before = f->p->tunnels.n;

    RUN_UNTIL(f->p->event, f->p->tunnels.n > before);
    return service_accept(f);
}

static uint64_t service_waiting(const TunnelFixture *f, uint32_t service)
{
    return atomic_load(&f->manager_activity->slots[FIRST_SLOT + service].waiting);
}

static void expect_nothing_left(TunnelFixture *f, uint32_t service)
{
    RUN_UNTIL(f->p->event, f->p->clients.n == 0);
    assert_int_equal(f->p->tunnels.n, 0);
    assert_int_equal(gates_n_open(f->p->gates), 0);
    assert_int_equal(gates_n_parked(f->p->gates), 0);
    assert_int_equal(service_active(f, service), 0);
    assert_int_equal(service_waiting(f, service), 0);
}

static void a_client_is_joined_with_its_service_until_they_have_ended(void **state)
{
    TunnelFixture *f = *state;
    End client = client_of(f, PORT_OPEN);

    assert_int_equal(service_active(f, SERVICE_OPEN), 1);
    end_say(&client, "early");
    End service = service_of(f);
    end_expect(f, &service, "early");
    end_say(&service, "welcome");
    end_expect(f, &client, "welcome");
    assert_int_equal(service_count(f, SERVICE_OPEN, COUNT_TUNNELS), 1);
    assert_int_equal(service_active(f, SERVICE_OPEN), 1);

    end_close(&client);
    assert_false(end_is_reset(f, &service));
    end_close(&service);
    expect_nothing_left(f, SERVICE_OPEN);
}

static void a_client_that_has_said_all_before_it_was_accepted_is_still_answered(void **state)
{
    TunnelFixture *f = *state;
    SocketAddress address;
    int fd;

    End client = client_of_network(f, &fd, &address);
    end_say(&client, "a question");
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    assert_int_equal(client_accept(f->p, fd, PORT_OPEN, &address.sa, address.len), 0);
    End service = service_of(f);
    end_expect(f, &service, "a question");
    assert_false(end_is_reset(f, &service));
    end_say(&service, "an answer");
    end_close(&service);
    end_expect(f, &client, "an answer");
    assert_false(end_is_reset(f, &client));
    expect_nothing_left(f, SERVICE_OPEN);
    end_close(&client);
}

static void a_service_may_be_told_who_connects_before_it_hears_them(void **state)
{
    TunnelFixture *f = *state;
    SocketAddress near = {.len = sizeof near.un}, far = {.len = sizeof far.un};
    char header[PROXY_HEADER_MAX + 8];

    End client = client_of(f, PORT_TOLD);
    end_say(&client, "hello");
    assert_int_equal(getsockname(client.fd, &near.sa, &near.len), 0);
    assert_int_equal(getpeername(client.fd, &far.sa, &far.len), 0);
    snprintf(header, sizeof header, "PROXY TCP4 127.0.0.1 127.0.0.1 %u %u\r\nhello",
            (unsigned) socket_address_port(&near), (unsigned) socket_address_port(&far));
    End service = service_of(f);
    end_expect(f, &service, header);
    end_close(&client);
    end_close(&service);
    expect_nothing_left(f, SERVICE_OPEN);
}

static void what_a_proxy_in_front_says_is_what_the_service_is_told(void **state)
{
    TunnelFixture *f = *state;

    End client = client_of(f, PORT_RETOLD);
    end_say(&client, "PROXY TCP4 192.0.2.7 198.51.100.1 4711 5432\r\n");
    end_say(&client, "hello");
    End service = service_of(f);
    end_expect(f, &service, "PROXY TCP4 192.0.2.7 198.51.100.1 4711 5432\r\nhello");
    end_close(&client);
    end_close(&service);
    expect_nothing_left(f, SERVICE_OPEN);
}

static void a_service_that_refuses_is_a_reset_and_counted(void **state)
{
    TunnelFixture *f = *state;

    End client = client_of(f, PORT_DEAD);
    assert_true(end_is_reset(f, &client));
    expect_nothing_left(f, SERVICE_DEAD);
    assert_int_equal(service_count(f, SERVICE_DEAD, COUNT_ERRORS + UPSTREAM_REFUSED), 1);
    assert_int_equal(service_count(f, SERVICE_DEAD, COUNT_TUNNELS), 0);
    end_close(&client);
}

static void who_waits_for_a_service_that_does_not_come_is_reset(void **state)
{
    TunnelFixture *f = *state;

    End client = client_of(f, PORT_COLD);
    end_say(&client, "is anybody there?");
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0); /* and still wants to hear */
    end_expect_silence(f, &client);
    assert_int_equal(service_active(f, SERVICE_COLD), 1);
    assert_int_equal(service_waiting(f, SERVICE_COLD), 1);

    gates_refuse_parked(f->p->gates, "It has failed.");
    assert_true(end_is_reset(f, &client));
    expect_nothing_left(f, SERVICE_COLD);
    assert_int_equal(service_count(f, SERVICE_COLD, COUNT_PARK_REFUSALS + PARK_FAILED), 1);
    end_close(&client);
}

static void who_breaks_off_does_not_wait_any_more(void **state)
{
    TunnelFixture *f = *state;
    End leaving = client_of(f, PORT_COLD), staying = client_of(f, PORT_COLD);

    assert_int_equal(service_waiting(f, SERVICE_COLD), 2);
    end_break(&leaving);
    RUN_UNTIL(f->p->event, service_waiting(f, SERVICE_COLD) == 1);
    assert_int_equal(service_active(f, SERVICE_COLD), 1);
    assert_int_equal(f->p->clients.n, 1);
    end_expect_silence(f, &staying);
    end_break(&staying);
    expect_nothing_left(f, SERVICE_COLD);
}

static void no_more_wait_than_may(void **state)
{
    TunnelFixture *f = *state;
    End waiting[] = {client_of(f, PORT_COLD), client_of(f, PORT_COLD)};

    End client = client_of(f, PORT_COLD);
    assert_true(end_is_reset(f, &client));
    end_close(&client);
    assert_int_equal(service_count(f, SERVICE_COLD, COUNT_PARK_REFUSALS + PARK_FULL), 1);
    for (size_t i = 0; i < ELEMENTSOF(waiting); i++) {
        end_expect_silence(f, &waiting[i]);
        end_break(&waiting[i]);
    }
    expect_nothing_left(f, SERVICE_COLD);
}

/* The worker's part when there is another configuration. */
static void switch_routes(TunnelFixture *f, const char *last_name, bool cold)
{
    RouteImage *old = f->p->routes;

    f->p->routes = tunnel_fixture_routes(f, last_name, cold);
    assert_int_equal(gates_update(f->p->gates, f->p->routes), 0);
    assert_int_equal(upstreams_set_routes(f->p->upstreams, f->p->routes), 0);
    route_image_unref(old);
    gates_updated(f->p->gates);
}

static void who_waits_is_served_by_whoever_has_the_port_next(void **state)
{
    TunnelFixture *f = *state;

    End client = client_of(f, PORT_COLD);
    end_say(&client, "whoever you are");
    end_expect_silence(f, &client);
    switch_routes(f, "another", false);
    End service = service_of(f);
    end_expect(f, &service, "whoever you are");
    assert_int_equal(service_waiting(f, SERVICE_COLD), 0);
    end_close(&client);
    end_close(&service);
    expect_nothing_left(f, SERVICE_COLD);
}

static void a_tunnel_outlives_the_routes_that_it_came_by(void **state)
{
    TunnelFixture *f = *state;

    End client = client_of(f, PORT_OPEN);
    End service = service_of(f);
    switch_routes(f, "another", false);
    end_say(&client, "still");
    end_expect(f, &service, "still");
    end_say(&service, "here");
    end_expect(f, &client, "here");
    end_close(&client);
    end_close(&service);
    expect_nothing_left(f, SERVICE_OPEN);
}

static void those_that_wait_when_all_is_over_are_reset(void **state)
{
    TunnelFixture *f = *state;
    End waiting = client_of(f, PORT_COLD);

    clients_drop_waiting(&f->p->clients);
    expect_nothing_left(f, SERVICE_COLD);
    assert_true(end_is_reset(f, &waiting));
    end_close(&waiting);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            TEST(a_client_is_joined_with_its_service_until_they_have_ended),
            TEST(a_client_that_has_said_all_before_it_was_accepted_is_still_answered),
            TEST(a_service_may_be_told_who_connects_before_it_hears_them),
            TEST(what_a_proxy_in_front_says_is_what_the_service_is_told),
            TEST(a_service_that_refuses_is_a_reset_and_counted),
            TEST(who_waits_for_a_service_that_does_not_come_is_reset),
            TEST(who_breaks_off_does_not_wait_any_more),
            TEST(no_more_wait_than_may),
            TEST(who_waits_is_served_by_whoever_has_the_port_next),
            TEST(a_tunnel_outlives_the_routes_that_it_came_by),
            TEST(those_that_wait_when_all_is_over_are_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
