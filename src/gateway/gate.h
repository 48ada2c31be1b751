/* SPDX-License-Identifier: ISC */
#pragma once

/* What a worker knows of a service: whether it is online, who is busy with it, and who waits for it. A
 * request holds a Ticket from the moment it is matched to a service until it is over; an idle service is one
 * without tickets. */

#include "gateway/link.h"
#include "ipc/routes.h"
#include "ipc/table.h"

typedef struct Gate Gate;
typedef struct Gates Gates;
typedef struct Ticket Ticket;

typedef struct GateVerdict {
    bool online;
    const char *why; /* when not: a sentence for the client */
    uint32_t retry_after;
} GateVerdict;

typedef enum TicketState {
    TICKET_NONE,
    TICKET_OPEN,     /* counted */
    TICKET_PARKED,   /* counted, waits for the service */
    TICKET_ADMITTED, /* counted, was parked, on its way to the service */
    TICKET_RESTING,  /* not counted: nothing happens that would keep the service awake */
} TicketState;

struct Ticket {
    Gate *gate;
    TicketState state;
    Ticket *prev, *next;                                    /* in the gate's list, while parked */
    void (*proceed)(Ticket *t, const GateVerdict *verdict); /* ends parking; may close the ticket */
};

Gates *gates_new(sd_event *event);
Gates *gates_free(Gates *gs);
DEFINE_CLEANUP(Gates *, gates_free)

/* (Re)connects to a manager's tables. All are borrowed until the next call or gates_free(). 0 or -ENOMEM, and
 * then all is as before. When everybody knows of the new routes, gates_attached() follows: counts of open
 * tickets are published in the new tables, wakes are sent again, and who waits for a service that is not
 * there any more proceeds, as if it were online: it finds out by the new routes what has become of it. */
int gates_attach(
        Gates *gs, Link *link, const StatusTable *status, ActivityTable *activity, RouteImage *routes);
void gates_attached(Gates *gs);
/* The same manager has other routes. As above, but that what is counted and asked for goes on: that of a
 * service which is not in the new routes until its last ticket is closed. */
int gates_update(Gates *gs, RouteImage *routes);
void gates_updated(Gates *gs);
/* The manager is gone. Waiting requests wait for the next one, for a while. */
void gates_detach(Gates *gs);

/* The gate of the image's service; NULL when out of memory. */
Gate *gates_get(Gates *gs, uint32_t service);
const char *gate_name(const Gate *g);
/* Counts, for the metrics of the service. Of one that is not configured any more nothing is. */
void gate_count(const Gate *g, ServiceCounter counter, uint64_t n);
bool gate_is_proxy_only(const Gate *g);
/* The service's epoch while it is online, 0 else. To be asked after ticket_open(): see architecture.md, "One
 * request, cold". */
uint32_t gate_online_epoch(const Gate *g);

/* Counts the ticket: from now on the service is not idle. */
void ticket_open(Ticket *t, Gate *g, void (*proceed)(Ticket *t, const GateVerdict *verdict));
/* Parks an open ticket until the service is online or known not to be. `dead_epoch` as in ipc/bus.h; `reason`
 * for the log. Returns 0, -EBUSY when too many wait already, or another -errno when nobody can be asked
 * (logged): then those who wait are refused as well. proceed() is never called for t itself. */
int ticket_park(Ticket *t, uint32_t dead_epoch, const char *reason);
/* The service has answered: the next of those that were parked with it may come. */
void ticket_answered(Ticket *t);
/* Lets an open ticket rest: it is held, and the service may fall idle all the same. */
void ticket_rest(Ticket *t);
/* Counts a resting ticket again. */
void ticket_stir(Ticket *t);
/* `to`, which was none, takes the place of an open ticket that does not wait. Its proceed() is never called.
 */
void ticket_move(Ticket *from, Ticket *to);
/* It is over, in whatever state. Harmless for a ticket that is not open. */
void ticket_close(Ticket *t);

/* All who wait get their answer: 503 and why. */
void gates_refuse_parked(Gates *gs, const char *why);
size_t gates_n_parked(const Gates *gs);
size_t gates_n_open(const Gates *gs);
