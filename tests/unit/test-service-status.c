/* SPDX-License-Identifier: ISC */

/* What a service tells about itself, and what someone gets who starts, stops and restarts it by hand. */

#include "tests/unit/test.h"

#include "tests/unit/service-fakes.h"

static ServiceStatus status(Fixture *f)
{
    ServiceStatus s;
    service_status(f->service, &s);
    return s;
}

static Waiter *start(Fixture *f, Answer *a)
{
    Waiter *w = NULL;
    assert_int_equal(service_start(f->service, "by hand", on_done, a, &w), 0);
    return w;
}

static Waiter *restart(Fixture *f, Answer *a)
{
    Waiter *w = NULL;
    assert_int_equal(service_restart(f->service, "by hand", on_done, a, &w), 0);
    return w;
}

static void one_that_has_never_run_says_so(void **state)
{
    ServiceStatus s = status(*state);

    assert_int_equal(s.state, SERVICE_OFFLINE);
    assert_string_equal(s.reason, "");
    assert_string_equal(s.wake_reason, "");
    assert_string_equal(s.failure, "");
    assert_true(s.since > 0 && s.since <= now_monotonic());
    assert_int_equal(s.n_starts, 0);
    assert_int_equal(s.uptime, 0);
    assert_int_equal(s.last_start, 0);
    assert_int_equal(s.retry_at, 0);
    assert_int_equal(s.idle_deadline, USEC_INFINITY);
    assert_int_equal(s.main_pid, 0);
    assert_string_equal(s.backend, "fake");
}

static void starts_and_the_time_online_are_counted(void **state)
{
    Fixture *f = *state;

    bring_online(f);
    ServiceStatus first = status(f);
    assert_string_equal(first.reason, "ready");
    assert_string_equal(first.wake_reason, "GET blog/");
    assert_int_equal(first.n_starts, 1);
    assert_int_equal(first.main_pid, 4711);
    assert_true(first.last_start <= first.since);
    while (now_monotonic() <= first.since)
        continue;
    assert_true(status(f).uptime > 0);

    exits();
    ServiceStatus gone = status(f);
    assert_string_equal(gone.reason, "exited with status 0");
    assert_int_equal(gone.uptime, gone.since - first.since);
    assert_int_equal(status(f).uptime, gone.uptime); /* the clock stands */

    bring_online(f);
    assert_int_equal(status(f).n_starts, 2);
    assert_true(status(f).uptime >= gone.uptime);
}

static void one_that_was_found_running_was_not_started(void **state)
{
    Fixture *f = *state;

    assert_int_equal(service_recover(f->service), 0);
    backend.events->checked(&backend, true, backend.userdata);
    assert_state(f, SERVICE_ONLINE);
    assert_int_equal(status(f).n_starts, 0);
    assert_int_equal(status(f).last_start, 0);
    assert_string_equal(status(f).reason, "found running");
}

static void the_moment_of_its_stop_is_known_while_nothing_is_open(void **state)
{
    Fixture *f = *state;

    f->config.idle_timeout = 60 * USEC_PER_SEC;
    bring_online(f);
    assert_int_equal(status(f).idle_deadline, status(f).since + 60 * USEC_PER_SEC);
    f->activity.last_activity = status(f).since + 5 * USEC_PER_SEC;
    assert_int_equal(status(f).idle_deadline, status(f).since + 65 * USEC_PER_SEC);
    f->activity.active = 1;
    assert_int_equal(status(f).idle_deadline, USEC_INFINITY);
    exits();
    assert_int_equal(status(f).idle_deadline, USEC_INFINITY);
}

static void a_failure_is_told_with_the_time_of_the_next_try(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    wake(f, &a, 0);
    usec_t before = now_monotonic();
    fails_to_start();
    ServiceStatus s = status(f);
    assert_int_equal(s.state, SERVICE_FAILED);
    assert_string_equal(s.failure, "blog could not be started: exited with status 1");
    assert_true(s.retry_at >= before + USEC_PER_SEC);
    assert_int_equal(s.n_starts, 0);
}

static void a_start_by_hand_does_not_wait_for_a_back_off(void **state)
{
    Fixture *f = *state;
    Answer woken = {}, by_hand = {};

    wake(f, &woken, 0);
    fails_to_start();
    start(f, &by_hand);
    assert_state(f, SERVICE_STARTING);
    assert_string_equal(status(f).failure, "");
    becomes_ready();
    assert_int_equal(by_hand.n, 1);
    assert_true(by_hand.online);
}

static void nor_for_what_is_left_of_a_failed_start(void **state)
{
    Fixture *f = *state;
    Answer woken = {}, by_hand = {};

    f->config.start_timeout = USEC_PER_MSEC;
    wake(f, &woken, 0);
    RUN_UNTIL(f->loop.event, service_state(f->service) == SERVICE_STOPPING);
    assert_int_equal(woken.n, 1);
    f->config.start_timeout = PATIENCE;
    start(f, &by_hand);
    assert_int_equal(by_hand.n, 0);
    has_stopped();
    assert_state(f, SERVICE_STARTING);
    becomes_ready();
    assert_true(by_hand.online);
}

static void a_restart_stops_it_first_and_takes_along_who_waits(void **state)
{
    Fixture *f = *state;
    Answer parked = {}, by_hand = {};

    wake(f, &parked, 0);
    restart(f, &by_hand);
    assert_state(f, SERVICE_STOPPING);
    has_stopped();
    assert_state(f, SERVICE_STARTING);
    assert_int_equal(parked.n + by_hand.n, 0);
    becomes_ready();
    assert_true(parked.online && by_hand.online);
    assert_int_equal(backend.stops, 1);
    assert_int_equal(backend.starts, 2);

    Answer again = {};
    restart(f, &again);
    assert_int_equal(again.n, 0);
    has_stopped();
    becomes_ready();
    assert_true(again.online);
    assert_int_equal(service_epoch(f->service), 2);
}

static void a_restart_of_what_is_offline_starts_it(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    restart(f, &a);
    assert_state(f, SERVICE_STARTING);
    assert_int_equal(backend.stops, 0);
    becomes_ready();
    assert_true(a.online);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            TEST(one_that_has_never_run_says_so),
            TEST(starts_and_the_time_online_are_counted),
            TEST(one_that_was_found_running_was_not_started),
            TEST(the_moment_of_its_stop_is_known_while_nothing_is_open),
            TEST(a_failure_is_told_with_the_time_of_the_next_try),
            TEST(a_start_by_hand_does_not_wait_for_a_back_off),
            TEST(nor_for_what_is_left_of_a_failed_start),
            TEST(a_restart_stops_it_first_and_takes_along_who_waits),
            TEST(a_restart_of_what_is_offline_starts_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
