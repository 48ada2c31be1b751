/* SPDX-License-Identifier: ISC */
#pragma once

/* The end of a data path: everything that is open gets its answer, if there is time. */

#include <systemd/sd-event.h>

#include "util/time-util.h"

struct Proxy;

typedef struct DrainEvents {
    /* Are there clients that stop_accepting would reset, as they have said nothing yet? NULL: no. */
    bool (*are_unheard)(void *userdata);
    void (*stop_accepting)(void *userdata); /* once, before `done` */
    void (*done)(void *userdata);           /* once; last */
} DrainEvents;

typedef struct Drain {
    struct Proxy *proxy;
    const DrainEvents *events;
    void *userdata;
    sd_event_source *grace, *limit, *check;
    bool accepting;
    bool unheard;    /* clients that nobody knows have their grace as well */
    bool last_words; /* the time is up, refusals are on their way */
    bool over;
} Drain;

/* Finishes what is there, for `span` µs at most. Events may come before this returns. A failure of the loop's
 * is logged, and then it is done at once. */
void drain_begin(Drain *d, struct Proxy *p, usec_t span, const DrainEvents *events, void *userdata);
/* Forgets about it; harmless where it never began. */
void drain_done(Drain *d);
