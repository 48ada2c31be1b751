/* SPDX-License-Identifier: ISC */

/* The clock alone: the manager is played by this file. */

#include "tests/unit/test.h"

#include "gateway/idleness.h"
#include "tests/unit/loop.h"

#define SPAN (20 * USEC_PER_MSEC)

static LinkOfflineDone done;
static void *done_userdata;
static int link_result;
static unsigned n_asked;

int link_await_offline(Link *l, LinkOfflineDone d, void *userdata, sd_bus_slot **ret)
{
    if (link_result < 0)
        return link_result;
    n_asked++;
    done = d;
    done_userdata = userdata;
    return 0;
}

typedef struct Fixture {
    sd_event *event;
    Idleness idleness;
    unsigned n_changes;
    bool idle;
} Fixture;

static void on_changed(bool idle, void *userdata)
{
    Fixture *f = userdata;
    assert_int_not_equal(idle, f->idle); /* nothing is told twice */
    f->idle = idle;
    f->n_changes++;
}

static int set_up(void **state)
{
    Fixture *f = new0(Fixture, 1);

    link_result = 0;
    n_asked = 0;
    assert_int_equal(sd_event_new(&f->event), 0);
    idleness_init(&f->idleness, f->event, NULL, SPAN, on_changed, f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;
    idleness_done(&f->idleness);
    sd_event_unref(f->event);
    free(f);
    return 0;
}

static void all_are_offline(void)
{
    done(0, done_userdata);
}

/* The loop has nothing to do within `span`. */
static bool rests(Fixture *f, usec_t span)
{
    return sd_event_run(f->event, span) == 0;
}

static void it_is_idle_after_its_span_when_all_services_are_offline(void **state)
{
    Fixture *f = *state;
    usec_t began = now_monotonic();

    idleness_attached(&f->idleness, true);
    RUN_UNTIL(f->event, n_asked == 1);
    assert_true(now_monotonic() - began >= SPAN);
    assert_true(rests(f, SPAN)); /* nothing runs while the manager has not answered */
    assert_false(f->idle);
    all_are_offline();
    assert_false(f->idle); /* not from within the answer */
    RUN_UNTIL(f->event, f->idle);
    assert_true(rests(f, SPAN));
}

static void connections_put_it_off_by_as_much(void **state)
{
    Fixture *f = *state;

    idleness_count(&f->idleness, 1, now_monotonic());
    idleness_attached(&f->idleness, true);
    idleness_count(&f->idleness, 2, now_monotonic());
    idleness_count(&f->idleness, 1, now_monotonic());
    assert_true(rests(f, 2 * SPAN));
    usec_t began = now_monotonic();
    idleness_count(&f->idleness, 0, began);
    RUN_UNTIL(f->event, n_asked == 1);
    assert_true(now_monotonic() - began >= SPAN);

    idleness_count(&f->idleness, 1, now_monotonic());
    idleness_count(&f->idleness, 0, now_monotonic());
    idleness_count(&f->idleness, 1, now_monotonic());
    while (sd_event_run(f->event, 2 * SPAN) > 0) /* the timer, which finds it busy */
        ;
    assert_false(f->idle);
}

static void an_answer_that_a_connection_has_crossed_does_not_count(void **state)
{
    Fixture *f = *state;

    idleness_attached(&f->idleness, true);
    RUN_UNTIL(f->event, n_asked == 1);
    idleness_count(&f->idleness, 1, now_monotonic());
    all_are_offline();
    while (sd_event_run(f->event, SPAN) > 0)
        ;
    assert_false(f->idle);
    /* Nor when that has just ended: what it asked for may be online. */
    idleness_count(&f->idleness, 0, now_monotonic());
    RUN_UNTIL(f->event, n_asked == 2);
    all_are_offline();
    RUN_UNTIL(f->event, f->idle);
}

static void one_that_was_told_idle_and_then_has_a_connection_takes_it_back(void **state)
{
    Fixture *f = *state;

    idleness_attached(&f->idleness, true);
    RUN_UNTIL(f->event, n_asked == 1);
    all_are_offline();
    RUN_UNTIL(f->event, f->idle);
    idleness_count(&f->idleness, 1, now_monotonic());
    assert_false(f->idle);
    idleness_count(&f->idleness, 0, now_monotonic());
    RUN_UNTIL(f->event, n_asked == 2);
    all_are_offline();
    RUN_UNTIL(f->event, f->idle);
    assert_int_equal(f->n_changes, 3);
}

static void the_next_manager_is_asked_again(void **state)
{
    Fixture *f = *state;

    idleness_attached(&f->idleness, true);
    RUN_UNTIL(f->event, n_asked == 1);
    done(-ECONNRESET, done_userdata);
    assert_true(rests(f, 2 * SPAN));
    idleness_attached(&f->idleness, true);
    assert_int_equal(n_asked, 2);
    all_are_offline();
    RUN_UNTIL(f->event, f->idle);
}

static void without_a_manager_it_is_asked_when_it_comes(void **state)
{
    Fixture *f = *state;

    link_result = -ENOTCONN;
    idleness_attached(&f->idleness, true);
    while (sd_event_run(f->event, 2 * SPAN) > 0)
        ;
    link_result = 0;
    idleness_attached(&f->idleness, true);
    assert_int_equal(n_asked, 1);
}

static void who_would_not_be_started_again_stays(void **state)
{
    Fixture *f = *state;

    idleness_attached(&f->idleness, false);
    assert_true(rests(f, 2 * SPAN));
    assert_int_equal(n_asked, 0);
    idleness_attached(&f->idleness, true); /* the next manager has given no sockets */
    RUN_UNTIL(f->event, n_asked == 1);
}

static void without_a_span_no_timer_runs(void **state)
{
    Fixture *f = *state;
    Idleness i;

    idleness_init(&i, f->event, NULL, USEC_INFINITY, on_changed, f);
    idleness_attached(&i, true);
    idleness_count(&i, 1, now_monotonic());
    idleness_count(&i, 0, now_monotonic());
    assert_null(i.timer);
    idleness_done(&i);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            TEST(it_is_idle_after_its_span_when_all_services_are_offline),
            TEST(connections_put_it_off_by_as_much),
            TEST(an_answer_that_a_connection_has_crossed_does_not_count),
            TEST(one_that_was_told_idle_and_then_has_a_connection_takes_it_back),
            TEST(the_next_manager_is_asked_again),
            TEST(without_a_manager_it_is_asked_when_it_comes),
            TEST(who_would_not_be_started_again_stays),
            TEST(without_a_span_no_timer_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
