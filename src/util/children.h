/* SPDX-License-Identifier: ISC */
#pragma once

/* The one place where children are reaped: our own, each with a callback, and those that its processes leave
 * behind, which come to us because we are their subreaper. See waitid(2), PR_SET_CHILD_SUBREAPER in prctl(2).
 */

#include <signal.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "util/macro.h"

typedef struct Children Children;

/* A process has ended and has been reaped; `si` as waitid(2) fills it. Called from the loop only; may add and
 * remove. */
typedef void (*ChildExited)(pid_t pid, const siginfo_t *si, void *userdata);

/* Takes over SIGCHLD, which the caller has blocked before, and makes the process a subreaper: what a start
 * command leaves in the background becomes our child when its parent is gone, so that its end is seen. One a
 * process. Returns 0 or -errno. */
int children_new(sd_event *event, Children **ret);
/* What is still registered is forgotten. */
Children *children_free(Children *c);
DEFINE_CLEANUP(Children *, children_free)

/* Calls back, once, when our child `pid` has ended. To be called before the loop goes on after the child was
 * made, so that it cannot have been reaped as a stranger. Returns 0, -EEXIST or -ENOMEM. */
int children_add(Children *c, pid_t pid, ChildExited exited, void *userdata);
/* Forgets it; it will be reaped silently. Unknown ones are accepted. */
void children_remove(Children *c, pid_t pid);

/* Calls back each time a child of this process group that nobody has added has ended. */
int children_add_group(Children *c, pid_t pgid, ChildExited exited, void *userdata);
void children_remove_group(Children *c, pid_t pgid);
