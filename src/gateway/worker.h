/* SPDX-License-Identifier: ISC */
#pragma once

/* One data path: a loop with everything that serves requests. A gateway is one of these, or several processes
 * of them. */

#include <systemd/sd-event.h>

#include "util/address.h"
#include "util/time-util.h"

typedef struct Worker Worker;

typedef struct WorkerOptions {
    SocketAddress manager; /* its socket */
    const int *listen_fds; /* sockets to accept from; taken */
    size_t n_listen_fds;   /* 0: those of the configuration */
    bool shared;           /* other workers accept from them as well */
    bool own_sockets;      /* nobody accepts from listen_fds after us */
    bool own_manager;      /* nobody accepts from what the manager gives after us either: it ends with us */
    usec_t exit_idle_time; /* USEC_INFINITY: never */
    usec_t drain_time;     /* for what is open at the end */
    /* It serves no more: 0 after worker_drain(), else 1, as it cannot work (logged). Must not free it. */
    void (*done)(int status, void *userdata);
    /* Nothing was open for exit_idle_time and all services are offline; or, with false, there is something
     * again.
     */
    void (*idle)(bool idle, void *userdata);
    /* exit_idle_time is of no use: that many listening sockets were not passed, and nobody would start us for
     * a connection to them. At each manager anew. */
    void (*stays)(size_t n_sockets, void *userdata);
    void *userdata;
} WorkerOptions;

/* Begins: connects to the manager, and serves as soon as that has said what. Returns 0 or -errno (logged). */
int worker_new(sd_event *event, const WorkerOptions *options, Worker **ret);
Worker *worker_free(Worker *w);
DEFINE_CLEANUP(Worker *, worker_free)

/* Takes no new connection, finishes what is open within drain_time, then is done; a second call makes it so
 * at once. */
void worker_drain(Worker *w);
