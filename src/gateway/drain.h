/* SPDX-License-Identifier: ISC */
#pragma once

/* The end of a data path: everything that is open gets its answer, if there is time. */

#include <systemd/sd-event.h>

#include "util/time-util.h"

struct Proxy;

typedef struct Drain {
    struct Proxy *proxy;
    sd_event_source *limit, *check;
    bool last_words; /* the time is up, refusals are on their way */
    bool over;
    void (*done)(void *userdata);
    void *userdata;
} Drain;

/* No more connections are accepted: finishes those that are there, for `span` µs at most, and calls `done`
 * once, before this returns if nothing is open. A failure of the loop's is logged, and then it is done at
 * once. */
void drain_begin(Drain *d, struct Proxy *p, usec_t span, void (*done)(void *userdata), void *userdata);
/* Forgets about it; harmless where it never began. */
void drain_done(Drain *d);
