/* SPDX-License-Identifier: ISC */
#pragma once

/* The services as the manager tells of them, BUS_SERVICE_INTERFACE. */

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#include "ctl/ctl.h"
#include "util/time-util.h"

typedef struct Route {
    char *where, *target;
} Route;

typedef struct ServiceInfo {
    char *name, *file, *kind, *unit, *backend;
    char *state, *state_reason, *failure, *last_wake_reason;
    /* CLOCK_REALTIME µs; 0 = never, UINT64_MAX = not by what is known */
    uint64_t since, retry_at, last_activity, idle_deadline;
    uint64_t idle_timeout, start_timeout, stop_timeout, uptime, last_start; /* µs */
    uint64_t active, waiting, requests, n_starts;
    uint64_t received, sent; /* bytes */
    uint64_t memory, cpu;    /* bytes, ns; UINT64_MAX = not known */
    uint64_t asleep;         /* µs */
    uint32_t main_pid;
    Route *routes;
    size_t n_routes;
} ServiceInfo;

typedef struct Services {
    ServiceInfo *items; /* sorted by name */
    size_t n;
} Services;

/* Asks the manager for all of them. 0, or -errno and it has said why not. */
int services_fetch(sd_bus *bus, Services *ret);
void services_done(Services *s);
/* From the answer to GetManagedObjects. 0 or -errno. */
int services_read(sd_bus_message *m, Services *ret);

/* NULL: there is none of that name. */
const ServiceInfo *services_find(const Services *s, const char *name);
/* Says that there is no such service, and which one may be meant. */
void services_say_unknown(const Services *s, const char *name);

/* As one of the objects that --json prints; NULL: out of memory. */
json_object *service_to_json(const ServiceInfo *s);
/* Prints it and takes it. */
int ctl_print_json(json_object *o);
