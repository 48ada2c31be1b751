/* SPDX-License-Identifier: ISC */
#pragma once

/* The one helper for timers: relative microseconds, CLOCK_MONOTONIC, exact to the microsecond rather than
 * coalesced. See sd_event_add_time(3). */

#include <systemd/sd-event.h>

#include "util/time-util.h"

/* Arms *source to fire once, `delay` µs from now; creates it at first use, with `description` (not copied by
 * us, copied by sd-event) and the callback. USEC_INFINITY disarms. A source that already exists keeps its
 * callback. Returns 0 or -errno; *source stays as it was on failure. */
int event_arm_timer(sd_event *event, sd_event_source **source, usec_t delay, sd_event_time_handler_t callback,
        void *userdata, const char *description);

/* Stops *source without freeing it; NULL is accepted. */
void event_disarm(sd_event_source *source);
