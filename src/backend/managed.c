/* SPDX-License-Identifier: ISC */

/* Services as units. What is asked for is a job, and the job's result decides; the unit's own changes count
 * only while no job of ours is under way: then they are somebody else's doing, or the service's.
 *
 * What an end means:
 *  - a unit, and exec: the unit is not active any more.
 *  - commands: a unit stays active when its start command has ended well. If that has left processes in its
 *    control group, these are the service until the last of them has ended; else the work was handed to a
 *    daemon (docker, pm2), of whose end nothing is seen here. */

#include "backend/managed.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>

#include "util/event.h"
#include "util/log.h"
#include "util/text.h"

/* Somebody else's unit that has the name of one of ours is none of our business. */
static bool is_up(const Managed *m)
{
    const UnitStatus *s = unit_status(m->unit);
    return s->state == UNIT_ACTIVE && (s->transient || !managed_is_transient(m));
}

static bool is_down(const UnitStatus *s)
{
    return s->state == UNIT_INACTIVE || s->state == UNIT_FAILED;
}

/* Is its readiness what its start job says? */
static bool job_is_readiness(const Managed *m)
{
    const ServiceConfig *config = m->base.config;
    bool notifies = managed_is_transient(m) ? config->notify : unit_status(m->unit)->notifies;
    return notifies && config->health_check.implied;
}

/* It is down. `failed`: then there is more to read about it elsewhere. */
static void went_down(Managed *m, const char *why, bool failed)
{
    Backend *b = &m->base;
    void (*report)(Backend * b, const char *why, void *userdata) =
            m->phase == MANAGED_STARTING ? b->events->start_failed : b->events->exited;
    char text[MANAGED_WHY_MAX];
    size_t n = strlen(why);

    m->phase = MANAGED_DOWN;
    m->cgroup = cgroup_watch_free(m->cgroup);
    if (failed)
        snprintf(text, sizeof text, "%.*s; see: %s %s", (int) (n > 0 && why[n - 1] == '.' ? n - 1 : n), why,
                managed_is_transient(m) ? "journalctl -u" : "systemctl status", unit_name(m->unit));
    else
        snprintf(text, sizeof text, "%s", why);
    report(b, text, b->userdata);
}

/* ── up without our doing, and what a check has found ── */

void managed_settle_later(Managed *m)
{
    (void) sd_event_source_set_enabled(m->settle, SD_EVENT_ONESHOT);
}

static void watch_leftovers(Managed *m);

static void finish_check(Managed *m, bool running)
{
    const UnitStatus *s = unit_status(m->unit);

    m->command = command_free(m->command);
    m->known = true;
    m->phase = running ? MANAGED_UP : MANAGED_DOWN;
    m->outside = running && is_down(s);
    if (running && s->exited)
        watch_leftovers(m);
    m->base.events->checked(&m->base, running, m->base.userdata);
}

static void on_check_command(Command *c, int r, const char *why, void *userdata)
{
    finish_check(userdata, r >= 0);
}

/* Called when the status may say whether it runs. One that is on its way up does not yet: it appears, or a
 * start of ours joins it, under our own time limit. */
static void check_status(Managed *m)
{
    const UnitStatus *s = unit_status(m->unit);
    const ServiceConfig *config = m->base.config;

    if (m->command || s->state == UNIT_UNKNOWN)
        return;
    if (managed_is_transient(m) && config->check_command && (is_down(s) || s->exited)) {
        const ProcessSpec spec = backend_spec(&m->base, SHELL_ARGV(config->check_command));
        _cleanup_free_ char *why = NULL;
        int r = command_new(m->base.context->commands, &spec, config->health_check.timeout, on_check_command,
                m, &m->command, &why);
        if (r >= 0)
            return;
        log_service_warning_errno(config->name, r, "The check command could not be run: %s", why ?: "?");
    }
    finish_check(m, is_up(m));
}

static int on_settle(sd_event_source *source, void *userdata)
{
    Managed *m = userdata;
    const UnitStatus *s = unit_status(m->unit);

    if (m->phase == MANAGED_CHECKING)
        check_status(m);
    else if (m->phase == MANAGED_DOWN && m->known && !unit_has_job(m->unit) && is_up(m)) {
        m->phase = MANAGED_UP;
        m->outside = false;
        m->launched_at = now_monotonic();
        if (s->exited)
            watch_leftovers(m);
        m->base.events->appeared(&m->base, "started by somebody else", m->base.userdata);
    }
    return 0;
}

static int managed_check(Backend *b)
{
    Managed *m = container_of(b, Managed, base);

    if (m->phase != MANAGED_DOWN)
        return -EBUSY;
    m->phase = MANAGED_CHECKING;
    managed_settle_later(m);
    return 0;
}

/* ── ends ── */

static void on_empty(CgroupWatch *w, void *userdata)
{
    Managed *m = userdata;

    m->cgroup = cgroup_watch_free(m->cgroup);
    if (m->phase != MANAGED_UP && m->phase != MANAGED_STARTING)
        return;
    unit_stop(m->unit); /* it would stay active for good */
    went_down(m, "its last process has ended", false);
}

static void on_control_group(Unit *u, const char *path, void *userdata)
{
    Managed *m = userdata;

    if (!*path || !unit_status(u)->exited || m->cgroup ||
            (m->phase != MANAGED_UP && m->phase != MANAGED_STARTING))
        return;
    int r = cgroup_watch_new(m->base.context->event, path, on_empty, m, &m->cgroup);
    if (r < 0 && r != -ESRCH && r != -EOPNOTSUPP)
        log_service_warning_errno(m->base.config->name, r, "Cannot watch what its start command left: %m");
}

/* The start command has ended: has it left processes behind? */
static void watch_leftovers(Managed *m)
{
    if (managed_is_transient(m) && !m->cgroup)
        unit_query_control_group(m->unit, on_control_group);
}

static void on_changed_while_up(Managed *m, const UnitStatus *s)
{
    char buf[UNIT_END_STRING_MAX];

    if (m->outside) {
        m->outside = is_down(s);
        return;
    }
    if (is_up(m) || s->state == UNIT_ACTIVATING) {
        if (s->exited)
            watch_leftovers(m);
        return;
    }
    /* Well ended, and not by itself. */
    bool by_hand = s->result == UNIT_SUCCESS && s->exit_code != CLD_EXITED;
    went_down(m, by_hand ? "stopped by somebody else" : unit_end_format(buf, s), s->result != UNIT_SUCCESS);
}

static void on_changed(Unit *u, void *userdata)
{
    Managed *m = userdata;
    const UnitStatus *s = unit_status(u);
    char buf[UNIT_END_STRING_MAX];

    switch (m->phase) {
    case MANAGED_CHECKING:
        check_status(m);
        break;
    case MANAGED_DOWN:
        if (is_up(m) && !unit_has_job(u))
            managed_settle_later(m);
        break;
    case MANAGED_STARTING:
        if (s->exited && is_up(m))
            watch_leftovers(m);
        if (!unit_has_job(u) && is_down(s))
            went_down(m, unit_end_format(buf, s), true);
        break;
    case MANAGED_UP:
        if (!unit_has_job(u))
            on_changed_while_up(m, s);
        break;
    case MANAGED_STOPPING:
        break;
    }
}

/* ── starting ── */

static void on_job_begun(Unit *u, void *userdata)
{
    Managed *m = userdata;

    if (m->phase == MANAGED_STARTING && !job_is_readiness(m))
        m->base.events->launched(&m->base, false, m->base.userdata);
}

static void on_job_done(Unit *u, int r, const char *why, void *userdata)
{
    Managed *m = userdata;

    switch (m->phase) {
    case MANAGED_STARTING:
    case MANAGED_UP: /* found ready before its job had ended */
        if (r < 0) {
            went_down(m, why, r != -ECANCELED);
            break;
        }
        m->launched_at = now_monotonic();
        if (m->phase == MANAGED_STARTING && job_is_readiness(m))
            m->base.events->launched(&m->base, true, m->base.userdata);
        break;
    case MANAGED_STOPPING:
        managed_stop_done(m, r, why);
        break;
    case MANAGED_DOWN: /* what was left has been cleared away */
        managed_settle_later(m);
        break;
    case MANAGED_CHECKING:
        check_status(m);
        break;
    }
}

static const UnitEvents unit_events = {
        .changed = on_changed, .job_begun = on_job_begun, .job_done = on_job_done};

static int write_environment(Managed *m, char **ret_why)
{
    const ServiceConfig *config = m->base.config;
    char text[ERROR_TEXT_MAX];

    if (!managed_is_transient(m) || (!config->env && !m->stop_variable && !m->base.runtime_dir))
        return 0;
    m->environment_file = mfree(m->environment_file);
    int r = environment_file_write(m->base.context->environments, config->name, m->base.runtime_dir,
            config->env, m->stop_variable, &m->environment_file);
    if (r < 0 && ret_why)
        *ret_why = text_format("its environment cannot be written down: %s", error_text(text, -r));
    m->spec.environment_file = m->environment_file;
    return r;
}

static int managed_start(Backend *b, char **ret_why)
{
    Managed *m = container_of(b, Managed, base);
    const UnitStatus *s = unit_status(m->unit);

    if (m->phase == MANAGED_CHECKING || m->phase == MANAGED_STOPPING) {
        if (ret_why)
            *ret_why = text_format("it still runs");
        return -EBUSY;
    }
    int r = write_environment(m, ret_why);
    if (r < 0)
        return r;
    m->known = true;
    m->phase = MANAGED_STARTING;
    m->outside = false;
    m->cgroup = cgroup_watch_free(m->cgroup);
    event_disarm(m->settle);
    m->launched_at = 0;
    /* Whoever starts one that is active knows that what matters of it has ended. */
    bool anew = is_up(m) && s->exited;
    if (managed_is_transient(m))
        unit_start_transient(m->unit, &m->spec, anew);
    else if (anew)
        unit_restart(m->unit);
    else
        unit_start(m->unit);
    return BACKEND_WILL_TELL;
}

static void managed_set_ready(Backend *b)
{
    Managed *m = container_of(b, Managed, base);

    if (m->phase == MANAGED_STARTING)
        m->phase = MANAGED_UP;
}

static bool managed_has_process(const Backend *b)
{
    const Managed *m = container_of(b, Managed, base);
    const UnitStatus *s = unit_status(m->unit);

    return m->cgroup || (!is_down(s) && !s->exited && s->state != UNIT_UNKNOWN);
}

static const char *managed_unit(const Backend *b)
{
    return unit_name(container_of(b, Managed, base)->unit);
}

static pid_t managed_main_pid(const Backend *b)
{
    return unit_status(container_of(b, Managed, base)->unit)->main_pid;
}

static void managed_usage(Backend *b, ResourceUsage *ret)
{
    Managed *m = container_of(b, Managed, base);
    pid_t pid = unit_status(m->unit)->main_pid;

    if (pid == 0 && m->cgroup)
        pid = cgroup_watch_member(m->cgroup);
    _cleanup_free_ char *name = pid > 0 ? unit_own_name(m->unit) : NULL;
    if (name)
        cgroup_files_read(&m->files, name, pid, ret);
}

static usec_t managed_launched_at(const Backend *b)
{
    return container_of(b, Managed, base)->launched_at;
}

/* ── life ── */

static void managed_free(Backend *b)
{
    Managed *m = container_of(b, Managed, base);

    command_free(m->command);
    cgroup_watch_free(m->cgroup);
    cgroup_files_done(&m->files);
    unit_free(m->unit);
    sd_event_source_disable_unref(m->limit);
    sd_event_source_disable_unref(m->settle);
    free(m->description);
    free(m->cwd);
    free(m->environment_file);
    free(m->stop_variable);
    free(m);
}

#define MANAGED_VTABLE(kind)                                                                                 \
    {                                                                                                        \
        .name = (kind), .start = managed_start, .set_ready = managed_set_ready, .stop = managed_stop,        \
        .check = managed_check, .has_process = managed_has_process, .main_pid = managed_main_pid,            \
        .unit = managed_unit, .usage = managed_usage, .launched_at = managed_launched_at,                    \
        .free = managed_free                                                                                 \
    }

static const BackendVTable unit_vtable = MANAGED_VTABLE("unit"),
                           transient_vtable = MANAGED_VTABLE("transient");

#define STOP_VARIABLE "DYNAPM_STOP_COMMAND"

/* A stop command is not an argument of its unit, but a variable of its environment: before systemd 255 a
 * dollar in an argument of a transient unit is something else after a daemon-reload. */
static int set_stop_command(Managed *m, const BackendContext *context, const ServiceConfig *config)
{
    if (!config->stop_command)
        return 0;
    m->stop_variable = text_format(STOP_VARIABLE "=%s", config->stop_command);
    if (!m->stop_variable)
        return -ENOMEM;
    m->stop_argv[0] = context->self;
    m->stop_argv[1] = "--exec-variable=" STOP_VARIABLE;
    m->spec.stop_argv = m->stop_argv;
    return 0;
}

static int set_spec(Managed *m, const BackendContext *context, const ServiceConfig *config)
{
    bool exec = config->kind == SERVICE_EXEC;

    m->description = text_format("%s, started by dynapm", config->name);
    if (!m->description)
        return -ENOMEM;
    /* The service manager takes no such path; where it cannot be resolved, it says so. */
    if (config->cwd && strstr(config->cwd, "/.."))
        m->cwd = realpath(config->cwd, NULL);
    memcpy(m->start_argv, SHELL_ARGV(config->start_command), sizeof m->start_argv);
    m->spec = (TransientSpec){
            .description = m->description,
            .service = config->name,
            .type = config->notify ? "notify" : "exec",
            .argv = exec ? (const char *const *) config->exec : m->start_argv,
            .remain_after_exit = !exec,
            .cwd = m->cwd ?: config->cwd ?: "/",
            .user = config->user ?: context->default_user,
            .group = config->group,
            .limits = config->limits,
            .n_limits = config->n_limits,
            .start_timeout = USEC_INFINITY, /* ours rules */
            .stop_timeout = config->stop_timeout,
    };
    return exec ? 0 : set_stop_command(m, context, config);
}

/* What a login sets, and without which systemctl --user and podman(1) find nothing of the user's. */
static int find_runtime_dir(Managed *m, const BackendContext *context, const ServiceConfig *config)
{
    /* May block, as looking up users does; a service is made when the configuration is read. */
    const struct passwd *pw = config->user && context->default_user ? getpwnam(config->user) : NULL;

    if (!pw)
        return 0;
    m->base.runtime_dir = text_format("/run/user/%u", (unsigned) pw->pw_uid);
    return m->base.runtime_dir ? 0 : -ENOMEM;
}

static int make_unit(Managed *m, const BackendContext *context, const ServiceConfig *config)
{
    if (config->kind == SERVICE_UNIT)
        return unit_new(context->systemd, config->unit, UNIT_NAMED, &unit_events, m, &m->unit);
    _cleanup_free_ char *name = text_format("dynapm-%s.service", config->name);
    int r = name ? set_spec(m, context, config) : -ENOMEM;
    if (r >= 0)
        r = find_runtime_dir(m, context, config);
    return r < 0 ? r : unit_new(context->systemd, name, UNIT_TRANSIENT, &unit_events, m, &m->unit);
}

int backend_managed_new(const BackendContext *context, const ServiceConfig *config, Backend **ret)
{
    Managed *m = new0(Managed, 1);
    if (!m)
        return -ENOMEM;
    m->base.vtable = config->kind == SERVICE_UNIT ? &unit_vtable : &transient_vtable;
    m->base.context = context;
    int r = managed_create_limit(m);
    if (r >= 0)
        r = sd_event_add_defer(context->event, &m->settle, on_settle, m);
    if (r >= 0)
        r = sd_event_source_set_enabled(m->settle, SD_EVENT_OFF);
    if (r >= 0)
        r = make_unit(m, context, config);
    if (r < 0) {
        (void) backend_free(&m->base);
        return r;
    }
    (void) sd_event_source_set_description(m->settle, "unit-settle");
    *ret = &m->base;
    return 0;
}
