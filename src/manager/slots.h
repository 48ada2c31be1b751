/* SPDX-License-Identifier: ISC */
#pragma once

/* Which slot of the shared tables a service has: the same for its name as long as the manager lives, however
 * often the configuration is read anew. */

#include "ipc/index.h"

typedef struct Slots {
    Array names; /* char *, by slot */
    Index index;
} Slots;

void slots_done(Slots *s);
/* The slot of `name`, the next free one if it has none yet. Returns 0, -ENOSPC when all SLOTS_MAX are taken,
 * or -ENOMEM. */
int slots_get(Slots *s, const char *name, uint32_t *ret);
/* The slot that it has. Returns true if it has one. */
bool slots_find(const Slots *s, const char *name, uint32_t *ret);
