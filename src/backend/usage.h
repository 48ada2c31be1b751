/* SPDX-License-Identifier: ISC */
#pragma once

/* What a service uses of the machine, read from the kernel when somebody asks. */

#include <sys/types.h>

#include "util/macro.h"
#include "util/time-util.h"

/* UINT64_MAX: not known. */
typedef struct ResourceUsage {
    uint64_t memory; /* bytes */
    uint64_t cpu;    /* ns of CPU time since it was started */
} ResourceUsage;
#define RESOURCE_USAGE_UNKNOWN ((ResourceUsage){UINT64_MAX, UINT64_MAX})

/* What was read is good for so long, however often it is asked for. */
#define USAGE_MAX_AGE USEC_PER_SEC

/* ── of sessions ── */

/* All processes of the machine, added up by session. */
typedef struct SessionTable SessionTable;

/* NULL: out of memory. */
SessionTable *session_table_new(void);
SessionTable *session_table_free(SessionTable *t);
DEFINE_CLEANUP(SessionTable *, session_table_free)
/* Memory is that of the session's processes, shared pages counted in each; CPU time is theirs and that of
 * their children that have ended. Looks at /proc anew if that was USAGE_MAX_AGE ago. Unknown where nothing of
 * the session lives. */
void session_table_read(SessionTable *t, pid_t session, ResourceUsage *ret);

/* ── of control groups ── */

/* Where a unit's group is to be read. All zero at first. */
typedef struct CgroupFiles {
    pid_t pid; /* whose group it was found by */
    char *memory, *cpu, *procs;
    uint64_t cpu_unit; /* ns */
} CgroupFiles;

void cgroup_files_done(CgroupFiles *f);
/* The group of `unit` that the process `pid` is in. As the kernel accounts for it; where no controller does
 * (cgroups(7): it need not be enabled), its processes are added up. */
void cgroup_files_read(CgroupFiles *f, const char *unit, pid_t pid, ResourceUsage *ret);
