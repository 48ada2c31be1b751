/* SPDX-License-Identifier: ISC */

/* Comes and goes with the connection to the bus: who waited for an answer there is gone with it. Without the
 * name it can still be called, by the connection's own; whoever has the name is told in the log, once a
 * connection. */

#include "manager/control-link.h"

#include "ipc/bus.h"
#include "util/log.h"

struct ControlLink {
    Manager *manager;
    BusLink *link;
    Control *control;
    sd_bus_slot *name;
};

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    uint32_t result = 0;

    if (e)
        log_warning("The message bus does not let us be " BUS_NAME ": %s", e->message ?: e->name);
    else if (sd_bus_message_read(m, "u", &result) < 0 || (result != 1 && result != 4)) /* owner, already so */
        log_warning("Somebody else is " BUS_NAME " on the message bus, it is not offered there.");
    return 0;
}

static void on_up(sd_bus *bus, void *userdata)
{
    ControlLink *l = userdata;

    if (!bus_link_is_bus(l->link)) /* a service manager alone: nobody else is there */
        return;
    int r = control_new(l->manager, bus, NULL, &l->control);
    if (r >= 0)
        r = sd_bus_request_name_async(bus, &l->name, BUS_NAME, 0, on_name, l);
    if (r < 0)
        log_warning_errno(r, "Cannot offer " BUS_NAME " on the message bus: %m");
}

static void on_down(void *userdata)
{
    ControlLink *l = userdata;

    l->name = sd_bus_slot_unref(l->name);
    l->control = control_free(l->control);
}

static const BusLinkEvents link_events = {.up = on_up, .down = on_down};

int control_link_new(Manager *m, BusLink *link, ControlLink **ret)
{
    ControlLink *l = new0(ControlLink, 1);
    if (!l)
        return -ENOMEM;
    *l = (ControlLink){.manager = m, .link = link};
    bus_link_add_user(link, &link_events, l);
    *ret = l;
    return 0;
}

ControlLink *control_link_free(ControlLink *l)
{
    if (!l)
        return NULL;
    on_down(l);
    return mfree(l);
}
