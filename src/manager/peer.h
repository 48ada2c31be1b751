/* SPDX-License-Identifier: ISC */
#pragma once

/* A private connection. Of a gateway's worker: what it was given when it attached, and the wakes it waits
 * for. Of whoever looks after services: nothing but the API of control.h, which all of them have. */

#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "manager/manager.h"

typedef struct Peer Peer;

/* Takes `fd`, a connection just accepted of `who`, in any case. `gone` is called when the other side has left
 * or is not to be borne any longer; it frees the peer. Returns 0 or -errno. */
int peer_new(Manager *m, int fd, const struct ucred *who, void (*gone)(Peer *p, void *userdata),
        void *userdata, Peer **ret);
/* Wakes that wait are forgotten, its activity is counted out. */
Peer *peer_free(Peer *p);
DEFINE_CLEANUP(Peer *, peer_free)

/* Answers all that wait for something: the manager is shutting down. */
void peer_refuse_waiting(Peer *p);
/* Does it wait until all services are offline? Tells it that they are. */
bool peer_awaits_offline(const Peer *p);
void peer_tell_offline(Peer *p);

/* Tells a gateway that there is another configuration, unless it has been told and has not asked yet. */
void peer_tell_changed(Peer *p);
/* That it uses; UINT64_MAX: it is no gateway. */
uint64_t peer_generation(const Peer *p);
pid_t peer_pid(const Peer *p);

/* ── what the other side asks for; manager-bus.c has read the arguments ── */

/* Replies are written by the caller: *ret stays the manager's, *ret_activity_fd is the caller's to close. */
int peer_attach(Peer *p, uint32_t version, bool main_listeners, const Publication **ret, int *ret_activity_fd,
        sd_bus_error *error);
/* Sockets of the image from the first-th on, BUS_LISTENERS_MAX at most. */
int peer_listeners(Peer *p, uint32_t first, const int **ret, size_t *ret_n, sd_bus_error *error);
/* As of Attach, of the configuration that holds now. */
int peer_update(Peer *p, uint64_t *ret_generation, const Publication **ret, sd_bus_error *error);
/* It uses the configuration of that generation from now on; `problem` "" or why it does not. */
void peer_updated(Peer *p, uint64_t generation, const char *problem);
/* A socket from before; borrowed. */
void peer_offer(Peer *p, int fd);
/* One that it has from whoever started it; borrowed. */
void peer_lend(Peer *p, int fd);
/* Answers `call` when the service is awake or cannot be. */
int peer_wake(Peer *p, sd_bus_message *call, uint32_t slot, uint32_t dead_epoch, const char *reason,
        sd_bus_error *error);
void peer_idle(Peer *p, uint32_t slot);
/* Answers `call` when all services are offline. */
int peer_await_offline(Peer *p, sd_bus_message *call, sd_bus_error *error);

Manager *peer_manager(const Peer *p);
