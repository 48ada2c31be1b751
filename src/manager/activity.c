/* SPDX-License-Identifier: ISC */

/* Sums activity. A worker's numbers are its own word: sums saturate and a time in the future is now, so that
 * a worker that lies can keep a service awake, which it may anyway, and nothing else. When a worker is gone
 * its open exchanges are gone, but not the fact that the service was used a moment ago: that is kept here, or
 * a crash of a gateway would send services to sleep before their time; and so are its counters. */

#include "manager/activity.h"

int activity_init(Activity *a, size_t n_slots)
{
    Departed *departed = new0(Departed, MAX(n_slots, (size_t) 1));
    if (!departed)
        return -ENOMEM;
    *a = (Activity){.departed = departed, .n_slots = n_slots};
    return 0;
}

int activity_grow(Activity *a, size_t n_slots)
{
    if (n_slots <= a->n_slots)
        return 0;
    Departed *grown = reallocarray(a->departed, n_slots, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memset(grown + a->n_slots, 0, (n_slots - a->n_slots) * sizeof *grown);
    a->departed = grown;
    a->n_slots = n_slots;
    return 0;
}

void activity_done(Activity *a)
{
    for (size_t i = 0; i < a->n_tables; i++)
        activity_table_unmap(a->tables[i]);
    a->n_tables = 0;
    a->departed = mfree(a->departed);
}

void activity_add(Activity *a, const ActivityTable *table)
{
    assert(a->n_tables < GATEWAYS_MAX);
    a->tables[a->n_tables++] = table;
}

static void add_counts(ServiceCounts *sum, const ActivityTable *t, uint32_t slot)
{
    if (!activity_slot_is_used(&t->slots[slot]))
        return;
    for (size_t i = 0; i < _SERVICE_COUNTER_MAX; i++)
        sum->n[i] = count_sum(sum->n[i], counter_read(&t->counters[slot].n[i]));
}

static void add_worker_counts(WorkerCounts *sum, const ActivityTable *t)
{
    for (size_t i = 0; i < _WORKER_COUNTER_MAX; i++)
        sum->n[i] = count_sum(sum->n[i], counter_read(&t->worker.n[i]));
}

void activity_remove(
        Activity *a, const ActivityTable *table, void (*ended)(uint32_t slot, void *userdata), void *userdata)
{
    usec_t now = now_monotonic();

    for (size_t i = 0; i < a->n_tables; i++)
        if (a->tables[i] == table) {
            a->tables[i] = a->tables[--a->n_tables];
            break;
        }
    add_worker_counts(&a->departed_workers, table);
    a->departed_workers.n[COUNT_CONNECTIONS] = 0;
    for (uint32_t slot = 0; slot < a->n_slots; slot++) {
        const ActivitySlot *s = &table->slots[slot];
        if (!activity_slot_is_used(s))
            continue;
        bool active = atomic_load(&s->active) > 0;
        usec_t last = active ? now : MIN((usec_t) atomic_load(&s->last_activity), now);
        Departed *d = &a->departed[slot];
        d->last_activity = MAX(d->last_activity, last);
        d->requests = count_sum(d->requests, counter_read(&s->requests));
        add_counts(&d->counts, table, slot);
        if (active)
            ended(slot, userdata);
    }
    activity_table_unmap(table);
}

void activity_read(const Activity *a, uint32_t slot, ServiceActivity *ret)
{
    const Departed *d = &a->departed[slot];
    ServiceActivity all = {.last_activity = d->last_activity, .requests = d->requests};

    for (size_t i = 0; i < a->n_tables; i++) {
        const ActivitySlot *s = &a->tables[i]->slots[slot];
        /* In this order: who is seen waiting is seen as active, so that nobody in flight is missed. */
        uint64_t waiting = atomic_load(&s->waiting), active = atomic_load(&s->active);
        all.in_flight = count_sum(all.in_flight, active > waiting ? active - waiting : 0);
        all.waiting = count_sum(all.waiting, waiting);
        all.active = count_sum(all.active, active);
        all.last_activity = MAX(all.last_activity, (usec_t) atomic_load(&s->last_activity));
        all.requests = count_sum(all.requests, atomic_load(&s->requests));
    }
    all.last_activity = MIN(all.last_activity, now_monotonic());
    *ret = all;
}

void activity_counts(const Activity *a, uint32_t slot, ServiceCounts *ret)
{
    ServiceCounts all = a->departed[slot].counts;

    for (size_t i = 0; i < a->n_tables; i++)
        add_counts(&all, a->tables[i], slot);
    *ret = all;
}

void activity_worker_counts(const Activity *a, WorkerCounts *ret)
{
    WorkerCounts all = a->departed_workers;

    for (size_t i = 0; i < a->n_tables; i++)
        add_worker_counts(&all, a->tables[i]);
    *ret = all;
}
