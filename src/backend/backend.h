/* SPDX-License-Identifier: ISC */
#pragma once

/* How a service is started and stopped. One object a service; the vtable is chosen at creation by the
 * service's kind and by what the machine offers. All calls are asynchronous; results arrive through
 * BackendEvents, only ever from the loop. */

#include <systemd/sd-event.h>

#include "backend/environment-file.h"
#include "backend/usage.h"
#include "config/config.h"
#include "util/command.h"

typedef struct Backend Backend;

/* Each may call back into the backend, and may free it. */
typedef struct BackendEvents {
    /* After a start that returned BACKEND_WILL_TELL: from now on it makes sense to ask whether it is ready;
     * or its service manager says that it is. */
    void (*launched)(Backend *b, bool ready, void *userdata);
    /* It was down, and has been started by somebody else; `why` is for the log. It is up from now on. */
    void (*appeared)(Backend *b, const char *why, void *userdata);
    /* A start that cannot succeed any more (exited with a status, killed by a signal); `why` is a sentence
     * part such as "exited with status 1". Nothing of it runs any more. */
    void (*start_failed)(Backend *b, const char *why, void *userdata);
    /* A service that was up has ended by itself: its last known process is gone. */
    void (*exited)(Backend *b, const char *why, void *userdata);
    /* A stop has finished; nothing of the service runs any more. `why` says how it went: "stopped", "killed
     * after 30s", … */
    void (*stopped)(Backend *b, const char *why, void *userdata);
    /* Answer to backend_check(). If it runs, it is up from now on. */
    void (*checked)(Backend *b, bool running, void *userdata);
} BackendEvents;

typedef struct BackendContext {
    sd_event *event;
    Children *children;            /* borrowed: who reaps; one a process */
    const CommandRunner *commands; /* borrowed: who runs stop and check commands */
    int state_dir_fd; /* borrowed; a folder of ours where direct children are remembered across a crash
                         of the manager, a file NAME each; -EBADF = do not remember */
    const EnvironmentFiles *environments; /* borrowed; of services that are units */
    SessionTable *sessions;               /* borrowed; what children of ours use; NULL = is not known */
    const char *self; /* borrowed; the path of a program that takes --exec-variable=, dynapm-manager(8) */
    struct Systemd *systemd;  /* borrowed; the service manager, NULL where there is none: then services are
                                 children of ours */
    const char *default_user; /* for services without `user`, when we are root under the system manager; NULL
                                 = as ourselves */
} BackendContext;

/* Creates the backend for config->kind. `context` and `config` must outlive it. Returns 0, -EOPNOTSUPP for a
 * kind this build cannot run (then *ret_why, static, is a clear sentence), or -errno. */
int backend_new(const BackendContext *context, const ServiceConfig *config, const BackendEvents *events,
        void *userdata, Backend **ret, const char **ret_why);
/* Frees the object; processes that run are left alone (but for a stop or check command of ours). */
Backend *backend_free(Backend *b);
DEFINE_CLEANUP(Backend *, backend_free)

const char *backend_name(const Backend *b); /* "direct", "transient", "unit" */
/* A command of the service's own, as its user and in its surroundings; borrowed. */
ProcessSpec backend_spec(const Backend *b, const char *const *argv);
/* Are its processes ours, to be ended when we end? */
bool backend_ends_with_us(const Backend *b);

#define BACKEND_WILL_TELL 1

/* Starts the service. 0: under way; the service's readiness is for a probe to find. BACKEND_WILL_TELL:
 * `launched` or `start_failed` follows, as soon as the service manager can be reached. On -errno nothing was
 * started; *ret_why (fresh memory, the caller frees; may be NULL) says why in a sentence part: "cannot
 * execute /usr/bin/nod: No such file or directory". -EBUSY while something of it runs. */
int backend_start(Backend *b, char **ret_why);

/* The service was found ready: from now on its end is `exited`, no longer `start_failed`. */
void backend_set_ready(Backend *b);

/* Stops it: the stop command if there is one, then TERM to the whole group, then KILL at stop_timeout,
 * counted from now. `stopped` follows always, also when nothing runs. Legal at any time; ends a start or a
 * check, of which nothing more is reported. */
int backend_stop(Backend *b);

/* Does it run? Looks for processes remembered from before a crash of ours (and takes them over), then asks
 * the check command if there is one, for at most the health check's timeout. `checked` follows always. -EBUSY
 * when it was started already. */
int backend_check(Backend *b);

/* Is there a process of it that we know of? A service whose start command has gone to the background
 * somewhere else is not known. */
bool backend_has_process(const Backend *b);
/* Main process, 0 if none is known. */
pid_t backend_main_pid(const Backend *b);
/* The unit that it is for the service manager, NULL: it is none. */
const char *backend_unit(const Backend *b);
/* What its processes use now, unknown where there are none; no older than USAGE_MAX_AGE. Reads from /proc and
 * cgroupfs: to be asked only when somebody wants to know. */
void backend_usage(Backend *b, ResourceUsage *ret);
/* When the last start had done its own part: when its process was executed, or, from then on, when the start
 * command returned. CLOCK_MONOTONIC µs, 0 = never. */
usec_t backend_launched_at(const Backend *b);
