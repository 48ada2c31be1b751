/* SPDX-License-Identifier: ISC */
#pragma once

/* What of all services changes all the time, at one moment. */

#include <systemd/sd-bus.h>

#include "util/time-util.h"

typedef struct ServiceSample {
    char *name, *state;
    uint64_t since, idle_deadline; /* CLOCK_REALTIME µs; 0 = never, UINT64_MAX = not by what is known */
    uint64_t active, requests;
    uint64_t waiting, memory; /* UINT64_MAX: not known */
    uint64_t *durations; /* requests by how long they took, a bucket for each bound and one more; or NULL */
    size_t n_durations;
    /* Against an earlier sample, for who compares: */
    double rate; /* requests a second; < 0: not known */
    usec_t p95;  /* sample_p95() */
} ServiceSample;

typedef struct Sample {
    usec_t realtime, monotonic; /* when it was taken */
    ServiceSample *services;    /* sorted by name */
    size_t n;
} Sample;

/* Begins to ask for one; `callback` gets the answer, for sample_read() if it is no error. `plain`: as a
 * manager knows it that has no Sample(). Returns 0 or -errno. */
int sample_request(
        sd_bus *bus, bool plain, sd_bus_message_handler_t callback, void *userdata, sd_bus_slot **ret);
/* Of the same `plain`. Returns 0 or -errno. */
int sample_read(sd_bus_message *m, bool plain, Sample *ret);
void sample_done(Sample *s);

/* NULL: there is none of that name. */
const ServiceSample *sample_find(const Sample *s, const char *name);

/* The upper bounds of the buckets, µs, fresh memory that the caller frees. 0, or -errno where nobody knows.
 */
int sample_fetch_bounds(sd_bus *bus, uint64_t **ret, size_t *ret_n);

/* The duration below which 95% of the requests between two samples of a service were over, linear within a
 * bucket; the last bound where it is in none. USEC_INFINITY: there were none, or nothing is known of them. */
usec_t sample_p95(
        const ServiceSample *before, const ServiceSample *now, const uint64_t *bounds, size_t n_bounds);
