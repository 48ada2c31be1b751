/* SPDX-License-Identifier: ISC */

/* Blocks of BLOCK_SIZE, aligned to that, so that an object's address tells its block. A block hands out each
 * of its places once in order, then those that came back; untouched places cost no memory.
 *
 * Invariants: a block is in `roomy` exactly while it has both users and room; without users it is unmapped,
 * but for one. */

#include "util/slab.h"

#include <sys/mman.h>

#define BLOCK_SIZE ((size_t) 64 * 1024)

typedef struct Place Place;
struct Place {
    Place *next;
};

struct SlabBlock {
    SlabBlock *prev, *next; /* in slab->roomy */
    Place *returned;
    size_t n_used, n_begun; /* places in use, and those that ever were */
};

#define FIRST ((sizeof(SlabBlock) + 63) / 64 * 64)

static size_t places(const Slab *s)
{
    return (BLOCK_SIZE - FIRST) / s->size;
}

void slab_init(Slab *s, size_t size)
{
    assert(size > 0 && size <= 4096);
    *s = (Slab){.size = (MAX(size, sizeof(Place)) + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *)};
}

void slab_done(Slab *s)
{
    assert(!s->roomy);
    if (s->unused)
        (void) munmap(s->unused, BLOCK_SIZE);
    s->unused = NULL;
}

static void link_block(Slab *s, SlabBlock *b)
{
    b->prev = NULL;
    b->next = s->roomy;
    if (b->next)
        b->next->prev = b;
    s->roomy = b;
}

static void unlink_block(Slab *s, SlabBlock *b)
{
    *(b->prev ? &b->prev->next : &s->roomy) = b->next;
    if (b->next)
        b->next->prev = b->prev;
}

/* mmap(2) aligns to pages only: takes twice as much and gives back what lies around. */
static SlabBlock *map_block(void)
{
    char *all = mmap(NULL, 2 * BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (all == MAP_FAILED)
        return NULL;
    size_t before = (BLOCK_SIZE - (uintptr_t) all % BLOCK_SIZE) % BLOCK_SIZE;
    if (before > 0)
        (void) munmap(all, before);
    (void) munmap(all + before + BLOCK_SIZE, BLOCK_SIZE - before);
    return (SlabBlock *) (all + before);
}

void *slab_alloc(Slab *s)
{
    SlabBlock *b = s->roomy;

    if (!b) {
        b = s->unused ? TAKE_PTR(s->unused) : map_block();
        if (!b)
            return NULL;
        link_block(s, b);
    }
    Place *p = b->returned;
    if (p)
        b->returned = p->next;
    else
        p = (Place *) ((char *) b + FIRST + b->n_begun++ * s->size);
    if (++b->n_used == places(s))
        unlink_block(s, b);
    return memset(p, 0, s->size);
}

void *slab_free(Slab *s, void *object)
{
    Place *p = object;

    if (!p)
        return NULL;
    SlabBlock *b = (SlabBlock *) ((uintptr_t) p / BLOCK_SIZE * BLOCK_SIZE);
    if (b->n_used-- == places(s))
        link_block(s, b);
    p->next = b->returned;
    b->returned = p;
    if (b->n_used > 0)
        return NULL;
    unlink_block(s, b);
    if (s->unused)
        (void) munmap(b, BLOCK_SIZE);
    else
        s->unused = b;
    return NULL;
}
