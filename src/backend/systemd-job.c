/* SPDX-License-Identifier: ISC */

/* Jobs: asked for, followed to their end, asked for again where the service manager went away in between.
 * What counts is the job's result, which JobRemoved tells after every change of the unit itself.
 *
 * Invariant: job.kind is JOB_NONE exactly when nothing is wanted; job.path is only known between the reply to
 * our call and the job's end. */

#include <signal.h>
#include <stdio.h>

#include "backend/systemd-internal.h"
#include "util/log.h"

#define ERROR_UNIT_EXISTS "org.freedesktop.systemd1.UnitExists"
#define ERROR_NO_SUCH_UNIT "org.freedesktop.systemd1.NoSuchUnit"
#define RETRIES_MAX 8

void job_unsend(Unit *u)
{
    u->job.call = sd_bus_slot_unref(u->job.call);
    u->job.path = mfree(u->job.path);
    u->job.awaits_removal = false;
}

void job_clear(Unit *u)
{
    job_unsend(u);
    u->job = (Job){};
}

/* May free the unit: comes last. */
static void job_done(Unit *u, int r, const char *why)
{
    job_clear(u);
    u->events->job_done(u, r, why, u->userdata);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error);

static int call_for_job(Unit *u, const char *member)
{
    return systemd_call(u->systemd, &u->job.call, SYSTEMD_PATH, SYSTEMD_MANAGER, member, on_reply, u, "ss",
            u->name, "replace");
}

static int start_transient(Unit *u)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    sd_bus *bus = u->systemd->bus;
    int r;

    if ((r = sd_bus_message_new_method_call(
                 bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit")) < 0 ||
            (r = sd_bus_message_append(m, "ss", u->name, "replace")) < 0 ||
            (r = transient_spec_append(m, u->job.spec)) < 0 ||
            (r = sd_bus_message_append(m, "a(sa(sv))", 0)) < 0)
        return r;
    u->job.call = sd_bus_slot_unref(u->job.call);
    return sd_bus_call_async(bus, &u->job.call, m, on_reply, u, UINT64_MAX); /* as in systemd_call() */
}

void job_send(Unit *u)
{
    int r = 0;

    if (!u->systemd->bus || u->status.state == UNIT_UNKNOWN || u->job.path)
        return;
    u->job.awaits_removal = false;
    switch (u->job.kind) {
    case JOB_NONE:
        return;
    case JOB_START:
        r = call_for_job(u, "StartUnit");
        break;
    case JOB_RESTART:
        r = call_for_job(u, "RestartUnit");
        break;
    case JOB_STOP:
        r = call_for_job(u, "StopUnit");
        break;
    case JOB_START_TRANSIENT:
        r = start_transient(u);
        break;
    }
    /* A connection that is breaking tells so in its turn, and then this is sent again; what else can fail is
     * memory, and then this waits for the caller's time limit. */
    if (r < 0)
        log_error_errno(r, "Cannot ask the service manager for %s: %m", u->name);
}

static void stop_unheard(Unit *u)
{
    if (u->systemd->bus)
        (void) systemd_call(u->systemd, NULL, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit", NULL, NULL, "ss",
                u->name, "replace");
}

static int on_existing(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* The name is taken: by one like it that is ending, or is kept loaded by others that refer to it, or has
 * started before the service manager's answer got lost; or by a unit file of somebody else's. */
static void look_at_existing(Unit *u)
{
    u->job.call = sd_bus_slot_unref(u->job.call);
    int r = systemd_get_all(u, &u->job.call, SYSTEMD_UNIT, on_existing);
    if (r < 0)
        log_error_errno(r, "Cannot ask the service manager about %s: %m", u->name);
}

/* It has changed under our hands. Nobody's doing can have us go on with that for ever. */
static void try_again(Unit *u)
{
    u->job.kind = JOB_START_TRANSIENT;
    if (++u->job.n_retries > RETRIES_MAX)
        job_done(u, -EEXIST, "a unit of its name comes and goes");
    else
        job_send(u);
}

typedef struct Existing {
    UnitState state;
    bool transient, loaded;
} Existing;

static int read_existing(sd_bus_message *m, Existing *ret)
{
    Existing e = {};
    const char *key, *text;
    int r, b;

    r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        if ((r = sd_bus_message_read(m, "s", &key)) < 0)
            return r;
        if (streq(key, "ActiveState")) {
            if ((r = sd_bus_message_read(m, "v", "s", &text)) > 0)
                e.state = unit_state_from_string(text);
        } else if (streq(key, "LoadState")) {
            if ((r = sd_bus_message_read(m, "v", "s", &text)) > 0)
                e.loaded = !streq(text, "not-found");
        } else if (streq(key, "Transient")) {
            if ((r = sd_bus_message_read(m, "v", "b", &b)) > 0)
                e.transient = b;
        } else
            r = sd_bus_message_skip(m, "v");
        if (r < 0 || (r = sd_bus_message_exit_container(m)) < 0)
            return r;
    }
    if (r >= 0)
        *ret = e;
    return r;
}

static int on_existing(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Unit *u = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    Existing x = {};

    u->job.call = sd_bus_slot_unref(u->job.call);
    if (e && bus_error_is_loss(e))
        return 0; /* asked again */
    int r = e ? -sd_bus_error_get_errno(e) : read_existing(m, &x);
    if (r < 0) {
        job_done(u, r, e && e->message ? e->message : "the service manager gave no sensible answer");
        return 0;
    }
    if (!x.loaded) /* gone meanwhile */
        try_again(u);
    else if (!x.transient)
        job_done(u, -EEXIST, "there is a unit file of that name, which is not of dynapm's making");
    else if (x.state == UNIT_DEACTIVATING)
        u->job.awaits_removal = true; /* job_on_unit_gone() follows; how long that may take the caller says */
    else if (u->job.anew && x.state == UNIT_ACTIVE) {
        u->job.anew = false;
        u->job.awaits_removal = true;
        stop_unheard(u);
    } else {
        u->status.transient = true;
        u->job.kind = JOB_START;
        job_send(u);
    }
    return 0;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Unit *u = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    const char *path;

    u->job.call = sd_bus_slot_unref(u->job.call);
    if (!e) {
        if (u->job.kind == JOB_START_TRANSIENT)
            u->status.transient = true;
        if (sd_bus_message_read(m, "o", &path) < 0 || !(u->job.path = strdup(path)))
            job_done(u, -EBADMSG, "the service manager gave no sensible answer");
        else
            u->events->job_begun(u, u->userdata);
    } else if (bus_error_is_loss(e))
        log_debug("The service manager is gone: %s is asked for again when it is back.", u->name);
    else if (u->job.kind == JOB_START_TRANSIENT && streq(e->name, ERROR_UNIT_EXISTS))
        look_at_existing(u);
    else if (u->job.kind == JOB_START && u->job.spec && streq(e->name, ERROR_NO_SUCH_UNIT))
        try_again(u); /* gone after it was looked at */
    else if (u->job.kind == JOB_STOP && streq(e->name, ERROR_NO_SUCH_UNIT))
        job_done(u, 0, NULL);
    else
        job_done(u, -MAX(sd_bus_error_get_errno(e), 1), e->message ?: e->name);
    return 0;
}

void job_on_removed(Unit *u, const char *path, const char *result)
{
    char buf[UNIT_END_STRING_MAX];

    if (!u->job.path || !streq(u->job.path, path))
        return;
    const char *why = job_result_format(buf, result, u);
    job_done(u, !why ? 0 : streq(result, "canceled") ? -ECANCELED : -EPROTO, why);
}

void job_on_unit_gone(Unit *u)
{
    if (!u->job.awaits_removal)
        return;
    u->job.awaits_removal = false;
    job_send(u);
}

static void job_begin(Unit *u, Job job)
{
    job_clear(u);
    u->job = job;
    job_send(u);
}

void unit_start(Unit *u)
{
    job_begin(u, (Job){.kind = JOB_START});
}

void unit_restart(Unit *u)
{
    job_begin(u, (Job){.kind = JOB_RESTART});
}

void unit_stop(Unit *u)
{
    job_begin(u, (Job){.kind = JOB_STOP});
}

void unit_start_transient(Unit *u, const TransientSpec *spec, bool anew)
{
    job_begin(u, (Job){.kind = JOB_START_TRANSIENT, .spec = spec, .anew = anew});
}

void unit_discard(Unit *u)
{
    job_clear(u);
    stop_unheard(u);
}

bool unit_has_job(const Unit *u)
{
    return u->job.kind != JOB_NONE;
}

void unit_kill(Unit *u, int signal)
{
    if (u->systemd->bus)
        (void) systemd_call(u->systemd, NULL, SYSTEMD_PATH, SYSTEMD_MANAGER, "KillUnit", NULL, NULL, "ssi",
                u->name, "all", (int32_t) signal);
}
