/* SPDX-License-Identifier: ISC */
#pragma once

/* Memory for many objects of one size that live long, apart from the heap: one of them among short-lived
 * buffers would keep whole pages from going back to the system when those are freed. */

#include "util/macro.h"

typedef struct SlabBlock SlabBlock;

typedef struct Slab {
    size_t size;       /* of an object */
    SlabBlock *roomy;  /* blocks that have room */
    SlabBlock *unused; /* one that nobody uses, kept for the next */
} Slab;

/* `size` bytes at most 4096, to be aligned like a pointer. */
void slab_init(Slab *s, size_t size);
/* All objects have been given back. */
void slab_done(Slab *s);

/* A zeroed object, NULL when out of memory. */
void *slab_alloc(Slab *s);
/* Gives one back; NULL is accepted. Returns NULL. */
void *slab_free(Slab *s, void *object);
