/* SPDX-License-Identifier: ISC */
#pragma once

/* When is a control group empty? cgroups(7), "cgroup.events": the unified hierarchy says so, be it the only
 * one or beside those of version 1. */

#include <systemd/sd-event.h>

#include "util/macro.h"

typedef struct CgroupWatch CgroupWatch;

/* Called once, from the loop: nothing lives in the group any more. May free the watch. */
typedef void (*CgroupEmpty)(CgroupWatch *w, void *userdata);

/* Watches the group at `path` below the root of the hierarchy. Returns 0, -ESRCH when it is empty already,
 * -EOPNOTSUPP on a machine without a unified hierarchy, or -errno. */
int cgroup_watch_new(sd_event *event, const char *path, CgroupEmpty empty, void *userdata, CgroupWatch **ret);
/* One of the processes in the group, 0: none is known. */
pid_t cgroup_watch_member(const CgroupWatch *w);
CgroupWatch *cgroup_watch_free(CgroupWatch *w);
DEFINE_CLEANUP(CgroupWatch *, cgroup_watch_free)
