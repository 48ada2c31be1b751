/* SPDX-License-Identifier: ISC */
#pragma once

/* The data path's parts, put together by worker.c and handed to each client and exchange. */

#include "gateway/client.h"
#include "gateway/deadline.h"
#include "gateway/gate.h"
#include "gateway/poller.h"
#include "gateway/server.h"
#include "gateway/tunnel.h"
#include "gateway/upstream.h"
#include "wire/field.h"

#define SCRATCH_SIZE (128 * 1024)

typedef struct Proxy {
    sd_event *event;
    Poller poller;
    Deadlines deadlines;
    Server *server;
    Clients clients;
    Tunnels tunnels;
    Gates *gates;
    Upstreams *upstreams;
    RouteImage *routes;
    struct AdminApi *admin;
    WorkerCounters *counters; /* in the activity table; NULL before the first, when there are no clients */

    /* One queue a kind of wait; spans from the route image's settings. */
    DeadlineQueue body_total, body_idle, first_byte, upstream_idle, client_write, backlog, admission, go_on;

    size_t max_clients; /* for whom, and for the services they ask for, there are descriptors */

    bool draining; /* no new request on any connection: each answer closes its own */

    /* For the length of one callback: nothing in here outlives it. */
    char scratch[SCRATCH_SIZE];
} Proxy;

/* Counts what belongs to no service, or not yet. */
static inline void proxy_count(const Proxy *p, WorkerCounter counter, uint64_t n)
{
    if (likely(p->counters))
        counter_add(&p->counters->n[counter], n);
}
