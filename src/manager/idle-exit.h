/* SPDX-License-Identifier: ISC */
#pragma once

/* Has nobody needed the manager for so long that it may end, to be started again by the next connection? */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "util/time-util.h"

typedef struct Manager Manager;

typedef struct IdleExit {
    Manager *manager;
    usec_t span; /* USEC_INFINITY: never */
    sd_event_source *timer;
    bool armed;
    bool said_stays; /* why it will not exit */
} IdleExit;

void idle_exit_init(IdleExit *x, Manager *m, usec_t span);
void idle_exit_done(IdleExit *x);
/* A gateway has come or gone, or a service has changed: `span` µs after the last of these that leaves nothing
 * to do the manager shuts down. */
void idle_exit_check(IdleExit *x);
