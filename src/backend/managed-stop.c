/* SPDX-License-Identifier: ISC */

/* How a service that is a unit ends: a stop job, in which the service manager runs the stop command, sends
 * TERM and, in its own time, KILL, and leaves no process of the control group. `stopTimeout` is for the whole
 * of it: at its end everything is killed. A unit that somebody has written has its own limits; ours comes on
 * top only where it is written down. */

#include "backend/managed.h"

#include <signal.h>
#include <stdio.h>

#include "util/event.h"

#define KILLED_LIMIT_USEC (5 * USEC_PER_SEC)

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata);

int managed_create_limit(Managed *m)
{
    int r = event_arm_timer(m->base.context->event, &m->limit, 0, on_limit, m, "unit-limit");
    event_disarm(m->limit);
    return r;
}

static void finish(Managed *m)
{
    char why[MANAGED_WHY_MAX];

    event_disarm(m->limit);
    m->command = command_free(m->command);
    m->phase = MANAGED_DOWN;
    managed_settle_later(m); /* somebody may have started it again already */
    snprintf(why, sizeof why, "%s", *m->why ? m->why : "stopped");
    m->base.events->stopped(&m->base, why, m->base.userdata);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    Managed *m = userdata;
    char span[TIMESPAN_STRING_MAX];

    timespan_format(span, m->base.config->stop_timeout);
    if (m->killed || m->outside) {
        snprintf(m->why, sizeof m->why,
                m->outside ? "the stop command did not end within %s"
                           : "not gone, though it was killed after %s",
                span);
        finish(m);
        return 0;
    }
    m->killed = true;
    snprintf(m->why, sizeof m->why, "killed after %s", span);
    unit_kill(m->unit, SIGKILL);
    (void) event_arm_timer(m->base.context->event, &m->limit, KILLED_LIMIT_USEC, on_limit, m, "unit-limit");
    return 0;
}

void managed_stop_done(Managed *m, int r, const char *why)
{
    if (r < 0 && !*m->why)
        snprintf(m->why, sizeof m->why, "%s", why);
    else if (!*m->why && unit_status(m->unit)->result == UNIT_TIMEOUT) /* the service manager was faster */
        snprintf(m->why, sizeof m->why, "killed, it did not end in time");
    finish(m);
}

static void on_stop_command(Command *c, int r, const char *why, void *userdata)
{
    Managed *m = userdata;

    if (r < 0)
        snprintf(m->why, sizeof m->why, "the stop command %s", why);
    finish(m);
}

/* There is no unit whose stop job could run the stop command. */
static int run_stop_command(Managed *m)
{
    const ProcessSpec spec = backend_spec(&m->base, SHELL_ARGV(m->base.config->stop_command));
    /* Our own limit comes first; this one is for when we are not there any more. */
    return command_new(m->base.context->commands, &spec, usec_add(m->base.config->stop_timeout, USEC_PER_SEC),
            on_stop_command, m, &m->command, NULL);
}

int managed_stop(Backend *b)
{
    Managed *m = container_of(b, Managed, base);

    if (m->phase == MANAGED_STOPPING)
        return 0;
    m->known = true;
    m->phase = MANAGED_STOPPING;
    m->killed = false;
    m->why[0] = 0;
    m->command = command_free(m->command);
    m->cgroup = cgroup_watch_free(m->cgroup);
    event_disarm(m->settle);
    /* The source exists since the backend was made. */
    (void) event_arm_timer(b->context->event, &m->limit, b->config->stop_timeout, on_limit, m, "unit-limit");
    if (m->outside && b->config->stop_command && run_stop_command(m) >= 0)
        return 0;
    m->outside = false;
    unit_stop(m->unit);
    return 0;
}
