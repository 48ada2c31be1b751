/* SPDX-License-Identifier: ISC */

/* When a manager may end because nobody needs it, and what it tells gateways of that. */

#include "tests/unit/manager-fixture.h"

#define SPAN (20 * USEC_PER_MSEC)

/* What the loop does until nothing happens for a while. */
static void let_it_rest(Fixture *f)
{
    while (sd_event_run(f->event, 5 * SPAN) > 0)
        ;
}

static void a_gateway_hears_when_the_last_service_is_offline(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;
    Call c, second;

    fixture_init(&f);
    fixture_service(&f, "blog", "\"idleTimeout\": \"never\"");
    fixture_config(
            &f, "app", "{\"host\": \"app.test\", \"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true}");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_call(&g, &c, BUS_AWAIT_OFFLINE, "");
    expect_error(&g, &c, BUS_ERROR_NOT_ATTACHED);

    gateway_attach(&g, false);
    gateway_call(&g, &c, BUS_AWAIT_OFFLINE, ""); /* at once: nothing runs, and one is none of ours */
    run_until(&f, c.reply);
    assert_null(sd_bus_message_get_error(c.reply));
    call_done(&c);

    gateway_wake(&g, gateway_slot(&g, "blog.test"), 0, &w);
    assert_true(w.online);
    gateway_call(&g, &c, BUS_AWAIT_OFFLINE, "");
    gateway_call(&g, &second, BUS_AWAIT_OFFLINE, "");
    expect_error(&g, &second, BUS_ERROR_TOO_MANY);
    assert_null(c.reply);
    assert_int_equal(service_stop(fixture_get(&f, "blog"), "test"), 0);
    assert_null(c.reply);
    run_until(&f, c.reply);
    assert_null(sd_bus_message_get_error(c.reply));
    assert_int_equal(service_state(fixture_get(&f, "blog")), SERVICE_OFFLINE);
    call_done(&c);
    gateway_done(&g);
    fixture_done(&f);
}

static void who_waits_hears_of_a_shutdown_and_one_that_left_is_forgotten(void **state)
{
    Fixture f;
    Gateway g, gone;
    WakeReply w;
    Call c, never;

    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_init(&gone, &f);
    gateway_attach(&gone, false);
    gateway_wake(&g, gateway_slot(&g, "blog.test"), 0, &w);
    gateway_call(&gone, &never, BUS_AWAIT_OFFLINE, "");
    gateway_call(&g, &c, BUS_AWAIT_OFFLINE, "");
    call_done(&never);
    gateway_done(&gone);
    run_until(&f, f.manager->peers.n == 1);
    manager_shutdown(f.manager, "test");
    expect_error(&g, &c, BUS_ERROR_SHUTTING_DOWN);
    assert_int_equal(sd_event_loop(f.event), 0);
    gateway_done(&g);
    fixture_done(&f);
}

static void without_gateway_and_service_it_shuts_down(void **state)
{
    Fixture f;

    fixture_init(&f);
    f.passed = true;
    f.exit_idle_time = SPAN;
    fixture_service(&f, "blog", "");
    usec_t began = now_monotonic();
    fixture_start(&f);
    assert_int_equal(sd_event_loop(f.event), 0);
    assert_true(now_monotonic() - began >= SPAN);
    fixture_done(&f);
}

static void a_gateway_or_a_service_keeps_it_and_the_clock_starts_after_the_last(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;

    fixture_init(&f);
    f.passed = true;
    f.exit_idle_time = SPAN;
    fixture_service(&f, "blog", "\"idleTimeout\": \"never\"");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    let_it_rest(&f);
    assert_false(f.manager->stopping);
    gateway_wake(&g, gateway_slot(&g, "blog.test"), 0, &w);
    gateway_done(&g);
    let_it_rest(&f);
    assert_int_equal(f.manager->peers.n, 0);
    assert_false(f.manager->stopping);
    usec_t began = now_monotonic();
    assert_int_equal(service_stop(fixture_get(&f, "blog"), "test"), 0);
    assert_int_equal(sd_event_loop(f.event), 0);
    assert_true(now_monotonic() - began >= SPAN);
    fixture_done(&f);
}

static void it_stays_with_sockets_that_nobody_else_has(void **state)
{
    Fixture f;
    Gateway g;
    uint16_t port = free_port();

    fixture_init(&f);
    f.passed = true;
    f.exit_idle_time = SPAN;
    _cleanup_free_ char *json = text_format(
            "{\"port\": \"127.0.0.1:%u\", \"base\": \"http://127.0.0.1:1\", \"proxyOnly\": true}", port);
    fixture_config(&f, "app", json);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false); /* binds the port */
    gateway_done(&g);
    let_it_rest(&f);
    assert_false(f.manager->stopping);
    assert_true(somebody_listens(port));
    fixture_done(&f);

    fixture_init(&f); /* and when its own socket is its own */
    f.exit_idle_time = SPAN;
    fixture_start(&f);
    let_it_rest(&f);
    assert_false(f.manager->stopping);
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_gateway_hears_when_the_last_service_is_offline),
            cmocka_unit_test(who_waits_hears_of_a_shutdown_and_one_that_left_is_forgotten),
            cmocka_unit_test(without_gateway_and_service_it_shuts_down),
            cmocka_unit_test(a_gateway_or_a_service_keeps_it_and_the_clock_starts_after_the_last),
            cmocka_unit_test(it_stays_with_sockets_that_nobody_else_has),
    };
    int r = fixture_main(argc, argv);
    return r >= 0 ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
