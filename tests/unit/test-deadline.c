/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "gateway/deadline.h"

typedef struct Thing {
    Deadline deadline;
    int id;
} Thing;

static int order[16];
static size_t n_order;

static void on_expired(Deadline *d)
{
    order[n_order++] = container_of(d, Thing, deadline)->id;
}

static void run_until(sd_event *event, size_t n)
{
    while (n_order < n)
        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
}

static int set_up(void **state)
{
    n_order = 0;
    return sd_event_new((sd_event **) state) < 0;
}

static int tear_down(void **state)
{
    sd_event_unref(*state);
    return 0;
}

static void limits_expire_in_order_of_time_across_queues(void **state)
{
    sd_event *event = *state;
    Deadlines ds;
    DeadlineQueue slow, fast;
    Thing a = {.id = 1}, b = {.id = 2}, c = {.id = 3};

    deadlines_init(&ds, event);
    deadline_queue_init(&slow, &ds, 30 * USEC_PER_MSEC, on_expired);
    deadline_queue_init(&fast, &ds, 5 * USEC_PER_MSEC, on_expired);
    deadline_set(&a.deadline, &slow);
    deadline_set(&b.deadline, &fast);
    deadline_set(&c.deadline, &fast);
    run_until(event, 3);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 3);
    assert_int_equal(order[2], 1);
    assert_null(a.deadline.queue);
    deadlines_done(&ds);
}

static void what_is_cleared_or_moved_does_not_expire(void **state)
{
    sd_event *event = *state;
    Deadlines ds;
    DeadlineQueue fast, never, slow;
    Thing a = {.id = 1}, b = {.id = 2}, c = {.id = 3};

    deadlines_init(&ds, event);
    deadline_queue_init(&fast, &ds, USEC_PER_MSEC, on_expired);
    deadline_queue_init(&slow, &ds, 10 * USEC_PER_MSEC, on_expired);
    deadline_queue_init(&never, &ds, USEC_INFINITY, on_expired);
    deadline_set(&a.deadline, &fast);
    deadline_set(&b.deadline, &fast);
    deadline_set(&c.deadline, &slow);
    deadline_clear(&a.deadline);
    deadline_clear(&a.deadline);
    deadline_set(&b.deadline, &never);
    assert_null(b.deadline.queue);
    run_until(event, 1);
    assert_int_equal(order[0], 3);
    deadlines_done(&ds);
}

static void with_nothing_to_wait_for_the_loop_sleeps(void **state)
{
    sd_event *event = *state;
    Deadlines ds;
    DeadlineQueue fast;
    Thing a = {.id = 1};

    deadlines_init(&ds, event);
    deadline_queue_init(&fast, &ds, USEC_PER_MSEC, on_expired);
    deadline_set(&a.deadline, &fast);
    deadline_clear(&a.deadline);
    assert_true(sd_event_run(event, UINT64_MAX) >= 0); /* the timer that was left alone */
    assert_int_equal(sd_event_run(event, 20 * USEC_PER_MSEC), 0);
    assert_int_equal(n_order, 0);
    deadlines_done(&ds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(limits_expire_in_order_of_time_across_queues, set_up, tear_down),
            cmocka_unit_test_setup_teardown(what_is_cleared_or_moved_does_not_expire, set_up, tear_down),
            cmocka_unit_test_setup_teardown(with_nothing_to_wait_for_the_loop_sleeps, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
