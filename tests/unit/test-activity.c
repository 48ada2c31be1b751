/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <sys/mman.h>

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

static uint64_t count(const Activity *a, uint32_t slot, unsigned counter)
{
    ServiceCounts c;
    activity_counts(a, slot, &c);
    return c.n[counter];
}

static uint64_t worker_count(const Activity *a, WorkerCounter counter)
{
    WorkerCounts c;
    activity_worker_counts(a, &c);
    return c.n[counter];
}

static void counters_are_summed_and_never_go_down_when_a_worker_leaves(void **state)
{
    const unsigned found = COUNT_RESPONSES + REQUEST_2XX, lost = COUNT_ERRORS + UPSTREAM_CLOSED;
    uint32_t ended = 0;
    Activity a;

    assert_int_equal(activity_init(&a, 3), 0);
    Worker x = worker(&a), y = worker(&a);
    atomic_store(&x.mine->slots[1].requests, 5);
    atomic_store(&y.mine->slots[1].requests, 2);
    counter_add(&x.mine->counters[1].n[found], 4);
    counter_add(&x.mine->counters[1].n[lost], 1);
    counter_add(&y.mine->counters[1].n[found], 2);
    counter_add(&x.mine->worker.n[COUNT_CONNECTIONS], 3);
    counter_add(&y.mine->worker.n[COUNT_CONNECTIONS], 1);
    counter_add(&x.mine->worker.n[COUNT_ACCEPTED], 30);
    counter_add(&x.mine->worker.n[COUNT_STRAYS + stray_status_index(404)], 7);
    assert_int_equal(count(&a, 1, found), 6);
    assert_int_equal(count(&a, 1, lost), 1);
    assert_int_equal(count(&a, 0, found), 0);
    assert_int_equal(worker_count(&a, COUNT_CONNECTIONS), 4);

    activity_table_unmap(x.mine);
    activity_remove(&a, x.seen, note_ended, &ended);
    assert_int_equal(count(&a, 1, found), 6);
    assert_int_equal(count(&a, 1, lost), 1);
    assert_int_equal(get(&a, 1).requests, 7);
    assert_int_equal(worker_count(&a, COUNT_ACCEPTED), 30);
    assert_int_equal(worker_count(&a, COUNT_STRAYS + stray_status_index(404)), 7);
    assert_int_equal(worker_count(&a, COUNT_CONNECTIONS), 1); /* those that it had are closed */

    Worker z = worker(&a);
    atomic_store(&z.mine->slots[1].requests, 1);
    counter_add(&z.mine->counters[1].n[found], 10);
    assert_int_equal(count(&a, 1, found), 16);
    activity_table_unmap(y.mine);
    activity_table_unmap(z.mine);
    activity_done(&a);
}

static void what_a_worker_makes_up_is_the_largest_number_at_most(void **state)
{
    uint32_t ended = 0;
    Activity a;

    assert_int_equal(activity_init(&a, 1), 0);
    Worker x = worker(&a), y = worker(&a);
    for (size_t i = 0; i < _SERVICE_COUNTER_MAX; i++) {
        atomic_store(&x.mine->counters[0].n[i], UINT64_MAX - 1);
        atomic_store(&y.mine->counters[0].n[i], 7);
    }
    set(x, 0, 0, 1);
    set(y, 0, 0, 1);
    assert_true(count(&a, 0, COUNT_SENT) == UINT64_MAX);
    activity_table_unmap(x.mine);
    activity_remove(&a, x.seen, note_ended, &ended);
    assert_true(count(&a, 0, COUNT_SENT) == UINT64_MAX);
    activity_table_unmap(y.mine);
    activity_done(&a);
}

/* Resident pages of the manager's view. */
static size_t resident_pages(const ActivityTable *t)
{
    static unsigned char vec[sizeof(ActivityTable) / 4096 + 1];
    size_t n = 0;

    assert_int_equal(mincore((void *) t, sizeof *t, vec), 0);
    for (size_t i = 0; i < sizeof *t / 4096; i++)
        n += vec[i] & 1;
    return n;
}

static void reading_what_nobody_has_counted_costs_no_memory(void **state)
{
    Activity a;

    assert_int_equal(activity_init(&a, SLOTS_MAX / 4), 0);
    Worker x = worker(&a);
    for (uint32_t i = 0; i < 1000; i++)
        (void) count(&a, i, COUNT_SENT);
    /* The slots' own, and none of the counters'. */
    assert_in_range(resident_pages(x.seen), 1, (1000 + 2) * sizeof(ActivitySlot) / 4096 + 1);
    activity_table_unmap(x.mine);
    activity_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(sums_all_workers_and_takes_the_latest_activity),
            cmocka_unit_test(a_worker_that_lies_can_do_no_more_than_keep_a_service_awake),
            cmocka_unit_test(what_a_gone_worker_had_open_has_ended_just_now),
            cmocka_unit_test(counters_are_summed_and_never_go_down_when_a_worker_leaves),
            cmocka_unit_test(what_a_worker_makes_up_is_the_largest_number_at_most),
            cmocka_unit_test(reading_what_nobody_has_counted_costs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
