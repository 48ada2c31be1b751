/* SPDX-License-Identifier: ISC */
#pragma once

/* Between managed.c (life) and managed-stop.c (end): a service that is a unit of the service manager, be it
 * one that somebody has written (unit) or one of our own making (transient: exec and commands). */

#include "backend/backend-internal.h"
#include "backend/cgroup.h"
#include "backend/systemd.h"

typedef enum ManagedPhase {
    MANAGED_DOWN,
    MANAGED_CHECKING,
    MANAGED_STARTING,
    MANAGED_UP,
    MANAGED_STOPPING,
} ManagedPhase;

#define MANAGED_WHY_MAX 256

typedef struct Managed {
    Backend base;
    Unit *unit;
    TransientSpec spec;                                         /* transient: what it is started as */
    char *description, *cwd, *environment_file, *stop_variable; /* NULL: needs none */
    const char *start_argv[4], *stop_argv[3];                   /* of commands */
    ManagedPhase phase;
    bool outside; /* UP, as its check command says, without its unit */
    bool killed;  /* a stop took too long */
    bool known;   /* has been looked at: before that nothing can appear */
    usec_t launched_at;
    CgroupWatch *cgroup;       /* of a start command that has gone and left something */
    CgroupFiles files;         /* where to read what it uses */
    Command *command;          /* stop or check */
    sd_event_source *limit;    /* of a stop */
    sd_event_source *settle;   /* deferred: what a check has found, what has come up by itself */
    char why[MANAGED_WHY_MAX]; /* how a stop went */
} Managed;

static inline bool managed_is_transient(const Managed *m)
{
    return m->base.config->kind != SERVICE_UNIT;
}

/* In the loop's next turn: is it up though nobody here has started it? */
void managed_settle_later(Managed *m);

/* managed-stop.c */

int managed_create_limit(Managed *m);
int managed_stop(Backend *b);
/* The stop job has ended. May free the backend: comes last. */
void managed_stop_done(Managed *m, int r, const char *why);
