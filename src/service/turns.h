/* SPDX-License-Identifier: ISC */
#pragma once

/* How many services may be starting at the same time, and whose turn it is: first come, first served. */

#include <systemd/sd-event.h>

#include "util/macro.h"

typedef enum TurnState {
    TURN_NONE,
    TURN_AWAITED,
    TURN_TAKEN,
} TurnState;

typedef struct Turn Turn;

/* Embedded in whoever takes turns; zeroed but for `came`. */
struct Turn {
    TurnState state;
    void (*came)(Turn *turn); /* an awaited turn has come, and is taken */
    Turn *prev, *next;        /* in the queue */
};

typedef struct Turns {
    unsigned limit; /* 0: there is none */
    unsigned n_taken;
    Turn *head, *tail;       /* who awaits one */
    sd_event_source *source; /* calls the next one in */
} Turns;

/* Returns 0 or -errno. */
int turns_init(Turns *t, sd_event *event, unsigned limit);
/* Nobody awaits or has one any more. */
void turns_done(Turns *t);

/* From now on so many; 0: no limit. Whoever has a turn keeps it. */
void turns_set_limit(Turns *t, unsigned limit);

/* Returns whether it is taken at once; if not, `came` is called from the loop. NULL as `t`: no limit. */
bool turns_ask(Turns *t, Turn *turn);
/* Gives it back, or does not await it any more; does nothing where there is none. */
void turns_end(Turns *t, Turn *turn);
