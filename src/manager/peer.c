/* SPDX-License-Identifier: ISC */

/* A gateway worker as the manager sees it. All that it can make us keep is bounded: one activity table, so
 * many wakes at a time, so many answers that it does not read. The connection's end, noticed by sd-bus as the
 * `Disconnected` signal that it sends itself, is the end of the peer and of everything here; a wake's answer
 * and its being forgotten are the only two ends of a wake. */

#include "manager/peer.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "ipc/bus.h"
#include "manager/manager-bus.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/text.h"

#define WAKES_MAX SLOTS_MAX /* a gateway asks once a service, however many requests wait */
#define UNREAD_ANSWERS_MAX (2 * SLOTS_MAX)
#define UNREAD_LOOKS_MAX 8
#define REASON_MAX 256

typedef struct PendingWake {
    Peer *peer;
    struct PendingWake *prev, *next;
    sd_bus_message *call;
    Waiter *waiter;
} PendingWake;

struct Peer {
    Manager *manager;
    pid_t pid;
    void (*gone)(Peer *p, void *userdata);
    void *userdata;
    sd_bus *bus;
    sd_bus_slot *filter, *methods, *disconnected;
    Control *control;
    const ActivityTable *activity; /* NULL until attached */
    Publication *publication;      /* what it was given */
    uint64_t generation;           /* of the configuration that it uses */
    bool main_listeners;
    bool told; /* that there is another one, for which it has not asked yet */
    PendingWake *wakes;
    size_t n_wakes;
    sd_bus_message *await_offline; /* the call that waits, NULL = none */
};

Manager *peer_manager(const Peer *p)
{
    return p->manager;
}

static void wake_free(PendingWake *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        w->peer->wakes = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->peer->n_wakes--;
    service_waiter_cancel(w->waiter);
    sd_bus_message_unref(w->call);
    free(w);
}

static void on_ended(uint32_t slot, void *userdata)
{
    Service *s = manager_service(userdata, slot);
    if (s)
        service_activity_changed(s);
}

Peer *peer_free(Peer *p)
{
    if (!p)
        return NULL;
    while (p->wakes)
        wake_free(p->wakes);
    sd_bus_message_unref(p->await_offline);
    publication_unref(p->publication);
    if (p->activity) {
        log_info("Gateway of process %d has left.", (int) p->pid);
        activity_remove(&p->manager->activity, p->activity, on_ended, p->manager);
    }
    control_free(p->control);
    sd_bus_slot_unref(p->filter);
    sd_bus_slot_unref(p->methods);
    sd_bus_slot_unref(p->disconnected);
    sd_bus_close_unref(p->bus);
    return mfree(p);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Peer *p = userdata;
    p->gone(p, p->userdata);
    return 0;
}

/* How many answers may lie unread when this message is let in. Those about all services are large: who is not
 * trusted anyway does not get many of them at a time. */
static uint64_t unread_max(const Peer *p, sd_bus_message *m)
{
    const char *interface = sd_bus_message_get_interface(m);
    bool looks = sd_bus_message_is_method_call(m, NULL, NULL) > 0 &&
                 !(interface &&
                         (streq(interface, BUS_GATEWAY_INTERFACE) || streq(interface, BUS_ADMIN_INTERFACE)));
    return looks && !control_may_change(p->control) ? UNREAD_LOOKS_MAX : UNREAD_ANSWERS_MAX;
}

/* Sees every message first. A peer that goes on asking without reading the answers would have us keep them
 * all: its connection is cut, of which we then hear as of any other end. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Peer *p = userdata;
    uint64_t n;

    if (sd_bus_get_n_queued_write(p->bus, &n) < 0 || n <= unread_max(p, m))
        return 0;
    int fd = sd_bus_get_fd(p->bus);
    if (fd >= 0) { /* else it is closing already */
        log_warning("Process %d does not read its answers, dropping it.", (int) p->pid);
        (void) shutdown(fd, SHUT_RDWR);
    }
    return fd >= 0;
}

int peer_new(Manager *m, int fd, const struct ucred *who, void (*gone)(Peer *p, void *userdata),
        void *userdata, Peer **ret)
{
    _cleanup_close_ int owned = fd;
    sd_id128_t id;
    int r;

    _cleanup_(peer_freep) Peer *p = new0(Peer, 1);
    if (!p)
        return -ENOMEM;
    *p = (Peer){.manager = m, .pid = who->pid, .gone = gone, .userdata = userdata};
    if ((r = sd_id128_randomize(&id)) < 0 || (r = sd_bus_new(&p->bus)) < 0 ||
            (r = sd_bus_set_description(p->bus, "private")) < 0 ||
            (r = sd_bus_set_fd(p->bus, owned, owned)) < 0)
        return r;
    TAKE_FD(owned);
    /* Who may come in was decided by the socket's mode and the credentials of the connection. */
    if ((r = sd_bus_set_server(p->bus, true, id)) < 0 || (r = sd_bus_set_anonymous(p->bus, true)) < 0 ||
            (r = sd_bus_set_trusted(p->bus, true)) < 0 || (r = sd_bus_negotiate_fds(p->bus, true)) < 0 ||
            (r = sd_bus_add_filter(p->bus, &p->filter, on_message, p)) < 0 ||
            (r = manager_bus_register(p->bus, p, &p->methods)) < 0 ||
            (r = control_new(m, p->bus, who, &p->control)) < 0 ||
            (r = sd_bus_match_signal(p->bus, &p->disconnected, NULL, "/org/freedesktop/DBus/Local",
                     "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, p)) < 0 ||
            (r = sd_bus_start(p->bus)) < 0 ||
            (r = sd_bus_attach_event(p->bus, m->event, SD_EVENT_PRIORITY_NORMAL)) < 0)
        return r;
    *ret = TAKE_PTR(p);
    return 0;
}

int peer_attach(Peer *p, uint32_t version, bool main_listeners, const Publication **ret, int *ret_activity_fd,
        sd_bus_error *error)
{
    _cleanup_close_ int fd = -EBADF;
    Publication *publication;
    const ActivityTable *activity;

    if (version != BUS_ATTACH_VERSION)
        return sd_bus_error_setf(error, BUS_ERROR_VERSION,
                "version %u is spoken here, the gateway speaks version %u", BUS_ATTACH_VERSION, version);
    if (p->activity)
        return sd_bus_error_set(error, BUS_ERROR_NOT_ATTACHED, "this connection is attached already");
    if (p->manager->activity.n_tables >= GATEWAYS_MAX) { /* it will come back */
        log_warning("%u gateways are attached already, sending process %d away.", GATEWAYS_MAX, (int) p->pid);
        (void) shutdown(sd_bus_get_fd(p->bus), SHUT_RDWR);
        return -ECONNRESET;
    }
    int r = manager_publication(p->manager, main_listeners, &publication);
    if (r < 0)
        return log_error_errno(r, "Cannot make the gateway's route image: %m");
    r = activity_table_new(&activity, &fd);
    if (r < 0)
        return log_error_errno(r, "Cannot make the gateway's activity table: %m");
    activity_add(&p->manager->activity, activity);
    p->activity = activity;
    p->publication = publication_ref(publication);
    p->main_listeners = main_listeners;
    p->generation = p->manager->generation;
    log_info("Gateway of process %d has attached.", (int) p->pid);
    *ret = publication;
    *ret_activity_fd = TAKE_FD(fd);
    return 0;
}

/* Nobody else is to hear of it: most of those who look after services have no use for it. */
void peer_tell_changed(Peer *p)
{
    if (!p->activity || p->told)
        return;
    int r = sd_bus_emit_signal(p->bus, BUS_PATH, BUS_GATEWAY_INTERFACE, BUS_CHANGED, NULL);
    if (r < 0) /* on its way out */
        log_debug_errno(r, "Cannot tell the gateway of process %d: %m", (int) p->pid);
    else
        p->told = true;
}

uint64_t peer_generation(const Peer *p)
{
    return p->activity ? p->generation : UINT64_MAX;
}

pid_t peer_pid(const Peer *p)
{
    return p->pid;
}

int peer_update(Peer *p, uint64_t *ret_generation, const Publication **ret, sd_bus_error *error)
{
    Publication *now;

    if (!p->activity)
        return sd_bus_error_set(error, BUS_ERROR_NOT_ATTACHED, "Attach comes first");
    int r = manager_publication(p->manager, p->main_listeners, &now);
    if (r < 0)
        return log_error_errno(r, "Cannot make the gateway's route image: %m");
    Publication *before = p->publication;
    p->publication = publication_ref(now);
    publication_unref(before);
    p->told = false;
    *ret_generation = p->manager->generation;
    *ret = now;
    return 0;
}

void peer_updated(Peer *p, uint64_t generation, const char *problem)
{
    if (!p->activity || generation > p->manager->generation)
        return;
    if (*problem)
        log_error("The gateway of process %d cannot use the new configuration: %s", (int) p->pid, problem);
    else
        log_debug("The gateway of process %d uses the new configuration.", (int) p->pid);
    p->generation = MAX(p->generation, generation);
    reloads_check(&p->manager->reloads);
}

int peer_listeners(Peer *p, uint32_t first, const int **ret, size_t *ret_n, sd_bus_error *error)
{
    const Publication *given = p->publication;

    if (!given)
        return sd_bus_error_set(error, BUS_ERROR_NOT_ATTACHED, "Attach comes first");
    if (given != p->manager->publications[p->main_listeners])
        return sd_bus_error_set(error, BUS_ERROR_OUTDATED, "there are other listeners by now");
    if (first > given->n_listeners)
        return sd_bus_error_setf(
                error, SD_BUS_ERROR_INVALID_ARGS, "there are %zu listeners", given->n_listeners);
    *ret_n = MIN(given->n_listeners - first, (size_t) BUS_LISTENERS_MAX);
    *ret = *ret_n > 0 ? given->listeners + first : NULL;
    return 0;
}

void peer_offer(Peer *p, int fd)
{
    if (!listeners_offer(p->manager->listeners, fd))
        return;
    log_debug("Took over a listening socket from the gateway of process %d.", (int) p->pid);
    manager_listeners_changed(p->manager);
}

void peer_lend(Peer *p, int fd)
{
    if (!listeners_lend(p->manager->listeners, fd))
        return;
    log_debug("The gateway of process %d has a listening socket that is wanted.", (int) p->pid);
    manager_listeners_changed(p->manager);
}

static void on_wake_done(Service *s, const WakeResult *result, void *userdata)
{
    PendingWake *w = userdata;

    w->waiter = NULL;
    int r = sd_bus_reply_method_return(w->call, "busu", (int) result->online, result->epoch,
            result->online || !result->why ? "" : result->why, (uint32_t) result->retry_after);
    if (r < 0) /* on its way out: it will ask the next manager, or nobody */
        log_debug_errno(r, "Cannot answer the gateway of process %d: %m", (int) w->peer->pid);
    wake_free(w);
}

void peer_refuse_waiting(Peer *p)
{
    while (p->wakes) {
        int r = sd_bus_reply_method_errorf(
                p->wakes->call, BUS_ERROR_SHUTTING_DOWN, "the manager is shutting down");
        if (r < 0)
            log_debug_errno(r, "Cannot answer the gateway of process %d: %m", (int) p->pid);
        wake_free(p->wakes);
    }
    if (p->await_offline) {
        int r = sd_bus_reply_method_errorf(
                p->await_offline, BUS_ERROR_SHUTTING_DOWN, "the manager is shutting down");
        if (r < 0)
            log_debug_errno(r, "Cannot answer the gateway of process %d: %m", (int) p->pid);
        p->await_offline = sd_bus_message_unref(p->await_offline);
    }
}

bool peer_awaits_offline(const Peer *p)
{
    return p->await_offline;
}

void peer_tell_offline(Peer *p)
{
    if (!p->await_offline)
        return;
    int r = sd_bus_reply_method_return(p->await_offline, NULL);
    if (r < 0)
        log_debug_errno(r, "Cannot answer the gateway of process %d: %m", (int) p->pid);
    p->await_offline = sd_bus_message_unref(p->await_offline);
}

int peer_await_offline(Peer *p, sd_bus_message *call, sd_bus_error *error)
{
    if (!p->activity)
        return sd_bus_error_set(error, BUS_ERROR_NOT_ATTACHED, "Attach comes first");
    if (p->manager->stopping)
        return sd_bus_error_set(error, BUS_ERROR_SHUTTING_DOWN, "the manager is shutting down");
    if (p->await_offline)
        return sd_bus_error_set(error, BUS_ERROR_TOO_MANY, "this connection waits already");
    p->await_offline = sd_bus_message_ref(call);
    manager_gateways_changed(p->manager);
    return 0;
}

int peer_wake(Peer *p, sd_bus_message *call, uint32_t slot, uint32_t dead_epoch, const char *reason,
        sd_bus_error *error)
{
    char short_reason[REASON_MAX];
    Waiter *waiter = NULL;

    if (!p->activity)
        return sd_bus_error_set(error, BUS_ERROR_NOT_ATTACHED, "Attach comes first");
    if (p->manager->stopping)
        return sd_bus_error_set(error, BUS_ERROR_SHUTTING_DOWN, "the manager is shutting down");
    Service *s = manager_service(p->manager, slot);
    if (!s)
        return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_SLOT, "no service has slot %u", slot);
    if (p->n_wakes >= WAKES_MAX)
        return sd_bus_error_set(error, BUS_ERROR_TOO_MANY, "too many calls wait for their answer");

    PendingWake *w = new0(PendingWake, 1);
    if (!w)
        return -ENOMEM;
    *w = (PendingWake){.peer = p, .next = p->wakes, .call = sd_bus_message_ref(call)};
    if (w->next)
        w->next->prev = w;
    p->wakes = w;
    p->n_wakes++;

    recovery_hurry(&p->manager->recovery, slot);
    int r = service_wake(s, dead_epoch, text_copy_utf8(short_reason, sizeof short_reason, reason),
            on_wake_done, w, &waiter);
    if (r < 0) {
        wake_free(w);
        return r;
    }
    if (waiter) /* else it was answered at once, and w is gone */
        w->waiter = waiter;
    return 0;
}

void peer_idle(Peer *p, uint32_t slot)
{
    Service *s = p->activity ? manager_service(p->manager, slot) : NULL;
    if (s)
        service_activity_changed(s);
}
