/* SPDX-License-Identifier: ISC */
#pragma once

/* What a route image is gathered in: arrays that grow, and an index that finds their elements again by hash.
 */

#include "util/macro.h"

typedef struct Array {
    void *data;
    size_t n, allocated;
} Array;

#define AT(type, array, i) (&((type *) (array)->data)[i])

/* Makes room for n more elements; returns the first, zeroed, and counts them in. NULL: out of memory, or more
 * than 31 bits of bytes. */
void *array_extend(Array *a, size_t element, size_t n);
void array_done(Array *a);

/* Finds the elements of an array again while it grows; node i belongs to element i. */
typedef struct Index {
    Array nodes;
    uint32_t *buckets; /* index + 1 of the first node, 0 = empty */
    size_t n_buckets;
} Index;

typedef struct IndexNode {
    uint64_t hash;
    uint32_t next; /* index + 1, 0 = end */
} IndexNode;

/* Adds the node of the element that was added last. Returns 0 or -ENOMEM. */
int index_add(Index *x, uint64_t hash);
/* The first element that may be the one, as index + 1; 0: none. index_next() gives further ones. */
uint32_t index_first(const Index *x, uint64_t hash) _pure_;
uint32_t index_next(const Index *x, uint32_t at) _pure_;
void index_done(Index *x);

/* How many buckets n elements are to have: the smallest power of two that leaves half of them empty. */
size_t bucket_count(size_t n) _const_;
/* Puts element `index` at the head of its bucket's chain. */
void bucket_chain(uint32_t *buckets, size_t n_buckets, uint64_t hash, uint32_t index, uint32_t *ret_next);
