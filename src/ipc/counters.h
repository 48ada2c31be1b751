/* SPDX-License-Identifier: ISC */
#pragma once

/* What is counted, and how. A counter has one writer, a worker, which therefore needs no atomic addition: a
 * relaxed load and a store, no lock and no locked instruction. Counters only ever grow (but for gauges, which
 * say so), and readers add up those of all workers. They are numbered, not named, so that adding up is a
 * loop. */

#include <stdatomic.h>

#include "util/string-table.h"
#include "util/time-util.h"

/* How a request ended, as its client saw it. */
typedef enum RequestClass {
    REQUEST_1XX, /* 101: what came of it is a tunnel */
    REQUEST_2XX,
    REQUEST_3XX,
    REQUEST_4XX,
    REQUEST_5XX,
    REQUEST_NONE, /* the client has left before it had an answer */
    _REQUEST_CLASS_MAX,
    _REQUEST_CLASS_INVALID = -EINVAL,
} RequestClass;
DECLARE_STRING_TABLE(request_class, RequestClass)
RequestClass request_class_of(unsigned status) _const_;

/* What may go wrong between us and a service. */
typedef enum UpstreamError {
    UPSTREAM_REFUSED,         /* it did not accept a connection */
    UPSTREAM_CONNECT_TIMEOUT, /* nor refuse one in time */
    UPSTREAM_CLOSED,          /* it ended the connection without an answer */
    UPSTREAM_TIMEOUT,         /* an answer, or the next of its bytes, did not come in time */
    UPSTREAM_BAD_ANSWER,      /* what it sent is no HTTP, or too much of it */
    UPSTREAM_TRUNCATED,       /* it ended the connection in the middle of an answer */
    _UPSTREAM_ERROR_MAX,
    _UPSTREAM_ERROR_INVALID = -EINVAL,
} UpstreamError;
DECLARE_STRING_TABLE(upstream_error, UpstreamError)

/* Why a request that wanted to wait for its service was refused. */
typedef enum ParkRefusal {
    PARK_FULL,   /* limits.maxParkedRequests and its like */
    PARK_FAILED, /* the service did not come, or there was nobody to start it */
    _PARK_REFUSAL_MAX,
    _PARK_REFUSAL_INVALID = -EINVAL,
} ParkRefusal;
DECLARE_STRING_TABLE(park_refusal, ParkRefusal)

/* How a start ended. */
typedef enum StartResult {
    START_READY,
    START_FAILED,
    START_TIMEOUT, /* it was not ready within startTimeout */
    START_STOPPED, /* before it was ready, as somebody wished */
    _START_RESULT_MAX,
    _START_RESULT_INVALID = -EINVAL,
} StartResult;
DECLARE_STRING_TABLE(start_result, StartResult)

/* Histograms: how many took at most so long, by upper bounds in µs; the last bucket has none. Counts are
 * those of each bucket alone, whoever shows them to Prometheus adds them up. */
#define DURATION_BUCKETS 15U
extern const usec_t duration_bounds[DURATION_BUCKETS - 1];
#define START_BUCKETS 14U
extern const usec_t start_bounds[START_BUCKETS - 1];
unsigned histogram_bucket(const usec_t *bounds, unsigned n_bounds, usec_t value) _pure_;

typedef enum ServiceCounter {
    COUNT_RESPONSES = 0,                                     /* + RequestClass */
    COUNT_DURATIONS = COUNT_RESPONSES + _REQUEST_CLASS_MAX,  /* + bucket */
    COUNT_DURATION_SUM = COUNT_DURATIONS + DURATION_BUCKETS, /* µs */
    COUNT_RECEIVED,                                          /* bytes of bodies and tunnels, from clients */
    COUNT_SENT,                                              /* the same, to clients */
    COUNT_TUNNELS,                                           /* connections of tcp:// services */
    COUNT_PARKED,                                            /* requests that had to wait for a start */
    COUNT_PARK_REFUSALS,                                     /* + ParkRefusal */
    COUNT_ERRORS = COUNT_PARK_REFUSALS + _PARK_REFUSAL_MAX,  /* + UpstreamError */
    _SERVICE_COUNTER_MAX = COUNT_ERRORS + _UPSTREAM_ERROR_MAX,
} ServiceCounter;

/* Requests that belong to no service: those that nothing is configured for, and those that are refused before
 * it is known whose they are. Each of these statuses has a counter, and all others have the last one. */
#define STRAY_STATUSES 12U
extern const unsigned stray_statuses[STRAY_STATUSES - 1];
unsigned stray_status_index(unsigned status) _const_;

typedef enum WorkerCounter {
    COUNT_CONNECTIONS, /* a gauge: client connections that are open */
    COUNT_ACCEPTED,    /* connections */
    COUNT_REFUSED,     /* connections that were one too many of their address */
    COUNT_PAUSES,      /* times that no connection was accepted for a while, for want of room */
    COUNT_STRAYS,      /* + stray_status_index() */
    _WORKER_COUNTER_MAX = COUNT_STRAYS + STRAY_STATUSES,
} WorkerCounter;

/* Writer, of its own counters only. */
static inline void counter_add(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline uint64_t counter_read(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* Reader: what a worker has written may be anything, so that sums end at the largest number there is. */
static inline uint64_t count_sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}
