/* SPDX-License-Identifier: ISC */
#pragma once

/* The manager's door: accepts connections on its socket, gateways' and others', and keeps those that are
 * there. */

#include <systemd/sd-event.h>

#include "manager/activity.h"

typedef struct Manager Manager;
typedef struct Peer Peer;

/* Room for as many of those who look after services as for gateways: neither can lock the other out. */
#define PEERS_MAX (2 * GATEWAYS_MAX)

typedef struct Peers {
    Manager *manager;
    int listen_fd; /* borrowed */
    sd_event_source *accept, *pause;
    Peer *peers[PEERS_MAX];
    size_t n;
} Peers;

/* Begins to accept. Returns 0 or -errno. */
int peers_init(Peers *p, Manager *m, int listen_fd);
/* Lets nobody in any more; who is in stays, but nobody waits for a service any longer. */
void peers_close_door(Peers *p);
/* Answers those who wait until all services are offline, if they are. */
void peers_tell_if_offline(Peers *p);
/* Tells the gateways that there is another configuration to go over to. */
void peers_tell_changed(Peers *p);
/* The oldest generation that a gateway uses; UINT64_MAX: there is none. */
uint64_t peers_oldest_generation(const Peers *p);
/* Logs who does not use the newest one. */
void peers_log_laggards(const Peers *p);
/* The processes of the gateways that are attached, each once. Returns how many. */
size_t peers_gateways(const Peers *p, pid_t ret[static GATEWAYS_MAX]);
/* Ends all connections. */
void peers_done(Peers *p);
