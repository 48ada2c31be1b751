/* SPDX-License-Identifier: ISC */
#pragma once

/* All spans and instants inside dynapm are microseconds in a uint64_t; instants are CLOCK_MONOTONIC. */

#include <time.h>

#include "util/macro.h"

typedef uint64_t usec_t;

#define USEC_INFINITY UINT64_MAX
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)

#define TIMESPAN_STRING_MAX 64

/* Now, on CLOCK_REALTIME. */
static inline usec_t now_realtime(void)
{
    struct timespec ts;
    (void) clock_gettime(CLOCK_REALTIME, &ts);
    return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

/* Now, on CLOCK_MONOTONIC. */
static inline usec_t now_monotonic(void)
{
    struct timespec ts;
    (void) clock_gettime(CLOCK_MONOTONIC, &ts);
    return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

/* a + b that stays USEC_INFINITY instead of wrapping. */
static inline usec_t usec_add(usec_t a, usec_t b)
{
    return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

/* a - b, 0 where b is later. */
static inline usec_t usec_sub(usec_t a, usec_t b)
{
    return a > b ? a - b : 0;
}

/* Reads a systemd time span, systemd.time(7): "5min", "1h 30s", "250ms", "1.5s", "infinity"; a bare number is
 * seconds there and is refused here, because configuration has numbers for milliseconds. Returns 0, -EINVAL,
 * or -ERANGE. */
int timespan_parse(const char *s, usec_t *ret);

/* Writes a span as people read it, its two largest units at most: "5min", "1h 30min", "212ms", "9.3ms",
 * "250us". Returns buf. */
const char *timespan_format(char buf[static TIMESPAN_STRING_MAX], usec_t span);
