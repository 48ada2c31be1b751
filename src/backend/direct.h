/* SPDX-License-Identifier: ISC */
#pragma once

/* Between direct.c (life) and direct-stop.c (end). */

#include "backend/backend-internal.h"
#include "backend/group.h"

typedef enum DirectPhase {
    DIRECT_DOWN,
    DIRECT_CHECKING,
    DIRECT_STARTING,
    DIRECT_UP,
    DIRECT_ENDING,       /* its main process is gone, the rest of the group is being killed */
    DIRECT_STOP_COMMAND, /* the stop command runs */
    DIRECT_STOP_TERM,    /* the group has been asked to end */
    DIRECT_STOP_KILL,    /* the group is being killed */
} DirectPhase;

typedef enum DirectReport {
    REPORT_START_FAILED,
    REPORT_EXITED,
    REPORT_STOPPED,
    REPORT_RUNS,
    REPORT_RUNS_NOT,
} DirectReport;

#define DIRECT_WHY_MAX 256

typedef struct Direct {
    Backend base;
    DirectPhase phase;
    Group *group;             /* what is known to live of it; NULL: nothing */
    bool taken_over;          /* the group is from before a crash of ours */
    Command *command;         /* stop or check */
    usec_t launched_at;       /* CLOCK_MONOTONIC */
    DirectReport report;      /* what direct_finish() will say */
    char why[DIRECT_WHY_MAX]; /* the same */
    sd_event_source *limit;   /* of a stop, or of what has been killed */
    sd_event_source *finish;  /* deferred direct_finish() */
} Direct;

/* How long a killed process may take to be gone, before it is given up: the kernel may hold it in a device's
 * or file server's grip. */
#define KILLED_LIMIT_USEC (5 * USEC_PER_SEC)

/* Drops the group if its last process has ended. Returns true when there is none (any more). */
bool direct_group_is_gone(Direct *d);

/* Ends what goes on with its report. May free the backend: comes last, and in a callback from the loop only.
 */
void direct_finish(Direct *d);
/* The same in the loop's next turn. */
void direct_finish_later(Direct *d);

/* Kills the group, of which something is left, and finishes when all of it is gone, in the loop's next turn
 * at the earliest. */
void direct_kill(Direct *d, DirectPhase phase);

/* Creates the timer of stops, so that none can fail for want of it. 0 or -errno. */
int direct_create_limit(Direct *d);

int direct_stop(Backend *b);
/* The last process of a group that was being stopped or killed has ended. May free the backend: comes last.
 */
void direct_stop_gone(Direct *d);
