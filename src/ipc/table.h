/* SPDX-License-Identifier: ISC */
#pragma once

/* The memory that manager and gateways share, so that a warm request costs neither IPC nor a lock nor a
 * system call.
 *
 * Two kinds of table, each with exactly one writer, enforced by the kernel and not by good manners:
 *  - the status table: one, written by the manager; sealed with F_SEAL_FUTURE_WRITE before its descriptor is
 * given away, so that a gateway can map it for reading only and a compromised one cannot lie about a state;
 *  - an activity table for each worker, written by that worker, read by the manager.
 * Both have SLOTS_MAX slots from birth; memfd pages that nobody touches cost nothing. (Reading is touching:
 * who reads asks activity_slot_is_used() before it looks at a slot's counters.) A slot belongs to one service
 * name for as long as the manager lives. */

#include <stdalign.h>
#include <stdatomic.h>

#include "ipc/counters.h"
#include "ipc/state.h"
#include "util/time-util.h"

#define SLOTS_MAX 16384U

typedef struct StatusSlot {
    _Atomic uint32_t state; /* ServiceState */
    _Atomic uint32_t epoch;
    /* Set while the manager waits for the service to fall idle. A worker that has no exchange with it open
     * any more, but for parked ones, looks here afterwards and, if it is set, sends BUS_IDLE; the manager
     * sets it before it reads the counts, both sequentially consistent, so that one of the two always sees
     * the other.
     */
    _Atomic uint32_t watch;
    uint32_t reserved;
} StatusSlot;
static_assert(sizeof(StatusSlot) == 16, "four slots to a cache line, none across two");

typedef struct StatusTable {
    StatusSlot slots[SLOTS_MAX];
} StatusTable;

/* One cache line a slot: workers never share one, and a service's counters travel together. */
typedef struct ActivitySlot {
    alignas(64) _Atomic uint64_t active; /* open exchanges, parked ones included */
    _Atomic uint64_t last_activity;      /* CLOCK_MONOTONIC µs of the last end of an exchange */
    _Atomic uint64_t requests;           /* exchanges begun */
    _Atomic uint64_t waiting;            /* of `active`, those that are parked */
} ActivitySlot;

/* What is written once an exchange, apart from what every request looks at: five cache lines. */
typedef struct ServiceCounters {
    alignas(64) _Atomic uint64_t n[_SERVICE_COUNTER_MAX];
} ServiceCounters;

/* What a worker counts that is no service's. */
typedef struct WorkerCounters {
    alignas(64) _Atomic uint64_t n[_WORKER_COUNTER_MAX];
} WorkerCounters;

typedef struct ActivityTable {
    WorkerCounters worker; /* first, in the page that the first slots are in */
    ActivitySlot slots[SLOTS_MAX];
    ServiceCounters counters[SLOTS_MAX]; /* by slot */
} ActivityTable;

/* Has this worker ever had to do with the slot's service? If not, all its counters are 0. */
static inline bool activity_slot_is_used(const ActivitySlot *s)
{
    return counter_read(&s->requests) > 0 || counter_read(&s->active) > 0 ||
           counter_read(&s->last_activity) > 0;
}

/* Manager: creates and maps the status table for writing; *ret_fd (the caller closes) can be mapped for
 * reading only. 0 or -errno. */
int status_table_new(StatusTable **ret, int *ret_fd);
/* Gateway: maps one that was received. Refuses (-EINVAL) what has the wrong size or lacks the seals. */
int status_table_map(int fd, const StatusTable **ret);
void status_table_unmap(const StatusTable *t);

/* Manager: creates one for a worker and maps it for reading; the descriptor (the caller closes) goes to the
 * worker. What is read there is a worker's word and may be anything. 0 or -errno. */
int activity_table_new(const ActivityTable **ret, int *ret_fd);
/* Gateway: maps the one received, for writing. 0, -EINVAL for the wrong size or seals, or -errno. */
int activity_table_map(int fd, ActivityTable **ret);
void activity_table_unmap(const ActivityTable *t);
