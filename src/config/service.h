/* SPDX-License-Identifier: ISC */
#pragma once

/* One service object: its keys, and how its parts become a ServiceConfig. */

#include "config/reader.h"

/* What a service has from where it stands. */
typedef struct ServicePlace {
    const char *name; /* its name where it has none of its own */
    /* In a whole DynaPM configuration only: */
    const char *host; /* its key, the hostname of a service without a route of its own; else NULL */
    const SocketAddress *listen; /* what ports without an address are on; NULL: all addresses */
} ServicePlace;

typedef enum LimitKey {
    LIMIT_MEMORY_MAX,
    LIMIT_MEMORY_HIGH,
    LIMIT_CPU_QUOTA,
    LIMIT_CPU_WEIGHT,
    LIMIT_IO_WEIGHT,
    LIMIT_TASKS_MAX,
    _LIMIT_KEY_MAX,
} LimitKey;

/* The object's members as they were found; what needs another one to be understood waits here for it. */
typedef struct ServiceDraft {
    Value object;
    Value name, host, hosts, port, path, strip_path, routes, base;
    Value unit, exec, commands, proxy_only, cwd, env, user, group, notify, limits[_LIMIT_KEY_MAX];
    Value health_check, accept_proxy_protocol, send_proxy_protocol;
    usec_t idle_timeout, web_socket_idle, start_timeout;
    usec_t stop_timeout; /* 0 = nothing was said */
} ServiceDraft;

extern const Key service_keys[];

/* Reads a service and adds it to the configuration, or adds problems. */
int service_read(Reader *r, const Value *v, const ServicePlace *place);

/* Is it [A-Za-z0-9._-]{1,64}? */
bool is_service_name(const char *s) _pure_;

/* ── the parts, each in a file of its own ── */

/* A route while its service is built. The array is made large enough at once: Values point into it. */
typedef struct RouteDraft {
    RouteConfig route;
    Value object; /* of `routes`, else nothing */
    Value where;  /* what a conflict points to; nothing: the same as an earlier one, to be left out */
} RouteDraft;

typedef struct RouteDrafts {
    RouteDraft *items;
    size_t n;
} RouteDrafts;
void route_drafts_done(RouteDrafts *d);

extern const Key route_keys[];
/* `base` NULL: none; whether it was refused or not given shows in `d`. At least one route comes back on
 * success. */
int routes_read(
        Reader *r, const ServiceDraft *d, const ServicePlace *place, const Endpoint *base, RouteDrafts *ret);

extern const Key health_check_keys[];
/* `v` may be no value: then it is tcp on `base`. `base` NULL: unknown, which is a problem already; the rest
 * is checked all the same. */
int health_check_read(Reader *r, const Value *v, const Endpoint *base, HealthCheckConfig *ret);

extern const Key command_keys[];
/* The limits, into `limits` and `n_limits`. */
int limits_read(Reader *r, const ServiceDraft *d, ServiceConfig *service);

/* Kind, commands, argv, unit, cwd, env, user, group, limits, notify. */
int run_read(Reader *r, const ServiceDraft *d, ServiceConfig *service);
