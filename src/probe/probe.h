/* SPDX-License-Identifier: ISC */
#pragma once

/* Is the service ready? One object a service; behind it tcp, http, command and none, each a vtable chosen at
 * creation. Never blocks: attempts are non-blocking sockets and children, on the loop given.
 */

#include <systemd/sd-event.h>

#include "config/config.h"
#include "util/command.h"

typedef struct Probe Probe;

/* r = 0: ready. r < 0 (PROBE_ONCE only): not ready, `why` says it in a few words ("connection refused",
 * "status 503, expected 200"). May start the probe again or free it. */
typedef void (*ProbeDone)(Probe *p, int r, const char *why, void *userdata);

typedef enum ProbeMode {
    PROBE_UNTIL_READY, /* retries until ready or stopped, the caller has the time limit: the pause after an
                        * attempt is 1/32 of the time since probe_start(), after 100 ms 1/16, at least 250 µs,
                        * at most the health check's interval (100 ms) */
    PROBE_ONCE,        /* one attempt */
} ProbeMode;

/* What all probes share; all of it is borrowed. */
typedef struct ProbeContext {
    sd_event *event;
    const CommandRunner *commands; /* who runs commands */
    ProcessSpec command;           /* as what: all but the command line, and that its output is dropped */
} ProbeContext;

/* `config` must outlive the probe, `context` is copied. Commands run as `config` says (cwd, env, user).
 * Returns 0 or -errno. */
int probe_new(const ProbeContext *context, const ServiceConfig *config, ProbeDone done, void *userdata,
        Probe **ret);
Probe *probe_free(Probe *p);
DEFINE_CLEANUP(Probe *, probe_free)

/* Begins; the first attempt is made before it returns, `done` is only ever called from the loop. Restarts a
 * probe that runs. Returns 0, or -errno when not even a timer is to be had; an attempt that cannot be made
 * counts as one that failed. */
int probe_start(Probe *p, ProbeMode mode);
void probe_stop(Probe *p);

/* What the last attempt met ("connection refused"), for the message of a start that timed out; never NULL. */
const char *probe_last_error(const Probe *p);
