/* SPDX-License-Identifier: ISC */

/* The API for gateways as D-Bus sees it: reads arguments, writes replies, decides nothing. See ipc/bus.h. */

#include "manager/manager-bus.h"

#include "ipc/bus.h"
#include "util/fd.h"

static int append_descriptors(sd_bus_message *reply, const int *fds, size_t n)
{
    int r = sd_bus_message_open_container(reply, 'a', "h");
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = sd_bus_message_append(reply, "h", fds[i]);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_attach(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_close_ int activity_fd = -EBADF;
    const Publication *p;
    const int *fds;
    uint32_t version;
    size_t n;
    int main_listeners, r;

    if ((r = sd_bus_message_read(m, "ub", &version, &main_listeners)) < 0 ||
            (r = peer_attach(userdata, version, main_listeners, &p, &activity_fd, error)) < 0 ||
            (r = peer_listeners(userdata, 0, &fds, &n, error)) < 0 ||
            (r = sd_bus_message_new_method_return(m, &reply)) < 0 ||
            (r = sd_bus_message_append(
                     reply, "hhh", peer_manager(userdata)->status_fd, activity_fd, p->routes_fd)) < 0 ||
            (r = append_descriptors(reply, fds, n)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

static int method_update(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const Publication *p;
    uint64_t generation;
    const int *fds;
    size_t n;
    int r;

    if ((r = peer_update(userdata, &generation, &p, error)) < 0 ||
            (r = peer_listeners(userdata, 0, &fds, &n, error)) < 0 ||
            (r = sd_bus_message_new_method_return(m, &reply)) < 0 ||
            (r = sd_bus_message_append(reply, "th", generation, p->routes_fd)) < 0 ||
            (r = append_descriptors(reply, fds, n)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

static int method_updated(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    uint64_t generation;
    const char *problem;

    int r = sd_bus_message_read(m, "ts", &generation, &problem);
    if (r < 0)
        return r;
    peer_updated(userdata, generation, problem);
    return 1;
}

static int method_listeners(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const int *fds;
    uint32_t first;
    size_t n;
    int r;

    if ((r = sd_bus_message_read(m, "u", &first)) < 0 ||
            (r = peer_listeners(userdata, first, &fds, &n, error)) < 0 ||
            (r = sd_bus_message_new_method_return(m, &reply)) < 0 ||
            (r = append_descriptors(reply, fds, n)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

static int for_each_socket(sd_bus_message *m, void (*take)(Peer *p, int fd), Peer *p)
{
    int fd, r;

    r = sd_bus_message_enter_container(m, 'a', "h");
    while (r > 0 && (r = sd_bus_message_read(m, "h", &fd)) > 0)
        take(p, fd);
    return r < 0 ? r : 1;
}

static int method_offer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return for_each_socket(m, peer_offer, userdata);
}

static int method_lend(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return for_each_socket(m, peer_lend, userdata);
}

static int method_wake(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    uint32_t slot, dead_epoch;
    const char *reason;

    int r = sd_bus_message_read(m, "uus", &slot, &dead_epoch, &reason);
    if (r >= 0)
        r = peer_wake(userdata, m, slot, dead_epoch, reason, error);
    return r < 0 ? r : 1; /* the reply follows */
}

static int method_idle(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    uint32_t slot;

    int r = sd_bus_message_read(m, "u", &slot);
    if (r < 0)
        return r;
    peer_idle(userdata, slot);
    return 1;
}

static int method_await_offline(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    int r = peer_await_offline(userdata, m, error);
    return r < 0 ? r : 1; /* the reply follows */
}

static const sd_bus_vtable gateway_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS(BUS_ATTACH, SD_BUS_ARGS("u", version, "b", main_listeners),
                SD_BUS_RESULT("h", status_table, "h", activity_table, "h", routes, "ah", listeners),
                method_attach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(BUS_LISTENERS, SD_BUS_ARGS("u", first), SD_BUS_RESULT("ah", listeners),
                method_listeners, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(BUS_UPDATE, SD_BUS_NO_ARGS,
                SD_BUS_RESULT("t", generation, "h", routes, "ah", listeners), method_update,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(BUS_UPDATED, SD_BUS_ARGS("t", generation, "s", problem), SD_BUS_NO_RESULT,
                method_updated, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
        SD_BUS_SIGNAL(BUS_CHANGED, NULL, 0),
        SD_BUS_METHOD_WITH_ARGS(BUS_OFFER, SD_BUS_ARGS("ah", listeners), SD_BUS_NO_RESULT, method_offer,
                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
        SD_BUS_METHOD_WITH_ARGS(BUS_LEND, SD_BUS_ARGS("ah", listeners), SD_BUS_NO_RESULT, method_lend,
                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
        SD_BUS_METHOD_WITH_ARGS(BUS_WAKE, SD_BUS_ARGS("u", slot, "u", dead_epoch, "s", reason),
                SD_BUS_RESULT("b", online, "u", epoch, "s", why, "u", retry_after_seconds), method_wake,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(BUS_IDLE, SD_BUS_ARGS("u", slot), SD_BUS_NO_RESULT, method_idle,
                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
        SD_BUS_METHOD(BUS_AWAIT_OFFLINE, NULL, NULL, method_await_offline, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int manager_bus_register(sd_bus *bus, Peer *peer, sd_bus_slot **ret)
{
    return sd_bus_add_object_vtable(bus, ret, BUS_PATH, BUS_GATEWAY_INTERFACE, gateway_vtable, peer);
}
