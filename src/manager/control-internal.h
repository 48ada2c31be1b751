/* SPDX-License-Identifier: ISC */
#pragma once

/* Between control.c (connections and signals), access.c (who may), calls.c (answers that take time), and
 * those that are D-Bus and nothing else: control-manager.c, control-service.c, control-counts.c,
 * control-admin.c. */

#include "manager/control.h"
#include "manager/manager.h"

/* What one connection may have under way, each. */
#define CALLS_MAX 256U

struct Control {
    Manager *manager;
    Control *prev, *next; /* in the manager's list */
    sd_bus *bus;
    bool is_private;   /* `peer` is who calls, and nobody else can */
    struct ucred peer; /* of a private one */
    bool subscribed;   /* a private one wants signals */
    sd_bus_slot *manager_methods, *admin_methods, *services, *counted, *enumerator, *objects;
    struct Call *calls; /* that wait for an operation */
    unsigned n_calls;
    struct ReloadCall *reload_calls; /* that wait for the gateways */
    struct Inquiry *inquiries;       /* calls of which it is being found out whether they may */
    unsigned n_inquiries;
    struct ServiceView *view;  /* scratch of control-service.c */
    struct CountsView *counts; /* and of control-counts.c */
};

/* ── access.c ── */

typedef struct Caller {
    uid_t uid;
    pid_t pid;          /* 0: not known */
    const char *client; /* of the admin API, for whom the connection's owner calls; else NULL */
} Caller;

/* Does what was called; an sd-bus method handler with the caller found out. */
typedef int (*AccessThen)(Control *c, sd_bus_message *m, const Caller *caller, sd_bus_error *error);

/* Calls `then`, now or later, if the caller may; answers with an error if not. `action`: polkit's name for
 * it, static. As sd-bus wants it from a method's handler: returns 1, or < 0 and the error. */
int access_require(Control *c, sd_bus_message *m, const char *action, AccessThen then, sd_bus_error *error);
/* Forgets all that is being found out. */
void access_forget(Control *c);

/* ── calls.c ── */

/* Begins an operation on the service that the call names, and answers when it is through. */
int call_begin(Control *c, sd_bus_message *m, OperationKind kind, const Caller *caller, sd_bus_error *error);
void calls_forget(Control *c);

/* What the log says about it: "reload by hand: user 1000, process 4711". */
void call_describe(char *buf, size_t size, const char *verb, const Caller *caller);

/* ── control-reload.c ── */

/* Appends a configuration's problems, a(suuss). */
int control_append_problems(sd_bus_message *reply, const Config *config);
/* An AccessThen: answers when the gateways use it. */
int reload_call_begin(Control *c, sd_bus_message *m, const Caller *caller, sd_bus_error *error);
void reload_calls_forget(Control *c);

/* ── the interfaces ── */

int control_manager_register(Control *c);
/* On a private connection. */
int control_admin_register(Control *c);
int control_service_register(Control *c);
int control_counts_register(Control *c);
/* Whose object it is: returns 1 and the service, 0 when there is none, or -errno. */
int control_service_find(const Control *c, const char *path, Service **ret);
/* BUS_MANAGER_INTERFACE's Sample. */
int control_method_sample(sd_bus_message *m, void *userdata, sd_bus_error *error);
/* The object of a service, fresh memory that the caller frees; NULL: out of memory. */
char *control_service_path(const Service *s);
/* Tells the connection of the properties that go with a state. */
int control_service_emit(Control *c, const char *path);

/* The same for those that go with a definition. */
int control_service_emit_definition(Control *c, const char *path);

/* A moment of CLOCK_MONOTONIC as one of CLOCK_REALTIME; 0 and USEC_INFINITY stay. */
usec_t control_realtime(usec_t monotonic);
