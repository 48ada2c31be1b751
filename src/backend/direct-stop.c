/* SPDX-License-Identifier: ISC */

/* How a direct service ends: stop command, TERM, KILL, each step taken when an event says so, all of them
 * within one time limit. The limit is for the whole stop, as its setting promises: a stop command that uses
 * it up leaves the group no time for a TERM. */

#include "backend/direct.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/event.h"

/* Adds a clause to how the stop went. */
_printf_(2, 3) static void tell(Direct *d, const char *format, ...)
{
    size_t n = strlen(d->why);
    va_list ap;

    if (n > 0 && n + 3 < sizeof d->why) {
        strcpy(d->why + n, ", ");
        n += 2;
    }
    va_start(ap, format);
    vsnprintf(d->why + n, sizeof d->why - n, format, ap);
    va_end(ap);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata);

static void arm_limit(Direct *d, usec_t delay)
{
    /* The source exists since the backend was made. */
    (void) event_arm_timer(d->base.context->event, &d->limit, delay, on_limit, d, "direct-limit");
}

int direct_create_limit(Direct *d)
{
    int r = event_arm_timer(d->base.context->event, &d->limit, 0, on_limit, d, "direct-limit");
    event_disarm(d->limit);
    return r;
}

void direct_kill(Direct *d, DirectPhase phase)
{
    d->phase = phase;
    group_watch(d->group);
    group_signal(d->group, SIGKILL);
    arm_limit(d, KILLED_LIMIT_USEC);
    if (direct_group_is_gone(d))
        direct_finish_later(d);
}

/* The stop command, if there was one, is done. */
static void stop_group(Direct *d)
{
    d->phase = DIRECT_STOP_TERM;
    if (direct_group_is_gone(d)) {
        direct_finish_later(d);
        return;
    }
    group_watch(d->group);
    group_signal(d->group, SIGTERM);
    group_signal(d->group, SIGCONT); /* what is stopped would not see it */
    if (direct_group_is_gone(d))
        direct_finish_later(d);
}

static void on_stop_command(Command *c, int r, const char *why, void *userdata)
{
    Direct *d = userdata;

    d->command = command_free(d->command);
    if (r < 0)
        tell(d, "the stop command %s", why);
    stop_group(d);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    Direct *d = userdata;
    char span[TIMESPAN_STRING_MAX];

    timespan_format(span, d->base.config->stop_timeout);
    if (d->phase == DIRECT_ENDING || d->phase == DIRECT_STOP_KILL) {
        tell(d, "something of it cannot be killed");
        direct_finish(d);
        return 0;
    }
    if (d->phase == DIRECT_STOP_COMMAND) {
        d->command = command_free(d->command);
        tell(d, "the stop command did not end within %s", span);
    }
    if (d->group && group_recount_is_empty(d->group))
        d->group = group_free(d->group);
    if (d->group) {
        tell(d, "killed after %s", span);
        direct_kill(d, DIRECT_STOP_KILL);
    } else
        direct_finish(d);
    return 0;
}

static int run_stop_command(Direct *d)
{
    const ProcessSpec spec = backend_spec(&d->base, SHELL_ARGV(d->base.config->stop_command));
    const BackendContext *context = d->base.context;
    _cleanup_free_ char *why = NULL;

    int r = command_new(context->commands, &spec, USEC_INFINITY, on_stop_command, d, &d->command, &why);
    if (r < 0)
        tell(d, "the stop command could not be run: %s", why ?: "out of memory");
    return r;
}

int direct_stop(Backend *b)
{
    Direct *d = container_of(b, Direct, base);
    const ServiceConfig *config = b->config;

    if (d->phase >= DIRECT_STOP_COMMAND)
        return 0;
    d->report = REPORT_STOPPED;
    d->why[0] = 0;
    if (d->phase == DIRECT_ENDING) {
        d->phase = DIRECT_STOP_KILL; /* under way, with its limit */
        return 0;
    }

    bool was_up = d->phase == DIRECT_STARTING || d->phase == DIRECT_UP;
    d->command = command_free(d->command);
    event_disarm(d->finish); /* a check's answer */
    arm_limit(d, config->stop_timeout);
    if (config->kind == SERVICE_COMMANDS && config->stop_command) {
        d->phase = DIRECT_STOP_COMMAND;
        if (run_stop_command(d) >= 0)
            return 0;
    } else if (was_up && direct_group_is_gone(d))
        tell(d, "it has no process that is known, and no stop command");
    stop_group(d);
    return 0;
}

void direct_stop_gone(Direct *d)
{
    if (d->phase != DIRECT_STOP_COMMAND)
        direct_finish(d);
}
