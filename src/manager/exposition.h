/* SPDX-License-Identifier: ISC */
#pragma once

/* The text that Prometheus reads, in either of its two forms, written into memory that grows. Knows the form
 * and nothing of what is told in it. The Prometheus text format 0.0.4 and OpenMetrics 1.0. */

#include "util/macro.h"
#include "util/time-util.h"

typedef enum MetricsFormat {
    METRICS_PROMETHEUS,
    METRICS_OPENMETRICS,
    _METRICS_FORMAT_MAX,
} MetricsFormat;

typedef enum MetricType {
    METRIC_GAUGE,
    METRIC_COUNTER,
    METRIC_HISTOGRAM,
    METRIC_INFO,
} MetricType;

typedef struct Exposition {
    MetricsFormat format;
    char *text; /* not terminated */
    size_t len, allocated;
    bool oom;         /* what was to be written since is lost */
    uint64_t created; /* CLOCK_REALTIME µs from which on is counted */
    const char *name; /* of the family that is being written; no suffix */
    MetricType type;
} Exposition;

void exposition_done(Exposition *x);

/* Begins a family: `name` without _total or _info, `help` as plain text. */
void exposition_family(Exposition *x, const char *name, MetricType type, const char *help);

/* One sample. `labels`: `service="blog"`, as exposition_label() makes them, more of them joined by commas, ""
 * for none; `more`: the same, appended to it. */
void exposition_number(Exposition *x, const char *labels, const char *more, uint64_t value);
/* Seconds, of µs. */
void exposition_seconds(Exposition *x, const char *labels, const char *more, usec_t value);
/* Of counts of single buckets, with upper bounds in µs and one bucket more than bounds; `sum` in µs. */
void exposition_histogram(Exposition *x, const char *labels, const uint64_t *counts, const usec_t *bounds,
        unsigned n_bounds, usec_t sum);
/* Ends it all. */
void exposition_end(Exposition *x);

/* `name="value"`, escaped; fresh memory that the caller frees, NULL: out of memory. */
char *exposition_label(const char *name, const char *value);
