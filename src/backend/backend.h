/* SPDX-License-Identifier: ISC */
#pragma once

/* How a service is started and stopped. One object a service; the vtable is chosen at creation by the
 * service's kind and by what the machine offers. All calls are asynchronous; results arrive through
 * BackendEvents, only ever from the loop. */

#include <systemd/sd-event.h>

#include "config/config.h"

typedef struct Backend Backend;

typedef struct BackendEvents {
    /* A start that cannot succeed any more (exec failed, exited with a status, killed by a signal); `why` is
     * a sentence part such as "exited with status 1" or "cannot execute /usr/bin/nod: No such file or
     * directory". Nothing of it runs any more. */
    void (*start_failed)(Backend *b, const char *why, void *userdata);
    /* A service that was up has ended by itself: its last known process is gone. */
    void (*exited)(Backend *b, const char *why, void *userdata);
    /* A stop has finished; nothing of the service runs any more. `why` says how it went: "stopped", "killed
     * after 30s", … */
    void (*stopped)(Backend *b, const char *why, void *userdata);
    /* Answer to backend_check(). */
    void (*checked)(Backend *b, bool running, void *userdata);
} BackendEvents;

/* Where direct children are remembered across a crash of the manager: a folder of ours, "NAME" → "PID
 * STARTTIME". */
typedef struct BackendContext {
    sd_event *event;
    int state_dir_fd;         /* borrowed; -EBADF = do not remember */
    const char *default_user; /* for services without `user`, when we are root under the system manager; NULL
                                 = as ourselves */
} BackendContext;

/* Creates the backend for config->kind. `context` and `config` must outlive it. Returns 0, -EOPNOTSUPP for a
 * kind this build cannot run (then *ret_why, static, is a clear sentence), or -errno. */
int backend_new(const BackendContext *context, const ServiceConfig *config, const BackendEvents *events,
        void *userdata, Backend **ret, const char **ret_why);
/* Frees the object; processes that run are left alone. */
Backend *backend_free(Backend *b);
DEFINE_CLEANUP(Backend *, backend_free)

const char *backend_name(const Backend *b); /* "direct", … */

/* Starts the service. 0: under way; the service's readiness is for a probe to find. On -errno nothing was
 * started; *ret_why (fresh memory, the caller frees; may be NULL) says why in a sentence part. */
int backend_start(Backend *b, char **ret_why);

/* Stops it: the stop command if there is one, then TERM to the whole group, then KILL at stop_timeout.
 * `stopped` follows always, also when nothing runs. Legal at any time; also ends a start. */
int backend_stop(Backend *b);

/* Does it run? Looks for processes remembered from before a crash of ours (and takes them over), then asks
 * the check command if there is one. `checked` follows always. */
int backend_check(Backend *b);

/* Is there a process of it that we know of? A service whose start command has gone to the background
 * somewhere else is not known. */
bool backend_has_process(const Backend *b);
/* Main process, 0 if none is known. */
pid_t backend_main_pid(const Backend *b);
