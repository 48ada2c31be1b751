/* SPDX-License-Identifier: ISC */

/* Each answer from here on says `Connection: close`. A connection that is idle is not cut at once, because a
 * request may be on its way: it has the grace of client_drain(). As long as such are waited for, new
 * connections are accepted and served like all others, for they would have to wait as well, and then only
 * what is in flight is left to finish. So are clients whose connections the kernel still keeps to itself,
 * where nobody would accept these later. Requests that wait for their service go on waiting: after a restart
 * they would have to, too, and somebody would have to send them again. Tunnels have no end of their own: they
 * are ended when there is nothing else, or when the time is up. Then it is told to those who wait, and all
 * else is cut.
 *
 * Invariant: stop_accepting is called exactly once and then, once, done: when the last connection has ended
 * or when the time is up. */

#include "gateway/drain.h"

#include "gateway/proxy.h"
#include "util/event.h"
#include "util/log.h"

#define LAST_WORDS (100 * USEC_PER_MSEC) /* for refusals to be written, and for tunnels to end in order */

static void stop_accepting(Drain *d)
{
    if (!d->accepting)
        return;
    d->accepting = d->unheard = false;
    event_disarm(d->grace);
    d->events->stop_accepting(d->userdata);
}

static void drain_over(Drain *d)
{
    if (d->over)
        return;
    d->over = true;
    drain_done(d);
    d->events->done(d->userdata);
}

static int on_grace(sd_event_source *source, uint64_t usec, void *userdata)
{
    stop_accepting(userdata);
    return 0;
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    Drain *d = userdata;
    Proxy *p = d->proxy;

    stop_accepting(d);
    if (!d->last_words && (gates_n_parked(p->gates) > 0 || p->tunnels.n > 0)) {
        d->last_words = true;
        gates_refuse_parked(p->gates, "dynapm is shutting down.");
        tunnels_end_all(&p->tunnels);
        server_kick(p->server);
        if (event_arm_timer(p->event, &d->limit, LAST_WORDS, on_limit, d, "drain-limit") >= 0)
            return 0;
    }
    if (p->clients.n > 0)
        log_warning("%zu connections are still open: closing them.", p->clients.n);
    drain_over(d);
    return 0;
}

static int on_check(sd_event_source *source, void *userdata)
{
    Drain *d = userdata;

    Proxy *p = d->proxy;

    if (d->unheard)
        return 0;
    if (p->clients.n == p->tunnels.n)
        stop_accepting(d); /* which may have accepted some that waited */
    if (p->clients.n == 0)
        drain_over(d);
    else if (!d->last_words && p->clients.n == p->tunnels.n) /* all requests are done */
        tunnels_end_all(&p->tunnels);
    return 0;
}

void drain_begin(Drain *d, Proxy *p, usec_t span, const DrainEvents *events, void *userdata)
{
    size_t n_idle = 0;
    int r = 0;

    *d = (Drain){.proxy = p, .events = events, .userdata = userdata, .accepting = true};
    p->draining = true;
    for (Client *c = p->clients.all; c; c = c->next)
        if (!c->exchange && !c->relay && !c->tunnel) {
            client_drain(c);
            n_idle++;
        }
    log_info("Shutting down: %zu connections open, %zu requests to finish.", p->clients.n,
            gates_n_open(p->gates));
    d->unheard = events->are_unheard && events->are_unheard(userdata);
    if (n_idle > 0 || d->unheard)
        r = event_arm_timer(p->event, &d->grace, CLIENT_GRACE, on_grace, d, "drain-grace");
    else
        stop_accepting(d);
    if (r >= 0 && p->clients.n == 0 && !d->unheard) {
        drain_over(d);
        return;
    }
    server_kick(p->server);
    if (r >= 0)
        r = event_arm_timer(p->event, &d->limit, span, on_limit, d, "drain-limit");
    if (r >= 0)
        r = sd_event_add_post(p->event, &d->check, on_check, d);
    if (r < 0) {
        log_error_errno(r, "Cannot wait for open connections: %m");
        stop_accepting(d);
        drain_over(d);
    }
}

void drain_done(Drain *d)
{
    d->grace = sd_event_source_disable_unref(d->grace);
    d->limit = sd_event_source_disable_unref(d->limit);
    d->check = sd_event_source_disable_unref(d->check);
}
