/* SPDX-License-Identifier: ISC */
#pragma once

/* What several workers say by sd_notify(3), made into what one service says. */

#include <systemd/sd-event.h>

#include "gateway/child.h"

#define NOTIFY_COUNTS "X_DYNAPM_COUNTS" /* services, connections, open, parked */

#define NOTIFY_IDLE "X_DYNAPM_IDLE" /* 1: could end, 0: not any more */

typedef struct Notify Notify;

/* READY=1 goes out once `n_workers` have said it. With WATCHDOG_USEC set a worker that gives no sign of life
 * for so long is killed. `all_idle` is called from the loop when each of them could end. */
int notify_new(
        sd_event *event, unsigned n_workers, void (*all_idle)(void *userdata), void *userdata, Notify **ret);
Notify *notify_free(Notify *n);
DEFINE_CLEANUP(Notify *, notify_free)
const char *notify_address(const Notify *n); /* for $NOTIFY_SOCKET */
void notify_worker_add(Notify *n, Child *worker);
void notify_worker_gone(Notify *n, const Child *worker);
