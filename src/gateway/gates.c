/* SPDX-License-Identifier: ISC */

/* All gates of a worker. They come into being with a service's first request, and find their places again
 * when the routes become others: by name, which is what a service is, while indexes belong to an image and
 * slots to a manager.
 *
 * Invariant: a gate is either in gs->gates, at its service's index, or in the list of those that are gone. */

#include "gateway/gate-internal.h"

#include "util/event.h"
#include "util/log.h"

#define MANAGER_GRACE (10 * USEC_PER_SEC)

Gates *gates_new(sd_event *event)
{
    Gates *gs = new0(Gates, 1);
    if (gs)
        gs->event = sd_event_ref(event);
    return gs;
}

static void gate_unlink_gone(Gate *g)
{
    if (g->prev_gone)
        g->prev_gone->next_gone = g->next_gone;
    else
        g->set->gone = g->next_gone;
    if (g->next_gone)
        g->next_gone->prev_gone = g->prev_gone;
    g->prev_gone = g->next_gone = NULL;
    g->gone = false;
}

static void gate_link_gone(Gate *g)
{
    g->gone = true;
    g->next_gone = g->set->gone;
    if (g->next_gone)
        g->next_gone->prev_gone = g;
    g->set->gone = g;
}

static Gate *gate_free(Gate *g)
{
    assert(g->open == 0 && g->resting == 0 && !g->parked_head);
    if (g->gone)
        gate_unlink_gone(g);
    sd_bus_slot_unref(g->wake);
    sd_event_source_disable_unref(g->admit);
    free(g->reason);
    free(g->name);
    return mfree(g);
}

void gate_free_if_done(Gate *g)
{
    if (g->gone && !g->held && g->open == 0 && g->resting == 0)
        gate_free(g);
}

Gates *gates_free(Gates *gs)
{
    if (!gs)
        return NULL;
    for (size_t i = 0; i < gs->n_gates; i++)
        if (gs->gates[i])
            gate_free(gs->gates[i]);
    while (gs->gone)
        gate_free(gs->gone);
    free(gs->gates);
    sd_event_source_disable_unref(gs->grace);
    sd_event_unref(gs->event);
    return mfree(gs);
}

static int compare_names(const void *a, const void *b, void *routes)
{
    const RouteImage *i = routes;
    return strcmp(route_image_string(i, route_image_service(i, *(const uint32_t *) a)->name),
            route_image_string(i, route_image_service(i, *(const uint32_t *) b)->name));
}

/* Where the gate's service stands in the image, whose services are `order`ed by name; NULL: it is none of it.
 */
static const uint32_t *find_service(const Gate *g, const RouteImage *routes, const uint32_t *order, size_t n)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int c = strcmp(route_image_string(routes, route_image_service(routes, order[middle])->name), g->name);
        if (c == 0)
            return &order[middle];
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void move_gate(Gate *g, const RouteImage *routes, const uint32_t *index, Gate **to, bool other_tables)
{
    if (index) {
        const RouteService *s = route_image_service(routes, *index);
        if (g->gone)
            gate_unlink_gone(g);
        g->slot = s->slot;
        g->has_slot = true;
        g->proxy_only = s->proxy_only;
        to[*index] = g;
        return;
    }
    if (!g->gone)
        gate_link_gone(g);
    g->has_slot = g->has_slot && !other_tables;
}

/* All gates to their places in another image, or to the list of those that have none there. 0 or -ENOMEM. */
static int move_gates(Gates *gs, RouteImage *routes, bool other_tables)
{
    size_t n = route_image_n_services(routes);
    _cleanup_free_ Gate **gates = new0(Gate *, n ? n : 1);
    _cleanup_free_ uint32_t *order = new0(uint32_t, n ? n : 1);
    Gate *next;

    if (!gates || !order)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, n, sizeof *order, compare_names, routes);

    for (Gate *g = gs->gone; g; g = next) {
        next = g->next_gone;
        move_gate(g, routes, find_service(g, routes, order, n), gates, other_tables);
    }
    for (size_t i = 0; i < gs->n_gates; i++) {
        Gate *g = gs->gates[i];
        if (g)
            move_gate(g, routes, find_service(g, routes, order, n), gates, other_tables);
    }
    free(gs->gates);
    gs->gates = TAKE_PTR(gates);
    gs->n_gates = n;
    gs->routes = routes;
    return 0;
}

/* Who waits for a service that is gone: where to now is for the new routes to say. */
static void gate_release(Gate *g)
{
    GateVerdict yes = {.online = true};

    g->held = true;
    g->wake = sd_bus_slot_unref(g->wake);
    while (g->parked_head) {
        Ticket *t = g->parked_head;
        gate_unpark(t);
        t->proceed(t, &yes);
    }
    g->held = false;
    gate_free_if_done(g);
}

static void release_gone(Gates *gs)
{
    Gate *next;

    for (Gate *g = gs->gone; g; g = next) {
        next = g->next_gone; /* others stay: tickets of one are all that ends here */
        gate_release(g);
    }
}

int gates_attach(
        Gates *gs, Link *link, const StatusTable *status, ActivityTable *activity, RouteImage *routes)
{
    int r = move_gates(gs, routes, true);
    if (r < 0)
        return r;
    gs->link = link;
    gs->status = status;
    gs->activity = activity;
    gs->orphaned = false;
    event_disarm(gs->grace);
    return 0;
}

int gates_update(Gates *gs, RouteImage *routes)
{
    return move_gates(gs, routes, false);
}

void gates_attached(Gates *gs)
{
    for (size_t i = 0; i < gs->n_gates; i++) {
        Gate *g = gs->gates[i];
        if (!g)
            continue;
        g->wake = sd_bus_slot_unref(g->wake);
        gate_publish(g);
        gate_publish_waiting(g);
        if (g->parked_head && !g->let_in && gate_send_wake(g) < 0)
            gate_refuse(g, MANAGER_UNREACHABLE, 5);
    }
    release_gone(gs);
}

void gates_updated(Gates *gs)
{
    release_gone(gs);
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
            gate_refuse(g, MANAGER_UNREACHABLE, 5);
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
    g->has_slot = true;
    g->proxy_only = s->proxy_only;
    return gs->gates[service] = g;
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
