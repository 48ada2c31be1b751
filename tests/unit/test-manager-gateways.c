/* SPDX-License-Identifier: ISC */

/* What gateways, good and bad, get from the manager over its socket. */

#include "tests/unit/manager-fixture.h"

#include <sys/resource.h>

static bool same_socket(int a, int b)
{
    struct stat x, y;
    assert_int_equal(fstat(a, &x), 0);
    assert_int_equal(fstat(b, &y), 0);
    return x.st_ino == y.st_ino;
}

static void a_gateway_gets_tables_routes_and_the_sockets_that_it_asks_for(void **state)
{
    Fixture f;
    Gateway g, own;
    uint16_t port = free_port(), main_port = free_port();

    fixture_init(&f);
    _cleanup_free_ char *global = text_format("{\"port\": %u, \"host\": \"127.0.0.1\"}", main_port);
    _cleanup_free_ char *path = text_format("%s/dynapm.json", f.dir);
    _cleanup_free_ char *json = text_format(
            "{\"port\": \"127.0.0.1:%u\", \"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true}", port);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, global, strlen(global)), strlen(global));
    fixture_config(&f, "app", json);
    fixture_start(&f);
    assert_false(somebody_listens(port)); /* sockets are made for gateways */

    gateway_init(&g, &f);
    gateway_attach(&g, true);
    assert_int_equal(route_image_n_listeners(g.routes), 2);
    assert_int_equal(g.n_listeners, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const RouteListener *l = route_image_listener(g.routes, i);
        SocketAddress a = {.len = sizeof a.un};
        assert_int_equal(getsockname(g.listeners[i], &a.sa, &a.len), 0);
        assert_true(socket_address_equal(&a, &l->address));
        assert_int_equal(l->main, socket_address_port(&a) == main_port);
    }
    assert_true(somebody_listens(port));
    assert_true(somebody_listens(main_port));

    /* One that has sockets of its own gets only those that belong to one service, and the same ones. */
    gateway_init(&own, &f);
    gateway_attach(&own, false);
    assert_int_equal(route_image_n_listeners(own.routes), 1);
    assert_int_equal(own.n_listeners, 1);
    assert_int_equal(route_image_listener(own.routes, 0)->main, 0);
    bool main_first = route_image_listener(g.routes, 0)->main;
    assert_true(same_socket(own.listeners[0], g.listeners[main_first]));
    gateway_done(&own);
    gateway_done(&g);
    fixture_done(&f);
}

static void a_port_that_cannot_be_bound_takes_down_its_own_route_only(void **state)
{
    Fixture f;
    Gateway g;
    SocketAddress a;
    uint16_t taken = free_port(), port = free_port();

    assert_int_equal(socket_address_from_ip("127.0.0.1", taken, &a), 0);
    _cleanup_close_ int other = socket_address_listen(&a, 1);
    assert_true(other >= 0);
    fixture_init(&f);
    _cleanup_free_ char *x = text_format(
            "{\"port\": \"127.0.0.1:%u\", \"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true}", taken);
    _cleanup_free_ char *y = text_format(
            "{\"port\": \"127.0.0.1:%u\", \"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true}", port);
    fixture_config(&f, "x", x);
    fixture_config(&f, "y", y);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    assert_int_equal(g.n_listeners, 1);
    assert_int_equal(route_image_n_listeners(g.routes), 1);
    const RouteEntry *e = route_image_match_listener(g.routes, 0, "/", 1);
    assert_string_equal(route_image_string(g.routes, route_image_service(g.routes, e->service)->name), "y");
    gateway_done(&g);
    fixture_done(&f);
}

static void more_sockets_than_a_message_carries_are_fetched_in_parts(void **state)
{
    const uint32_t n = BUS_LISTENERS_MAX + 50;
    Fixture f;
    Gateway g;
    Call c;
    uint16_t port = free_port();

    fixture_init(&f);
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%u", i);
        _cleanup_free_ char *json = text_format(
                "{\"port\": \"127.1.%u.%u:%u\", \"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true}",
                i / 100, i % 100 + 1, port);
        fixture_config(&f, name, json);
    }
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    assert_int_equal(route_image_n_listeners(g.routes), n);
    assert_int_equal(g.n_listeners, BUS_LISTENERS_MAX);
    gateway_call(&g, &c, BUS_LISTENERS, "u", BUS_LISTENERS_MAX);
    run_until(&f, c.reply);
    gateway_read_listeners(&g, c.reply);
    call_done(&c);
    assert_int_equal(g.n_listeners, n);
    for (uint32_t i = 0; i < n; i++) {
        SocketAddress a = {.len = sizeof a.un};
        assert_int_equal(getsockname(g.listeners[i], &a.sa, &a.len), 0);
        assert_true(socket_address_equal(&a, &route_image_listener(g.routes, i)->address));
    }
    gateway_call(&g, &c, BUS_LISTENERS, "u", n + 1);
    expect_error(&g, &c, SD_BUS_ERROR_INVALID_ARGS);
    gateway_done(&g);
    fixture_done(&f);
}

static void send_sockets(Gateway *g, const char *method, int a, int b)
{
    sd_bus_message *m;

    run_until(g->fixture, sd_bus_is_ready(g->bus) > 0); /* sending descriptors before would block */
    assert_true(
            sd_bus_message_new_method_call(g->bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, method) >= 0);
    assert_true(sd_bus_message_append(m, "ah", 2, a, b) >= 0);
    assert_true(sd_bus_message_set_expect_reply(m, false) >= 0);
    assert_true(sd_bus_send(g->bus, m, NULL) >= 0);
    sd_bus_message_unref(m);
}

static void a_new_manager_takes_its_sockets_back_from_a_gateway_that_stayed(void **state)
{
    Fixture f;
    Gateway g, again;
    uint16_t port = free_port();

    fixture_init(&f);
    _cleanup_free_ char *json = text_format(
            "{\"port\": \"127.0.0.1:%u\", \"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true}", port);
    fixture_config(&f, "app", json);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    fixture_drop(&f);
    assert_true(somebody_listens(port)); /* the gateway does */

    fixture_start(&f);
    gateway_init(&again, &f);
    send_sockets(&again, BUS_OFFER, g.listeners[0], STDERR_FILENO);
    gateway_attach(&again, false);
    assert_int_equal(again.n_listeners, 1);
    assert_true(same_socket(again.listeners[0], g.listeners[0]));
    gateway_done(&again);
    gateway_done(&g);
    fixture_done(&f);
}

static void a_socket_that_a_gateway_lends_comes_back_and_is_let_go_with_the_last_gateway(void **state)
{
    Fixture f;
    Gateway g, other;
    SocketAddress a;
    uint16_t port = free_port();

    fixture_init(&f);
    _cleanup_free_ char *json = text_format(
            "{\"port\": \"127.0.0.1:%u\", \"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true}", port);
    fixture_config(&f, "app", json);
    fixture_start(&f);
    assert_int_equal(socket_address_from_ip("127.0.0.1", port, &a), 0);
    for (int round = 0; round < 2; round++) { /* the second is another socket, and gets no stale image */
        int owned = socket_address_listen(&a, 1);
        assert_true(owned >= 0);
        gateway_init(&g, &f);
        send_sockets(&g, BUS_LEND, owned, STDERR_FILENO);
        gateway_attach(&g, false);
        gateway_init(&other, &f);
        gateway_attach(&other, false);
        assert_int_equal(g.n_listeners, 1);
        assert_int_equal(other.n_listeners, 1);
        assert_true(same_socket(g.listeners[0], owned));
        assert_true(same_socket(other.listeners[0], owned));
        gateway_done(&g);
        close(owned);
        run_until(&f, f.manager->peers.n == 1);
        close(other.listeners[0]);
        other.n_listeners = 0;
        assert_true(somebody_listens(port)); /* the manager, for the one that is left */
        gateway_done(&other);
        run_until(&f, f.manager->peers.n == 0);
        assert_false(somebody_listens(port));
    }
    fixture_done(&f);
}

static void a_socket_that_is_lent_late_is_in_the_next_image(void **state)
{
    Fixture f;
    Gateway without, with;
    SocketAddress a;
    uint16_t port = free_port();

    fixture_init(&f);
    _cleanup_free_ char *json = text_format(
            "{\"port\": \"127.0.0.1:%u\", \"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true}", port);
    fixture_config(&f, "app", json);
    fixture_start(&f);
    assert_int_equal(socket_address_from_ip("127.0.0.1", port, &a), 0);
    _cleanup_close_ int owned = socket_address_listen(&a, 1);
    gateway_init(&without, &f);
    gateway_attach(&without, false); /* one at its end, for example */
    assert_int_equal(without.n_listeners, 0);
    gateway_init(&with, &f);
    send_sockets(&with, BUS_LEND, owned, STDERR_FILENO);
    gateway_attach(&with, false);
    assert_int_equal(with.n_listeners, 1);
    assert_int_equal(route_image_n_listeners(with.routes), 1);
    assert_true(same_socket(with.listeners[0], owned));
    gateway_done(&without);
    gateway_done(&with);
    fixture_done(&f);
}

static void calls_that_make_no_sense_are_answered_and_change_nothing(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;
    Call c;

    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    gateway_init(&g, &f);

    gateway_call(&g, &c, BUS_WAKE, "uus", 0, 0, "GET x/");
    expect_error(&g, &c, BUS_ERROR_NOT_ATTACHED);
    gateway_call(&g, &c, BUS_LISTENERS, "u", 0);
    expect_error(&g, &c, BUS_ERROR_NOT_ATTACHED);
    gateway_call(&g, &c, BUS_ATTACH, "ub", BUS_ATTACH_VERSION + 1, 0);
    expect_error(&g, &c, BUS_ERROR_VERSION);
    gateway_call(&g, &c, BUS_ATTACH, "s", "please");
    expect_error(&g, &c, SD_BUS_ERROR_INVALID_ARGS);
    gateway_call(&g, &c, "Detach", "");
    expect_error(&g, &c, SD_BUS_ERROR_UNKNOWN_METHOD);

    gateway_attach(&g, false);
    gateway_call(&g, &c, BUS_ATTACH, "ub", BUS_ATTACH_VERSION, 0);
    expect_error(&g, &c, BUS_ERROR_NOT_ATTACHED);
    gateway_call(&g, &c, BUS_WAKE, "uus", 1, 0, "GET x/");
    expect_error(&g, &c, BUS_ERROR_NO_SUCH_SLOT);
    gateway_call(&g, &c, BUS_WAKE, "uus", UINT32_MAX, 0, "GET x/");
    expect_error(&g, &c, BUS_ERROR_NO_SUCH_SLOT);
    for (uint32_t slot = 0; slot < 3; slot++)
        assert_true(sd_bus_call_method_async(g.bus, NULL, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_IDLE,
                            NULL, NULL, "u", slot * (UINT32_MAX / 2)) >= 0);

    gateway_wake(&g, gateway_slot(&g, "blog.test"), 0, &w);
    assert_true(w.online);
    gateway_done(&g);
    fixture_done(&f);
}

static void a_long_reason_is_cut_and_not_refused(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;
    Call c;
    char reason[20000];

    memset(reason, 'r', sizeof reason);
    reason[sizeof reason - 1] = 0;
    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_call(&g, &c, BUS_WAKE, "uus", gateway_slot(&g, "blog.test"), 0, reason);
    read_wake(&g, &c, &w);
    assert_true(w.online);
    gateway_done(&g);
    fixture_done(&f);
}

static void a_gateway_that_leaves_while_it_waits_is_forgotten(void **state)
{
    Fixture f;
    Gateway g, other;
    WakeReply w;
    Call c;

    fixture_init(&f);
    uint16_t port = fixture_service(&f, "blog", "");
    /* Not before the file exists is it ready, and until then both wait. */
    _cleanup_free_ char *ready = text_format("%s/ready", f.dir);
    _cleanup_free_ char *json =
            text_format("{\"host\": \"blog.test\", \"base\": \"http://127.0.0.1:%u\", \"exec\": [\"%s\", "
                        "\"serve\", \"%u\"],"
                        " \"healthCheck\": {\"type\": \"command\", \"command\": \"test -e %s\"}}",
                    port, fixture_program, port, ready);
    fixture_config(&f, "blog", json);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_init(&other, &f);
    gateway_attach(&other, false);
    uint32_t slot = gateway_slot(&g, "blog.test");
    gateway_call(&g, &c, BUS_WAKE, "uus", slot, 0, "GET blog.test/");
    run_until(&f, gateway_state(&other, slot) == SERVICE_STARTING);
    call_done(&c);
    gateway_done(&g); /* mid-wake */

    gateway_call(&other, &c, BUS_WAKE, "uus", slot, 0, "GET blog.test/other");
    run_until(&f, f.manager->peers.n == 1);
    assert_null(c.reply);
    close(open(ready, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    read_wake(&other, &c, &w);
    assert_true(w.online);
    gateway_done(&other);
    fixture_done(&f);
}

static void a_thousand_wakes_of_one_service_are_all_answered(void **state)
{
    enum { N = 1000 };
    static Call calls[N];
    Fixture f;
    Gateway g;
    WakeReply w;

    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    uint32_t slot = gateway_slot(&g, "blog.test");
    for (size_t i = 0; i < N; i++)
        gateway_call(&g, &calls[i], BUS_WAKE, "uus", slot, 0, "GET blog.test/");
    for (size_t i = 0; i < N; i++) {
        read_wake(&g, &calls[i], &w);
        assert_true(w.online);
        assert_int_equal(w.epoch, 1);
    }
    gateway_done(&g);
    fixture_done(&f);
}

/* Has the other side closed? What it sent before is dropped. */
static bool is_cut_off(int fd)
{
    char buf[256];
    ssize_t n;

    while ((n = recv(fd, buf, sizeof buf, MSG_DONTWAIT)) > 0)
        ;
    return n == 0 || errno == ECONNRESET;
}

static void what_is_no_d_bus_is_cut_off_and_others_are_served(void **state)
{
    static const char *const nonsense[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\0AUTH NONSENSE\r\n", ""};
    Fixture f;
    Gateway g;
    WakeReply w;

    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    for (size_t i = 0; i < ELEMENTSOF(nonsense); i++) {
        _cleanup_close_ int fd = fixture_connect(&f);
        size_t n = nonsense[i][0] ? strlen(nonsense[i]) : 16;
        assert_int_equal(send(fd, nonsense[i], i == 2 ? 0 : n, MSG_NOSIGNAL), i == 2 ? 0 : n);
        shutdown(fd, SHUT_WR);
        run_until(&f, is_cut_off(fd));
        assert_int_equal(f.manager->peers.n, 0);
    }
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_wake(&g, gateway_slot(&g, "blog.test"), 0, &w);
    assert_true(w.online);
    gateway_done(&g);
    fixture_done(&f);
}

static void there_is_room_for_so_many_gateways_and_then_for_the_next(void **state)
{
    static Gateway gateways[GATEWAYS_MAX], more;
    Gateway operator;
    Fixture f;
    Call c;

    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    for (size_t i = 0; i < GATEWAYS_MAX; i++) {
        gateway_init(&gateways[i], &f);
        gateway_attach(&gateways[i], false);
    }
    gateway_init(&more, &f);
    gateway_call(&more, &c, BUS_ATTACH, "ub", BUS_ATTACH_VERSION, 0);
    run_until(&f, more.disconnected);
    call_done(&c);
    gateway_done(&more);

    /* Who looks after services gets in nevertheless. */
    gateway_init(&operator, & f);
    assert_true(sd_bus_call_method_async(operator.bus, &c.slot, NULL, BUS_PATH, BUS_MANAGER_INTERFACE,
                        "ListServices", on_reply, &c, NULL) >= 0);
    run_until(&f, c.reply);
    assert_null(sd_bus_message_get_error(c.reply));
    call_done(&c);
    gateway_done(&operator);
    run_until(&f, f.manager->peers.n == GATEWAYS_MAX);

    gateway_done(&gateways[7]);
    run_until(&f, f.manager->peers.n == GATEWAYS_MAX - 1);
    gateway_init(&more, &f);
    gateway_attach(&more, false);
    gateway_done(&more);
    for (size_t i = 0; i < GATEWAYS_MAX; i++)
        if (i != 7)
            gateway_done(&gateways[i]);
    fixture_done(&f);
}

static bool is_pausing(const Fixture *f)
{
    int enabled;
    assert_true(sd_event_source_get_enabled(f->manager->peers.accept, &enabled) >= 0);
    return enabled == SD_EVENT_OFF;
}

static void a_manager_without_descriptors_rests_and_recovers(void **state)
{
    Fixture f;
    Gateway g;
    struct rlimit was, none;

    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    gateway_init(&g, &f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = (struct rlimit){3, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run_until(&f, is_pausing(&f));
    /* It does not spin meanwhile: the next thing that happens is the end of the pause. */
    usec_t before = now_monotonic();
    run_until(&f, !is_pausing(&f));
    assert_true(now_monotonic() - before >= 10 * USEC_PER_MSEC);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    /* Another one: this one's end is in our process and went without descriptors as well. */
    gateway_done(&g);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_done(&g);
    fixture_done(&f);
}

static void a_gateway_that_reads_no_answer_is_dropped(void **state)
{
    Fixture f;
    Gateway g, other;

    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    gateway_init(&other, &f);
    gateway_attach(&other, false);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    /* From here on it only writes. */
    assert_true(sd_bus_detach_event(g.bus) >= 0);
    run_until(&f, f.manager->peers.n == 2);
    while (f.manager->peers.n == 2) {
        sd_bus_message *m;
        assert_true(sd_bus_message_new_method_call(
                            g.bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_WAKE) >= 0);
        assert_true(sd_bus_message_append(m, "uus", 12345, 0, "x") >= 0);
        (void) sd_bus_send(g.bus, m, &(uint64_t){0}); /* fails once we are cut off */
        sd_bus_message_unref(m);
        assert_true(sd_event_run(f.event, 0) >= 0);
    }
    gateway_done(&g);
    gateway_done(&other);
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_gateway_gets_tables_routes_and_the_sockets_that_it_asks_for),
            cmocka_unit_test(a_port_that_cannot_be_bound_takes_down_its_own_route_only),
            cmocka_unit_test(more_sockets_than_a_message_carries_are_fetched_in_parts),
            cmocka_unit_test(a_new_manager_takes_its_sockets_back_from_a_gateway_that_stayed),
            cmocka_unit_test(a_socket_that_a_gateway_lends_comes_back_and_is_let_go_with_the_last_gateway),
            cmocka_unit_test(a_socket_that_is_lent_late_is_in_the_next_image),
            cmocka_unit_test(calls_that_make_no_sense_are_answered_and_change_nothing),
            cmocka_unit_test(a_long_reason_is_cut_and_not_refused),
            cmocka_unit_test(a_gateway_that_leaves_while_it_waits_is_forgotten),
            cmocka_unit_test(a_thousand_wakes_of_one_service_are_all_answered),
            cmocka_unit_test(what_is_no_d_bus_is_cut_off_and_others_are_served),
            cmocka_unit_test(there_is_room_for_so_many_gateways_and_then_for_the_next),
            cmocka_unit_test(a_manager_without_descriptors_rests_and_recovers),
            cmocka_unit_test(a_gateway_that_reads_no_answer_is_dropped),
    };
    int r = fixture_main(argc, argv);
    return r >= 0 ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
