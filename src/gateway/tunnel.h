/* SPDX-License-Identifier: ISC */
#pragma once

/* A client's connection and one to a service, tied together: what comes in on one goes out on the other, as
 * it is. That is what becomes of an exchange whose two sides have agreed on another protocol, and of a relay.
 * Knows nothing of HTTP, and outlives both. */

#include "gateway/client.h"
#include "gateway/gate.h"
#include "gateway/upstream.h"
#include "gateway/way.h"

typedef struct Tunnel Tunnel;
typedef struct NapQueue NapQueue;

/* All tunnels of a worker. */
typedef struct Tunnels {
    Tunnel *all;
    size_t n;
    DeadlineQueue idle, stuck, closing;
    NapQueue *naps; /* one a span of webSocketIdle */
    Mover mover;
} Tunnels;

typedef struct TunnelEnds {
    Client *client;
    int fd;                  /* the client's, taken: the client has no other from then on */
    Upstream *upstream;      /* taken */
    Ticket *ticket;          /* open; moved */
    const char *to_upstream; /* bytes that the client has sent ahead */
    size_t n_to_upstream;
    char *to_client; /* bytes that the service has sent ahead; taken, NULL for none */
    size_t at_to_client, n_to_client;
    usec_t nap; /* webSocketIdle */
    char *log;  /* what the access log says of how it came about; taken, NULL: it is not logged */
    usec_t begun;
} TunnelEnds;

void tunnels_init(Tunnels *ts, struct Proxy *p);
/* Ends them all at once. */
void tunnels_done(Tunnels *ts);

/* Ties the ends together. From here on the client is the tunnel's, which frees it when it is over. Returns 0,
 * or -errno; then nothing was taken. */
int tunnel_new(struct Proxy *p, const TunnelEnds *ends);

/* Ends it in order: what was received is delivered, both sides are told that no more comes, and get some time
 * to take note. */
void tunnel_end(Tunnel *t);
void tunnels_end_all(Tunnels *ts);
