/* SPDX-License-Identifier: ISC */

/* A service among others that are starting. */

#include "tests/unit/test.h"

#include "tests/unit/service-fakes.h"

static Turns turns;
static Turn other; /* another service's */
static unsigned n_reasons;

static void on_reason(Service *s, void *userdata)
{
    n_reasons++;
}

/* Another one has the only turn there is. */
static int set_up_busy(void **state)
{
    set_up(state);
    Fixture *f = *state;
    assert_int_equal(turns_init(&turns, f->loop.event, 1), 0);
    f->host.turns = &turns;
    f->host.reason_changed = on_reason;
    other = (Turn){};
    n_reasons = 0;
    assert_true(turns_ask(&turns, &other));
    return 0;
}

static int tear_down_busy(void **state)
{
    Fixture *f = *state;
    f->service = service_free(f->service);
    turns_end(&turns, &other);
    turns_done(&turns);
    return tear_down(state);
}

static void other_is_done(Fixture *f)
{
    turns_end(&turns, &other);
    RUN_UNTIL(f->loop.event, !turns.head);
}

static const char *reason(Fixture *f)
{
    ServiceStatus s;
    service_status(f->service, &s);
    return s.reason;
}

static void it_is_starting_and_nothing_of_it_runs_before_its_turn(void **state)
{
    Fixture *f = *state;
    Answer a = {}, b = {};

    f->config.start_timeout = 1; /* counts from its turn */
    wake(f, &a, 0);
    wake(f, &b, 0);
    assert_state(f, SERVICE_STARTING);
    assert_string_equal(reason(f), "waiting for its turn to start");
    assert_int_equal(backend.starts, 0);
    assert_false(probe.running);
    while (sd_event_run(f->loop.event, 1000) > 0)
        continue;
    assert_state(f, SERVICE_STARTING);
    assert_int_equal(a.n, 0);

    f->config.start_timeout = PATIENCE;
    other_is_done(f);
    assert_int_equal(backend.starts, 1);
    assert_true(probe.running);
    assert_string_equal(reason(f), "GET blog/");
    assert_int_equal(n_reasons, 1);
    becomes_ready();
    assert_true(a.online && b.online);
    assert_int_equal(turns.n_taken, 0);
}

static void its_turn_ends_with_its_failure(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    backend.refuses = true;
    wake(f, &a, 0);
    other_is_done(f);
    assert_int_equal(a.n, 1);
    assert_non_null(strstr(a.why, "blog could not be started"));
    assert_state(f, SERVICE_FAILED);
    assert_int_equal(turns.n_taken, 0);
}

static void a_stop_takes_it_out_of_the_queue(void **state)
{
    Fixture *f = *state;
    Answer a = {}, again = {};

    wake(f, &a, 0);
    service_stop(f->service, "by hand");
    assert_state(f, SERVICE_OFFLINE);
    assert_string_equal(a.why, "The service was stopped.");
    assert_int_equal(backend.stops, 0);
    assert_null(turns.head);
    wake(f, &again, 0); /* and the next one gets a place of its own */
    assert_non_null(turns.head);
    other_is_done(f);
    becomes_ready();
    assert_true(again.online);
}

static void a_start_by_hand_takes_its_turn_and_a_restart_keeps_it(void **state)
{
    Fixture *f = *state;
    Answer a = {}, b = {};
    Waiter *w;

    assert_int_equal(service_start(f->service, "by hand", on_done, &a, &w), 0);
    assert_int_equal(service_restart(f->service, "by hand", on_done, &b, &w), 0);
    assert_state(f, SERVICE_STARTING);
    assert_int_equal(backend.starts + backend.stops, 0);
    other_is_done(f);
    becomes_ready();
    assert_true(a.online && b.online);
    assert_int_equal(backend.starts, 1);
}

static void one_that_somebody_else_starts_meanwhile_waits_no_longer(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    wake(f, &a, 0);
    backend.has_process = true;
    backend.events->appeared(&backend, "started by somebody else", backend.userdata);
    assert_true(a.online);
    assert_state(f, SERVICE_ONLINE);
    assert_null(turns.head);
    assert_int_equal(backend.starts, 0);
}

static void a_look_at_one_that_runs_needs_no_turn_and_its_new_start_does(void **state)
{
    Fixture *f = *state;
    Answer dead = {};

    turns_end(&turns, &other);
    bring_online(f);
    assert_int_equal(turns.n_taken, 0);
    assert_true(turns_ask(&turns, &other));
    wake(f, &dead, 1);
    assert_true(probe.running);
    assert_string_equal(reason(f), "a connection was refused in epoch 1");
    exits();
    assert_false(probe.running);
    assert_string_equal(reason(f), "waiting for its turn to start");
    assert_int_equal(n_reasons, 1);
    assert_int_equal(backend.starts, 1);
    other_is_done(f);
    assert_int_equal(backend.starts, 2);
    becomes_ready();
    assert_true(dead.online);
}

static void one_that_goes_away_leaves_the_queue(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    wake(f, &a, 0);
    f->service = service_free(f->service);
    assert_int_equal(a.n, 1);
    assert_null(turns.head);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up_busy, tear_down_busy)
    const struct CMUnitTest tests[] = {
            TEST(it_is_starting_and_nothing_of_it_runs_before_its_turn),
            TEST(its_turn_ends_with_its_failure),
            TEST(a_stop_takes_it_out_of_the_queue),
            TEST(a_start_by_hand_takes_its_turn_and_a_restart_keeps_it),
            TEST(one_that_somebody_else_starts_meanwhile_waits_no_longer),
            TEST(a_look_at_one_that_runs_needs_no_turn_and_its_new_start_does),
            TEST(one_that_goes_away_leaves_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
