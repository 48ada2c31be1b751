/* SPDX-License-Identifier: ISC */

/* Growing arrays and their hash index. Elements move when an array grows: nobody keeps a pointer to one
 * across an addition. Chains run from higher indexes to lower ones, in the image too, which is how its reader
 * knows that none is a ring. */

#include "ipc/index.h"

#include "ipc/routes-image.h"

void *array_extend(Array *a, size_t element, size_t n)
{
    if (a->n + n > INT32_MAX / element)
        return NULL;
    if (a->n + n > a->allocated) {
        size_t allocated = MAX(a->allocated * 2, MAX(a->n + n, (size_t) 16));
        void *grown = realloc(a->data, allocated * element);
        if (!grown)
            return NULL;
        a->data = grown;
        a->allocated = allocated;
    }
    void *p = (char *) a->data + a->n * element;
    a->n += n;
    return memset(p, 0, n * element);
}

void array_done(Array *a)
{
    a->data = mfree(a->data);
    a->n = a->allocated = 0;
}

size_t bucket_count(size_t n)
{
    size_t k = 1;
    while (k < n * 2)
        k *= 2;
    return k;
}

void bucket_chain(uint32_t *buckets, size_t n_buckets, uint64_t hash, uint32_t index, uint32_t *ret_next)
{
    uint32_t *bucket = &buckets[route_hash_bucket(hash, (uint32_t) n_buckets)];
    *ret_next = *bucket;
    *bucket = index + 1;
}

int index_add(Index *x, uint64_t hash)
{
    IndexNode *node = array_extend(&x->nodes, sizeof(IndexNode), 1);
    if (!node)
        return -ENOMEM;
    node->hash = hash;
    if (x->nodes.n > x->n_buckets) {
        size_t n = bucket_count(MAX(x->nodes.n, (size_t) 8));
        uint32_t *buckets = new0(uint32_t, n);
        if (!buckets)
            return -ENOMEM;
        for (uint32_t i = 0; i + 1 < x->nodes.n; i++) {
            IndexNode *old = AT(IndexNode, &x->nodes, i);
            bucket_chain(buckets, n, old->hash, i, &old->next);
        }
        free(x->buckets);
        x->buckets = buckets;
        x->n_buckets = n;
    }
    bucket_chain(x->buckets, x->n_buckets, hash, (uint32_t) x->nodes.n - 1, &node->next);
    return 0;
}

uint32_t index_first(const Index *x, uint64_t hash)
{
    return x->n_buckets > 0 ? x->buckets[route_hash_bucket(hash, (uint32_t) x->n_buckets)] : 0;
}

uint32_t index_next(const Index *x, uint32_t at)
{
    return AT(IndexNode, &x->nodes, at - 1)->next;
}

void index_done(Index *x)
{
    array_done(&x->nodes);
    x->buckets = mfree(x->buckets);
    x->n_buckets = 0;
}
