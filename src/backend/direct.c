/* SPDX-License-Identifier: ISC */

/* Services as children of ours: a program that stays (exec), or a start command that stays or leaves its work
 * in the background (commands). Each runs in a session and process group of its own, and that group is the
 * service.
 *
 * What an end means:
 *  - exec: its main process is the service; what that leaves behind is killed.
 *  - commands: a start command that fails is a start that failed. One that exits with 0 has either left
 * something in the group, which then is the service until its last process has ended; or nothing, because it
 * handed the work to a daemon (docker, pm2): then no process is known, and no end is ever seen here.
 *
 * A group is remembered in a file from its first moment to its last, so that a manager that comes after a
 * crash of ours takes it over. */

#include "backend/direct.h"

#include <stdio.h>

#include "util/event.h"
#include "util/log.h"
#include "util/text.h"

static bool is_exec(const Direct *d)
{
    return d->base.config->kind == SERVICE_EXEC;
}

bool direct_group_is_gone(Direct *d)
{
    if (d->group && group_leader(d->group) == 0 && group_is_empty(d->group)) {
        d->group = group_free(d->group);
        remember_forget(d->base.context->state_dir_fd, d->base.config->name);
    }
    return !d->group;
}

void direct_finish(Direct *d)
{
    Backend *b = &d->base;
    const BackendEvents *e = b->events;
    char why[DIRECT_WHY_MAX];

    event_disarm(d->limit);
    event_disarm(d->finish);
    d->command = command_free(d->command);
    d->phase = d->report == REPORT_RUNS ? DIRECT_UP : DIRECT_DOWN;
    if (d->phase == DIRECT_DOWN && d->group) { /* what cannot be killed */
        d->group = group_free(d->group);
        remember_forget(b->context->state_dir_fd, b->config->name);
    }
    snprintf(why, sizeof why, "%s", *d->why ? d->why : "stopped");
    switch (d->report) {
    case REPORT_START_FAILED:
        e->start_failed(b, why, b->userdata);
        break;
    case REPORT_EXITED:
        e->exited(b, why, b->userdata);
        break;
    case REPORT_STOPPED:
        e->stopped(b, why, b->userdata);
        break;
    case REPORT_RUNS:
    case REPORT_RUNS_NOT:
        e->checked(b, d->report == REPORT_RUNS, b->userdata);
        break;
    }
}

static int on_finish(sd_event_source *source, void *userdata)
{
    direct_finish(userdata);
    return 0;
}

void direct_finish_later(Direct *d)
{
    (void) sd_event_source_set_enabled(d->finish, SD_EVENT_ONESHOT);
}

/* The service is over, by itself. May free the backend: comes last. */
static void ended(Direct *d, const siginfo_t *si)
{
    char why[PROCESS_END_STRING_MAX];

    d->report = d->phase == DIRECT_UP ? REPORT_EXITED : REPORT_START_FAILED;
    snprintf(d->why, sizeof d->why, "%s", si ? process_end_format(why, si) : "its process is gone");
    if (direct_group_is_gone(d))
        direct_finish(d);
    else
        direct_kill(d, DIRECT_ENDING);
}

/* A start command has ended, or the leader of a group that was taken over, of which it is not known how. */
static void start_command_ended(Direct *d, const siginfo_t *si)
{
    bool clean = !si || process_end_is_clean(si), gone = direct_group_is_gone(d);

    if (clean)
        d->launched_at = now_monotonic();
    if (!clean && (gone || d->phase == DIRECT_STARTING))
        ended(d, si);
    else if (d->taken_over && gone)
        ended(d, si); /* it had stayed until then */
    /* Else it goes on in the background, in the group or elsewhere. */
}

static void on_leader_ended(Group *g, const siginfo_t *si, void *userdata)
{
    Direct *d = userdata;

    if (d->phase == DIRECT_STARTING || d->phase == DIRECT_UP) {
        if (is_exec(d))
            ended(d, si);
        else
            start_command_ended(d, si);
    } else if (direct_group_is_gone(d))
        direct_stop_gone(d);
}

static void on_member_ended(Group *g, const siginfo_t *si, void *userdata)
{
    Direct *d = userdata;

    if (!direct_group_is_gone(d))
        return;
    if (d->phase == DIRECT_STARTING || d->phase == DIRECT_UP)
        ended(d, si);
    else
        direct_stop_gone(d);
}

static const GroupEvents group_events = {.leader_ended = on_leader_ended, .member_ended = on_member_ended};

static GroupContext group_context(Direct *d)
{
    return (GroupContext){d->base.context->event, d->base.context->children, &group_events, d};
}

/* A service runs also when it cannot be remembered; only a crash of ours would lose it. */
static void remember(Direct *d, pid_t pid)
{
    int dir_fd = d->base.context->state_dir_fd;
    ProcStat s;

    if (dir_fd < 0)
        return;
    int r = proc_stat(pid, &s);
    if (r >= 0)
        r = remember_write(
                dir_fd, d->base.config->name, &(const Remembered){.pgid = pid, .start_time = s.start_time});
    if (r < 0)
        log_service_warning_errno(d->base.config->name, r,
                "Cannot write down its process id, so that it would be lost if the manager crashed: %m");
}

static int direct_start(Backend *b, char **ret_why)
{
    Direct *d = container_of(b, Direct, base);
    const ServiceConfig *config = b->config;
    const char *const *argv =
            is_exec(d) ? (const char *const *) config->exec : SHELL_ARGV(config->start_command);
    const ProcessSpec spec = backend_spec(b, argv);
    GroupContext context = group_context(d);
    pid_t pid;
    int r;

    if (!direct_group_is_gone(d) || d->phase == DIRECT_CHECKING || d->phase >= DIRECT_ENDING) {
        if (ret_why)
            *ret_why = text_format("it still runs");
        return -EBUSY;
    }
    r = process_spawn(&spec, &pid, ret_why);
    if (r < 0)
        return r;
    r = group_new(&context, pid, &d->group);
    if (r < 0) {
        (void) kill(-pid, SIGKILL);
        if (ret_why)
            *ret_why = text_format("out of memory");
        return r;
    }
    d->phase = DIRECT_STARTING;
    d->taken_over = false;
    d->launched_at = now_monotonic();
    remember(d, pid);
    return 0;
}

static void direct_set_ready(Backend *b)
{
    Direct *d = container_of(b, Direct, base);

    if (d->phase == DIRECT_STARTING)
        d->phase = DIRECT_UP;
}

/* Returns 0 when it has a group again. */
static int take_over(Direct *d)
{
    const BackendContext *context = d->base.context;
    GroupContext of_group = group_context(d);
    Remembered m;
    int r;

    if (context->state_dir_fd < 0)
        return -ENOENT;
    r = remember_read(context->state_dir_fd, d->base.config->name, &m);
    if (r >= 0)
        r = group_take_over(&of_group, &m, &d->group);
    if (r < 0)
        remember_forget(context->state_dir_fd, d->base.config->name);
    d->taken_over = r >= 0;
    return r;
}

static void on_check_command(Command *c, int r, const char *why, void *userdata)
{
    Direct *d = userdata;

    d->report = r < 0 ? REPORT_RUNS_NOT : REPORT_RUNS;
    direct_finish(d);
}

static int run_check_command(Direct *d)
{
    const ServiceConfig *config = d->base.config;
    const BackendContext *context = d->base.context;
    const ProcessSpec spec = backend_spec(&d->base, SHELL_ARGV(config->check_command));
    _cleanup_free_ char *why = NULL;

    int r = command_new(
            context->commands, &spec, config->health_check.timeout, on_check_command, d, &d->command, &why);
    if (r < 0)
        log_service_warning_errno(config->name, r, "The check command could not be run: %s", why ?: "?");
    return r;
}

static int direct_check(Backend *b)
{
    Direct *d = container_of(b, Direct, base);
    bool has_command = b->config->kind == SERVICE_COMMANDS && b->config->check_command;

    if (d->phase != DIRECT_DOWN)
        return -EBUSY;
    d->phase = DIRECT_CHECKING;
    if (take_over(d) >= 0) {
        if (is_exec(d) && group_leader(d->group) == 0) {
            d->report = REPORT_RUNS_NOT;
            direct_kill(d, DIRECT_ENDING);
            return 0;
        }
        d->report = REPORT_RUNS;
    } else if (has_command && run_check_command(d) >= 0)
        return 0;
    else
        d->report = REPORT_RUNS_NOT;
    direct_finish_later(d);
    return 0;
}

static bool direct_has_process(const Backend *b)
{
    return container_of(b, Direct, base)->group != NULL;
}

static pid_t direct_main_pid(const Backend *b)
{
    const Direct *d = container_of(b, Direct, base);
    return d->group ? group_leader(d->group) : 0;
}

static const char *direct_unit(const Backend *b)
{
    return NULL;
}

static void direct_usage(Backend *b, ResourceUsage *ret)
{
    const Direct *d = container_of(b, Direct, base);

    if (d->group && b->context->sessions)
        session_table_read(b->context->sessions, group_session(d->group), ret);
}

static usec_t direct_launched_at(const Backend *b)
{
    return container_of(b, Direct, base)->launched_at;
}

static void direct_free(Backend *b)
{
    Direct *d = container_of(b, Direct, base);

    command_free(d->command);
    group_free(d->group);
    sd_event_source_disable_unref(d->limit);
    sd_event_source_disable_unref(d->finish);
    free(d);
}

static const BackendVTable direct_vtable = {
        .name = "direct",
        .ends_with_us = true,
        .start = direct_start,
        .set_ready = direct_set_ready,
        .stop = direct_stop,
        .check = direct_check,
        .has_process = direct_has_process,
        .main_pid = direct_main_pid,
        .unit = direct_unit,
        .usage = direct_usage,
        .launched_at = direct_launched_at,
        .free = direct_free,
};

void backend_direct_warn_ignored(const ServiceConfig *config)
{
    const struct {
        bool given;
        const char *what;
    } all[] = {{config->group, "group"}, {config->n_limits > 0, "limits"}, {config->notify, "notify"}};
    char text[32] = "", *p = text;

    for (size_t i = 0; i < ELEMENTSOF(all); i++)
        if (all[i].given)
            p += sprintf(p, "%s%s", p > text ? ", " : "", all[i].what);
    if (p > text)
        log_service_warning(config->name, "Ignored without a service manager: %s.", text);
}

int backend_direct_new(const BackendContext *context, Backend **ret)
{
    Direct *d = new0(Direct, 1);
    int r;

    if (!d)
        return -ENOMEM;
    d->base.vtable = &direct_vtable;
    d->base.context = context;
    r = direct_create_limit(d);
    if (r >= 0)
        r = sd_event_add_defer(context->event, &d->finish, on_finish, d);
    if (r >= 0)
        r = sd_event_source_set_enabled(d->finish, SD_EVENT_OFF);
    if (r < 0) {
        direct_free(&d->base);
        return r;
    }
    (void) sd_event_source_set_description(d->finish, "direct-finish");
    *ret = &d->base;
    return 0;
}
