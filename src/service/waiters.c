/* SPDX-License-Identifier: ISC */

/* Who waits for a service: a list in order of arrival. Invariant: a Waiter is freed before its callback is
 * called, so that a callback may cancel any other, and none twice. */

#include "service/service-internal.h"

struct Waiter {
    Service *service;
    WakeDone done;
    void *userdata;
    uint64_t number;
    Waiter *prev, *next;
};

int waiters_add(Service *s, WakeDone done, void *userdata, Waiter **ret)
{
    Waiter *w = new0(Waiter, 1);
    if (!w)
        return -ENOMEM;
    *w = (Waiter){.service = s,
            .done = done,
            .userdata = userdata,
            .number = ++s->waiters.last,
            .prev = s->waiters.tail};
    if (w->prev)
        w->prev->next = w;
    else
        s->waiters.head = w;
    s->waiters.tail = w;
    *ret = w;
    return 0;
}

void service_waiter_cancel(Waiter *w)
{
    if (!w)
        return;
    WaiterList *l = &w->service->waiters;
    if (w->prev)
        w->prev->next = w->next;
    else
        l->head = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        l->tail = w->prev;
    free(w);
}

bool waiters_has(const Service *s, uint64_t number)
{
    for (const Waiter *w = s->waiters.tail; w && w->number >= number; w = w->prev)
        if (w->number == number)
            return true;
    return false;
}

static void answer_first(Service *s, const WakeResult *result)
{
    Waiter *w = s->waiters.head;
    WakeDone done = w->done;
    void *userdata = w->userdata;

    service_waiter_cancel(w);
    done(s, result, userdata);
}

WakeResult waiters_lasting(const WakeResult *result, char **ret_why)
{
    WakeResult r = *result;

    *ret_why = NULL;
    if (r.why) {
        *ret_why = strdup(r.why);
        r.why = *ret_why ?: "out of memory";
    }
    return r;
}

void waiters_answer(Service *s, const WakeResult *result)
{
    uint64_t last = s->waiters.last; /* who comes meanwhile came for something else */
    _cleanup_free_ char *why = NULL;
    const WakeResult r = waiters_lasting(result, &why);
    WakeResult now;

    while (s->waiters.head && s->waiters.head->number <= last)
        answer_first(s, &r);
    /* They had to queue behind those who were there; for them counts what is true now. */
    while (s->waiters.head && service_answer_now(s, &now)) {
        _cleanup_free_ char *why_now = NULL;
        const WakeResult later = waiters_lasting(&now, &why_now);
        answer_first(s, &later);
    }
}
