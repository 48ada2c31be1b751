/* SPDX-License-Identifier: ISC */
#pragma once

/* What /proc tells about processes, proc(5). */

#include <sys/types.h>

#include "util/macro.h"

typedef struct ProcStat {
    char state; /* R, S, D, Z, … */
    pid_t ppid, pgrp, session;
    uint64_t cpu_ticks; /* of its own and its children that have ended, in user and kernel mode */
    uint64_t rss_pages;
    uint64_t start_time; /* clock ticks since boot: with the pid, a process's identity until the next boot */
} ProcStat;

/* Returns 0, -ESRCH when there is no such process, or -errno. */
int proc_stat(pid_t pid, ProcStat *ret);

/* How many descriptors it has open. Linux tells the number itself since 6.2; before, and only of processes
 * that we may look into, they are counted. Returns 0 or -errno. */
int proc_open_fds(pid_t pid, uint64_t *ret);

/* Has it ended, be it that nobody has reaped it yet? */
static inline bool proc_is_dead(const ProcStat *s)
{
    return s->state == 'Z' || s->state == 'X';
}

/* Calls back for each process of the group that has not ended, until it returns < 0. Looks at the id of every
 * process of the machine once, so not for every day. Returns the number of calls made, or what made it end.
 */
int proc_for_each_member(
        pid_t pgid, int (*member)(pid_t pid, const ProcStat *s, void *userdata), void *userdata);

#define BOOT_ID_SIZE 37
/* The kernel's id of this boot. Returns 0 or -errno. */
int proc_boot_id(char ret[static BOOT_ID_SIZE]);
