/* SPDX-License-Identifier: ISC */
#pragma once

/* A process group that is a service: seen from its first process to its last, be they our children or, after
 * a crash of a manager before us, somebody else's. */

#include "backend/remember.h"
#include "util/children.h"

typedef struct Group Group;

/* Called from the loop; `si` is NULL for a process that was no child of ours: nobody tells us how it ended.
 * May free the group. */
typedef struct GroupEvents {
    void (*leader_ended)(Group *g, const siginfo_t *si, void *userdata);
    void (*member_ended)(Group *g, const siginfo_t *si, void *userdata); /* any other; maybe the last */
} GroupEvents;

typedef struct GroupContext {
    sd_event *event;
    Children *children;
    const GroupEvents *events;
    void *userdata;
} GroupContext;

/* For a child that was just made, leader of a new session; `context` is copied. 0 or -errno. */
int group_new(const GroupContext *context, pid_t leader, Group **ret);

/* For a group that is remembered. Returns 0, -ESRCH when nothing of it lives any more, or -errno. */
int group_take_over(const GroupContext *context, const Remembered *m, Group **ret);

/* The processes are left alone. */
Group *group_free(Group *g);
DEFINE_CLEANUP(Group *, group_free)

/* The leader's process id, 0 once it has ended. */
pid_t group_leader(const Group *g) _pure_;

/* The session that is its own, which is what its leader is or was. */
pid_t group_session(const Group *g) _pure_;

/* Sends a signal to all members. */
void group_signal(Group *g, int signal);

/* From now on the end of members that are not our children is seen as well: they have a parent of their own,
 * which has left the group, or were taken over. */
void group_watch(Group *g);

/* Has its last process ended? To be asked when one has; the group must be freed when it is empty, because its
 * id may be given to others. After group_watch(), some event follows always while it is not. */
bool group_is_empty(Group *g);
/* The same from scratch, trusting no earlier count. */
bool group_recount_is_empty(Group *g);
