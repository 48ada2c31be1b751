/* SPDX-License-Identifier: ISC */
#pragma once

/* What several workers say by sd_notify(3), made into what one service says. */

#include <systemd/sd-event.h>

#include "gateway/child.h"

#define NOTIFY_COUNTS "X_DYNAPM_COUNTS" /* services, connections, open, parked */

#define NOTIFY_IDLE "X_DYNAPM_IDLE"   /* 1: could end, 0: not any more */
#define NOTIFY_STAYS "X_DYNAPM_STAYS" /* sockets for which it cannot end */

typedef struct NotifyEvents {
    void (*all_idle)(void *userdata); /* each worker could end */
    void (*stays)(size_t n_sockets, void *userdata);
} NotifyEvents;

typedef struct Notify Notify;

/* READY=1 goes out once `n_workers` have said it. With WATCHDOG_USEC set a worker that gives no sign of life
 * for so long is killed. Events come from the loop. */
int notify_new(sd_event *event, unsigned n_workers, const NotifyEvents *events, void *userdata, Notify **ret);
Notify *notify_free(Notify *n);
DEFINE_CLEANUP(Notify *, notify_free)
const char *notify_address(const Notify *n); /* for $NOTIFY_SOCKET */
void notify_worker_add(Notify *n, Child *worker);
void notify_worker_gone(Notify *n, const Child *worker);
