/* SPDX-License-Identifier: ISC */
#pragma once

/* A program of ours that is to run for as long as we do: started, started again when it ends, stopped with
 * us. What a service manager would do for it, where there is none. */

#include <systemd/sd-event.h>

#include "util/macro.h"

typedef struct Child Child;

typedef struct ChildOptions {
    const char *name;  /* for the log; not copied */
    char *const *argv; /* not copied; argv[0] is the path */
    const int *fds;    /* passed as descriptors 3, 4, … in the way of sd_listen_fds(3); not copied */
    size_t n_fds;
    const char *notify_socket; /* $NOTIFY_SOCKET for it, NULL = none */
    /* It ended and will be started again, or, while stopping, has ended for good (NULL: nobody wants to
     * know). */
    void (*ended)(Child *c, bool stopped, void *userdata);
    void *userdata;
} ChildOptions;

/* Starts it. SIGCHLD must be blocked. 0 or -errno. */
int child_new(sd_event *event, const ChildOptions *options, Child **ret);
/* TERM, and no new start. */
void child_stop(Child *c);
bool child_is_running(const Child *c);
pid_t child_pid(const Child *c);
void child_kill(Child *c, int signal);
/* Frees the object; a process that still runs is left alone. */
Child *child_free(Child *c);
DEFINE_CLEANUP(Child *, child_free)
