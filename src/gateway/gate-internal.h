/* SPDX-License-Identifier: ISC */
#pragma once

/* What gate.c (one gate and its tickets) and gates.c (all of them, managers and routes) share. */

#include "gateway/gate.h"

#define MANAGER_UNREACHABLE "The service manager of dynapm cannot be reached."

struct Gate {
    Gates *set;
    char *name;
    uint32_t slot;
    bool proxy_only;
    bool gone;     /* not in the current routes any more; freed with its last ticket, resting or not */
    bool has_slot; /* in the current tables, where it goes on being counted as long as the manager is the same
                    */
    bool held;     /* not to be freed now */
    Gate *prev_gone, *next_gone;
    uint64_t open, resting;
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
    Gate *gone; /* a list: those that are not in the routes any more */
    size_t n_parked, n_open;
    sd_event_source *grace;
    bool orphaned; /* no manager for longer than MANAGER_GRACE */
};

/* gate.c */

void gate_publish(Gate *g);
void gate_publish_waiting(Gate *g);
/* Without a manager the wake is sent by gates_attached(). 0 or -errno. */
int gate_send_wake(Gate *g);
/* Takes it out of its gate's list; open. */
void gate_unpark(Ticket *t);
/* All who wait at it are told no. */
void gate_refuse(Gate *g, const char *why, uint32_t retry_after);

/* gates.c */

/* Its last ticket may have been closed. */
void gate_free_if_done(Gate *g);
