/* SPDX-License-Identifier: ISC */
#pragma once

/* What a kind of backend fills in; struct Backend is the first member of its own object. The slots do what
 * backend.h says of the functions of their names; none is NULL. */

#include "backend/backend.h"

typedef struct BackendVTable {
    const char *name;
    bool ends_with_us; /* its processes are ours, and are ended when the manager ends */
    int (*start)(Backend *b, char **ret_why);
    void (*set_ready)(Backend *b);
    int (*stop)(Backend *b);
    int (*check)(Backend *b);
    bool (*has_process)(const Backend *b);
    pid_t (*main_pid)(const Backend *b);
    const char *(*unit)(const Backend *b);
    void (*usage)(Backend *b, ResourceUsage *ret); /* may be asked often: backend.c remembers */
    usec_t (*launched_at)(const Backend *b);
    void (*free)(Backend *b); /* with the memory */
} BackendVTable;

struct Backend {
    const BackendVTable *vtable;
    const BackendContext *context;
    const ServiceConfig *config;
    const BackendEvents *events;
    void *userdata;
    ResourceUsage usage;
    usec_t usage_at;   /* when it was read, 0 = never */
    char *runtime_dir; /* of the service's user, where it names one: /run/user/UID */
};

/* direct*.c: services of kind exec and commands, as children of ours. */
int backend_direct_new(const BackendContext *context, Backend **ret);
/* managed*.c: services that are units, when there is a service manager. */
int backend_managed_new(const BackendContext *context, const ServiceConfig *config, Backend **ret);
/* Logs what of it only a service manager can do; once a service is enough. */
void backend_direct_warn_ignored(const ServiceConfig *config);
