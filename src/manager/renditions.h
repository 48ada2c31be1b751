/* SPDX-License-Identifier: ISC */
#pragma once

/* The metrics as files in memory, each form written anew only when it is old: however many ask, and however
 * often, the manager spends a twentieth of its time on a form at most. */

#include "manager/exposition.h"

typedef struct Manager Manager;

/* How many times the CPU time that it took to write is what was written good for. */
#define RENDITION_LIFE 20

typedef struct Rendition {
    int fd;       /* sealed; < 0: none */
    usec_t until; /* CLOCK_MONOTONIC: from then on it is old */
} Rendition;

typedef struct Renditions {
    Rendition of[_METRICS_FORMAT_MAX];
} Renditions;

#define RENDITIONS_NULL ((Renditions){.of = {{.fd = -EBADF}, {.fd = -EBADF}}})

void renditions_done(Renditions *r);

/* What metrics_write() writes, at `now`, or not long before. A sealed file that can only be read, with an
 * offset of its own, that the caller closes; or -errno. */
int renditions_get(Renditions *r, const Manager *m, MetricsFormat format, usec_t now);
