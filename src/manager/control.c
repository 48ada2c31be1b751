/* SPDX-License-Identifier: ISC */

/* Which connections there are, and the signals that go out on them. A private connection gets none unless it
 * asks for them: most of them are gateways', which have the tables. One that asks and then does not read is
 * cut off before we keep too much for it. */

#include "manager/control-internal.h"

#include "ipc/bus.h"
#include "util/log.h"

#define UNREAD_SIGNALS_MAX 8192

usec_t control_realtime(usec_t monotonic)
{
    if (monotonic == 0 || monotonic == USEC_INFINITY)
        return monotonic;
    usec_t real = now_realtime(), now = now_monotonic();
    return monotonic > now ? usec_add(real, monotonic - now) : usec_sub(real, now - monotonic);
}

int control_new(Manager *m, sd_bus *bus, const struct ucred *peer, Control **ret)
{
    _cleanup_(control_freep) Control *c = new0(Control, 1);
    int r;

    if (!c)
        return -ENOMEM;
    *c = (Control){.manager = m, .bus = bus, .is_private = peer, .next = m->controls};
    if (peer)
        c->peer = *peer;
    if (c->next)
        c->next->prev = c;
    m->controls = c;
    if ((r = control_manager_register(c)) < 0 || (peer && (r = control_admin_register(c)) < 0) ||
            (r = control_service_register(c)) < 0 || (r = control_counts_register(c)) < 0 ||
            (r = sd_bus_add_object_manager(bus, &c->objects, BUS_PATH)) < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

Control *control_free(Control *c)
{
    if (!c)
        return NULL;
    calls_forget(c);
    reload_calls_forget(c);
    access_forget(c);
    sd_bus_slot_unref(c->objects);
    sd_bus_slot_unref(c->enumerator);
    sd_bus_slot_unref(c->counted);
    sd_bus_slot_unref(c->services);
    sd_bus_slot_unref(c->admin_methods);
    sd_bus_slot_unref(c->manager_methods);
    if (c->prev)
        c->prev->next = c->next;
    else
        c->manager->controls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c->view);
    free(c->counts);
    return mfree(c);
}

static bool wants_signals(const Control *c)
{
    uint64_t n;

    if (!c->is_private)
        return true;
    if (!c->subscribed || sd_bus_get_n_queued_write(c->bus, &n) < 0)
        return false;
    if (n <= UNREAD_SIGNALS_MAX)
        return true;
    int fd = sd_bus_get_fd(c->bus);
    if (fd >= 0) { /* else it is closing already */
        log_warning("Process %d does not read the signals that it wants, dropping it.", (int) c->peer.pid);
        (void) shutdown(fd, SHUT_RDWR);
    }
    return false;
}

void controls_state_changed(
        Manager *m, const Service *s, ServiceState from, ServiceState to, const char *reason)
{
    _cleanup_free_ char *path = NULL;

    for (Control *c = m->controls; c; c = c->next) {
        if (!wants_signals(c))
            continue;
        if (!path)
            path = control_service_path(s);
        int r = path ? 0 : -ENOMEM;
        if (r >= 0 && from != to)
            r = sd_bus_emit_signal(c->bus, BUS_PATH, BUS_MANAGER_INTERFACE, "StateChanged", "sosss",
                    service_name(s), path, service_state_to_string(to), service_state_to_string(from),
                    reason);
        if (r >= 0)
            r = control_service_emit(c, path);
        if (r < 0)
            log_debug_errno(r, "Cannot tell of a change of state: %m");
    }
}

void controls_reason_changed(Manager *m, const Service *s)
{
    controls_state_changed(m, s, service_state(s), service_state(s), NULL);
}

/* `object`: sd_bus_emit_object_added() or its opposite; `definition`: its properties that go with that. */
static void tell_of_service(Manager *m, const Service *s, const char *signal,
        int (*object)(sd_bus *bus, const char *path), bool definition)
{
    _cleanup_free_ char *path = NULL;
    int r = 0;

    for (Control *c = m->controls; c && r >= 0; c = c->next) {
        if (!wants_signals(c))
            continue;
        if (!path && !(path = control_service_path(s)))
            r = -ENOMEM;
        if (r >= 0 && object)
            r = object(c->bus, path);
        if (r >= 0 && signal)
            r = sd_bus_emit_signal(
                    c->bus, BUS_PATH, BUS_MANAGER_INTERFACE, signal, "so", service_name(s), path);
        if (r >= 0 && definition)
            r = control_service_emit_definition(c, path);
    }
    if (r < 0)
        log_debug_errno(r, "Cannot tell of a service: %m");
}

void controls_service_new(Manager *m, const Service *s)
{
    tell_of_service(m, s, "ServiceNew", sd_bus_emit_object_added, false);
}

void controls_service_changed(Manager *m, const Service *s)
{
    tell_of_service(m, s, NULL, NULL, true);
}

void controls_service_removed(Manager *m, const Service *s)
{
    tell_of_service(m, s, "ServiceRemoved", sd_bus_emit_object_removed, false);
}

void controls_reloaded(Manager *m)
{
    int r = 0;

    for (Control *c = m->controls; c && r >= 0; c = c->next) {
        if (!wants_signals(c))
            continue;
        r = sd_bus_emit_properties_changed(c->bus, BUS_PATH, BUS_MANAGER_INTERFACE, "NConfigProblems", NULL);
        if (r >= 0)
            r = sd_bus_emit_signal(c->bus, BUS_PATH, BUS_MANAGER_INTERFACE, "Reloaded", "u",
                    (uint32_t) m->config->n_problems);
    }
    if (r < 0)
        log_debug_errno(r, "Cannot tell of a reload: %m");
}
