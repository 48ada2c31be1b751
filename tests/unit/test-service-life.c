/* SPDX-License-Identifier: ISC */

/* How a service comes, goes, and is looked at again, in every order of events. */

#include "tests/unit/test.h"

#include "tests/unit/service-fakes.h"

static void it_is_probed_from_the_moment_of_its_start(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    wake(f, &a, 0);
    assert_int_equal(backend.starts, 1);
    assert_true(probe.running);
    assert_int_equal(probe.mode, PROBE_UNTIL_READY);
    assert_int_equal(a.n, 0);
    becomes_ready();
    assert_int_equal(a.n, 1);
    assert_int_equal(a.epoch, 1);
    assert_int_equal(backend.readies, 1); /* its end is no failed start any more */
    exits();
    assert_state(f, SERVICE_OFFLINE);
    bring_online(f);
    assert_int_equal(service_epoch(f->service), 2);
}

static void a_refused_connection_to_a_live_process_is_probed_until_ready(void **state)
{
    Fixture *f = *state;
    Answer dead = {}, other = {};

    bring_online(f);
    wake(f, &dead, 1);
    wake(f, &other, 1); /* a second one that saw the same does nothing more */
    assert_state(f, SERVICE_STARTING);
    assert_int_equal(probe.mode, PROBE_UNTIL_READY);
    assert_int_equal(probe.starts, 2);
    becomes_ready();
    assert_true(dead.online && other.online);
    assert_int_equal(dead.epoch, 2);
    assert_int_equal(backend.starts, 1);
}

static void if_its_process_ends_meanwhile_it_is_started_again(void **state)
{
    Fixture *f = *state;
    Answer dead = {};

    bring_online(f);
    wake(f, &dead, 1);
    exits();
    assert_state(f, SERVICE_STARTING);
    assert_int_equal(backend.starts, 2);
    assert_int_equal(probe.mode, PROBE_UNTIL_READY);
    becomes_ready();
    assert_true(dead.online);
}

static void if_it_does_not_become_ready_again_it_is_started_anew(void **state)
{
    Fixture *f = *state;
    Answer dead = {};

    bring_online(f);
    f->config.start_timeout = 10 * USEC_PER_MSEC;
    wake(f, &dead, 1);
    RUN_UNTIL(f->loop.event, service_state(f->service) == SERVICE_STOPPING);
    f->config.start_timeout = PATIENCE;
    assert_int_equal(dead.n, 0); /* goes on waiting: for a fresh one */
    has_stopped();
    assert_state(f, SERVICE_STARTING);
    assert_int_equal(backend.starts, 2);
    becomes_ready();
    assert_true(dead.online);
}

static void one_without_a_process_is_asked_once_and_started_if_it_does_not_answer(void **state)
{
    Fixture *f = *state;
    Answer alive = {}, dead = {};

    bring_online(f);
    backend.has_process = false; /* it went to the background somewhere */
    wake(f, &alive, 1);
    assert_int_equal(probe.mode, PROBE_ONCE);
    becomes_ready();
    assert_true(alive.online);
    assert_int_equal(backend.starts, 1);
    wake(f, &dead, 2);
    is_not_ready();
    assert_state(f, SERVICE_STARTING);
    assert_int_equal(backend.starts, 2);
    becomes_ready();
    assert_true(dead.online);
    assert_int_equal(dead.epoch, 3);
}

static void without_process_and_without_probe_the_refusal_is_what_is_known(void **state)
{
    Fixture *f = *state;
    Answer dead = {};

    f->config.health_check.type = HEALTH_CHECK_NONE;
    bring_online(f);
    backend.has_process = false;
    wake(f, &dead, 1);
    assert_int_equal(backend.starts, 2);
    becomes_ready();
    assert_true(dead.online);
}

static void wakes_of_another_epoch_are_answered_from_the_state(void **state)
{
    Fixture *f = *state;
    Answer old = {};

    bring_online(f);
    exits();
    bring_online(f);
    wake(f, &old, 1);
    assert_true(old.online);
    assert_int_equal(old.epoch, 2);
    assert_state(f, SERVICE_ONLINE);
}

static void what_is_offline_is_not_stopped(void **state)
{
    Fixture *f = *state;

    assert_int_equal(service_stop(f->service, "by hand"), 0);
    assert_state(f, SERVICE_OFFLINE);
    assert_int_equal(backend.stops, 0);
    assert_int_equal(f->changes, 0);
}

static void wakes_wait_for_what_the_check_finds(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    assert_int_equal(service_recover(f->service), 0);
    wake(f, &a, 0);
    assert_int_equal(a.n, 0);
    assert_int_equal(backend.starts, 0);
    backend.events->checked(&backend, false, backend.userdata);
    assert_state(f, SERVICE_STARTING);
    assert_int_equal(backend.starts, 1);
    becomes_ready();
    assert_true(a.online);
}

static void who_waits_for_a_check_that_never_ends_is_told_so(void **state)
{
    Fixture *f = *state;
    Answer a = {}, later = {};

    f->config.start_timeout = 10 * USEC_PER_MSEC;
    assert_int_equal(service_recover(f->service), 0);
    wake(f, &a, 0);
    RUN_UNTIL(f->loop.event, a.n == 1);
    assert_false(a.online);
    assert_non_null(strstr(a.why, "It is not known within 10ms whether blog runs"));
    assert_true(a.retry_after >= 1);
    wake(f, &later, 0); /* the same again, until it is known */
    backend.events->checked(&backend, true, backend.userdata);
    assert_true(later.online);
    assert_state(f, SERVICE_ONLINE);
}

static void an_adopted_one_is_idle_from_now_on(void **state)
{
    Fixture *f = *state;

    f->config.idle_timeout = 10 * USEC_PER_MSEC;
    f->activity.last_activity = 1; /* long ago */
    assert_int_equal(service_recover(f->service), 0);
    usec_t begin = now_monotonic();
    backend.events->checked(&backend, true, backend.userdata);
    assert_state(f, SERVICE_ONLINE);
    assert_int_equal(service_epoch(f->service), 1);
    RUN_UNTIL(f->loop.event, service_state(f->service) == SERVICE_STOPPING);
    assert_true(now_monotonic() - begin >= 10 * USEC_PER_MSEC);
    assert_int_equal(backend.stops, 1);
    has_stopped();
    assert_state(f, SERVICE_OFFLINE);
}

static void a_stop_while_it_is_checked_stops_what_might_run(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    assert_int_equal(service_recover(f->service), 0);
    wake(f, &a, 0);
    assert_int_equal(service_stop(f->service, "by hand"), 0);
    assert_int_equal(backend.stops, 1);
    assert_int_equal(a.n, 1);
    assert_false(a.online);
    has_stopped();
    assert_state(f, SERVICE_OFFLINE);
}

static void activity_moves_the_idle_clock_by_exactly_as_much(void **state)
{
    Fixture *f = *state;

    f->config.idle_timeout = 60 * USEC_PER_MSEC;
    bring_online(f);
    usec_t online = now_monotonic();
    while (now_monotonic() < online + 20 * USEC_PER_MSEC)
        assert_true(sd_event_run(f->loop.event, USEC_PER_MSEC) >= 0);
    usec_t last = f->activity.last_activity = now_monotonic(); /* an exchange ended: nobody tells */
    RUN_UNTIL(f->loop.event, service_state(f->service) == SERVICE_STOPPING);
    assert_true(now_monotonic() >= last + 60 * USEC_PER_MSEC);
    assert_int_equal(f->changes, 3);
}

static void one_that_is_retired_stops_when_nothing_is_in_flight(void **state)
{
    Fixture *f = *state;

    bring_online(f);
    f->activity = (ServiceActivity){.active = 2, .in_flight = 1};
    assert_int_equal(service_retire(f->service, "test", PATIENCE), 0);
    assert_state(f, SERVICE_STOPPING); /* new requests wait */
    assert_int_equal(backend.stops, 0);
    service_activity_changed(f->service);
    assert_int_equal(backend.stops, 0);
    f->activity.in_flight = 0;
    service_activity_changed(f->service);
    assert_int_equal(backend.stops, 1);
    service_activity_changed(f->service);
    assert_int_equal(backend.stops, 1);
    has_stopped();
    assert_state(f, SERVICE_OFFLINE);
}

static void retiring_has_a_limit(void **state)
{
    Fixture *f = *state;

    bring_online(f);
    f->activity = (ServiceActivity){.active = 1, .in_flight = 1};
    assert_int_equal(service_retire(f->service, "test", 5 * USEC_PER_MSEC), 0);
    RUN_UNTIL(f->loop.event, backend.stops == 1);
    has_stopped();
    assert_state(f, SERVICE_OFFLINE);
}

static void one_that_is_retired_may_be_stopped_at_once_or_end_by_itself(void **state)
{
    Fixture *f = *state;

    bring_online(f);
    f->activity = (ServiceActivity){.active = 1, .in_flight = 1};
    assert_int_equal(service_retire(f->service, "test", PATIENCE), 0);
    assert_int_equal(service_stop(f->service, "test"), 0);
    assert_int_equal(backend.stops, 1);
    has_stopped();
    bring_online(f);
    assert_int_equal(service_retire(f->service, "test", PATIENCE), 0);
    exits();
    assert_state(f, SERVICE_OFFLINE);
    assert_int_equal(backend.stops, 1);
}

static void who_comes_while_it_is_retired_gets_a_fresh_one(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    bring_online(f);
    f->activity = (ServiceActivity){.active = 1, .in_flight = 1};
    assert_int_equal(service_retire(f->service, "test", PATIENCE), 0);
    wake(f, &a, 0);
    exits();
    assert_state(f, SERVICE_STARTING);
    becomes_ready();
    assert_true(a.online);
    assert_int_equal(a.epoch, 2);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            TEST(it_is_probed_from_the_moment_of_its_start),
            TEST(a_refused_connection_to_a_live_process_is_probed_until_ready),
            TEST(if_its_process_ends_meanwhile_it_is_started_again),
            TEST(if_it_does_not_become_ready_again_it_is_started_anew),
            TEST(one_without_a_process_is_asked_once_and_started_if_it_does_not_answer),
            TEST(without_process_and_without_probe_the_refusal_is_what_is_known),
            TEST(wakes_of_another_epoch_are_answered_from_the_state),
            TEST(what_is_offline_is_not_stopped),
            TEST(wakes_wait_for_what_the_check_finds),
            TEST(who_waits_for_a_check_that_never_ends_is_told_so),
            TEST(an_adopted_one_is_idle_from_now_on),
            TEST(a_stop_while_it_is_checked_stops_what_might_run),
            TEST(activity_moves_the_idle_clock_by_exactly_as_much),
            TEST(one_that_is_retired_stops_when_nothing_is_in_flight),
            TEST(retiring_has_a_limit),
            TEST(one_that_is_retired_may_be_stopped_at_once_or_end_by_itself),
            TEST(who_comes_while_it_is_retired_gets_a_fresh_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
