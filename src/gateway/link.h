/* SPDX-License-Identifier: ISC */
#pragma once

/* A worker's connection to the manager: attaches at start, again after every loss, fetches what changes, and
 * carries wakes. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "util/address.h"

typedef struct Link Link;

/* What attaching gave. The descriptors are closed after the callback unless taken (TAKE_FD). */
typedef struct LinkAttachment {
    int status_fd, activity_fd, routes_fd;
    int *listeners;
    size_t n_listeners;
} LinkAttachment;

typedef struct LinkEvents {
    /* The `at`th listening socket that an earlier manager gave and that is still open, -EBADF behind the
     * last: offered to the next one. */
    int (*offer)(size_t at, void *userdata);
    /* The `at`th of our own listening sockets, lent to each manager; -EBADF behind the last. */
    int (*lend)(size_t at, void *userdata);
    int (*attached)(
            LinkAttachment *a, void *userdata); /* < 0: unusable, the link is given up with an error */
    /* There is another configuration: routes_fd and listeners are its. < 0: all goes on as before. */
    int (*updated)(LinkAttachment *a, void *userdata);
    void (*lost)(void *userdata); /* the manager went away; the link tries again by itself */
    void (*refused)(int error, const char *why,
            void *userdata); /* the manager does not want us: no use in trying again */
} LinkEvents;

/* r < 0: the call failed (-ECONNRESET: the manager is going or gone, ask the next one), else the manager's
 * answer. */
typedef void (*LinkWakeDone)(
        int r, bool online, uint32_t epoch, const char *why, uint32_t retry_after, void *userdata);

/* Connects to `address` as soon as the loop runs; `main_listeners`: ask for the sockets of the
 * configuration's own addresses. */
int link_new(sd_event *event, const SocketAddress *address, bool main_listeners, const LinkEvents *events,
        void *userdata, Link **ret);
Link *link_free(Link *l);
DEFINE_CLEANUP(Link *, link_free)

/* Leaves the manager for good, which counts out what was open. Not to be called while the link calls back. */
void link_close(Link *l);

bool link_is_attached(const Link *l);
/* For calls to the manager that are nobody else's; NULL while not attached. Slots must be gone when it is
 * lost. */
sd_bus *link_bus(Link *l);

/* Asks the manager to wake a service, see ipc/bus.h. *ret holds the call; unref it to forget about it.
 * -ENOTCONN while not attached. */
int link_wake(Link *l, uint32_t slot, uint32_t dead_epoch, const char *reason, LinkWakeDone done,
        void *userdata, sd_bus_slot **ret);
/* r < 0: as above. */
typedef void (*LinkOfflineDone)(int r, void *userdata);

/* Asks the manager to answer when all services are offline. *ret holds the call, as above. */
int link_await_offline(Link *l, LinkOfflineDone done, void *userdata, sd_bus_slot **ret);

/* Tells the manager, which asked for it, that no exchange with the service is open any more. One way, best
 * effort. */
void link_idle(Link *l, uint32_t slot);
