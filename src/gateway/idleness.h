/* SPDX-License-Identifier: ISC */
#pragma once

/* Has nothing been open for so long that the gateway may end, to be started again by the next connection? */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "gateway/link.h"
#include "util/time-util.h"

typedef struct Idleness {
    sd_event *event;
    Link *link;
    usec_t span;  /* USEC_INFINITY: never */
    usec_t since; /* when the last connection ended, 0 while one is open */
    bool may_end; /* somebody would start us again */
    bool told;    /* what `changed` was told last */
    bool armed;
    bool offline; /* the manager has said so a moment ago */
    sd_event_source *timer;
    sd_bus_slot *call; /* the manager was asked to tell when all services are offline */
    void (*changed)(bool idle, void *userdata);
    void *userdata;
} Idleness;

/* `span` µs without a connection, and then no service online or on its way: `changed` is called with true,
 * and with false when a connection comes after all. Both come from the loop. */
void idleness_init(Idleness *i, sd_event *event, Link *link, usec_t span,
        void (*changed)(bool idle, void *userdata), void *userdata);
void idleness_done(Idleness *i);

/* The number of connections is another: costs nothing while it does not come to zero. `now` as the loop sees
 * it. */
void idleness_count(Idleness *i, size_t n_connections, usec_t now);
/* A manager is there, the old one's promises are void. `may_end`: would the next connection start us again?
 */
void idleness_attached(Idleness *i, bool may_end);
