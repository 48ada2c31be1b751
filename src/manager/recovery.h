/* SPDX-License-Identifier: ISC */
#pragma once

/* Of services that are new: which of them run already? Asked of all of them, from the loop and a few at a
 * time, so that nobody waits for a check command but who needs that very service, and so that a thousand
 * check commands do not run at once. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct Manager Manager;

typedef struct Recovery {
    Manager *manager;
    sd_event_source *source; /* enabled while another one may begin */
    uint8_t *turns;          /* by slot: RecoveryTurn */
    uint32_t next;
    size_t n_running;
} Recovery;

/* Begins, with all slots that the manager has now. Returns 0 or -errno. */
int recovery_start(Recovery *r, Manager *m);
/* The manager is about to have so many slots. Returns 0 or -ENOMEM. */
int recovery_grow(Recovery *r, size_t n_slots);
/* The service of this slot has just come into being. */
void recovery_add(Recovery *r, uint32_t slot);
void recovery_done(Recovery *r);
/* Someone needs this one: its turn is now. */
void recovery_hurry(Recovery *r, uint32_t slot);
/* Is it known of all whether they run? */
bool recovery_is_over(const Recovery *r);
/* It is known of this one now; by whose question does not matter. */
void recovery_ended(Recovery *r, uint32_t slot);
