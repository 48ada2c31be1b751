/* SPDX-License-Identifier: ISC */

/* Who waits for a service is answered, once and in order, whatever is done meanwhile. */

#include "tests/unit/test.h"

#include "tests/unit/service-fakes.h"

static void the_back_off_doubles_up_to_a_minute(void **state)
{
    static const unsigned expected[] = {1, 2, 4, 8, 16, 32, 60, 60};
    Fixture *f = *state;

    for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
        Answer a = {}, again = {};
        wake(f, &a, 0);
        fails_to_start();
        assert_state(f, SERVICE_FAILED);
        assert_false(a.online);
        assert_string_equal(a.why, "blog could not be started: exited with status 1");
        assert_int_equal(a.retry_after, expected[i]);
        wake(f, &again, 0); /* told at once, and nothing is tried */
        assert_int_equal(again.n, 1);
        assert_string_equal(again.why, a.why);
        assert_int_equal(backend.starts, i + 1);
        assert_int_equal(service_stop(f->service, "may be tried again"), 0);
        assert_state(f, SERVICE_OFFLINE);
    }
    assert_int_equal(backend.stops, 0); /* nothing ran */
}

static void a_start_that_fails_at_once_is_answered_at_once(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    backend.refuses = true;
    wake(f, &a, 0);
    assert_int_equal(a.n, 1);
    assert_string_equal(a.why, "blog could not be started: cannot execute nod: No such file or directory");
    assert_state(f, SERVICE_FAILED);
    assert_false(probe.running);
}

static void a_start_that_takes_too_long_is_answered_before_it_is_stopped(void **state)
{
    Fixture *f = *state;
    Answer a = {}, meanwhile = {};

    f->config.start_timeout = 10 * USEC_PER_MSEC;
    wake(f, &a, 0);
    RUN_UNTIL(f->loop.event, a.n == 1);
    assert_string_equal(a.why, "blog did not become ready within 10ms: connection refused");
    assert_state(f, SERVICE_STOPPING);
    assert_int_equal(backend.stops, 1);
    wake(f, &meanwhile, 0); /* it is known already how this ends */
    assert_int_equal(meanwhile.n, 1);
    has_stopped();
    assert_state(f, SERVICE_FAILED);
    assert_int_equal(backend.starts, 1);
}

static void wake_next(Fixture *f, Answer *a)
{
    Waiter *w;
    assert_int_equal(service_wake(f->service, 0, "again", on_done, a->next, &w), 0);
}

static void who_comes_while_others_are_answered_is_answered_after_them(void **state)
{
    for (int fail = 0; fail < 2; fail++) {
        Fixture *f = *state;
        Answer late = {}, first = {.then = f, .act = wake_next, .next = &late}, second = {}, third = {};

        n_answers = 0;
        wake(f, &first, 0);
        wake(f, &second, 0);
        wake(f, &third, 0);
        if (fail)
            fails_to_start();
        else
            becomes_ready();
        assert_int_equal(first.order, 1);
        assert_int_equal(second.order, 2);
        assert_int_equal(third.order, 3);
        assert_int_equal(late.order, 4);
        assert_int_equal(late.online, !fail);
        exits();
    }
}

static Waiter *to_cancel;

static void cancel_other(Fixture *f, Answer *a)
{
    service_waiter_cancel(to_cancel);
}

static void a_callback_may_cancel_another(void **state)
{
    Fixture *f = *state;
    Answer first = {.then = f, .act = cancel_other}, second = {}, third = {};

    wake(f, &first, 0);
    wake(f, &second, 0);
    to_cancel = wake(f, &third, 0);
    becomes_ready();
    assert_int_equal(first.n + second.n, 2);
    assert_int_equal(third.n, 0);
    service_waiter_cancel(NULL);
}

/* The worst that a callback can do to those behind it: another failure, with another text. */
static void fail_once_more(Fixture *f, Answer *a)
{
    Waiter *w;

    backend.refuses = true;
    assert_int_equal(service_stop(f->service, "of a callback"), 0);
    assert_int_equal(service_wake(f->service, 0, "again", on_done, a->next, &w), 0);
}

static void a_callback_may_change_everything_for_those_behind_it(void **state)
{
    Fixture *f = *state;
    Answer late = {}, first = {.then = f, .act = fail_once_more, .next = &late}, second = {};

    wake(f, &first, 0);
    wake(f, &second, 0);
    fails_to_start();
    assert_int_equal(first.n, 1);
    assert_string_equal(first.why, "blog could not be started: exited with status 1");
    assert_int_equal(second.n, 1);
    assert_int_equal(late.n, 1);
    assert_false(second.online || late.online);
    assert_state(f, SERVICE_FAILED);

    Answer last = {}, at_once = {.then = f, .act = fail_once_more, .next = &last};
    wake(f, &at_once, 0); /* the same in a call that has its answer at once */
    assert_string_equal(
            at_once.why, "blog could not be started: cannot execute nod: No such file or directory");
    assert_int_equal(last.n, 1);
}

static void stop_it(Fixture *f, Answer *a)
{
    assert_int_equal(service_stop(f->service, "of a callback"), 0);
}

static void a_callback_may_stop_it(void **state)
{
    Fixture *f = *state;
    Answer first = {.then = f, .act = stop_it}, second = {};

    wake(f, &first, 0);
    wake(f, &second, 0);
    becomes_ready();
    assert_state(f, SERVICE_STOPPING);
    assert_int_equal(first.n, 1);
    assert_int_equal(second.n, 1);
    has_stopped();
    assert_state(f, SERVICE_OFFLINE);
    assert_int_equal(backend.starts, 1);
}

static void who_waits_is_told_of_a_stop_and_who_comes_later_has_it_started(void **state)
{
    Fixture *f = *state;
    Answer before = {}, after = {};

    wake(f, &before, 0);
    assert_int_equal(service_stop(f->service, "by hand"), 0);
    assert_state(f, SERVICE_STOPPING);
    assert_int_equal(before.n, 1);
    assert_false(before.online);
    assert_int_equal(backend.stops, 1);
    assert_int_equal(service_stop(f->service, "by hand"), 0); /* once is enough */
    assert_int_equal(backend.stops, 1);
    wake(f, &after, 0);
    assert_int_equal(after.n, 0);
    has_stopped();
    assert_state(f, SERVICE_STARTING);
    becomes_ready();
    assert_true(after.online);
}

static void being_freed_answers_who_waits_whatever_they_do_then(void **state)
{
    Fixture *f = *state;
    Answer late = {}, first = {.then = f, .act = wake_next, .next = &late}, second = {};

    wake(f, &first, 0);
    wake(f, &second, 0);
    f->service = service_free(f->service);
    assert_null(f->service);
    assert_int_equal(first.n, 1);
    assert_int_equal(second.n, 1);
    assert_false(first.online || second.online);
    assert_int_equal(backend.stops, 0); /* what runs is left alone */
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            TEST(the_back_off_doubles_up_to_a_minute),
            TEST(a_start_that_fails_at_once_is_answered_at_once),
            TEST(a_start_that_takes_too_long_is_answered_before_it_is_stopped),
            TEST(who_comes_while_others_are_answered_is_answered_after_them),
            TEST(a_callback_may_cancel_another),
            TEST(a_callback_may_change_everything_for_those_behind_it),
            TEST(a_callback_may_stop_it),
            TEST(who_waits_is_told_of_a_stop_and_who_comes_later_has_it_started),
            TEST(being_freed_answers_who_waits_whatever_they_do_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
