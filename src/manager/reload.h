/* SPDX-License-Identifier: ISC */
#pragma once

/* Reading the configuration anew while everything runs: who asked for it waits until the gateways use it. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct Manager Manager;
typedef struct Reload Reload;

/* `r`: 0, or -ESHUTDOWN: the manager ends before it is known. Called exactly once, from the loop; the reload
 * is gone by then. What was refused is in the manager's Config. */
typedef void (*ReloadDone)(int r, void *userdata);

/* Those of a manager. */
typedef struct Reloads {
    Manager *manager;
    Reload *head;
    sd_event_source *check, *limit;
    unsigned round; /* 0: none is under way. 2: what could not be bound in the first is tried again */
} Reloads;

/* Returns 0 or -errno. */
int reloads_init(Reloads *rs, Manager *m);
/* All who wait get their answer. */
void reloads_done(Reloads *rs);

/* Reads the configuration, and calls `done` (which may be NULL: nobody waits) when every attached gateway
 * uses it; one that does not say so in time is not waited for. `who` is for the log. *ret is good until
 * `done`. Returns 0, -ESHUTDOWN, or another -errno (logged), and then nothing has changed. */
int reload_begin(Reloads *rs, const char *who, ReloadDone done, void *userdata, Reload **ret);
/* Forgets about who waits. NULL is accepted. */
void reload_cancel(Reload *r);

/* A gateway has gone over, or has left. */
void reloads_check(Reloads *rs);
/* Is it a moment at which an address may be taken that will be free when all have gone over? */
bool reloads_will_retry(const Reloads *rs);
