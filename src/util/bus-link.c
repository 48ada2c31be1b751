/* SPDX-License-Identifier: ISC */

/* Owns the connection. A lost one is torn down from a timer, never while it is dispatching, and made anew:
 * after RETRY_MIN, then with pauses that double up to RETRY_MAX. A bus whose socket is not there yet is
 * waited for by inotify (sd_bus_set_watch_bind(3)), not by asking again.
 *
 * Invariant: l->is_up is true exactly between the users' `up` and `down`. */

#include "util/bus-link.h"

#include <unistd.h>

#include "util/event.h"
#include "util/log.h"
#include "util/text.h"

#define RETRY_MIN (2 * USEC_PER_MSEC)
#define RETRY_MAX USEC_PER_SEC

typedef struct BusLinkUser {
    const BusLinkEvents *events;
    void *userdata;
} BusLinkUser;

struct BusLink {
    sd_event *event;
    bool user, is_bus, is_up;
    bool bus_seen; /* there is one on this machine: then it is waited for */
    char *address;
    sd_bus *bus;
    sd_event_source *retry;
    usec_t pause;
    BusLinkUser users[BUS_LINK_USERS_MAX];
    size_t n_users;
};

static int link_connect(BusLink *l);

static void link_down(BusLink *l)
{
    if (!l->is_up)
        return;
    l->is_up = false;
    for (size_t i = 0; i < l->n_users; i++)
        if (l->users[i].events->down)
            l->users[i].events->down(l->users[i].userdata);
}

static void link_drop(BusLink *l)
{
    if (!l->bus)
        return;
    sd_bus_detach_event(l->bus);
    l->bus = sd_bus_close_unref(l->bus);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    BusLink *l = userdata;

    link_drop(l);
    int r = link_connect(l);
    if (r < 0) {
        l->pause = MIN(l->pause * 2, RETRY_MAX);
        log_debug_errno(r, "Cannot connect to %s: %m", l->address);
        (void) event_arm_timer(l->event, &l->retry, l->pause, on_retry, l, "bus-retry");
    }
    return 0;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    BusLink *l = userdata;

    if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Connected")) {
        l->is_up = true;
        l->bus_seen |= l->is_bus;
        l->pause = RETRY_MIN;
        for (size_t i = 0; i < l->n_users; i++)
            l->users[i].events->up(l->bus, l->users[i].userdata);
    } else if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected")) {
        if (l->is_up)
            log_info("The connection to the message bus is lost, connecting again.");
        link_down(l);
        (void) event_arm_timer(l->event, &l->retry, l->pause, on_retry, l, "bus-retry");
        l->pause = MIN(l->pause * 2, RETRY_MAX);
    }
    return 0;
}

/* The place of an address of the form unix:path=PATH, when there is something. */
static bool is_there(const char *address)
{
    const char *path = startswith(address, "unix:path=");
    _cleanup_free_ char *copy = path ? strndup(path, strcspn(path, ",;")) : NULL;
    return copy && access(copy, F_OK) == 0;
}

/* Each time anew: what was not there the last time may be there now. */
static int choose_address(BusLink *l)
{
    const char *given = secure_getenv(l->user ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS");
    const char *dir = l->user ? secure_getenv("XDG_RUNTIME_DIR") : "/run";

    if (!given && !dir)
        return -ENXIO;
    l->is_bus = true;
    free(l->address);
    l->address = given     ? strdup(given)
                 : l->user ? text_format("unix:path=%s/bus", dir)
                           : strdup("unix:path=/run/dbus/system_bus_socket");
    if (!l->address)
        return -ENOMEM;
    if (!dir || l->bus_seen || is_there(l->address))
        return 0;
    _cleanup_free_ char *private = text_format("unix:path=%s/systemd/private", dir);
    if (!private)
        return -ENOMEM;
    if (is_there(private)) {
        l->is_bus = false;
        free(l->address);
        l->address = TAKE_PTR(private);
    }
    return 0;
}

static int link_connect(BusLink *l)
{
    _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
    int r;

    if ((r = choose_address(l)) < 0 || (r = sd_bus_new(&bus)) < 0 ||
            (r = sd_bus_set_description(bus, "dynapm")) < 0 ||
            (r = sd_bus_set_address(bus, l->address)) < 0 ||
            (r = sd_bus_set_bus_client(bus, l->is_bus)) < 0 || (r = sd_bus_set_watch_bind(bus, true)) < 0 ||
            (r = sd_bus_set_connected_signal(bus, true)) < 0 ||
            (r = sd_bus_set_close_on_exit(bus, false)) < 0 || (r = sd_bus_start(bus)) < 0 ||
            (r = sd_bus_attach_event(bus, l->event, SD_EVENT_PRIORITY_NORMAL)) < 0 ||
            (r = sd_bus_add_filter(bus, NULL, on_message, l)) < 0)
        return r;
    l->bus = TAKE_PTR(bus);
    return 0;
}

int bus_link_new(sd_event *event, bool user, BusLink **ret)
{
    _cleanup_(bus_link_freep) BusLink *l = new0(BusLink, 1);
    if (!l)
        return -ENOMEM;
    *l = (BusLink){.event = sd_event_ref(event), .user = user, .pause = RETRY_MIN};
    int r = choose_address(l);
    if (r >= 0)
        r = event_arm_timer(event, &l->retry, 0, on_retry, l, "bus-retry");
    if (r < 0)
        return r;
    *ret = TAKE_PTR(l);
    return 0;
}

BusLink *bus_link_free(BusLink *l)
{
    if (!l)
        return NULL;
    link_drop(l);
    sd_event_source_disable_unref(l->retry);
    sd_event_unref(l->event);
    free(l->address);
    return mfree(l);
}

void bus_link_add_user(BusLink *l, const BusLinkEvents *events, void *userdata)
{
    assert(l->n_users < BUS_LINK_USERS_MAX);
    l->users[l->n_users++] = (BusLinkUser){events, userdata};
}

sd_bus *bus_link_bus(const BusLink *l)
{
    return l->is_up ? l->bus : NULL;
}

bool bus_link_is_bus(const BusLink *l)
{
    return l->is_bus;
}

bool bus_error_is_loss(const sd_bus_error *e)
{
    return sd_bus_error_has_names(e, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_DISCONNECTED,
                   SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                   "org.freedesktop.DBus.Error.Spawn.ChildExited") ||
           sd_bus_error_get_errno(e) == ECONNRESET;
}
