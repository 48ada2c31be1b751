/* SPDX-License-Identifier: ISC */
#pragma once

/* The API of whoever looks after services (ipc/bus.h), offered on one connection: a gateway's or dynapmctl's
 * private one, or a message bus. Only this folder's control-*.c see what is in it. */

#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "service/service.h"

typedef struct Manager Manager;
typedef struct Control Control;

/* Offers it on `bus`, which must outlive it and be attached to the manager's loop. `peer`: who is at the
 * other end of a private connection, as the kernel says; NULL: a message bus, with many callers, each of whom
 * is found out about. Returns 0 or -errno. */
int control_new(Manager *m, sd_bus *bus, const struct ucred *peer, Control **ret);
/* Whoever waits for an answer gets none. */
Control *control_free(Control *c);
DEFINE_CLEANUP(Control *, control_free)

/* May they change something who are at the other end of a private connection? */
bool control_may_change(const Control *c);

/* Each tells all who want to know. */
void controls_state_changed(
        Manager *m, const Service *s, ServiceState from, ServiceState to, const char *reason);
/* The same of the properties alone: the state is as it was. */
void controls_reason_changed(Manager *m, const Service *s);
void controls_service_new(Manager *m, const Service *s);
void controls_service_changed(Manager *m, const Service *s);
/* To be called while it still can be asked about. */
void controls_service_removed(Manager *m, const Service *s);
void controls_reloaded(Manager *m);
