/* SPDX-License-Identifier: ISC */
#pragma once

/* The layout of a route image in memory, private to its builder and its reader: a header, then arrays, each
 * 8-byte aligned, then the strings. Both programs come from one build and run on one machine, so that numbers
 * are in the machine's order; `version` and `header_size` only guard against an upgrade half done. */

#include "ipc/routes.h"

#define ROUTE_IMAGE_MAGIC UINT64_C(0x31657475526d7044) /* "DpmRute1" */
#define ROUTE_IMAGE_VERSION 3U
#define ROUTE_HOST_MAX 255U
#define ROUTE_IMAGE_SIZE_MAX UINT64_C(0x40000000)

/* Up to so many paths are compared one by one; the paths of a host or listener with more are in the path
 * index too. */
#define ROUTE_PATHS_LINEAR 8U

typedef enum RouteSection {
    SECTION_SERVICES,
    SECTION_TARGETS,
    SECTION_ENTRIES,
    SECTION_HOSTS,
    SECTION_LISTENERS,
    SECTION_NETWORKS,
    SECTION_HOST_BUCKETS, /* uint32_t: index + 1 of a chain's first host, 0 = empty; a power of two of them */
    SECTION_PATH_BUCKETS, /* the same for entries */
    SECTION_STRINGS,      /* bytes; the last one is NUL */
    _SECTION_MAX,
} RouteSection;

typedef struct RouteImageSection {
    uint32_t offset; /* bytes from the image's start */
    uint32_t n;      /* elements */
} RouteImageSection;

typedef struct RouteImageHeader {
    uint64_t magic;
    uint32_t version, header_size;
    uint64_t size; /* of the image */
    RouteImageSection sections[_SECTION_MAX];
    uint32_t n_wildcards;
    uint32_t max_path_len; /* longest path of the path index */
    RouteSettings settings;
} RouteImageHeader;

/* Bytes of an element. */
static inline size_t route_section_element(RouteSection s)
{
    static const uint16_t sizes[_SECTION_MAX] = {
            [SECTION_SERVICES] = sizeof(RouteService),
            [SECTION_TARGETS] = sizeof(RouteTarget),
            [SECTION_ENTRIES] = sizeof(RouteEntry),
            [SECTION_HOSTS] = sizeof(RouteHost),
            [SECTION_LISTENERS] = sizeof(RouteListener),
            [SECTION_NETWORKS] = sizeof(RouteNetwork),
            [SECTION_HOST_BUCKETS] = sizeof(uint32_t),
            [SECTION_PATH_BUCKETS] = sizeof(uint32_t),
            [SECTION_STRINGS] = 1,
    };
    return sizes[s];
}

/* FNV-1a, a byte at a time: what is hashed is a few dozen bytes, and a byte-wise hash can stop at every label
 * and every path segment on its way. The keys are configuration, nobody hostile chooses them. */
#define ROUTE_HASH_SEED UINT64_C(0xcbf29ce484222325)
static inline uint64_t route_hash_step(uint64_t h, uint8_t c)
{
    return (h ^ c) * UINT64_C(0x100000001b3);
}

static inline uint32_t route_hash_bucket(uint64_t h, uint32_t n_buckets)
{
    return (uint32_t) (h ^ h >> 32) & (n_buckets - 1);
}

/* A host is hashed from its end, so that the hash of every suffix is met on the way to that of the whole. */
static inline uint64_t route_hash_host(const char *name, size_t len)
{
    uint64_t h = ROUTE_HASH_SEED;
    while (len-- > 0)
        h = route_hash_step(h, (uint8_t) name[len]);
    return h;
}

/* The paths of one host or listener are told from another's by where its entries begin. */
static inline uint64_t route_hash_path_seed(uint32_t first)
{
    return (ROUTE_HASH_SEED ^ first) * UINT64_C(0x9e3779b97f4a7c15);
}
