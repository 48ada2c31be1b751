/* SPDX-License-Identifier: ISC */

/* One gate: its tickets, and the accounting in the activity table.
 *
 * Invariants: g->open is the number of tickets of the gate, less those that rest, and the table's `active`
 * shows it at all times while attached, and `waiting` how many of them are parked; ticket_open() makes it
 * visible before the state is read (both sequentially consistent), so that a manager that sets STOPPING and
 * then reads `active` cannot miss a request that read ONLINE; at most one wake of a gate is under way.
 *
 * Those who waited are not let loose on a service that has just begun to listen: WINDOW of them go at a time,
 * the next when one is answered. A small server's backlog (5 in many) would drop the rest, and TCP would try
 * again only a second later. */

#include "gateway/gate-internal.h"

#include "util/log.h"

#define WINDOW 32

void gate_publish(Gate *g)
{
    if (g->has_slot)
        atomic_store(&g->set->activity->slots[g->slot].active, g->open);
}

void gate_publish_waiting(Gate *g)
{
    if (g->has_slot)
        atomic_store(&g->set->activity->slots[g->slot].waiting, g->n_parked);
}

/* Of those that are open, none is with the service: whoever wants to stop it may. */
static void gate_tell_if_idle(Gate *g)
{
    if (g->open == g->n_parked && g->has_slot && atomic_load(&g->set->status->slots[g->slot].watch))
        link_idle(g->set->link, g->slot);
}

const char *gate_name(const Gate *g)
{
    return g->name;
}

bool gate_is_proxy_only(const Gate *g)
{
    return g->proxy_only;
}

void gate_count(const Gate *g, ServiceCounter counter, uint64_t n)
{
    if (likely(g->has_slot))
        counter_add(&g->set->activity->counters[g->slot].n[counter], n);
}

uint32_t gate_online_epoch(const Gate *g)
{
    const StatusSlot *s = &g->set->status->slots[g->slot];
    return atomic_load(&s->state) == SERVICE_ONLINE ? atomic_load(&s->epoch) : 0;
}

void ticket_open(Ticket *t, Gate *g, void (*proceed)(Ticket *t, const GateVerdict *verdict))
{
    *t = (Ticket){.gate = g, .state = TICKET_OPEN, .proceed = proceed};
    g->open++;
    g->set->n_open++;
    counter_add(&g->set->activity->slots[g->slot].requests, 1);
    gate_publish(g);
}

void gate_unpark(Ticket *t)
{
    Gate *g = t->gate;

    if (t->prev)
        t->prev->next = t->next;
    else
        g->parked_head = t->next;
    if (t->next)
        t->next->prev = t->prev;
    else
        g->parked_tail = t->prev;
    t->prev = t->next = NULL;
    t->state = TICKET_OPEN;
    g->n_parked--;
    g->set->n_parked--;
    gate_publish_waiting(g);
}

static int on_admit(sd_event_source *source, void *userdata);

/* Lets in as many as the window has room for, from the loop: proceed() may close tickets and must not do so
 * under its caller's feet. */
static void gate_admit_soon(Gate *g)
{
    int r = 0;

    if (!g->parked_head || !g->let_in || g->n_admitted >= WINDOW)
        return;
    if (!g->admit)
        r = sd_event_add_defer(g->set->event, &g->admit, on_admit, g);
    if (r >= 0)
        r = sd_event_source_set_enabled(g->admit, SD_EVENT_ONESHOT);
    if (r < 0)
        log_service_error_errno(g->name, r, "Cannot let waiting requests in: %m");
}

static int on_admit(sd_event_source *source, void *userdata)
{
    Gate *g = userdata;
    GateVerdict yes = {.online = true};

    while (g->parked_head && g->let_in && g->n_admitted < WINDOW) {
        Ticket *t = g->parked_head;
        gate_unpark(t);
        t->state = TICKET_ADMITTED;
        g->n_admitted++;
        t->proceed(t, &yes);
    }
    return 0;
}

void gate_refuse(Gate *g, const char *why, uint32_t retry_after)
{
    GateVerdict no = {.why = why, .retry_after = MAX(retry_after, 1U)};

    while (g->parked_head) {
        Ticket *t = g->parked_head;
        gate_unpark(t);
        gate_count(g, COUNT_PARK_REFUSALS + PARK_FAILED, 1);
        t->proceed(t, &no);
    }
}

static void on_wake_done(
        int r, bool online, uint32_t epoch, const char *why, uint32_t retry_after, void *userdata)
{
    Gate *g = userdata;

    g->wake = sd_bus_slot_unref(g->wake);
    g->dead_epoch = 0;
    if (r < 0) {
        if (r == -ECONNRESET)
            return; /* asked again as soon as there is another manager */
        log_service_error_errno(
                g->name, r, "The manager cannot wake the service: %s", why ?: "no reason given");
        gate_refuse(g, "The service manager of dynapm cannot start this service.", 5);
        return;
    }
    if (!online) {
        gate_refuse(g, why, retry_after);
        return;
    }
    g->let_in = true;
    gate_admit_soon(g);
}

int gate_send_wake(Gate *g)
{
    int r = link_wake(g->set->link, g->slot, g->dead_epoch, g->reason, on_wake_done, g, &g->wake);
    if (r == -ENOTCONN && !g->set->orphaned)
        return 0;
    return r;
}

int ticket_park(Ticket *t, uint32_t dead_epoch, const char *reason)
{
    Gate *g = t->gate;
    const RouteSettings *limits = route_image_settings(g->set->routes);

    assert(t->state == TICKET_OPEN || t->state == TICKET_ADMITTED);
    assert(!g->gone);
    if (g->n_parked >= limits->max_parked_per_service || g->set->n_parked >= limits->max_parked) {
        gate_count(g, COUNT_PARK_REFUSALS + PARK_FULL, 1);
        return -EBUSY;
    }
    if (!g->wake) {
        char *copy = strdup(reason);
        if (!copy)
            return -ENOMEM;
        free(g->reason);
        g->reason = copy;
        g->let_in = false;
        g->dead_epoch = dead_epoch;
        int r = gate_send_wake(g);
        if (r < 0) {
            gate_refuse(g, MANAGER_UNREACHABLE, 5); /* nobody would let those in who wait already */
            gate_count(g, COUNT_PARK_REFUSALS + PARK_FAILED, 1);
            return log_service_error_errno(g->name, r, "Cannot ask the manager to wake the service: %m");
        }
    }

    ticket_answered(t);
    t->state = TICKET_PARKED;
    t->prev = g->parked_tail;
    t->next = NULL;
    if (g->parked_tail)
        g->parked_tail->next = t;
    else
        g->parked_head = t;
    g->parked_tail = t;
    g->n_parked++;
    g->set->n_parked++;
    gate_count(g, COUNT_PARKED, 1);
    gate_publish_waiting(g);
    gate_tell_if_idle(g);
    return 0;
}

void ticket_answered(Ticket *t)
{
    if (t->state != TICKET_ADMITTED)
        return;
    t->state = TICKET_OPEN;
    t->gate->n_admitted--;
    gate_admit_soon(t->gate);
}

/* One ticket less keeps the service awake. */
static void gate_count_down(Gate *g)
{
    g->open--;
    g->set->n_open--;
    if (!g->has_slot)
        return;
    ActivitySlot *a = &g->set->activity->slots[g->slot];
    atomic_store_explicit(&a->last_activity, now_monotonic(), memory_order_release);
    gate_publish(g);
    gate_tell_if_idle(g);
}

void ticket_rest(Ticket *t)
{
    assert(t->state == TICKET_OPEN);
    t->state = TICKET_RESTING;
    t->gate->resting++;
    gate_count_down(t->gate);
}

void ticket_stir(Ticket *t)
{
    Gate *g = t->gate;

    assert(t->state == TICKET_RESTING);
    t->state = TICKET_OPEN;
    g->resting--;
    g->open++;
    g->set->n_open++;
    gate_publish(g);
}

void ticket_move(Ticket *from, Ticket *to)
{
    ticket_answered(from);
    assert(from->state == TICKET_OPEN && to->state == TICKET_NONE);
    *to = (Ticket){.gate = from->gate, .state = TICKET_OPEN};
    *from = (Ticket){};
}

void ticket_close(Ticket *t)
{
    Gate *g = t->gate;

    if (t->state == TICKET_NONE)
        return;
    if (t->state == TICKET_PARKED)
        gate_unpark(t);
    ticket_answered(t);
    if (t->state == TICKET_RESTING)
        g->resting--;
    else
        gate_count_down(g);
    t->state = TICKET_NONE;
    t->gate = NULL;
    gate_free_if_done(g);
}
