/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "manager/activity.h"
#include "util/fd.h"

/* A worker: its table as it writes it, and as the manager reads it. */
typedef struct Worker {
    ActivityTable *mine;
    const ActivityTable *seen;
} Worker;

static Worker worker(Activity *a)
{
    _cleanup_close_ int fd = -EBADF;
    Worker w;

    assert_int_equal(activity_table_new(&w.seen, &fd), 0);
    assert_int_equal(activity_table_map(fd, &w.mine), 0);
    activity_add(a, w.seen);
    return w;
}

static void set(Worker w, uint32_t slot, uint64_t active, uint64_t last_activity)
{
    atomic_store(&w.mine->slots[slot].active, active);
    atomic_store(&w.mine->slots[slot].last_activity, last_activity);
}

static ServiceActivity get(const Activity *a, uint32_t slot)
{
    ServiceActivity r;
    activity_read(a, slot, &r);
    return r;
}

static void note_ended(uint32_t slot, void *userdata)
{
    uint32_t *ended = userdata;
    (*ended)++;
    assert_int_equal(slot, 2);
}

static void sums_all_workers_and_takes_the_latest_activity(void **state)
{
    Activity a;
    assert_int_equal(activity_init(&a, 3), 0);
    assert_int_equal(get(&a, 0).active, 0);
    assert_int_equal(get(&a, 0).last_activity, 0);
    Worker x = worker(&a), y = worker(&a);
    set(x, 0, 2, 1000);
    set(y, 0, 3, 900);
    set(y, 2, 1, 5);
    assert_int_equal(get(&a, 0).active, 5);
    assert_int_equal(get(&a, 0).last_activity, 1000);
    assert_int_equal(get(&a, 1).active, 0);
    assert_int_equal(get(&a, 2).active, 1);
    atomic_store(&x.mine->slots[1].requests, 40);
    atomic_store(&y.mine->slots[1].requests, 2);
    assert_int_equal(get(&a, 1).requests, 42);
    assert_int_equal(get(&a, 0).in_flight, 5);
    atomic_store(&y.mine->slots[0].waiting, 2);
    assert_int_equal(get(&a, 0).in_flight, 3);
    atomic_store(&x.mine->slots[0].waiting, 17); /* what a worker says may be anything */
    assert_int_equal(get(&a, 0).in_flight, 1);
    assert_int_equal(get(&a, 0).active, 5);
    activity_table_unmap(x.mine);
    activity_table_unmap(y.mine);
    activity_done(&a);
}

static void a_worker_that_lies_can_do_no_more_than_keep_a_service_awake(void **state)
{
    Activity a;
    assert_int_equal(activity_init(&a, 1), 0);
    Worker x = worker(&a), y = worker(&a);
    set(x, 0, UINT64_MAX, UINT64_MAX);
    set(y, 0, 1, 7);
    usec_t before = now_monotonic();
    ServiceActivity r = get(&a, 0);
    assert_true(r.active == UINT64_MAX); /* and not 0 */
    assert_in_range(r.last_activity, before, now_monotonic());
    activity_table_unmap(x.mine);
    activity_table_unmap(y.mine);
    activity_done(&a);
}

static void what_a_gone_worker_had_open_has_ended_just_now(void **state)
{
    Activity a;
    uint32_t ended = 0;

    assert_int_equal(activity_init(&a, 4), 0);
    Worker x = worker(&a), y = worker(&a);
    set(x, 1, 0, 700); /* had been used */
    atomic_store(&x.mine->slots[1].requests, 9);
    set(x, 2, 4, 800); /* is being used */
    set(y, 3, 1, 1);
    usec_t before = now_monotonic();
    activity_table_unmap(x.mine);
    activity_remove(&a, x.seen, note_ended, &ended);
    assert_int_equal(ended, 1);
    assert_int_equal(get(&a, 1).last_activity, 700);
    assert_int_equal(get(&a, 1).requests, 9);
    assert_int_equal(get(&a, 2).active, 0);
    assert_in_range(get(&a, 2).last_activity, before, now_monotonic());
    assert_int_equal(get(&a, 0).last_activity, 0);
    assert_int_equal(get(&a, 3).active, 1);

    /* The next one in its place counts from zero. */
    Worker z = worker(&a);
    assert_int_equal(get(&a, 2).active, 0);
    activity_table_unmap(y.mine);
    activity_table_unmap(z.mine);
    activity_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(sums_all_workers_and_takes_the_latest_activity),
            cmocka_unit_test(a_worker_that_lies_can_do_no_more_than_keep_a_service_awake),
            cmocka_unit_test(what_a_gone_worker_had_open_has_ended_just_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
