/* SPDX-License-Identifier: ISC */
#pragma once

/* Process groups that we have started, remembered in files so that another manager, after a crash of ours,
 * finds them again and nothing else. */

#include <sys/types.h>

#include "backend/proc.h"

typedef struct Remembered {
    pid_t pgid;          /* also the leader's process id and the session */
    uint64_t start_time; /* of the leader, see ProcStat */
} Remembered;

/* Writes the file `name`, whole or not at all. Returns 0 or -errno. */
int remember_write(int dir_fd, const char *name, const Remembered *m);

/* Reads it. Returns 0, -ENOENT when there is none, -ESTALE for one from before the last boot, -EBADMSG for
 * nonsense, or -errno. */
int remember_read(int dir_fd, const char *name, Remembered *ret);

/* Removes it; none is fine. dir_fd < 0: does nothing. */
void remember_forget(int dir_fd, const char *name);
