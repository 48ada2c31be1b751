/* SPDX-License-Identifier: ISC */
#pragma once

/* Time limits by the thousand at the price of one timer. All limits of one kind have the same span, so that a
 * queue in order of arrival is also in order of time: setting, moving and clearing a limit touches a list and
 * nothing else. The timer is set for the earliest limit seen and left alone when that one is cleared; when it
 * fires for nothing it is set anew, and with nothing to wait for it is off. */

#include <systemd/sd-event.h>

#include "util/time-util.h"

typedef struct Deadline Deadline;
typedef struct DeadlineQueue DeadlineQueue;
typedef struct Deadlines Deadlines;

#define DEADLINE_QUEUES_MAX 24

struct Deadline {
    DeadlineQueue *queue; /* NULL: not set */
    Deadline *prev, *next;
    usec_t at;
};

struct DeadlineQueue {
    Deadlines *owner;
    usec_t span;
    Deadline *head, *tail;
    void (*expired)(Deadline *d); /* d is out of the queue by then; may free its owner */
};

struct Deadlines {
    sd_event *event;
    sd_event_source *timer;
    usec_t armed; /* when the timer fires; USEC_INFINITY = off */
    DeadlineQueue *queues[DEADLINE_QUEUES_MAX];
    size_t n_queues;
};

void deadlines_init(Deadlines *ds, sd_event *event);
void deadlines_done(Deadlines *ds);

/* Adds a queue, which the caller keeps, for limits `span` µs after they are set (USEC_INFINITY: such limits
 * are never set). */
void deadline_queue_init(DeadlineQueue *q, Deadlines *ds, usec_t span, void (*expired)(Deadline *d));

/* Sets d to now + the queue's span, whatever queue it was in. */
void deadline_set(Deadline *d, DeadlineQueue *q);
void deadline_clear(Deadline *d);

/* The loop's idea of now: taken once a turn, costs nothing. */
usec_t deadlines_now(const Deadlines *ds);
