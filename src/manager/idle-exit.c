/* SPDX-License-Identifier: ISC */

/* Invariant: the timer runs if and only if no gateway is connected and every service is offline. A gateway
 * that connects at the very end stays in the socket's backlog and has the next manager started. */

#include "manager/idle-exit.h"

#include <stdio.h>

#include "manager/manager.h"
#include "util/event.h"
#include "util/log.h"

/* Sockets that we alone have would be gone, and with them whoever could have us started. */
static bool would_be_missed(IdleExit *x)
{
    const Manager *m = x->manager;
    size_t n = listeners_n_bound(m->listeners);

    if (m->runtime.own.len == 0 && n == 0)
        return false;
    if (!x->said_stays && n > 0)
        log_notice(
                "Not exiting when idle: %zu port%s bound here and not passed to the gateway by the service "
                "manager, and nobody would start dynapm for a connection to %s.",
                n, n == 1 ? " is" : "s are", n == 1 ? "it" : "them");
    else if (!x->said_stays)
        log_notice("Not exiting when idle: the socket for gateways was not passed by the service manager.");
    x->said_stays = true;
    return true;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    IdleExit *x = userdata;
    char span[TIMESPAN_STRING_MAX], reason[TIMESPAN_STRING_MAX + 32];

    x->armed = false;
    if (x->manager->peers.n > 0 || !manager_is_at_rest(x->manager) || would_be_missed(x))
        return 0;
    snprintf(reason, sizeof reason, "nothing to do for %s", timespan_format(span, x->span));
    manager_shutdown(x->manager, reason);
    return 0;
}

void idle_exit_init(IdleExit *x, Manager *m, usec_t span)
{
    *x = (IdleExit){.manager = m, .span = span};
}

void idle_exit_done(IdleExit *x)
{
    x->timer = sd_event_source_disable_unref(x->timer);
    x->armed = false;
}

void idle_exit_check(IdleExit *x)
{
    const Manager *m = x->manager;

    if (x->span == USEC_INFINITY)
        return;
    bool idle = !m->stopping && m->peers.n == 0 && manager_is_at_rest(m);
    if (!idle)
        event_disarm(x->timer);
    else if (!x->armed) {
        int r = event_arm_timer(m->event, &x->timer, x->span, on_timer, x, "exit-idle");
        if (r < 0) {
            log_error_errno(r, "Cannot set the timer of --exit-idle-time: %m");
            return;
        }
    }
    x->armed = idle;
}
