/* SPDX-License-Identifier: ISC */

/* Owns the bus connection. It is made anew whenever it is lost: at once, then with pauses that double up to
 * RETRY_MAX; under socket activation, where somebody keeps the manager's socket open, the first attempt
 * succeeds and the call waits in it for the next manager.
 *
 * Invariant: l->attached is true only between a successful Attach and the loss of that same connection. */

#include "gateway/link.h"

#include <fcntl.h>
#include <unistd.h>

#include "ipc/bus.h"
#include "ipc/table.h"
#include "util/event.h"
#include "util/fd.h"
#include "util/log.h"

#define RETRY_MIN (2 * USEC_PER_MSEC)
#define RETRY_MAX (500 * USEC_PER_MSEC)
#define CALL_TIMEOUT (24 * 60 * USEC_PER_MINUTE) /* a start has its own limit, in the manager */

struct Link {
    sd_event *event;
    SocketAddress address;
    bool main_listeners, attached;
    const LinkEvents *events;
    void *userdata;
    sd_bus *bus;
    sd_event_source *retry;
    usec_t pause;
    LinkAttachment attachment; /* as far as it has come */
};

typedef struct WakeCall {
    LinkWakeDone done;
    void *userdata;
} WakeCall;

typedef struct OfflineCall {
    LinkOfflineDone done;
    void *userdata;
} OfflineCall;

static int link_connect(Link *l);
static int link_attach(Link *l);

static void link_drop(Link *l)
{
    bool was_attached = l->attached;

    l->attached = false;
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

/* The bus may be dispatching us: it is only ever torn down from the timer. */
static void link_retry(Link *l)
{
    bool was_attached = l->attached;

    l->attached = false;
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
    return 0;
}

/* Descriptors belong to their message: what is kept is a copy. */
static int read_fd(sd_bus_message *m, int *ret)
{
    int fd, r = sd_bus_message_read(m, "h", &fd);
    if (r <= 0)
        return r;
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return -errno;
    *ret = fd;
    return 1;
}

static int read_listeners(sd_bus_message *m, LinkAttachment *a, size_t *ret_n)
{
    int r = sd_bus_message_enter_container(m, 'a', "h");
    if (r < 0)
        return r;
    size_t n = 0;
    for (;; n++) {
        if (a->n_listeners >= SLOTS_MAX)
            return -E2BIG;
        int *grown = reallocarray(a->listeners, a->n_listeners + 1, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        a->listeners = grown;
        r = read_fd(m, &a->listeners[a->n_listeners]);
        if (r <= 0)
            break;
        a->n_listeners++;
    }
    *ret_n = n;
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static void drop_attachment(Link *l)
{
    LinkAttachment *a = &l->attachment;

    fd_close(a->status_fd);
    fd_close(a->activity_fd);
    fd_close(a->routes_fd);
    for (size_t i = 0; i < a->n_listeners; i++)
        fd_close(a->listeners[i]);
    free(a->listeners);
    *a = (LinkAttachment){.status_fd = -EBADF, .activity_fd = -EBADF, .routes_fd = -EBADF};
}

/* The connection going down, or the manager, shows as an error reply to each call under way: that is no
 * refusal. */
static bool manager_is_going(const sd_bus_error *e)
{
    return sd_bus_error_has_names(
                   e, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_DISCONNECTED, BUS_ERROR_SHUTTING_DOWN) ||
           sd_bus_error_get_errno(e) == ECONNRESET;
}

static void attach_failed(Link *l, const sd_bus_error *e)
{
    if (manager_is_going(e))
        link_retry(l);
    else
        l->events->refused(sd_bus_error_get_errno(e), e->message, l->userdata);
}

static int on_listeners(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* So many sockets have come with the last message: if it was full there are more to ask for, else all is
 * there. */
static int attach_next(Link *l, size_t n_last)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    if (n_last >= BUS_LISTENERS_MAX) {
        if ((r = sd_bus_message_new_method_call(
                     l->bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_LISTENERS)) < 0 ||
                (r = sd_bus_message_append(m, "u", (uint32_t) l->attachment.n_listeners)) < 0)
            return r;
        return sd_bus_call_async(l->bus, NULL, m, on_listeners, l, CALL_TIMEOUT);
    }
    l->attached = true;
    r = l->events->attached(&l->attachment, l->userdata);
    drop_attachment(l);
    if (r < 0)
        l->attached = false;
    else
        l->pause = RETRY_MIN;
    return r;
}

static void attach_unusable(Link *l, int r)
{
    drop_attachment(l);
    l->events->refused(-r, "its answer cannot be used; are both programs of the same version?", l->userdata);
}

static int on_listeners(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Link *l = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    size_t n = 0;

    if (e) {
        drop_attachment(l);
        attach_failed(l, e);
        return 0;
    }
    int r = read_listeners(m, &l->attachment, &n);
    if (r >= 0)
        r = attach_next(l, n);
    if (r < 0)
        attach_unusable(l, r);
    return 0;
}

static int on_attached(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Link *l = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    LinkAttachment *a = &l->attachment;
    size_t n = 0;
    int r;

    if (e) {
        attach_failed(l, e);
        return 0;
    }
    drop_attachment(l);
    if ((r = read_fd(m, &a->status_fd)) >= 0 && (r = read_fd(m, &a->activity_fd)) >= 0 &&
            (r = read_fd(m, &a->routes_fd)) >= 0 && (r = read_listeners(m, a, &n)) >= 0)
        r = attach_next(l, n);
    if (r < 0)
        attach_unusable(l, r);
    return 0;
}

/* Sends sockets, as many as there are, by calls that each carry some. */
static int send_sockets(Link *l, const char *method, int (*get)(size_t at, void *userdata))
{
    int fd = get(0, l->userdata), r;

    for (size_t at = 0; fd >= 0;) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        if ((r = sd_bus_message_new_method_call(l->bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, method)) <
                        0 ||
                (r = sd_bus_message_set_expect_reply(m, false)) < 0 ||
                (r = sd_bus_message_open_container(m, 'a', "h")) < 0)
            return r;
        for (size_t n = 0; n < BUS_LISTENERS_MAX && fd >= 0; n++) {
            r = sd_bus_message_append(m, "h", fd);
            if (r < 0)
                return r;
            fd = get(++at, l->userdata);
        }
        if ((r = sd_bus_message_close_container(m)) < 0 || (r = sd_bus_send(l->bus, m, NULL)) < 0)
            return r;
    }
    return 0;
}

/* Not before the connection is up: sending descriptors on one that is not would block until it is. */
static int link_attach(Link *l)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    if ((r = send_sockets(l, BUS_LEND, l->events->lend)) < 0 ||
            (r = send_sockets(l, BUS_OFFER, l->events->offer)) < 0 ||
            (r = sd_bus_message_new_method_call(
                     l->bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_ATTACH)) < 0 ||
            (r = sd_bus_message_append(m, "ub", BUS_ATTACH_VERSION, (int) l->main_listeners)) < 0)
        return r;
    return sd_bus_call_async(l->bus, NULL, m, on_attached, l, CALL_TIMEOUT);
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
            .pause = RETRY_MIN,
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
    drop_attachment(l);
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
        r = manager_is_going(e) ? -ECONNRESET : -sd_bus_error_get_errno(e);
    else
        r = sd_bus_message_read(m, "busu", &online, &epoch, &why, &retry_after);
    c->done(r < 0 ? r : 0, online, epoch, e ? e->message : why, retry_after, c->userdata);
    return 0;
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
            (r = call_manager(l, m, CALL_TIMEOUT, on_wake_reply, c, ret)) < 0)
        return r;
    TAKE_PTR(c);
    return 0;
}

static int on_offline_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    OfflineCall *c = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);

    c->done(!e ? 0 : manager_is_going(e) ? -ECONNRESET : -sd_bus_error_get_errno(e), c->userdata);
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
