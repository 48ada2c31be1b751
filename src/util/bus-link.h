/* SPDX-License-Identifier: ISC */
#pragma once

/* A connection to the system's or the user's message bus that comes back by itself: made as soon as the bus
 * is there, made anew when it was restarted. Nothing here blocks. */

#include <systemd/sd-bus.h>

#include "util/macro.h"

typedef struct BusLink BusLink;

/* Both from the loop only. */
typedef struct BusLinkEvents {
    /* The connection is up; `bus` is good until `down`. */
    void (*up)(sd_bus *bus, void *userdata);
    /* It is gone, and with it what was under way: slots on it are to be dropped now. NULL: of no interest. */
    void (*down)(void *userdata);
} BusLinkEvents;

/* Begins to connect when the loop runs, to $DBUS_SYSTEM_BUS_ADDRESS or /run/dbus/system_bus_socket, for
 * `user` to $DBUS_SESSION_BUS_ADDRESS or $XDG_RUNTIME_DIR/bus. Where there is no bus, but a service manager's
 * private socket (/run/systemd/private, $XDG_RUNTIME_DIR/systemd/private), to that. Returns 0 or -errno. */
int bus_link_new(sd_event *event, bool user, BusLink **ret);
/* Nobody hears of it. */
BusLink *bus_link_free(BusLink *l);
DEFINE_CLEANUP(BusLink *, bus_link_free)

#define BUS_LINK_USERS_MAX 4

/* Who wants to know; `events` must outlive the link. To be called before the loop runs. */
void bus_link_add_user(BusLink *l, const BusLinkEvents *events, void *userdata);

/* The bus while the connection is up, else NULL. */
sd_bus *bus_link_bus(const BusLink *l);

/* Is it a bus, with names to own, rather than a private socket? */
bool bus_link_is_bus(const BusLink *l) _pure_;

/* Does this error of a call say that the connection, or the one who was called, has gone away meanwhile,
 * rather than that the call was refused? */
bool bus_error_is_loss(const sd_bus_error *e);
