/* SPDX-License-Identifier: ISC */
#pragma once

/* The process that was started: it is the one worker itself, or keeps several; and with --standalone it keeps
 * a manager. */

#include "util/address.h"
#include "util/time-util.h"

typedef struct GatewayOptions {
    bool standalone;
    bool user;
    unsigned n_workers;
    SocketAddress *listen;
    size_t n_listen;
    char **config_dirs; /* NULL-terminated */
    const char *config;
    const char *runtime_dir;
    usec_t drain_time, exit_idle_time; /* USEC_INFINITY: never */
    bool own_sockets;                  /* with `worker`: nobody accepts from the passed sockets after us */
    bool worker; /* this is one of several, started by a supervisor: serve and do nothing else */
} GatewayOptions;

/* Runs the gateway. Returns the exit status. */
int gateway_run(const GatewayOptions *options);

/* The manager's program: $DYNAPM_MANAGER, else the one beside our own, else the installed one. Fresh memory.
 */
char *manager_program(void);
