/* SPDX-License-Identifier: ISC */

/* A reload as the manager's side of it: what it gives to gateways, and whom it waits for. */

#include "tests/unit/manager-fixture.h"

typedef struct Outcome {
    bool done;
    int result;
} Outcome;

static void on_done(int r, void *userdata)
{
    *(Outcome *) userdata = (Outcome){true, r};
}

static void begin(Fixture *f, Outcome *o)
{
    Reload *ignored;

    *o = (Outcome){};
    assert_int_equal(reload_begin(&f->manager->reloads, "test", on_done, o, &ignored), 0);
    assert_false(o->done);
}

/* What a worker does when it is told; the generation that it has then. */
static uint64_t gateway_fetch(Gateway *g)
{
    uint64_t generation;
    int fd;
    Call c;

    gateway_call(g, &c, BUS_UPDATE, "");
    run_until(g->fixture, c.reply);
    assert_null(sd_bus_message_get_error(c.reply));
    assert_true(sd_bus_message_read(c.reply, "th", &generation, &fd) > 0);
    route_image_unref(g->routes);
    assert_int_equal(route_image_map(fd, &g->routes), 0);
    for (size_t i = 0; i < g->n_listeners; i++)
        close(g->listeners[i]);
    g->n_listeners = 0;
    gateway_read_listeners(g, c.reply);
    call_done(&c);
    return generation;
}

static void gateway_say_updated(Gateway *g, uint64_t generation)
{
    assert_true(sd_bus_call_method_async(g->bus, NULL, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_UPDATED,
                        NULL, NULL, "ts", generation, "") >= 0);
}

typedef struct Told {
    unsigned n;
} Told;

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    ((Told *) userdata)->n++;
    return 0;
}

static void listen_for_changes(Gateway *g, Told *t)
{
    *t = (Told){};
    assert_true(sd_bus_match_signal(g->bus, NULL, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_CHANGED,
                        on_changed, t) >= 0);
}

static bool has_host(const Gateway *g, const char *host)
{
    bool known;
    return route_image_match_host(g->routes, host, strlen(host), "/", 1, &known);
}

static void a_reload_is_over_when_every_gateway_has_gone_over(void **state)
{
    Fixture f;
    Gateway one, two;
    Told told;
    Outcome o;

    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    gateway_init(&one, &f);
    gateway_attach(&one, false);
    gateway_init(&two, &f);
    gateway_attach(&two, false);
    listen_for_changes(&one, &told);
    uint32_t slot = gateway_slot(&one, "blog.test");

    fixture_service(&f, "wiki", "");
    begin(&f, &o);
    run_until(&f, told.n == 1);
    gateway_say_updated(&one, gateway_fetch(&one));
    uint64_t generation = gateway_fetch(&two); /* fetched is not used */
    assert_false(o.done);
    gateway_say_updated(&two, generation);
    run_until(&f, o.done);
    assert_int_equal(o.result, 0);
    assert_true(has_host(&one, "wiki.test") && has_host(&two, "wiki.test"));
    assert_int_equal(gateway_slot(&one, "blog.test"), slot); /* which is its name's */
    assert_int_equal(told.n, 1);
    gateway_done(&one);
    gateway_done(&two);
    fixture_done(&f);
}

static void a_gateway_that_leaves_is_not_waited_for(void **state)
{
    Fixture f;
    Gateway g;
    Outcome o;

    fixture_init(&f);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    begin(&f, &o);
    (void) sd_event_run(f.event, 0);
    assert_false(o.done);
    gateway_done(&g);
    run_until(&f, o.done);
    assert_int_equal(o.result, 0);
    fixture_done(&f);
}

static void who_is_told_is_told_once_until_it_asks(void **state)
{
    Fixture f;
    Gateway g;
    Told told;
    Outcome o[3];

    fixture_init(&f);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    listen_for_changes(&g, &told);
    for (size_t i = 0; i < ELEMENTSOF(o); i++)
        begin(&f, &o[i]);
    uint64_t generation = gateway_fetch(&g); /* the newest, which is all three's */
    gateway_say_updated(&g, generation);
    run_until(&f, o[0].done && o[1].done && o[2].done);
    assert_int_equal(told.n, 1);
    gateway_done(&g);
    fixture_done(&f);
}

static void what_is_removed_goes_when_nobody_can_send_anything_to_it(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;
    Outcome o;

    fixture_init(&f);
    uint16_t port = fixture_service(&f, "blog", "");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    uint32_t slot = gateway_slot(&g, "blog.test");
    ActivitySlot *mine = &g.activity->slots[slot];
    gateway_wake(&g, slot, 0, &w);
    assert_true(w.online);
    fixture_config(&f, "blog", "");
    begin(&f, &o);
    gateway_wake(&g, slot, 0, &w); /* by the old routes */
    assert_true(w.online);

    atomic_store(&mine->active, 1);
    gateway_say_updated(&g, gateway_fetch(&g));
    run_until(&f, o.done);
    assert_false(has_host(&g, "blog.test"));
    assert_int_equal(gateway_state(&g, slot), SERVICE_STOPPING);
    assert_true(somebody_listens(port));
    gateway_wake(&g, slot, 0, &w);
    assert_false(w.online);
    assert_string_equal(w.why, "This service is not configured any more.");

    atomic_store(&mine->active, 0);
    assert_true(sd_bus_call_method_async(g.bus, NULL, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_IDLE, NULL,
                        NULL, "u", slot) >= 0);
    run_until(&f, !manager_find(f.manager, "blog"));
    assert_false(somebody_listens(port));

    fixture_service(&f, "blog", ""); /* the same name is in the same slot */
    begin(&f, &o);
    gateway_say_updated(&g, gateway_fetch(&g));
    run_until(&f, o.done);
    assert_int_equal(gateway_slot(&g, "blog.test"), slot);
    gateway_wake(&g, slot, 0, &w);
    assert_true(w.online);
    gateway_done(&g);
    fixture_done(&f);
}

static void without_gateways_it_is_over_at_once(void **state)
{
    Fixture f;
    Outcome o;

    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    assert_non_null(manager_find(f.manager, "blog"));
    fixture_config(&f, "blog", "");
    begin(&f, &o);
    run_until(&f, o.done);
    assert_null(manager_find(f.manager, "blog"));
    fixture_done(&f);
}

/* A service with so many ports. */
static void configure_ports(Fixture *f, unsigned n)
{
    _cleanup_free_ char *routes = strdup("");
    uint16_t port = free_port();

    for (unsigned i = 0; i < n; i++) {
        char *more = text_format("%s%s{\"type\": \"port\", \"value\": \"127.1.%u.%u:%u\"}", routes,
                i > 0 ? ", " : "", i / 100, i % 100 + 1, port);
        free(routes);
        routes = more;
    }
    _cleanup_free_ char *json =
            text_format("{\"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true, \"routes\": [%s]}", routes);
    fixture_config(f, "many", json);
}

static void listeners_of_a_configuration_that_is_outdated_are_not_given(void **state)
{
    Fixture f;
    Gateway g;
    Outcome o;
    Call c;

    fixture_init(&f);
    configure_ports(&f, BUS_LISTENERS_MAX + 1);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    assert_int_equal(g.n_listeners, BUS_LISTENERS_MAX);
    begin(&f, &o); /* in between */
    gateway_call(&g, &c, BUS_LISTENERS, "u", BUS_LISTENERS_MAX);
    expect_error(&g, &c, BUS_ERROR_OUTDATED);
    uint64_t generation = gateway_fetch(&g);
    assert_int_equal(g.n_listeners, BUS_LISTENERS_MAX);
    gateway_call(&g, &c, BUS_LISTENERS, "u", BUS_LISTENERS_MAX);
    run_until(&f, c.reply);
    gateway_read_listeners(&g, c.reply);
    call_done(&c);
    assert_int_equal(g.n_listeners, BUS_LISTENERS_MAX + 1);
    gateway_say_updated(&g, generation);
    run_until(&f, o.done);
    gateway_done(&g);
    fixture_done(&f);
}

static void an_address_that_is_in_use_until_all_have_gone_over_is_tried_again(void **state)
{
    const char format[] = "{\"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true, \"port\": \"%s%u\"}";
    uint16_t port = free_port();
    _cleanup_free_ char *narrow = text_format(format, "127.0.0.1:", port),
                        *wide = text_format(format, "0.0.0.0:", port);
    Fixture f;
    Gateway g;
    Outcome o;

    fixture_init(&f);
    fixture_config(&f, "tcp", narrow);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    assert_int_equal(g.n_listeners, 1);
    fixture_config(&f, "tcp", wide);
    begin(&f, &o);
    uint64_t first = gateway_fetch(&g); /* which closes the old one */
    assert_int_equal(g.n_listeners, 0);
    gateway_say_updated(&g, first);
    run_until(&f, f.manager->generation > first);
    assert_false(o.done);
    gateway_say_updated(&g, gateway_fetch(&g));
    assert_int_equal(g.n_listeners, 1);
    run_until(&f, o.done);
    gateway_done(&g);
    fixture_done(&f);
}

static void at_the_end_who_waits_is_told_and_nobody_begins_another(void **state)
{
    Fixture f;
    Gateway g;
    Outcome o;
    Reload *ignored;

    fixture_init(&f);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    begin(&f, &o);
    manager_shutdown(f.manager, "test");
    assert_true(o.done);
    assert_int_equal(o.result, -ESHUTDOWN);
    assert_int_equal(reload_begin(&f.manager->reloads, "test", on_done, &o, &ignored), -ESHUTDOWN);
    assert_int_equal(sd_event_loop(f.event), 0);
    gateway_done(&g);
    fixture_done(&f);
}

static void one_that_lies_about_its_generation_deceives_only_itself(void **state)
{
    Fixture f;
    Gateway g;
    Outcome o;

    fixture_init(&f);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_say_updated(&g, UINT64_MAX);
    begin(&f, &o);
    uint64_t generation = gateway_fetch(&g);
    assert_false(o.done);
    gateway_say_updated(&g, generation);
    run_until(&f, o.done);
    gateway_done(&g);
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_reload_is_over_when_every_gateway_has_gone_over),
            cmocka_unit_test(a_gateway_that_leaves_is_not_waited_for),
            cmocka_unit_test(who_is_told_is_told_once_until_it_asks),
            cmocka_unit_test(what_is_removed_goes_when_nobody_can_send_anything_to_it),
            cmocka_unit_test(without_gateways_it_is_over_at_once),
            cmocka_unit_test(listeners_of_a_configuration_that_is_outdated_are_not_given),
            cmocka_unit_test(an_address_that_is_in_use_until_all_have_gone_over_is_tried_again),
            cmocka_unit_test(at_the_end_who_waits_is_told_and_nobody_begins_another),
            cmocka_unit_test(one_that_lies_about_its_generation_deceives_only_itself),
    };

    int r = fixture_main(argc, argv);
    return r >= 0 ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
