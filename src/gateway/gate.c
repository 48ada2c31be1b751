/* SPDX-License-Identifier: ISC */

/* Owns the gates, which come into being with a service's first request, and the accounting in the activity
 * table.
 *
 * Invariants: g->open is the number of tickets of the gate, less those that rest, and the table's `active`
 * shows it at all times while attached, and `waiting` how many of them are parked; ticket_open() makes it
 * visible before the state is read (both sequentially consistent), so that a manager that sets STOPPING and
 * then reads `active` cannot miss a request that read ONLINE; at most one wake of a gate is under way.
 *
 * Those who waited are not let loose on a service that has just begun to listen: WINDOW of them go at a time,
 * the next when one is answered. A small server's backlog (5 in many) would drop the rest, and TCP would try
 * again only a second later. */

#include "gateway/gate.h"

#include "util/event.h"
#include "util/log.h"

#define WINDOW 32
#define MANAGER_GRACE (10 * USEC_PER_SEC)
#define UNREACHABLE "The service manager of dynapm cannot be reached."

struct Gate {
    Gates *set;
    char *name;
    uint32_t slot;
    bool proxy_only;
    bool gone; /* not in the current routes any more; freed with its last ticket, resting or not */
    uint64_t open, resting;
    uint64_t requests;
    Ticket *parked_head, *parked_tail;
    uint32_t n_parked, n_admitted;
    bool let_in; /* the service was found online for those who are parked */
    sd_bus_slot *wake;
    uint32_t dead_epoch;
    char *reason;
    sd_event_source *admit;
};

struct Gates {
    sd_event *event;
    Link *link;
    const StatusTable *status;
    ActivityTable *activity;
    RouteImage *routes;
    Gate **gates; /* by index of the image's service */
    size_t n_gates;
    size_t n_parked, n_open;
    sd_event_source *grace;
    bool orphaned; /* no manager for longer than MANAGER_GRACE */
};

static int gate_send_wake(Gate *g);
static void gate_refuse(Gate *g, const char *why, uint32_t retry_after);

Gates *gates_new(sd_event *event)
{
    Gates *gs = new0(Gates, 1);
    if (gs)
        gs->event = sd_event_ref(event);
    return gs;
}

static Gate *gate_free(Gate *g)
{
    assert(g->open == 0 && g->resting == 0 && !g->parked_head);
    sd_bus_slot_unref(g->wake);
    sd_event_source_disable_unref(g->admit);
    free(g->reason);
    free(g->name);
    return mfree(g);
}

static void gate_free_if_done(Gate *g)
{
    if (g->open == 0 && g->resting == 0)
        gate_free(g);
}

Gates *gates_free(Gates *gs)
{
    if (!gs)
        return NULL;
    for (size_t i = 0; i < gs->n_gates; i++)
        if (gs->gates[i])
            gate_free(gs->gates[i]);
    free(gs->gates);
    sd_event_source_disable_unref(gs->grace);
    sd_event_unref(gs->event);
    return mfree(gs);
}

static void gate_publish(Gate *g)
{
    if (!g->gone)
        atomic_store(&g->set->activity->slots[g->slot].active, g->open);
}

static void gate_publish_waiting(Gate *g)
{
    if (!g->gone)
        atomic_store(&g->set->activity->slots[g->slot].waiting, g->n_parked);
}

/* Of those that are open, none is with the service: whoever wants to stop it may. */
static void gate_tell_if_idle(Gate *g)
{
    if (g->open == g->n_parked && !g->gone && atomic_load(&g->set->status->slots[g->slot].watch))
        link_idle(g->set->link, g->slot);
}

static int compare_names(const void *a, const void *b, void *routes)
{
    const RouteImage *i = routes;
    return strcmp(route_image_string(i, route_image_service(i, *(const uint32_t *) a)->name),
            route_image_string(i, route_image_service(i, *(const uint32_t *) b)->name));
}

/* Where each existing gate's service stands in the new image. Names are compared only after a restart of the
 * manager. */
static int move_gates(Gates *gs, const RouteImage *routes, Gate **to, size_t n)
{
    _cleanup_free_ uint32_t *order = new0(uint32_t, n ? n : 1);
    if (!order)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, n, sizeof *order, compare_names, (void *) routes);

    for (size_t i = 0; i < gs->n_gates; i++) {
        Gate *g = gs->gates[i];
        if (!g)
            continue;
        size_t low = 0, high = n;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (strcmp(route_image_string(routes, route_image_service(routes, order[middle])->name),
                        g->name) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        const RouteService *s = low < n ? route_image_service(routes, order[low]) : NULL;
        if (s && streq(route_image_string(routes, s->name), g->name)) {
            to[order[low]] = g;
            g->slot = s->slot;
            g->proxy_only = s->proxy_only;
        } else
            g->gone = true;
    }
    return 0;
}

int gates_attach(
        Gates *gs, Link *link, const StatusTable *status, ActivityTable *activity, RouteImage *routes)
{
    size_t n = route_image_n_services(routes);
    _cleanup_free_ Gate **gates = new0(Gate *, n ? n : 1);
    if (!gates)
        return -ENOMEM;
    int r = move_gates(gs, routes, gates, n);
    if (r < 0)
        return r;

    gs->link = link;
    gs->status = status;
    gs->activity = activity;
    gs->routes = routes;
    gs->orphaned = false;
    event_disarm(gs->grace);

    Gate **old = gs->gates;
    size_t n_old = gs->n_gates;
    gs->gates = TAKE_PTR(gates);
    gs->n_gates = n;
    for (size_t i = 0; i < n_old; i++) {
        Gate *g = old[i];
        if (!g)
            continue;
        g->wake = sd_bus_slot_unref(g->wake);
        if (g->gone) {
            g->gone = false; /* not to be freed under our feet by the last ticket */
            gate_refuse(g, "This service is not configured any more.", 1);
            g->gone = true;
            gate_free_if_done(g);
            continue;
        }
        gate_publish(g);
        gate_publish_waiting(g);
        if (g->parked_head && !g->let_in && gate_send_wake(g) < 0)
            gate_refuse(g, UNREACHABLE, 5);
    }
    free(old);
    return 0;
}

static int on_grace_over(sd_event_source *source, uint64_t usec, void *userdata)
{
    Gates *gs = userdata;

    gs->orphaned = true;
    log_error(
            "No manager for 10s: requests for services that are not online are refused until there is one.");
    for (size_t i = 0; i < gs->n_gates; i++) {
        Gate *g = gs->gates[i];
        if (g && !g->let_in)
            gate_refuse(g, UNREACHABLE, 5);
    }
    return 0;
}

void gates_detach(Gates *gs)
{
    (void) event_arm_timer(gs->event, &gs->grace, MANAGER_GRACE, on_grace_over, gs, "manager-grace");
}

Gate *gates_get(Gates *gs, uint32_t service)
{
    assert(service < gs->n_gates);
    Gate *g = gs->gates[service];
    if (likely(g))
        return g;

    const RouteService *s = route_image_service(gs->routes, service);
    g = new0(Gate, 1);
    if (!g)
        return NULL;
    g->name = strdup(route_image_string(gs->routes, s->name));
    if (!g->name)
        return mfree(g);
    g->set = gs;
    g->slot = s->slot;
    g->proxy_only = s->proxy_only;
    return gs->gates[service] = g;
}

const char *gate_name(const Gate *g)
{
    return g->name;
}

bool gate_is_proxy_only(const Gate *g)
{
    return g->proxy_only;
}

uint32_t gate_online_epoch(const Gate *g)
{
    const StatusSlot *s = &g->set->status->slots[g->slot];
    return atomic_load(&s->state) == SERVICE_ONLINE ? atomic_load(&s->epoch) : 0;
}

void gates_refuse_parked(Gates *gs, const char *why)
{
    for (size_t i = 0; i < gs->n_gates; i++)
        if (gs->gates[i])
            gate_refuse(gs->gates[i], why, 1);
}

size_t gates_n_parked(const Gates *gs)
{
    return gs->n_parked;
}

size_t gates_n_open(const Gates *gs)
{
    return gs->n_open;
}

void ticket_open(Ticket *t, Gate *g, void (*proceed)(Ticket *t, const GateVerdict *verdict))
{
    *t = (Ticket){.gate = g, .state = TICKET_OPEN, .proceed = proceed};
    g->open++;
    g->set->n_open++;
    atomic_store_explicit(&g->set->activity->slots[g->slot].requests, ++g->requests, memory_order_relaxed);
    gate_publish(g);
}

static void gate_unpark(Ticket *t)
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

static void gate_refuse(Gate *g, const char *why, uint32_t retry_after)
{
    GateVerdict no = {.why = why, .retry_after = MAX(retry_after, 1U)};

    while (g->parked_head) {
        Ticket *t = g->parked_head;
        gate_unpark(t);
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

/* Without a manager the wake is sent by gates_attach(). */
static int gate_send_wake(Gate *g)
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
    if (g->n_parked >= limits->max_parked_per_service || g->set->n_parked >= limits->max_parked)
        return -EBUSY;
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
            gate_refuse(g, UNREACHABLE, 5); /* nobody would let those in who wait already */
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
    if (g->gone)
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
    if (g->gone)
        gate_free_if_done(g);
}
