/* SPDX-License-Identifier: ISC */
#pragma once

/* What link.c (the connection, and calls) and link-attach.c (what the manager gives) share. */

#include "gateway/link.h"
#include "util/time-util.h"

#define LINK_RETRY_MIN (2 * USEC_PER_MSEC)
#define LINK_CALL_TIMEOUT (24 * 60 * USEC_PER_MINUTE) /* a start has its own limit, in the manager */

struct Link {
    sd_event *event;
    SocketAddress address;
    bool main_listeners, attached;
    const LinkEvents *events;
    void *userdata;
    sd_bus *bus;
    sd_event_source *retry;
    usec_t pause;
    LinkAttachment attachment; /* as far as it has come */
    bool fetching;             /* it is on its way; nothing else is asked for meanwhile */
    bool changed;              /* and there is a newer configuration already */
    uint64_t generation;       /* of what is on its way; 0: what Attach gave, which needs no word of ours */
};

/* link.c */

/* Gives the connection up and makes another one. The bus may be dispatching us: it is only ever torn down
 * from the timer. */
void link_retry(Link *l);
bool link_manager_is_going(const sd_bus_error *e);

/* link-attach.c */

/* Not before the connection is up: sending descriptors on one that is not would block until it is. 0 or
 * -errno. */
int link_attach(Link *l);
/* Fetches the configuration that there is now. */
void link_update(Link *l);
void link_drop_attachment(Link *l);
