/* SPDX-License-Identifier: ISC */

/* The names of what is counted, and the bounds of histograms: Prometheus' usual ones, which suit HTTP, with
 * one more at the lower end, where the answers of services on the same machine are. */

#include "ipc/counters.h"

static const char *const request_class_table[_REQUEST_CLASS_MAX] = {
        [REQUEST_1XX] = "1xx",
        [REQUEST_2XX] = "2xx",
        [REQUEST_3XX] = "3xx",
        [REQUEST_4XX] = "4xx",
        [REQUEST_5XX] = "5xx",
        [REQUEST_NONE] = "none",
};
DEFINE_STRING_TABLE(request_class, RequestClass)

static const char *const upstream_error_table[_UPSTREAM_ERROR_MAX] = {
        [UPSTREAM_REFUSED] = "refused",
        [UPSTREAM_CONNECT_TIMEOUT] = "connect_timeout",
        [UPSTREAM_CLOSED] = "closed",
        [UPSTREAM_TIMEOUT] = "timeout",
        [UPSTREAM_BAD_ANSWER] = "bad_answer",
        [UPSTREAM_TRUNCATED] = "truncated",
};
DEFINE_STRING_TABLE(upstream_error, UpstreamError)

static const char *const park_refusal_table[_PARK_REFUSAL_MAX] = {
        [PARK_FULL] = "full",
        [PARK_FAILED] = "failed",
};
DEFINE_STRING_TABLE(park_refusal, ParkRefusal)

static const char *const start_result_table[_START_RESULT_MAX] = {
        [START_READY] = "ready",
        [START_FAILED] = "failed",
        [START_TIMEOUT] = "timeout",
        [START_STOPPED] = "stopped",
};
DEFINE_STRING_TABLE(start_result, StartResult)

const usec_t duration_bounds[DURATION_BUCKETS - 1] = {500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
        250000, 500000, 1000000, 2500000, 5000000, 10000000};

/* A start may take anything from a few milliseconds to the minutes of a large Java program. */
const usec_t start_bounds[START_BUCKETS - 1] = {5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
        2500000, 5000000, 10000000, 30000000, 60000000};

const unsigned stray_statuses[STRAY_STATUSES - 1] = {400, 404, 405, 408, 414, 417, 421, 431, 501, 503, 505};

RequestClass request_class_of(unsigned status)
{
    return status >= 100 && status < 600 ? (RequestClass) (REQUEST_1XX + status / 100 - 1) : REQUEST_NONE;
}

unsigned histogram_bucket(const usec_t *bounds, unsigned n_bounds, usec_t value)
{
    unsigned i = 0;

    while (i < n_bounds && value > bounds[i])
        i++;
    return i;
}

unsigned stray_status_index(unsigned status)
{
    unsigned i = 0;

    while (i < STRAY_STATUSES - 1 && stray_statuses[i] != status)
        i++;
    return i;
}
