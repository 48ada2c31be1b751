/* SPDX-License-Identifier: ISC */

/* Owns the bus connection. It is made anew whenever it is lost: at once, then with pauses that double up to
 * RETRY_MAX; under socket activation, where somebody keeps the manager's socket open, the first attempt
 * succeeds and the call waits in it for the next manager.
 *
 * Invariant: l->attached is true only between a successful Attach and the loss of that same connection. */

#include "gateway/link-internal.h"

#include <unistd.h>

#include "ipc/bus.h"
#include "ipc/table.h"
#include "util/event.h"
#include "util/fd.h"
#include "util/log.h"

#define RETRY_MAX (500 * USEC_PER_MSEC)

typedef struct WakeCall {
    LinkWakeDone done;
    void *userdata;
} WakeCall;

typedef struct OfflineCall {
    LinkOfflineDone done;
    void *userdata;
} OfflineCall;

static int link_connect(Link *l);

static void link_drop(Link *l)
{
    bool was_attached = l->attached;

    l->attached = l->fetching = l->changed = false;
    if (l->bus) {
        sd_bus_detach_event(l->bus);
        l->bus = sd_bus_close_unref(l->bus);
    }
    if (was_attached)
        l->events->lost(l->userdata);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    Link *l = userdata;

    link_drop(l);
    int r = link_connect(l);
    if (r < 0) {
        log_debug_errno(r, "Cannot reach the manager: %m");
        l->pause = MIN(l->pause * 2, RETRY_MAX);
        (void) event_arm_timer(l->event, &l->retry, l->pause, on_retry, l, "manager-retry");
    }
    return 0;
}

/* The connection going down, or the manager, shows as an error reply to each call under way: that is no
 * refusal. */
bool link_manager_is_going(const sd_bus_error *e)
{
    return sd_bus_error_has_names(
                   e, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_DISCONNECTED, BUS_ERROR_SHUTTING_DOWN) ||
           sd_bus_error_get_errno(e) == ECONNRESET;
}

void link_retry(Link *l)
{
    bool was_attached = l->attached;

    l->attached = l->fetching = l->changed = false;
    (void) event_arm_timer(l->event, &l->retry, l->pause, on_retry, l, "manager-retry");
    l->pause = MIN(l->pause * 2, RETRY_MAX);
    if (was_attached)
        l->events->lost(l->userdata);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Link *l = userdata;

    if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected"))
        link_retry(l);
    else if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Connected") && link_attach(l) < 0)
        link_retry(l);
    else if (sd_bus_message_is_signal(m, BUS_GATEWAY_INTERFACE, BUS_CHANGED))
        link_update(l);
    return 0;
}

static int link_connect(Link *l)
{
    _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
    int r;

    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, &l->address.sa, l->address.len) < 0)
        return -errno;

    if ((r = sd_bus_new(&bus)) < 0 || (r = sd_bus_set_description(bus, "manager")) < 0 ||
            (r = sd_bus_set_fd(bus, fd, fd)) < 0)
        return r;
    TAKE_FD(fd);
    /* At the loop's end there is nobody to flush to: that would wait for a manager that may never come. */
    if ((r = sd_bus_set_close_on_exit(bus, false)) < 0 || (r = sd_bus_set_connected_signal(bus, true)) < 0 ||
            (r = sd_bus_negotiate_fds(bus, true)) < 0 || (r = sd_bus_start(bus)) < 0 ||
            (r = sd_bus_attach_event(bus, l->event, SD_EVENT_PRIORITY_NORMAL)) < 0 ||
            (r = sd_bus_add_filter(bus, NULL, on_message, l)) < 0)
        return r;

    l->bus = TAKE_PTR(bus);
    return 0;
}

int link_new(sd_event *event, const SocketAddress *address, bool main_listeners, const LinkEvents *events,
        void *userdata, Link **ret)
{
    _cleanup_(link_freep) Link *l = new0(Link, 1);
    if (!l)
        return -ENOMEM;
    *l = (Link){.event = sd_event_ref(event),
            .address = *address,
            .main_listeners = main_listeners,
            .events = events,
            .userdata = userdata,
            .pause = LINK_RETRY_MIN,
            .attachment = {.status_fd = -EBADF, .activity_fd = -EBADF, .routes_fd = -EBADF}};
    int r = event_arm_timer(event, &l->retry, 0, on_retry, l, "manager-retry");
    if (r < 0)
        return r;
    *ret = TAKE_PTR(l);
    return 0;
}

void link_close(Link *l)
{
    l->attached = false; /* nobody is to hear of this loss */
    link_drop(l);
    link_drop_attachment(l);
    l->retry = sd_event_source_disable_unref(l->retry);
}

Link *link_free(Link *l)
{
    if (!l)
        return NULL;
    link_close(l);
    sd_event_unref(l->event);
    return mfree(l);
}

bool link_is_attached(const Link *l)
{
    return l->attached;
}

static int on_wake_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    WakeCall *c = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    const char *why = NULL;
    uint32_t epoch = 0, retry_after = 1;
    int online = 0, r;

    if (e)
        r = link_manager_is_going(e) ? -ECONNRESET : -sd_bus_error_get_errno(e);
    else
        r = sd_bus_message_read(m, "busu", &online, &epoch, &why, &retry_after);
    c->done(r < 0 ? r : 0, online, epoch, e ? e->message : why, retry_after, c->userdata);
    return 0;
}

sd_bus *link_bus(Link *l)
{
    return l->attached ? l->bus : NULL;
}

/* `c` is the call's from then on, on success only. `timeout` in µs, UINT64_MAX for none. */
static int call_manager(Link *l, sd_bus_message *m, uint64_t timeout, sd_bus_message_handler_t reply, void *c,
        sd_bus_slot **ret)
{
    _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *call = NULL;

    int r = sd_bus_call_async(l->bus, &call, m, reply, c, timeout);
    if (r == -ECONNRESET || r == -EPIPE)
        return -ENOTCONN; /* it is gone, of which the bus has yet to tell us */
    if (r < 0 || (r = sd_bus_slot_set_destroy_callback(call, free)) < 0)
        return r;
    *ret = TAKE_PTR(call);
    return 0;
}

int link_wake(Link *l, uint32_t slot, uint32_t dead_epoch, const char *reason, LinkWakeDone done,
        void *userdata, sd_bus_slot **ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    if (!l->attached)
        return -ENOTCONN;
    _cleanup_free_ WakeCall *c = new0(WakeCall, 1);
    if (!c)
        return -ENOMEM;
    *c = (WakeCall){done, userdata};
    if ((r = sd_bus_message_new_method_call(l->bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_WAKE)) <
                    0 ||
            (r = sd_bus_message_append(m, "uus", slot, dead_epoch, reason)) < 0 ||
            (r = call_manager(l, m, LINK_CALL_TIMEOUT, on_wake_reply, c, ret)) < 0)
        return r;
    TAKE_PTR(c);
    return 0;
}

static int on_offline_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    OfflineCall *c = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);

    c->done(!e ? 0 : link_manager_is_going(e) ? -ECONNRESET : -sd_bus_error_get_errno(e), c->userdata);
    return 0;
}

int link_await_offline(Link *l, LinkOfflineDone done, void *userdata, sd_bus_slot **ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    if (!l->attached)
        return -ENOTCONN;
    _cleanup_free_ OfflineCall *c = new0(OfflineCall, 1);
    if (!c)
        return -ENOMEM;
    *c = (OfflineCall){done, userdata};
    r = sd_bus_message_new_method_call(l->bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_AWAIT_OFFLINE);
    if (r >= 0)
        r = call_manager(l, m, UINT64_MAX, on_offline_reply, c, ret);
    if (r >= 0)
        TAKE_PTR(c);
    return r;
}

void link_idle(Link *l, uint32_t slot)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    if (l->attached &&
            sd_bus_message_new_method_call(l->bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_IDLE) >=
                    0 &&
            sd_bus_message_append(m, "u", slot) >= 0 && sd_bus_message_set_expect_reply(m, false) >= 0)
        (void) sd_bus_send(l->bus, m, NULL);
}
