/* SPDX-License-Identifier: ISC */
#pragma once

/* The service manager, systemd's PID 1 or a user's, as dynapm sees it: units that are followed, and jobs that
 * are asked for. See org.freedesktop.systemd1(5). The only door to it: systemd*.c talk to it and nobody else.
 *
 * Nothing blocks. What is asked for while the service manager cannot be reached (it or its bus is being
 * restarted) is asked again as soon as it can be: its calls are such that asking twice does no harm. */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "config/config.h"
#include "util/bus-link.h"

typedef struct Systemd Systemd;
typedef struct Unit Unit;

typedef enum UnitState {
    UNIT_UNKNOWN, /* not asked yet */
    UNIT_INACTIVE,
    UNIT_ACTIVATING, /* also: waits to be restarted, Restart= */
    UNIT_ACTIVE,     /* also while reloading */
    UNIT_DEACTIVATING,
    UNIT_FAILED, /* like inactive */
} UnitState;

/* A property Result of org.freedesktop.systemd1.Service. */
typedef enum UnitResult {
    UNIT_SUCCESS,
    UNIT_RESOURCES,
    UNIT_PROTOCOL,
    UNIT_TIMEOUT,
    UNIT_EXIT_CODE,
    UNIT_SIGNAL,
    UNIT_CORE_DUMP,
    UNIT_WATCHDOG,
    UNIT_START_LIMIT,
    UNIT_OOM_KILL,
    UNIT_EXEC_CONDITION,
    _UNIT_RESULT_MAX,
    _UNIT_RESULT_INVALID = -EINVAL,
} UnitResult;
DECLARE_STRING_TABLE(unit_result, UnitResult)

typedef struct UnitStatus {
    UnitState state;
    bool exited;           /* active, but its main process has ended: RemainAfterExit=yes */
    bool notifies;         /* of a Type whose finished start job is readiness: notify, notify-reload, dbus */
    bool condition_failed; /* when last started */
    bool transient;        /* somebody has made it by a call, not by a file */
    UnitResult result;
    pid_t main_pid; /* 0: none */
    int exit_code,
            exit_status; /* of its main process, si_code and si_status of waitid(2); 0, 0: none ended */
} UnitStatus;

/* All from the loop only; each may free the unit. */
typedef struct UnitEvents {
    /* The status is another one, or known for the first time. */
    void (*changed)(Unit *u, void *userdata);
    /* The job that was asked for is under way. */
    void (*job_begun)(Unit *u, void *userdata);
    /* It has ended: r = 0 well, -ECANCELED somebody else has replaced it by another one, other -errno badly;
     * then `why` is a sentence part that says so, "exited with status 1". The status is that after the job.
     */
    void (*job_done)(Unit *u, int r, const char *why, void *userdata);
} UnitEvents;

/* A unit of our own making. What it points to must stay until job_done. */
typedef struct TransientSpec {
    const char *description;
    const char *service; /* whose it is: identifier and field of its lines in the journal */
    const char *type;    /* systemd.service(5) Type= */
    const char *const *argv;
    const char *const *stop_argv; /* NULL: none */
    bool remain_after_exit;
    bool quiet;      /* its output is dropped */
    bool is_command; /* its exit status is an answer, no failure, and its coming and going is no news */
    const char *cwd, *user, *group; /* NULL: unset */
    const char *environment_file;   /* NULL: none */
    const UnitLimit *limits;
    size_t n_limits;
    usec_t start_timeout, stop_timeout;
} TransientSpec;

/* Follows the service manager at the other end of `link`, the bus of the system or of a `user`. Both are
 * borrowed. Returns 0 or -ENOMEM. */
int systemd_new(BusLink *link, Systemd **ret);
/* All units have been freed. */
Systemd *systemd_free(Systemd *s);
DEFINE_CLEANUP(Systemd *, systemd_free)

typedef enum UnitKind {
    UNIT_NAMED,     /* of unit files; the name may be an alias */
    UNIT_TRANSIENT, /* one that unit_start_transient() makes: has no aliases, is there only while it runs */
    UNIT_FRESH,     /* the same, of a name that nobody has used yet */
} UnitKind;

/* Follows a unit. `events` and `systemd` must outlive it. Returns 0 or -ENOMEM. */
int unit_new(Systemd *systemd, const char *name, UnitKind kind, const UnitEvents *events, void *userdata,
        Unit **ret);
/* The unit itself is left alone; of a job that is under way nothing more is heard. */
Unit *unit_free(Unit *u);
DEFINE_CLEANUP(Unit *, unit_free)

const char *unit_name(const Unit *u);
/* The name that the unit itself has, which is another one where unit_name() is an alias: that of its control
 * group. Fresh memory that the caller frees. NULL: not known yet, or out of memory. */
char *unit_own_name(const Unit *u);
const UnitStatus *unit_status(const Unit *u);

/* Each asks for a job; job_done follows always, unless another job is asked for before: then for that one
 * alone. Starting what is active, or stopping what is not, is fine. */
void unit_start(Unit *u);
void unit_restart(Unit *u);
void unit_stop(Unit *u);
/* One of that name that is active is joined or, with `anew`, stopped first. */
void unit_start_transient(Unit *u, const TransientSpec *spec, bool anew);

/* Is a job of ours under way? */
bool unit_has_job(const Unit *u);

/* Sends a signal to all its processes, best effort. */
void unit_kill(Unit *u, int signal);
/* Has it stopped, of which nothing is heard. */
void unit_discard(Unit *u);

/* Tells once which control group it has, "" for none: a path below the root of the hierarchy. The answer
 * belongs to the callback; a second question replaces the first. */
typedef void (*UnitControlGroup)(Unit *u, const char *path, void *userdata);
void unit_query_control_group(Unit *u, UnitControlGroup done);

#define UNIT_END_STRING_MAX 128
/* How it ended, as a sentence part: "exited with status 3", "killed by the kernel for want of memory". */
const char *unit_end_format(char buf[static UNIT_END_STRING_MAX], const UnitStatus *s);
