/* SPDX-License-Identifier: ISC */
#pragma once

/* What the gateways do with the services, summed over the activity tables of all attached workers. */

#include "ipc/table.h"
#include "service/service.h"

#define GATEWAYS_MAX 64U

/* What is counted of a service, by ServiceCounter. */
typedef struct ServiceCounts {
    uint64_t n[_SERVICE_COUNTER_MAX];
} ServiceCounts;

/* By WorkerCounter. */
typedef struct WorkerCounts {
    uint64_t n[_WORKER_COUNTER_MAX];
} WorkerCounts;

typedef struct Departed {
    usec_t last_activity;
    uint64_t requests;
    ServiceCounts counts;
} Departed;

typedef struct Activity {
    const ActivityTable *tables[GATEWAYS_MAX];
    size_t n_tables;
    Departed *departed; /* by slot: what workers that are gone have done */
    size_t n_slots;
    WorkerCounts departed_workers;
} Activity;

/* Returns 0 or -ENOMEM. */
int activity_init(Activity *a, size_t n_slots);
/* There are more slots. Returns 0 or -ENOMEM. */
int activity_grow(Activity *a, size_t n_slots);
void activity_done(Activity *a);

/* Counts a table in; from now on it is ours. */
void activity_add(Activity *a, const ActivityTable *table);

/* Counts a table out and unmaps it. What its worker had open has ended with it, now: `ended` is called for
 * each such slot, with the sums already without it. */
void activity_remove(Activity *a, const ActivityTable *table, void (*ended)(uint32_t slot, void *userdata),
        void *userdata);

void activity_read(const Activity *a, uint32_t slot, ServiceActivity *ret);

/* What was counted since the manager began, by workers that are gone as well: counters never go down. Of
 * gauges only those of attached workers count. */
void activity_counts(const Activity *a, uint32_t slot, ServiceCounts *ret);
void activity_worker_counts(const Activity *a, WorkerCounts *ret);
