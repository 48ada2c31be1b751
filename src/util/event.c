/* SPDX-License-Identifier: ISC */

#include "util/event.h"

int event_arm_timer(sd_event *event, sd_event_source **source, usec_t delay, sd_event_time_handler_t callback,
        void *userdata, const char *description)
{
    int r;

    if (delay == USEC_INFINITY) {
        event_disarm(*source);
        return 0;
    }
    if (!*source) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *s = NULL;
        /* An accuracy of 0 would mean sd-event's default of 250 ms. */
        r = sd_event_add_time_relative(event, &s, CLOCK_MONOTONIC, delay, 1, callback, userdata);
        if (r < 0)
            return r;
        (void) sd_event_source_set_description(s, description);
        *source = TAKE_PTR(s);
        return 0;
    }
    /* Not _set_time_relative(): it counts from the loop's last turn, which may lie far back in a long
     * callback. */
    r = sd_event_source_set_time(*source, usec_add(now_monotonic(), delay));
    if (r < 0)
        return r;
    return sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
}

void event_disarm(sd_event_source *source)
{
    if (source)
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
}
