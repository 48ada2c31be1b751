/* SPDX-License-Identifier: ISC */

/* Sums activity. A worker's numbers are its own word: sums saturate and a time in the future is now, so that
 * a worker that lies can keep a service awake, which it may anyway, and nothing else. When a worker is gone
 * its open exchanges are gone, but not the fact that the service was used a moment ago: that is kept here, or
 * a crash of a gateway would send services to sleep before their time. */

#include "manager/activity.h"

int activity_init(Activity *a, size_t n_slots)
{
    usec_t *departed = new0(usec_t, MAX(n_slots, (size_t) 1));
    if (!departed)
        return -ENOMEM;
    *a = (Activity){.departed = departed, .n_slots = n_slots};
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

void activity_remove(
        Activity *a, const ActivityTable *table, void (*ended)(uint32_t slot, void *userdata), void *userdata)
{
    usec_t now = now_monotonic();

    for (size_t i = 0; i < a->n_tables; i++)
        if (a->tables[i] == table) {
            a->tables[i] = a->tables[--a->n_tables];
            break;
        }
    for (uint32_t slot = 0; slot < a->n_slots; slot++) {
        const ActivitySlot *s = &table->slots[slot];
        bool active = atomic_load(&s->active) > 0;
        usec_t last = active ? now : MIN((usec_t) atomic_load(&s->last_activity), now);
        a->departed[slot] = MAX(a->departed[slot], last);
        if (active)
            ended(slot, userdata);
    }
    activity_table_unmap(table);
}

void activity_read(const Activity *a, uint32_t slot, ServiceActivity *ret)
{
    ServiceActivity sum = {.last_activity = a->departed[slot]};

    for (size_t i = 0; i < a->n_tables; i++) {
        const ActivitySlot *s = &a->tables[i]->slots[slot];
        uint64_t active = atomic_load(&s->active);
        sum.active = active > UINT64_MAX - sum.active ? UINT64_MAX : sum.active + active;
        sum.last_activity = MAX(sum.last_activity, (usec_t) atomic_load(&s->last_activity));
    }
    sum.last_activity = MIN(sum.last_activity, now_monotonic());
    *ret = sum;
}
