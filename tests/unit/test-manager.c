/* SPDX-License-Identifier: ISC */

#include "tests/unit/manager-fixture.h"

static void a_wake_is_answered_when_the_service_can_be_reached(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;

    fixture_init(&f);
    uint16_t port = fixture_service(&f, "blog", "");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    uint32_t slot = gateway_slot(&g, "blog.test");
    assert_int_equal(gateway_state(&g, slot), SERVICE_OFFLINE);
    assert_false(somebody_listens(port));

    gateway_wake(&g, slot, 0, &w);
    assert_true(w.online);
    assert_int_equal(w.epoch, 1);
    assert_string_equal(w.why, "");
    assert_true(somebody_listens(port));
    assert_int_equal(gateway_state(&g, slot), SERVICE_ONLINE);
    assert_int_equal(atomic_load(&g.status->slots[slot].epoch), 1);

    gateway_wake(&g, slot, 0, &w); /* it is awake */
    assert_true(w.online);
    assert_int_equal(w.epoch, 1);

    assert_int_equal(fixture_shutdown(&f), 0);
    assert_false(somebody_listens(port));
    gateway_done(&g);
    fixture_done(&f);
}

static void a_service_that_cannot_start_says_why(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;

    fixture_init(&f);
    fixture_config(&f, "gone",
            "{\"host\": \"gone.test\", \"base\": \"http://127.0.0.1:1\", \"exec\": "
            "[\"/nonexistent/program\"]}");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    uint32_t slot = gateway_slot(&g, "gone.test");
    gateway_wake(&g, slot, 0, &w);
    assert_false(w.online);
    assert_non_null(strstr(w.why, "gone"));
    assert_non_null(strstr(w.why, "/nonexistent/program"));
    assert_true(w.retry_after >= 1);
    assert_int_equal(gateway_state(&g, slot), SERVICE_FAILED);
    gateway_wake(&g, slot, 0, &w); /* while the back-off runs: at once */
    assert_false(w.online);
    assert_true(w.retry_after >= 1);
    gateway_done(&g);
    fixture_done(&f);
}

static void a_broken_file_takes_down_its_own_service_only(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;
    bool known;

    fixture_init(&f);
    fixture_service(&f, "good", "");
    fixture_config(&f, "broken", "{\"host\": \"broken.test\", ");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_wake(&g, gateway_slot(&g, "good.test"), 0, &w);
    assert_true(w.online);
    assert_null(route_image_match_host(g.routes, "broken.test", 11, "/", 1, &known));
    assert_false(known);
    gateway_done(&g);
    fixture_done(&f);
}

static void nobody_waits_for_the_checks_of_others(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;

    fixture_init(&f);
    fixture_config(&f, "slow",
            "{\"host\": \"slow.test\", \"base\": \"http://127.0.0.1:1\","
            " \"commands\": {\"start\": \"true\", \"check\": \"sleep 3600\", \"stop\": \"true\"}}");
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_wake(&g, gateway_slot(&g, "blog.test"), 0, &w);
    assert_true(w.online);
    gateway_done(&g);
    fixture_done(&f);
}

static void a_service_falls_asleep_when_its_gateway_says_that_it_is_idle(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;

    fixture_init(&f);
    fixture_service(&f, "blog", "\"idleTimeout\": \"20ms\"");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    uint32_t slot = gateway_slot(&g, "blog.test");
    ActivitySlot *mine = &g.activity->slots[slot];
    atomic_store(&mine->active, 1); /* before the wake, as a gateway does */
    gateway_wake(&g, slot, 0, &w);
    assert_true(w.online);

    /* The idle clock has run out, an exchange is open: the manager wants to hear of its end. */
    run_until(&f, atomic_load(&g.status->slots[slot].watch) == 1);
    assert_int_equal(gateway_state(&g, slot), SERVICE_ONLINE);

    atomic_store(&mine->last_activity, now_monotonic());
    atomic_store(&mine->active, 0);
    assert_true(sd_bus_call_method_async(g.bus, NULL, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_IDLE, NULL,
                        NULL, "u", slot) >= 0);
    run_until(&f, gateway_state(&g, slot) == SERVICE_OFFLINE);
    assert_int_equal(atomic_load(&g.status->slots[slot].watch), 0);

    gateway_wake(&g, slot, 0, &w);
    assert_true(w.online);
    assert_int_equal(w.epoch, 2);
    gateway_done(&g);
    fixture_done(&f);
}

static void what_a_dead_gateway_had_open_keeps_no_service_awake(void **state)
{
    Fixture f;
    Gateway g, other;
    WakeReply w;

    fixture_init(&f);
    fixture_service(&f, "blog", "\"idleTimeout\": \"20ms\"");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_init(&other, &f);
    gateway_attach(&other, false);
    uint32_t slot = gateway_slot(&g, "blog.test");
    atomic_store(&g.activity->slots[slot].active, 3);
    gateway_wake(&g, slot, 0, &w);
    assert_true(w.online);
    run_until(&f, atomic_load(&g.status->slots[slot].watch) == 1);
    gateway_done(&g);
    run_until(&f, gateway_state(&other, slot) == SERVICE_OFFLINE);
    gateway_done(&other);
    fixture_done(&f);
}

static void a_shutdown_ends_what_runs_and_what_is_starting(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;
    Call c;

    fixture_init(&f);
    uint16_t port = fixture_service(&f, "blog", "");
    fixture_service(&f, "asleep", "");
    /* runs, and is never ready */
    fixture_config(&f, "never",
            "{\"host\": \"never.test\", \"base\": \"http://127.0.0.1:1\", \"exec\": [\"/bin/sleep\", "
            "\"3600\"]}");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_wake(&g, gateway_slot(&g, "blog.test"), 0, &w);
    assert_true(w.online);
    gateway_call(&g, &c, BUS_WAKE, "uus", gateway_slot(&g, "never.test"), 0, "GET never.test/");
    run_until(&f, gateway_state(&g, gateway_slot(&g, "never.test")) == SERVICE_STARTING);

    manager_shutdown(f.manager, "test");
    expect_error(&g, &c, BUS_ERROR_SHUTTING_DOWN); /* who waits is told at once */
    gateway_call(&g, &c, BUS_WAKE, "uus", gateway_slot(&g, "asleep.test"), 0, "GET asleep.test/");
    assert_int_equal(sd_event_loop(f.event), 0);
    assert_false(somebody_listens(port));
    for (uint32_t i = 0; i < f.manager->n_services; i++)
        assert_int_equal(service_state(manager_service(f.manager, i)), SERVICE_OFFLINE);
    call_done(&c);
    gateway_done(&g);
    fixture_done(&f);
}

static void who_waits_for_a_stop_to_end_does_not_start_the_service_again_in_a_shutdown(void **state)
{
    Fixture f;
    Gateway g;
    WakeReply w;
    Call c;

    fixture_init(&f);
    _cleanup_free_ char *gate = text_format("%s/gate", f.dir);
    uint16_t port = free_port();
    /* Its stop takes until the test lets it go on. */
    _cleanup_free_ char *json = text_format(
            "{\"host\": \"blog.test\", \"base\": \"http://127.0.0.1:%u\", \"idleTimeout\": \"10ms\","
            " \"commands\": {\"start\": \"exec %s serve %u\", \"stop\": \"until test -e %s; do sleep 0.01; "
            "done\"}}",
            port, fixture_program, port, gate);
    fixture_config(&f, "blog", json);
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    uint32_t slot = gateway_slot(&g, "blog.test");
    gateway_wake(&g, slot, 0, &w);
    assert_true(w.online);
    run_until(&f, gateway_state(&g, slot) == SERVICE_STOPPING);
    gateway_call(&g, &c, BUS_WAKE, "uus", slot, 0, "GET blog.test/");
    Call second;
    gateway_call(&g, &second, BUS_WAKE, "uus", UINT32_MAX, 0, "x"); /* answered after the first was read */
    expect_error(&g, &second, BUS_ERROR_NO_SUCH_SLOT);
    assert_null(c.reply);

    manager_shutdown(f.manager, "test");
    expect_error(&g, &c, BUS_ERROR_SHUTTING_DOWN);
    close(open(gate, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    assert_int_equal(sd_event_loop(f.event), 0);
    assert_false(somebody_listens(port));
    assert_int_equal(service_epoch(fixture_get(&f, "blog")), 1);
    gateway_done(&g);
    fixture_done(&f);
}

static void a_second_manager_in_the_same_folder_fails_and_harms_nobody(void **state)
{
    Fixture f, second;
    Gateway g;
    WakeReply w;

    fixture_init(&f);
    fixture_service(&f, "blog", "");
    fixture_start(&f);
    second = f;
    second.manager = NULL;
    assert_int_equal(fixture_try(&second), -EADDRINUSE);
    sd_event_unref(second.event);

    gateway_init(&g, &f);
    gateway_attach(&g, false);
    gateway_wake(&g, gateway_slot(&g, "blog.test"), 0, &w);
    assert_true(w.online);
    gateway_done(&g);
    fixture_done(&f);
}

static void the_runtime_folder_is_made_and_its_contents_are_ours_alone(void **state)
{
    _cleanup_free_ char *path = NULL, *direct = NULL;
    struct stat st;
    Fixture f;

    fixture_init(&f);
    fixture_start(&f);
    path = text_format("%s/run/" MANAGER_SOCKET_NAME, f.dir);
    direct = text_format("%s/run/direct", f.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(stat(direct, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    fixture_drop(&f);
    assert_int_equal(stat(path, &st), -1); /* a clean end leaves no socket */

    /* Where others may write, nothing that is remembered can be trusted. */
    assert_int_equal(chmod(direct, 0777), 0);
    assert_int_equal(fixture_try(&f), -EPERM);
    assert_null(f.manager);
    assert_int_equal(chmod(direct, 0700), 0);
    fixture_done(&f);
}

static void it_tells_how_many_services_are_in_which_state(void **state)
{
    Fixture f, empty;
    Gateway g;
    WakeReply w;

    fixture_init(&f);
    fixture_service(&f, "a", "");
    fixture_service(&f, "b", "");
    fixture_config(&f, "gone",
            "{\"host\": \"gone.test\", \"base\": \"http://127.0.0.1:1\", \"exec\": "
            "[\"/nonexistent/program\"]}");
    fixture_start(&f);
    gateway_init(&g, &f);
    gateway_attach(&g, false);
    _cleanup_free_ char *before = manager_describe(f.manager);
    assert_string_equal(before, "3 services: all offline");
    gateway_wake(&g, gateway_slot(&g, "a.test"), 0, &w);
    gateway_wake(&g, gateway_slot(&g, "gone.test"), 0, &w);
    _cleanup_free_ char *after = manager_describe(f.manager);
    assert_string_equal(after, "3 services: 1 online, 1 failed");
    gateway_done(&g);
    fixture_done(&f);

    fixture_init(&empty);
    fixture_start(&empty);
    _cleanup_free_ char *none = manager_describe(empty.manager);
    assert_string_equal(none, "0 services");
    fixture_done(&empty);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_wake_is_answered_when_the_service_can_be_reached),
            cmocka_unit_test(a_service_that_cannot_start_says_why),
            cmocka_unit_test(a_broken_file_takes_down_its_own_service_only),
            cmocka_unit_test(nobody_waits_for_the_checks_of_others),
            cmocka_unit_test(a_service_falls_asleep_when_its_gateway_says_that_it_is_idle),
            cmocka_unit_test(what_a_dead_gateway_had_open_keeps_no_service_awake),
            cmocka_unit_test(a_shutdown_ends_what_runs_and_what_is_starting),
            cmocka_unit_test(who_waits_for_a_stop_to_end_does_not_start_the_service_again_in_a_shutdown),
            cmocka_unit_test(a_second_manager_in_the_same_folder_fails_and_harms_nobody),
            cmocka_unit_test(the_runtime_folder_is_made_and_its_contents_are_ours_alone),
            cmocka_unit_test(it_tells_how_many_services_are_in_which_state),
    };
    int r = fixture_main(argc, argv);
    return r >= 0 ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
