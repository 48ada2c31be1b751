/* SPDX-License-Identifier: ISC */

/* The connection to the service manager and what is followed over it. Two matches tell of all changes of all
 * units, for a bus allows an unprivileged client few matches; what is not ours is dropped after one look-up
 * by object path. When the connection comes up, or another service manager has taken the name, everything is
 * asked anew: who is subscribed first and asks then misses nothing.
 *
 * Invariant: status.state is UNIT_UNKNOWN until the first answer. */

#include <stdarg.h>

#include "backend/systemd-internal.h"
#include "util/log.h"

/* ── calls ── */

int systemd_call(const Systemd *s, sd_bus_slot **slot, const char *path, const char *interface,
        const char *member, sd_bus_message_handler_t reply, void *userdata, const char *types, ...)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    va_list ap;
    int r;

    if (!s->bus)
        return -ENOTCONN;
    if ((r = sd_bus_message_new_method_call(s->bus, &m, SYSTEMD_NAME, path, interface, member)) < 0)
        return r;
    va_start(ap, types);
    r = sd_bus_message_appendv(m, types, ap);
    va_end(ap);
    if (r < 0)
        return r;
    if (!reply) {
        r = sd_bus_message_set_expect_reply(m, false);
        return r < 0 ? r : sd_bus_send(s->bus, m, NULL);
    }
    *slot = sd_bus_slot_unref(*slot);
    /* No limit: it may be busy for long, as with generators that it waits for, and would do late what nobody
     * knows of any more. That it is gone is said by the bus. */
    return sd_bus_call_async(s->bus, slot, m, reply, userdata, UINT64_MAX);
}

int systemd_get_all(Unit *u, sd_bus_slot **slot, const char *interface, sd_bus_message_handler_t reply)
{
    return systemd_call(u->systemd, slot, u->path, PROPERTIES, "GetAll", reply, u, "s", interface);
}

static void unit_changed(Unit *u)
{
    if (u->status.state == UNIT_INACTIVE || u->status.state == UNIT_FAILED)
        job_on_unit_gone(u);
    u->events->changed(u, u->userdata);
}

/* ── how a unit stands ── */

/* The status is whole. Comes last: may free the unit. */
static void unit_known(Unit *u)
{
    if (u->job.kind != JOB_NONE)
        job_send(u);
    unit_changed(u);
}

static int on_got_service(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Unit *u = userdata;

    u->get_service = sd_bus_slot_unref(u->get_service);
    const sd_bus_error *e = sd_bus_message_get_error(m);
    if (e && bus_error_is_loss(e))
        return 0;
    if (!e) /* else it is no service, or is gone */
        (void) unit_status_read(&u->status, m);
    /* Both answers come in the order of the questions. */
    if (u->status.state != UNIT_UNKNOWN)
        unit_known(u);
    return 0;
}

static int on_got_unit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Unit *u = userdata;

    u->get_unit = sd_bus_slot_unref(u->get_unit);
    const sd_bus_error *e = sd_bus_message_get_error(m);
    if (e && bus_error_is_loss(e))
        return 0;
    u->status.state = UNIT_INACTIVE;
    if (!e)
        (void) unit_status_read(&u->status, m);
    return 0;
}

static void unit_query(Unit *u)
{
    int r = systemd_get_all(u, &u->get_unit, SYSTEMD_UNIT, on_got_unit);
    if (r >= 0)
        r = systemd_get_all(u, &u->get_service, SYSTEMD_SERVICE, on_got_service);
    if (r < 0)
        log_error_errno(r, "Cannot ask the service manager about %s: %m", u->name);
}

static int on_loaded(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Unit *u = userdata;
    const char *path;

    u->load = sd_bus_slot_unref(u->load);
    const sd_bus_error *e = sd_bus_message_get_error(m);
    if (e && bus_error_is_loss(e))
        return 0;
    if (!e && sd_bus_message_read(m, "o", &path) > 0 && unit_set_path(u, path) >= 0) {
        unit_query(u);
        return 0;
    }
    /* A name that it cannot do anything with: a start says so. */
    u->status.state = UNIT_INACTIVE;
    unit_known(u);
    return 0;
}

/* Asks how it stands. For a transient one that is answered with all others of its kind when the connection
 * comes up, and by itself later. */
static void unit_load(Unit *u)
{
    if (u->kind != UNIT_NAMED) {
        unit_query(u);
        return;
    }
    int r = systemd_call(
            u->systemd, &u->load, SYSTEMD_PATH, SYSTEMD_MANAGER, "LoadUnit", on_loaded, u, "s", u->name);
    if (r < 0)
        log_error_errno(r, "Cannot ask the service manager about %s: %m", u->name);
}

/* ── signals ──
 *
 * A bus passes signals from anybody to anybody, and a match for a well-known name does not keep out those
 * that are addressed to us: what is to be believed comes from the owner of the name. */

static bool is_from(sd_bus_message *m, const char *who)
{
    return who && streq_ptr(who, sd_bus_message_get_sender(m));
}

static bool is_from_service_manager(const Systemd *s, sd_bus_message *m)
{
    return !bus_link_is_bus(s->link) || is_from(m, s->owner);
}

static void set_owner(Systemd *s, const char *owner)
{
    free(s->owner);
    s->owner = owner && *owner ? strdup(owner) : NULL;
}

static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *interface;

    if (!is_from_service_manager(userdata, m))
        return 0;
    Unit *u = systemd_units_at(userdata, sd_bus_message_get_path(m));
    if (!u || sd_bus_message_read(m, "s", &interface) < 0)
        return 0;
    bool is_unit = streq(interface, SYSTEMD_UNIT);
    if (!is_unit && !streq(interface, SYSTEMD_SERVICE))
        return 0;
    for (Unit *next; u; u = next) {
        next = u->same_path;
        if (u->status.state == UNIT_UNKNOWN)
            continue;
        if (sd_bus_message_rewind(m, true) < 0 || sd_bus_message_skip(m, "s") < 0 ||
                unit_status_read(&u->status, m) < 0) {
            log_warning("The service manager tells nonsense about %s.", u->name);
            continue;
        }
        /* Of one change the service's part is told first, the unit's part last. */
        if (is_unit)
            unit_changed(u);
    }
    return 0;
}

/* Says nothing about how it stands, which has been told before: a service manager that executes itself anew
 * removes all units, and what they are goes on. */
static int on_unit_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *id, *path;

    if (!is_from_service_manager(userdata, m) || sd_bus_message_read(m, "so", &id, &path) < 0)
        return 0;
    for (Unit *u = systemd_units_at(userdata, path), *next; u; u = next) {
        next = u->same_path;
        job_on_unit_gone(u);
    }
    return 0;
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *job, *unit, *result;
    uint32_t id;

    if (!is_from_service_manager(userdata, m) ||
            sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0)
        return 0;
    _cleanup_free_ char *path = NULL;
    if (sd_bus_path_encode(SYSTEMD_PATH "/unit", unit, &path) < 0)
        return 0;
    for (Unit *u = systemd_units_at(userdata, path), *next; u; u = next) {
        next = u->same_path;
        job_on_removed(u, job, result);
    }
    return 0;
}

/* Unit files have been read anew: a name may mean another unit, of another type. */
static int on_reloading(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Systemd *s = userdata;
    int begins;

    if (!is_from_service_manager(s, m) || sd_bus_message_read(m, "b", &begins) < 0 || begins)
        return 0;
    for (Unit *u = s->units; u; u = u->next)
        if (u->kind == UNIT_NAMED && s->bus)
            unit_load(u);
    return 0;
}

/* ── the connection ── */

static void systemd_down(Systemd *s)
{
    sd_bus_slot **const slots[] = {&s->properties_match, &s->removed_match, &s->job_match, &s->reload_match,
            &s->owner_match, &s->subscribe, &s->list};

    s->bus = NULL;
    set_owner(s, NULL);
    for (size_t i = 0; i < ELEMENTSOF(slots); i++)
        *slots[i] = sd_bus_slot_unref(*slots[i]);
    for (Unit *u = s->units; u; u = u->next) {
        job_unsend(u);
        u->load = sd_bus_slot_unref(u->load);
        u->get_unit = sd_bus_slot_unref(u->get_unit);
        u->get_service = sd_bus_slot_unref(u->get_service);
        u->get_control_group = sd_bus_slot_unref(u->get_control_group);
    }
}

static int on_listed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Systemd *s = userdata;
    const char *state, *path;
    int r;

    s->list = sd_bus_slot_unref(s->list);
    const sd_bus_error *e = sd_bus_message_get_error(m);
    if (e) {
        if (!bus_error_is_loss(e))
            log_error("The service manager does not list its units: %s", e->message ?: e->name);
        return 0;
    }
    for (Unit *u = s->units; u; u = u->next)
        u->listed = false;
    r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
    while (r >= 0 && (r = sd_bus_message_read(m, "(ssssssouso)", NULL, NULL, NULL, &state, NULL, NULL, &path,
                              NULL, NULL, NULL)) > 0)
        for (Unit *u = systemd_units_at(s, path); u; u = u->same_path)
            u->listed = unit_state_from_string(state) != UNIT_INACTIVE;
    if (r < 0)
        log_error_errno(r, "The service manager's list of units cannot be read: %m");
    for (Unit *u = s->units, *next; u; u = next) {
        next = u->next;
        if (u->kind == UNIT_NAMED)
            continue;
        if (u->listed) {
            unit_query(u); /* there is more to know */
            continue;
        }
        u->status = (UnitStatus){.state = UNIT_INACTIVE};
        unit_known(u);
    }
    return 0;
}

static int on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Systemd *s = userdata;

    s->subscribe = sd_bus_slot_unref(s->subscribe);
    const sd_bus_error *e = sd_bus_message_get_error(m);
    if (!e || !bus_error_is_loss(e)) /* else the bus itself has answered */
        set_owner(s, sd_bus_message_get_sender(m));
    if (e && !bus_error_is_loss(e) && !sd_bus_error_has_name(e, "org.freedesktop.systemd1.AlreadySubscribed"))
        log_error("The service manager tells us nothing of its units: %s", e->message ?: e->name);
    return 0;
}

/* Subscribes and asks for everything. */
static int systemd_sync(Systemd *s)
{
    int r = systemd_call(s, &s->subscribe, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", on_subscribed, s, "");
    if (r >= 0)
        r = systemd_call(s, &s->list, SYSTEMD_PATH, SYSTEMD_MANAGER, "ListUnitsByPatterns", on_listed, s,
                "asas", 0, 1, "dynapm-*.service");
    if (r < 0)
        return r;
    for (Unit *u = s->units; u; u = u->next)
        if (u->kind == UNIT_NAMED)
            unit_load(u);
    return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Systemd *s = userdata;
    const char *name, *before, *now;

    if (!is_from(m, "org.freedesktop.DBus") || sd_bus_message_read(m, "sss", &name, &before, &now) < 0)
        return 0;
    set_owner(s, now);
    if (!s->owner)
        return 0;
    log_info("The service manager is back on the bus.");
    for (Unit *u = s->units; u; u = u->next)
        job_unsend(u);
    int r = systemd_sync(s);
    if (r < 0)
        log_error_errno(r, "Cannot talk to the service manager: %m");
    return 0;
}

static int add_match(Systemd *s, sd_bus_slot **slot, const char *match, sd_bus_message_handler_t handler)
{
    return sd_bus_add_match_async(s->bus, slot, match, handler, NULL, s);
}

static void on_up(sd_bus *bus, void *userdata)
{
    Systemd *s = userdata;
    int r;

    s->bus = bus;
    if ((r = add_match(s, &s->properties_match,
                 "type='signal',sender='" SYSTEMD_NAME "',path_namespace='" SYSTEMD_PATH
                 "/unit',interface='" PROPERTIES "',member='PropertiesChanged'",
                 on_properties)) < 0 ||
            (r = add_match(s, &s->removed_match,
                     "type='signal',sender='" SYSTEMD_NAME "',path='" SYSTEMD_PATH
                     "',interface='" SYSTEMD_MANAGER "',member='UnitRemoved'",
                     on_unit_removed)) < 0 ||
            (r = add_match(s, &s->job_match,
                     "type='signal',sender='" SYSTEMD_NAME "',path='" SYSTEMD_PATH
                     "',interface='" SYSTEMD_MANAGER "',member='JobRemoved'",
                     on_job_removed)) < 0 ||
            (r = add_match(s, &s->reload_match,
                     "type='signal',sender='" SYSTEMD_NAME "',path='" SYSTEMD_PATH
                     "',interface='" SYSTEMD_MANAGER "',member='Reloading'",
                     on_reloading)) < 0 ||
            (bus_link_is_bus(s->link) &&
                    (r = add_match(s, &s->owner_match,
                             "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                             "member='NameOwnerChanged',arg0='" SYSTEMD_NAME "'",
                             on_owner)) < 0) ||
            (r = systemd_sync(s)) < 0)
        log_error_errno(r, "Cannot talk to the service manager: %m");
}

static void on_down(void *userdata)
{
    systemd_down(userdata);
}

static const BusLinkEvents link_events = {.up = on_up, .down = on_down};

/* ── life ── */

int systemd_new(BusLink *link, Systemd **ret)
{
    Systemd *s = new0(Systemd, 1);
    if (!s)
        return -ENOMEM;
    s->link = link;
    bus_link_add_user(link, &link_events, s);
    *ret = s;
    return 0;
}

Systemd *systemd_free(Systemd *s)
{
    if (!s)
        return NULL;
    assert(!s->units);
    systemd_down(s);
    return mfree(s);
}

int unit_new(Systemd *systemd, const char *name, UnitKind kind, const UnitEvents *events, void *userdata,
        Unit **ret)
{
    _cleanup_(unit_freep) Unit *u = new0(Unit, 1);
    if (!u)
        return -ENOMEM;
    *u = (Unit){.systemd = systemd,
            .next = systemd->units,
            .kind = kind,
            .status.state = kind == UNIT_FRESH ? UNIT_INACTIVE : UNIT_UNKNOWN,
            .events = events,
            .userdata = userdata};
    if (u->next)
        u->next->prev = u;
    systemd->units = u;
    u->name = strdup(name);
    if (!u->name)
        return -ENOMEM;
    if (kind != UNIT_NAMED) {
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_path_encode(SYSTEMD_PATH "/unit", name, &path);
        if (r >= 0)
            r = unit_set_path(u, path);
        if (r < 0)
            return r;
    }
    if (systemd->bus && (kind == UNIT_NAMED || (kind == UNIT_TRANSIENT && !systemd->list)))
        unit_load(u);
    *ret = TAKE_PTR(u);
    return 0;
}

Unit *unit_free(Unit *u)
{
    if (!u)
        return NULL;
    if (u->prev)
        u->prev->next = u->next;
    else
        u->systemd->units = u->next;
    if (u->next)
        u->next->prev = u->prev;
    job_clear(u);
    unit_unset_path(u);
    sd_bus_slot_unref(u->load);
    sd_bus_slot_unref(u->get_unit);
    sd_bus_slot_unref(u->get_service);
    sd_bus_slot_unref(u->get_control_group);
    free(u->name);
    return mfree(u);
}

const char *unit_name(const Unit *u)
{
    return u->name;
}

char *unit_own_name(const Unit *u)
{
    char *name;

    return u->path && sd_bus_path_decode(u->path, SYSTEMD_PATH "/unit", &name) > 0 ? name : NULL;
}

const UnitStatus *unit_status(const Unit *u)
{
    return &u->status;
}

static int on_control_group(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Unit *u = userdata;
    const char *path = "";

    u->get_control_group = sd_bus_slot_unref(u->get_control_group);
    if (!sd_bus_message_get_error(m))
        (void) sd_bus_message_read(m, "v", "s", &path);
    u->control_group_done(u, path, u->userdata);
    return 0;
}

void unit_query_control_group(Unit *u, UnitControlGroup done)
{
    u->control_group_done = done;
    int r = systemd_call(u->systemd, &u->get_control_group, u->path, PROPERTIES, "Get", on_control_group, u,
            "ss", SYSTEMD_SERVICE, "ControlGroup");
    if (r < 0 && r != -ENOTCONN)
        log_error_errno(r, "Cannot ask the service manager about %s: %m", u->name);
}
