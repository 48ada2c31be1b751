/* SPDX-License-Identifier: ISC */

/* One timer, set when the last connection has ended and left alone while others come and go: when it fires it
 * is looked at how long the peace has lasted. After that nothing runs: the manager answers one call when the
 * last service is offline.
 *
 * Nothing is lost by a race: the answer counts only if no connection is open now and none was for `span`;
 * one that comes after `changed` is accepted as ever, and served, or waits in its backlog for the next
 * gateway; a manager that goes takes its promise along, and the next one is asked anew. */

#include "gateway/idleness.h"

#include "util/event.h"
#include "util/log.h"

static void ask(Idleness *i);

static void tell(Idleness *i, bool idle)
{
    if (i->told == idle)
        return;
    i->told = idle;
    i->changed(idle, i->userdata); /* last: may be our end */
}

static usec_t left(const Idleness *i)
{
    return usec_sub(usec_add(i->since, i->span), now_monotonic());
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void look(Idleness *i)
{
    if (i->since == 0 || !i->may_end || i->armed)
        return;
    usec_t pause = left(i);
    if (pause == 0) {
        ask(i);
        return;
    }
    int r = event_arm_timer(i->event, &i->timer, pause, on_timer, i, "exit-idle");
    if (r < 0)
        log_error_errno(r, "Cannot set the timer of --exit-idle-time: %m");
    i->armed = r >= 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Idleness *i = userdata;
    bool offline = i->offline;

    i->armed = i->offline = false;
    if (offline && i->since > 0 && i->may_end && left(i) == 0)
        tell(i, true);
    else
        look(i);
    return 0;
}

static void on_offline(int r, void *userdata)
{
    Idleness *i = userdata;

    i->call = sd_bus_slot_unref(i->call);
    if (r < 0) {
        if (r != -ECONNRESET) /* else another manager comes */
            log_error_errno(r, "The manager does not tell when all services are offline: %m");
        return;
    }
    /* Not from within the link, which may be closed by whoever is told. */
    i->offline = true;
    i->armed = event_arm_timer(i->event, &i->timer, 0, on_timer, i, "exit-idle") >= 0;
}

static void ask(Idleness *i)
{
    if (i->call || i->told)
        return;
    int r = link_await_offline(i->link, on_offline, i, &i->call);
    if (r < 0 && r != -ENOTCONN) /* else we ask when attached */
        log_error_errno(r, "Cannot ask the manager to tell when all services are offline: %m");
}

void idleness_init(Idleness *i, sd_event *event, Link *link, usec_t span,
        void (*changed)(bool idle, void *userdata), void *userdata)
{
    *i = (Idleness){.event = event, .link = link, .span = span, .changed = changed, .userdata = userdata};
    i->since = now_monotonic();
}

void idleness_done(Idleness *i)
{
    i->timer = sd_event_source_disable_unref(i->timer);
    i->call = sd_bus_slot_unref(i->call);
    i->may_end = false;
}

void idleness_count(Idleness *i, size_t n_connections, usec_t now)
{
    if (n_connections > 0) {
        i->since = 0;
        if (unlikely(i->told))
            tell(i, false);
    } else if (i->since == 0) {
        i->since = now;
        look(i);
    }
}

void idleness_attached(Idleness *i, bool may_end)
{
    i->may_end = may_end && i->span != USEC_INFINITY;
    i->call = sd_bus_slot_unref(i->call);
    look(i);
}
