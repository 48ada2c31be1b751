/* SPDX-License-Identifier: ISC */

/* Written by hand and not with printf(3), which for ten thousands of lines would hold up the loop. A
 * counter's samples have the suffix _total in both forms, its family has it in the older one only. */

#include "manager/exposition.h"

#include "ipc/counters.h"

void exposition_done(Exposition *x)
{
    free(x->text);
    *x = (Exposition){};
}

static char *reserve(Exposition *x, size_t n)
{
    if (x->len + n > x->allocated) {
        size_t size = MAX(x->allocated * 2, x->len + n + 16384);
        char *grown = x->oom ? NULL : realloc(x->text, size);
        if (!grown) {
            x->oom = true;
            return NULL;
        }
        x->text = grown;
        x->allocated = size;
    }
    return x->text + x->len;
}

static void put_n(Exposition *x, const char *s, size_t n)
{
    char *to = reserve(x, n);

    if (to) {
        memcpy(to, s, n);
        x->len += n;
    }
}

static void put(Exposition *x, const char *s)
{
    put_n(x, s, strlen(s));
}

static void put_number(Exposition *x, uint64_t v)
{
    char buf[20];
    size_t at = sizeof buf;

    do
        buf[--at] = (char) ('0' + v % 10);
    while (v /= 10);
    put_n(x, buf + at, sizeof buf - at);
}

/* "0.25", "1.0" */
static void put_seconds(Exposition *x, usec_t v)
{
    char buf[7] = ".";
    size_t n = sizeof buf;
    usec_t rest = v % USEC_PER_SEC;

    put_number(x, v / USEC_PER_SEC);
    for (size_t i = n - 1; i > 0; i--, rest /= 10)
        buf[i] = (char) ('0' + rest % 10);
    while (n > 2 && buf[n - 1] == '0')
        n--;
    put_n(x, buf, n);
}

static void put_escaped(Exposition *x, const char *s, bool quotes)
{
    for (; *s; s++) {
        if (*s == '\n')
            put(x, "\\n");
        else {
            if (*s == '\\' || (*s == '"' && quotes))
                put(x, "\\");
            put_n(x, s, 1);
        }
    }
}

char *exposition_label(const char *name, const char *value)
{
    Exposition x = {};

    put(&x, name);
    put(&x, "=\"");
    put_escaped(&x, value, true);
    put_n(&x, "\"", 2); /* with its end */
    if (!x.oom)
        return x.text;
    exposition_done(&x);
    return NULL;
}

static const char *type_to_string(const Exposition *x)
{
    switch (x->type) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_HISTOGRAM:
        return "histogram";
    case METRIC_INFO:
        return x->format == METRICS_OPENMETRICS ? "info" : "gauge";
    default:
        return "gauge";
    }
}

static const char *suffix(const Exposition *x)
{
    return x->type == METRIC_COUNTER ? "_total" : x->type == METRIC_INFO ? "_info" : "";
}

void exposition_family(Exposition *x, const char *name, MetricType type, const char *help)
{
    x->name = name;
    x->type = type;
    const char *end = x->format == METRICS_OPENMETRICS ? "" : suffix(x);
    put(x, "# HELP ");
    put(x, name);
    put(x, end);
    put(x, " ");
    put_escaped(x, help, x->format == METRICS_OPENMETRICS);
    put(x, "\n# TYPE ");
    put(x, name);
    put(x, end);
    put(x, " ");
    put(x, type_to_string(x));
    put(x, "\n");
}

/* All of a line but its value. */
static void begin(Exposition *x, const char *end, const char *labels, const char *more)
{
    put(x, x->name);
    put(x, end);
    if (*labels || *more) {
        put(x, "{");
        put(x, labels);
        put(x, *labels && *more ? "," : "");
        put(x, more);
        put(x, "}");
    }
    put(x, " ");
}

/* From when on has this been counted? */
static void put_created(Exposition *x, const char *labels, const char *more)
{
    if (x->format != METRICS_OPENMETRICS || x->created == 0 || x->type == METRIC_GAUGE ||
            x->type == METRIC_INFO)
        return;
    begin(x, "_created", labels, more);
    put_seconds(x, x->created);
    put(x, "\n");
}

void exposition_number(Exposition *x, const char *labels, const char *more, uint64_t value)
{
    begin(x, suffix(x), labels, more);
    put_number(x, value);
    put(x, "\n");
    put_created(x, labels, more);
}

void exposition_seconds(Exposition *x, const char *labels, const char *more, usec_t value)
{
    begin(x, suffix(x), labels, more);
    put_seconds(x, value);
    put(x, "\n");
    put_created(x, labels, more);
}

void exposition_histogram(Exposition *x, const char *labels, const uint64_t *counts, const usec_t *bounds,
        unsigned n_bounds, usec_t sum)
{
    uint64_t n = 0;

    for (unsigned i = 0; i <= n_bounds; i++) {
        n = count_sum(n, counts[i]);
        put(x, x->name);
        put(x, "_bucket{");
        put(x, labels);
        put(x, *labels ? ",le=\"" : "le=\"");
        if (i < n_bounds)
            put_seconds(x, bounds[i]);
        else
            put(x, "+Inf");
        put(x, "\"} ");
        put_number(x, n);
        put(x, "\n");
    }
    begin(x, "_sum", labels, "");
    put_seconds(x, sum);
    put(x, "\n");
    begin(x, "_count", labels, "");
    put_number(x, n);
    put(x, "\n");
    put_created(x, labels, "");
}

void exposition_end(Exposition *x)
{
    if (x->format == METRICS_OPENMETRICS)
        put(x, "# EOF\n");
}
