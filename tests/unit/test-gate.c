/* SPDX-License-Identifier: ISC */

/* Gates on real tables and a real link, whose other end is a manager of ours that answers wakes as the test
 * says. */

#include "tests/unit/test.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/gate.h"
#include "ipc/bus.h"
#include "util/fd.h"
#include "util/log.h"

typedef struct Fixture {
    sd_event *event;
    char dir[32];
    SocketAddress address;
    int listener;
    sd_bus *peer;
    sd_bus_message *pending; /* the wake that was not answered yet */
    unsigned n_wakes, n_idle, n_attached, n_lost;
    uint32_t dead_epoch;
    char reason[64];
    StatusTable *status;
    int status_fd, routes_fd;
    const ActivityTable *activity; /* the manager's view of the latest one */
    Link *link;
    Gates *gates;
    /* what the worker would hold */
    const StatusTable *mapped_status;
    ActivityTable *mapped_activity;
    RouteImage *routes;
} Fixture;

typedef struct Request {
    Ticket ticket;
    unsigned n_proceed;
    bool online;
    char why[64];
    unsigned order;
} Request;

static unsigned n_proceeded;

static void on_proceed(Ticket *t, const GateVerdict *v)
{
    Request *r = container_of(t, Request, ticket);
    r->n_proceed++;
    r->order = ++n_proceeded;
    r->online = v->online;
    snprintf(r->why, sizeof r->why, "%s", v->why ?: "");
}

static int on_attach(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Fixture *f = userdata;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_close_ int fd = -EBADF;

    if (f->activity)
        activity_table_unmap(f->activity);
    assert_int_equal(activity_table_new(&f->activity, &fd), 0);
    assert_true(sd_bus_message_new_method_return(m, &reply) >= 0);
    assert_true(sd_bus_message_append(reply, "hhhah", f->status_fd, fd, f->routes_fd, 0) >= 0);
    return sd_bus_send(NULL, reply, NULL);
}

static int on_wake(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Fixture *f = userdata;
    const char *reason;
    uint32_t slot;

    f->n_wakes++;
    assert_true(sd_bus_message_read(m, "uus", &slot, &f->dead_epoch, &reason) >= 0);
    assert_int_equal(slot, 3);
    snprintf(f->reason, sizeof f->reason, "%s", reason);
    assert_null(f->pending);
    f->pending = sd_bus_message_ref(m);
    return 1;
}

static int on_idle(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Fixture *f = userdata;
    f->n_idle++;
    return 1;
}

static const sd_bus_vtable vtable[] = {SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD(BUS_ATTACH, "ub", "hhhah", on_attach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD(BUS_WAKE, "uus", "busu", on_wake, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD(BUS_IDLE, "u", "", on_idle, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
        SD_BUS_VTABLE_END};

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Fixture *f = userdata;
    sd_id128_t id;

    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(client >= 0);
    assert_true(sd_id128_randomize(&id) >= 0);
    assert_true(sd_bus_new(&f->peer) >= 0);
    assert_true(sd_bus_set_fd(f->peer, client, client) >= 0);
    assert_true(sd_bus_set_server(f->peer, true, id) >= 0);
    assert_true(sd_bus_set_anonymous(f->peer, true) >= 0);
    assert_true(sd_bus_set_trusted(f->peer, true) >= 0);
    assert_true(sd_bus_negotiate_fds(f->peer, true) >= 0);
    assert_true(sd_bus_add_object_vtable(f->peer, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, vtable, f) >= 0);
    assert_true(sd_bus_start(f->peer) >= 0);
    assert_true(sd_bus_attach_event(f->peer, f->event, 0) >= 0);
    return 0;
}

static int no_offer(size_t at, void *userdata)
{
    return -EBADF;
}

static int on_attached(LinkAttachment *a, void *userdata)
{
    Fixture *f = userdata;
    const StatusTable *status;
    ActivityTable *activity;
    RouteImage *routes;

    assert_int_equal(status_table_map(a->status_fd, &status), 0);
    assert_int_equal(activity_table_map(a->activity_fd, &activity), 0);
    assert_int_equal(route_image_map(a->routes_fd, &routes), 0);
    assert_int_equal(gates_attach(f->gates, f->link, status, activity, routes), 0);
    gates_attached(f->gates);
    if (f->n_attached++ > 0) {
        status_table_unmap(f->mapped_status);
        activity_table_unmap(f->mapped_activity);
        route_image_unref(f->routes);
    }
    f->mapped_status = status;
    f->mapped_activity = activity;
    f->routes = routes;
    return 0;
}

static void on_lost(void *userdata)
{
    Fixture *f = userdata;
    f->n_lost++;
    gates_detach(f->gates);
}

static void on_refused(int error, const char *why, void *userdata)
{
    fail_msg("refused: %s", why);
}

static const LinkEvents link_events = {
        .offer = no_offer, .lend = no_offer, .attached = on_attached, .lost = on_lost, .refused = on_refused};

#define RUN_UNTIL(f, condition)                                                                              \
    while (!(condition))                                                                                     \
    assert_true(sd_event_run((f)->event, UINT64_MAX) >= 0)

static int set_up(void **state)
{
    Fixture *f = new0(Fixture, 1);
    char path[64];
    RouteSettings settings = {.max_parked = 5, .max_parked_per_service = 3};

    n_proceeded = 0;
    strcpy(f->dir, "/tmp/test-gate-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_true(sd_event_new(&f->event) >= 0);
    assert_int_equal(status_table_new(&f->status, &f->status_fd), 0);
    RouteBuilder *b = route_builder_new();
    route_builder_set_settings(b, &settings);
    assert_int_equal(route_builder_add_service(b, "blog", 3, false), 0);
    assert_int_equal(route_builder_add_service(b, "static", 4, true), 1);
    f->routes_fd = route_builder_finish(b);
    assert_true(f->routes_fd >= 0);
    route_builder_free(b);

    snprintf(path, sizeof path, "%s/manager", f->dir);
    assert_int_equal(socket_address_from_path(path, &f->address), 0);
    f->listener = socket_address_listen(&f->address, 4);
    assert_true(f->listener >= 0);
    assert_true(sd_event_add_io(f->event, NULL, f->listener, EPOLLIN, on_connection, f) >= 0);
    f->gates = gates_new(f->event);
    assert_int_equal(link_new(f->event, &f->address, false, &link_events, f, &f->link), 0);
    RUN_UNTIL(f, f->n_attached > 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    sd_bus_message_unref(f->pending);
    sd_bus_close_unref(f->peer);
    link_free(f->link);
    gates_free(f->gates);
    status_table_unmap(f->mapped_status);
    status_table_unmap(f->status);
    activity_table_unmap(f->mapped_activity);
    activity_table_unmap(f->activity);
    route_image_unref(f->routes);
    close(f->status_fd);
    close(f->routes_fd);
    close(f->listener);
    sd_event_unref(f->event);
    unlink(f->address.un.sun_path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void answer(Fixture *f, bool online, const char *why)
{
    atomic_store(&f->status->slots[3].epoch, 7);
    atomic_store(&f->status->slots[3].state, online ? SERVICE_ONLINE : SERVICE_FAILED);
    assert_true(sd_bus_reply_method_return(f->pending, "busu", (int) online, 7U, why, 4U) >= 0);
    f->pending = sd_bus_message_unref(f->pending);
}

static void open_and_park(Fixture *f, Request *r)
{
    ticket_open(&r->ticket, gates_get(f->gates, 0), on_proceed);
    assert_int_equal(ticket_park(&r->ticket, 0, "GET blog/"), 0);
}

static uint64_t active(Fixture *f)
{
    return atomic_load(&f->activity->slots[3].active);
}

static void one_wake_serves_all_who_wait_in_their_order(void **state)
{
    Fixture *f = *state;
    Request r[3] = {};

    for (size_t i = 0; i < 3; i++)
        open_and_park(f, &r[i]);
    assert_int_equal(active(f), 3);
    RUN_UNTIL(f, f->pending);
    assert_string_equal(f->reason, "GET blog/");
    answer(f, true, "");
    RUN_UNTIL(f, n_proceeded == 3);
    assert_int_equal(f->n_wakes, 1);
    for (size_t i = 0; i < 3; i++) {
        assert_true(r[i].online);
        assert_int_equal(r[i].order, i + 1);
        ticket_close(&r[i].ticket);
    }
    assert_int_equal(gate_online_epoch(gates_get(f->gates, 0)), 7);
    assert_int_equal(active(f), 0);
    assert_true(atomic_load(&f->activity->slots[3].last_activity) > 0);
    assert_int_equal(atomic_load(&f->activity->slots[3].requests), 3);
    assert_int_equal(counter_read(&f->activity->counters[3].n[COUNT_PARKED]), 3);
}

static void a_failure_reaches_all_with_its_reason(void **state)
{
    Fixture *f = *state;
    Request r[2] = {};
    const _Atomic uint64_t *refused = &f->activity->counters[3].n[COUNT_PARK_REFUSALS];

    for (size_t i = 0; i < 2; i++)
        open_and_park(f, &r[i]);
    RUN_UNTIL(f, f->pending);
    answer(f, false, "it is Sunday");
    RUN_UNTIL(f, n_proceeded == 2);
    for (size_t i = 0; i < 2; i++) {
        assert_false(r[i].online);
        assert_string_equal(r[i].why, "it is Sunday");
        assert_int_equal(counter_read(&refused[PARK_FAILED]), 2);
        ticket_close(&r[i].ticket);
    }
}

static void too_many_are_turned_away(void **state)
{
    Fixture *f = *state;
    Request r[4] = {};

    for (size_t i = 0; i < 3; i++)
        open_and_park(f, &r[i]);
    ticket_open(&r[3].ticket, gates_get(f->gates, 0), on_proceed);
    assert_int_equal(ticket_park(&r[3].ticket, 0, "x"), -EBUSY);
    assert_int_equal(gates_n_parked(f->gates), 3);
    for (size_t i = 0; i < 4; i++)
        ticket_close(&r[i].ticket);
    assert_int_equal(gates_n_parked(f->gates), 0);
    assert_int_equal(gates_n_open(f->gates), 0);
}

static void who_leaves_is_forgotten(void **state)
{
    Fixture *f = *state;
    Request stays = {}, leaves = {};

    open_and_park(f, &leaves);
    open_and_park(f, &stays);
    RUN_UNTIL(f, f->pending);
    ticket_close(&leaves.ticket);
    assert_int_equal(active(f), 1);
    answer(f, true, "");
    RUN_UNTIL(f, stays.n_proceed == 1);
    assert_int_equal(leaves.n_proceed, 0);
    ticket_close(&stays.ticket);
}

static void a_dead_service_is_reported_with_its_epoch(void **state)
{
    Fixture *f = *state;
    Request r = {};

    ticket_open(&r.ticket, gates_get(f->gates, 0), on_proceed);
    assert_int_equal(ticket_park(&r.ticket, 7, "GET blog/"), 0);
    RUN_UNTIL(f, f->pending);
    assert_int_equal(f->dead_epoch, 7);
    ticket_close(&r.ticket);
}

static void a_new_manager_gets_counts_and_wakes_again(void **state)
{
    Fixture *f = *state;
    Request busy = {}, waits = {};

    ticket_open(&busy.ticket, gates_get(f->gates, 0), on_proceed);
    open_and_park(f, &waits);
    RUN_UNTIL(f, f->pending);
    f->pending = sd_bus_message_unref(f->pending);
    f->peer = sd_bus_close_unref(f->peer); /* it dies with the wake unanswered */
    RUN_UNTIL(f, f->n_lost == 1 && f->n_attached == 2 && f->pending);
    assert_int_equal(f->n_wakes, 2);
    assert_int_equal(active(f), 2);
    answer(f, true, "");
    RUN_UNTIL(f, waits.n_proceed == 1);
    assert_true(waits.online);
    ticket_close(&waits.ticket);
    ticket_close(&busy.ticket);
    assert_int_equal(active(f), 0);
}

static void who_comes_before_the_managers_end_is_noticed_waits_for_the_next(void **state)
{
    Fixture *f = *state;
    Request r = {};

    f->peer = sd_bus_close_unref(f->peer);
    open_and_park(f, &r);
    assert_int_equal(r.n_proceed, 0);
    RUN_UNTIL(f, f->n_attached == 2 && f->pending);
    answer(f, true, "");
    RUN_UNTIL(f, r.n_proceed == 1);
    assert_true(r.online);
    ticket_close(&r.ticket);
}

static void the_manager_is_told_of_idleness_when_it_watches(void **state)
{
    Fixture *f = *state;
    Request r = {};

    ticket_open(&r.ticket, gates_get(f->gates, 0), on_proceed);
    ticket_close(&r.ticket);
    atomic_store(&f->status->slots[3].watch, 1);
    ticket_open(&r.ticket, gates_get(f->gates, 0), on_proceed);
    ticket_close(&r.ticket);
    RUN_UNTIL(f, f->n_idle > 0);
    assert_int_equal(f->n_idle, 1);
}

static void who_waits_is_not_in_flight_and_the_manager_hears_when_nobody_else_is_left(void **state)
{
    Fixture *f = *state;
    Request flying = {}, waiting = {};
    _Atomic uint64_t *n_waiting = (_Atomic uint64_t *) &f->activity->slots[3].waiting;

    atomic_store(&f->status->slots[3].watch, 1);
    ticket_open(&flying.ticket, gates_get(f->gates, 0), on_proceed);
    open_and_park(f, &waiting);
    assert_int_equal(active(f), 2);
    assert_int_equal(atomic_load(n_waiting), 1);
    RUN_UNTIL(f, f->pending);
    assert_int_equal(f->n_idle, 0);
    ticket_close(&flying.ticket);
    RUN_UNTIL(f, f->n_idle == 1);
    answer(f, true, "");
    RUN_UNTIL(f, waiting.n_proceed == 1);
    assert_int_equal(atomic_load(n_waiting), 0);
    assert_int_equal(active(f), 1);
    ticket_close(&waiting.ticket);
    RUN_UNTIL(f, f->n_idle == 2);
}

static void a_resting_ticket_keeps_nothing_awake(void **state)
{
    Fixture *f = *state;
    Request r = {};
    Ticket moved = {};

    ticket_open(&r.ticket, gates_get(f->gates, 0), on_proceed);
    ticket_move(&r.ticket, &moved);
    ticket_close(&r.ticket); /* harmless now */
    assert_int_equal(active(f), 1);
    atomic_store(&f->status->slots[3].watch, 1);
    ticket_rest(&moved);
    assert_int_equal(active(f), 0);
    assert_int_equal(gates_n_open(f->gates), 0);
    assert_string_equal(gate_name(moved.gate), "blog");
    RUN_UNTIL(f, f->n_idle == 1);

    ticket_stir(&moved);
    assert_int_equal(active(f), 1);
    ticket_rest(&moved);
    RUN_UNTIL(f, f->n_idle == 2);
    ticket_close(&moved);
    assert_int_equal(active(f), 0);
}

/* Other routes of the same manager; NULL: with no service but that of slot 5. */
static void change_routes(Fixture *f, const char *name)
{
    RouteBuilder *b = route_builder_new();
    RouteImage *routes;

    assert_int_equal(route_builder_add_service(b, "new", 5, false), 0);
    if (name)
        assert_int_equal(route_builder_add_service(b, name, 3, false), 1);
    _cleanup_close_ int fd = route_builder_finish(b);
    route_builder_free(b);
    assert_int_equal(route_image_map(fd, &routes), 0);
    assert_int_equal(gates_update(f->gates, routes), 0);
    route_image_unref(f->routes);
    f->routes = routes;
    gates_updated(f->gates);
}

static void other_routes_change_nothing_for_who_waits_or_is_open(void **state)
{
    Fixture *f = *state;
    Request open = {}, waiting = {};

    ticket_open(&open.ticket, gates_get(f->gates, 0), on_proceed);
    open_and_park(f, &waiting);
    RUN_UNTIL(f, f->pending);
    change_routes(f, "blog");
    assert_int_equal(n_proceeded, 0);
    assert_int_equal(active(f), 2);
    assert_ptr_equal(gates_get(f->gates, 1), waiting.ticket.gate); /* it has moved */
    answer(f, true, "");
    RUN_UNTIL(f, n_proceeded == 1);
    assert_true(waiting.online);
    assert_int_equal(f->n_wakes, 1); /* the same one */
    ticket_close(&waiting.ticket);
    ticket_close(&open.ticket);
    assert_int_equal(active(f), 0);
}

static void a_service_without_routes_is_counted_until_its_last_ticket(void **state)
{
    Fixture *f = *state;
    Request open = {}, resting = {};

    ticket_open(&open.ticket, gates_get(f->gates, 0), on_proceed);
    ticket_open(&resting.ticket, gates_get(f->gates, 0), on_proceed);
    ticket_rest(&resting.ticket);
    change_routes(f, NULL);
    assert_int_equal(active(f), 1);
    ticket_stir(&resting.ticket);
    assert_int_equal(active(f), 2);
    ticket_close(&resting.ticket);
    atomic_store(&f->status->slots[3].watch, 1); /* the manager waits for its end */
    ticket_close(&open.ticket);
    assert_int_equal(active(f), 0);
    RUN_UNTIL(f, f->n_idle == 1);
}

static void one_that_comes_back_is_the_same_one(void **state)
{
    Fixture *f = *state;
    Request open = {}, again = {};

    ticket_open(&open.ticket, gates_get(f->gates, 0), on_proceed);
    change_routes(f, NULL);
    change_routes(f, "blog");
    assert_ptr_equal(gates_get(f->gates, 1), open.ticket.gate);
    ticket_open(&again.ticket, gates_get(f->gates, 1), on_proceed);
    assert_int_equal(active(f), 2);
    ticket_close(&open.ticket);
    ticket_close(&again.ticket);
    assert_int_equal(active(f), 0);
}

static void who_waits_for_one_that_is_gone_finds_out_in_order(void **state)
{
    Fixture *f = *state;
    Request r[3] = {};

    for (size_t i = 0; i < 3; i++)
        open_and_park(f, &r[i]);
    RUN_UNTIL(f, f->pending);
    change_routes(f, NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(r[i].order, i + 1);
        assert_true(r[i].online);
        ticket_close(&r[i].ticket);
    }
    assert_int_equal(gates_n_parked(f->gates), 0);
    assert_int_equal(active(f), 0);
    answer(f, true, ""); /* to nobody */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(one_wake_serves_all_who_wait_in_their_order, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_failure_reaches_all_with_its_reason, set_up, tear_down),
            cmocka_unit_test_setup_teardown(too_many_are_turned_away, set_up, tear_down),
            cmocka_unit_test_setup_teardown(who_leaves_is_forgotten, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_dead_service_is_reported_with_its_epoch, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_new_manager_gets_counts_and_wakes_again, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    who_comes_before_the_managers_end_is_noticed_waits_for_the_next, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    the_manager_is_told_of_idleness_when_it_watches, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    who_waits_is_not_in_flight_and_the_manager_hears_when_nobody_else_is_left, set_up,
                    tear_down),
            cmocka_unit_test_setup_teardown(a_resting_ticket_keeps_nothing_awake, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    other_routes_change_nothing_for_who_waits_or_is_open, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    a_service_without_routes_is_counted_until_its_last_ticket, set_up, tear_down),
            cmocka_unit_test_setup_teardown(one_that_comes_back_is_the_same_one, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    who_waits_for_one_that_is_gone_finds_out_in_order, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
