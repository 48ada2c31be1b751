/* SPDX-License-Identifier: ISC */

/* What the manager gives: tables once a connection, routes and sockets then and whenever there is another
 * configuration. What comes in several messages is used when all of it is there. If it has become outdated
 * before that, the rest is not waited for: the newer one is fetched instead. */

#include "gateway/link-internal.h"

#include <fcntl.h>
#include <unistd.h>

#include "ipc/bus.h"
#include "ipc/table.h"
#include "util/fd.h"
#include "util/log.h"

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

static void drop_routes(Link *l)
{
    LinkAttachment *a = &l->attachment;

    a->routes_fd = fd_close(a->routes_fd);
    for (size_t i = 0; i < a->n_listeners; i++)
        fd_close(a->listeners[i]);
    a->listeners = mfree(a->listeners);
    a->n_listeners = 0;
}

void link_drop_attachment(Link *l)
{
    LinkAttachment *a = &l->attachment;

    drop_routes(l);
    a->status_fd = fd_close(a->status_fd);
    a->activity_fd = fd_close(a->activity_fd);
}

static int on_listeners(sd_bus_message *m, void *userdata, sd_bus_error *error);
static int on_update(sd_bus_message *m, void *userdata, sd_bus_error *error);

static int call(Link *l, const char *method, sd_bus_message_handler_t reply)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    if ((r = sd_bus_message_new_method_call(l->bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, method)) < 0 ||
            (reply == on_listeners &&
                    (r = sd_bus_message_append(m, "u", (uint32_t) l->attachment.n_listeners)) < 0))
        return r;
    return sd_bus_call_async(l->bus, NULL, m, reply, l, LINK_CALL_TIMEOUT);
}

/* Tells what has become of a generation; `r` < 0: we go on with the one before. */
static void say_updated(Link *l, int r)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    if (r < 0)
        log_error_errno(r, "Cannot use the new configuration, going on with the one before: %m");
    if (l->generation == 0)
        return;
    if (sd_bus_message_new_method_call(l->bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_UPDATED) >= 0 &&
            sd_bus_message_append(m, "ts", l->generation, r < 0 ? strerror(-r) : "") >= 0 &&
            sd_bus_message_set_expect_reply(m, false) >= 0)
        (void) sd_bus_send(l->bus, m, NULL);
}

/* What was on its way has come, or will not. */
static void fetched(Link *l, int r)
{
    say_updated(l, r);
    link_drop_attachment(l);
    l->fetching = false;
    if (l->changed)
        link_update(l);
}

/* All is there. */
static int use(Link *l)
{
    bool first = !l->attached;
    int r;

    l->attached = true;
    if (!first)
        r = l->events->updated(&l->attachment, l->userdata);
    else if ((r = l->events->attached(&l->attachment, l->userdata)) < 0) {
        l->attached = false;
        return r;
    } else
        l->pause = LINK_RETRY_MIN;
    fetched(l, r);
    return 0;
}

/* So many sockets have come with the last message: if it was full there are more to ask for, else all is
 * there. */
static int fetch_next(Link *l, size_t n_last)
{
    return n_last >= BUS_LISTENERS_MAX ? call(l, BUS_LISTENERS, on_listeners) : use(l);
}

/* Without anything to go on with that is the end, else all is as it was. */
static void unusable(Link *l, int r)
{
    if (l->attached) {
        fetched(l, r);
        return;
    }
    link_drop_attachment(l);
    l->events->refused(-r, "its answer cannot be used; are both programs of the same version?", l->userdata);
}

static void failed(Link *l, const sd_bus_error *e)
{
    if (link_manager_is_going(e)) {
        link_drop_attachment(l);
        link_retry(l);
    } else if (l->attached) {
        log_error("The manager does not give us the new configuration: %s", e->message ?: e->name);
        l->generation = 0;
        fetched(l, 0);
    } else {
        link_drop_attachment(l);
        l->events->refused(sd_bus_error_get_errno(e), e->message, l->userdata);
    }
}

void link_update(Link *l)
{
    if (l->fetching) {
        l->changed = true;
        return;
    }
    l->fetching = true;
    l->changed = false;
    l->generation = 0;
    int r = call(l, BUS_UPDATE, on_update);
    if (r < 0) {
        log_error_errno(r, "Cannot ask the manager for the new configuration: %m");
        l->fetching = false;
    }
}

static int on_listeners(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Link *l = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    size_t n = 0;
    int r;

    if (sd_bus_error_has_name(e, BUS_ERROR_OUTDATED)) {
        drop_routes(l);
        l->fetching = false;
        link_update(l);
        return 0;
    }
    if (e) {
        failed(l, e);
        return 0;
    }
    if ((r = read_listeners(m, &l->attachment, &n)) < 0 || (r = fetch_next(l, n)) < 0)
        unusable(l, r);
    return 0;
}

static int on_update(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Link *l = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    size_t n = 0;
    int r;

    if (e) {
        failed(l, e);
        return 0;
    }
    drop_routes(l);
    if ((r = sd_bus_message_read(m, "t", &l->generation)) < 0 ||
            (r = read_fd(m, &l->attachment.routes_fd)) < 0 ||
            (r = read_listeners(m, &l->attachment, &n)) < 0 || (r = fetch_next(l, n)) < 0)
        unusable(l, r);
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
        failed(l, e);
        return 0;
    }
    link_drop_attachment(l);
    if ((r = read_fd(m, &a->status_fd)) < 0 || (r = read_fd(m, &a->activity_fd)) < 0 ||
            (r = read_fd(m, &a->routes_fd)) < 0 || (r = read_listeners(m, a, &n)) < 0 ||
            (r = fetch_next(l, n)) < 0)
        unusable(l, r);
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

int link_attach(Link *l)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    if ((r = send_sockets(l, BUS_LEND, l->events->lend)) < 0 ||
            (r = send_sockets(l, BUS_OFFER, l->events->offer)) < 0 ||
            (r = sd_bus_message_new_method_call(
                     l->bus, &m, NULL, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_ATTACH)) < 0 ||
            (r = sd_bus_message_append(m, "ub", BUS_ATTACH_VERSION, (int) l->main_listeners)) < 0)
        return r;
    l->fetching = true;
    l->changed = false;
    l->generation = 0;
    return sd_bus_call_async(l->bus, NULL, m, on_attached, l, LINK_CALL_TIMEOUT);
}
