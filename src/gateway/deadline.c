/* SPDX-License-Identifier: ISC */

/* Invariants: a Deadline is in at most one queue; each queue is sorted by `at`; the timer is set no later
 * than the earliest `at` of any queue. */

#include "gateway/deadline.h"

#include "util/event.h"
#include "util/log.h"

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

usec_t deadlines_now(const Deadlines *ds)
{
    uint64_t now;
    return sd_event_now(ds->event, CLOCK_MONOTONIC, &now) >= 0 ? now : now_monotonic();
}

void deadlines_init(Deadlines *ds, sd_event *event)
{
    *ds = (Deadlines){.event = sd_event_ref(event), .armed = USEC_INFINITY};
}

void deadlines_done(Deadlines *ds)
{
    ds->timer = sd_event_source_disable_unref(ds->timer);
    ds->event = sd_event_unref(ds->event);
}

void deadline_queue_init(DeadlineQueue *q, Deadlines *ds, usec_t span, void (*expired)(Deadline *d))
{
    assert(ds->n_queues < DEADLINE_QUEUES_MAX);
    *q = (DeadlineQueue){.owner = ds, .span = span, .expired = expired};
    ds->queues[ds->n_queues++] = q;
}

static void arm(Deadlines *ds, usec_t at)
{
    if (at >= ds->armed)
        return;
    int r = event_arm_timer(ds->event, &ds->timer, usec_sub(at, now_monotonic()), on_timer, ds, "deadlines");
    if (r < 0)
        log_error_errno(r, "Cannot set the deadline timer: %m");
    else
        ds->armed = at;
}

void deadline_clear(Deadline *d)
{
    DeadlineQueue *q = d->queue;

    if (!q)
        return;
    if (d->prev)
        d->prev->next = d->next;
    else
        q->head = d->next;
    if (d->next)
        d->next->prev = d->prev;
    else
        q->tail = d->prev;
    *d = (Deadline){};
}

void deadline_set(Deadline *d, DeadlineQueue *q)
{
    deadline_clear(d);
    if (q->span == USEC_INFINITY)
        return;
    /* At the end, but for those that were set before the span became shorter. */
    usec_t at = usec_add(deadlines_now(q->owner), q->span);
    Deadline *after = q->tail;
    while (after && after->at > at)
        after = after->prev;
    *d = (Deadline){.queue = q, .at = at, .prev = after, .next = after ? after->next : q->head};
    *(d->prev ? &d->prev->next : &q->head) = d;
    *(d->next ? &d->next->prev : &q->tail) = d;
    arm(q->owner, d->at);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Deadlines *ds = userdata;
    usec_t now = now_monotonic(), next = USEC_INFINITY;

    ds->armed = USEC_INFINITY;
    for (size_t i = 0; i < ds->n_queues; i++) {
        DeadlineQueue *q = ds->queues[i];
        while (q->head && q->head->at <= now) {
            Deadline *d = q->head;
            deadline_clear(d);
            q->expired(d);
        }
    }
    for (size_t i = 0; i < ds->n_queues; i++)
        if (ds->queues[i]->head)
            next = MIN(next, ds->queues[i]->head->at);
    if (next != USEC_INFINITY)
        arm(ds, next);
    return 0;
}
