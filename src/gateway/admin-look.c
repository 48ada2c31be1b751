/* SPDX-License-Identifier: ISC */

/* A list in order of arrival. What the manager is being asked is what the marked ones want to know; while it
 * answers, others wait: what they are told must not be older than their question. */

#include "admin/admin-service.h"
#include "gateway/admin-internal.h"
#include "ipc/bus.h"
#include "util/log.h"

#define LOOKS_MAX 1024
#define LOOK_LIMIT (30 * USEC_PER_SEC)

struct Look {
    Looks *looks;
    Look *prev, *next;
    LookKind kind;
    char *name; /* LOOK_SERVICE */
    LookDone done;
    void *userdata;
    bool asked;
};

Look *look_cancel(Look *look)
{
    if (!look)
        return NULL;
    Looks *l = look->looks;

    if (look->prev)
        look->prev->next = look->next;
    else
        l->first = look->next;
    if (look->next)
        look->next->prev = look->prev;
    else
        l->last = look->prev;
    l->n--;
    free(look->name);
    return mfree(look);
}

static Look *first_asked(const Looks *l)
{
    Look *look = l->first;
    while (look && !look->asked)
        look = look->next;
    return look;
}

static void tell(Looks *l, const LookAnswer *answer)
{
    for (Look *look; (look = first_asked(l));) {
        LookDone done = look->done;
        void *userdata = look->userdata;
        look_cancel(look);
        done(answer, userdata);
    }
}

void looks_lost(Looks *l)
{
    l->call = sd_bus_slot_unref(l->call);
    for (Look *look = l->first; look; look = look->next)
        look->asked = true;
    tell(l, &(LookAnswer){.fd = -EBADF, .status = 503});
}

static void ask(Looks *l);

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    LookAnswer answer = {.fd = -EBADF};
    Looks *l = userdata;
    int r = 0;

    const Look *one = first_asked(l); /* NULL: nobody wants to know any more */
    if (!e && one)
        r = one->kind == LOOK_SERVICES  ? admin_services_read(m, &answer.found)
            : one->kind == LOOK_SERVICE ? admin_service_read(m, &answer.found)
            : one->kind == LOOK_SAMPLE  ? 0
                                        : sd_bus_message_read(m, "h", &answer.fd);
    if (r < 0)
        log_warning_errno(r, "Cannot read what the manager says: %m");
    bool none = e && sd_bus_error_has_names(e, SD_BUS_ERROR_UNKNOWN_OBJECT, SD_BUS_ERROR_UNKNOWN_INTERFACE);
    l->call = sd_bus_slot_unref(l->call);
    answer.reply = e ? NULL : m;
    answer.status = r < 0 || (e && !none) ? 503 : 0;
    tell(l, &answer);
    json_object_put(answer.found);
    ask(l);
    return 0;
}

static int call(Looks *l, LookKind kind, const char *name)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    _cleanup_free_ char *path = NULL;
    sd_bus *bus = link_bus(l->api->link);
    int r;

    if (!bus)
        return -ENOTCONN;
    if (kind == LOOK_SERVICES)
        r = sd_bus_message_new_method_call(
                bus, &m, NULL, BUS_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
    else if (kind != LOOK_SERVICE) {
        r = sd_bus_message_new_method_call(
                bus, &m, NULL, BUS_PATH, BUS_MANAGER_INTERFACE, kind == LOOK_SAMPLE ? "Sample" : "Metrics");
        if (r >= 0 && kind != LOOK_SAMPLE)
            r = sd_bus_message_append(m, "s", kind == LOOK_METRICS ? "prometheus" : "openmetrics");
    } else if ((r = sd_bus_path_encode(BUS_SERVICES_PATH, name, &path)) >= 0 &&
               (r = sd_bus_message_new_method_call(
                        bus, &m, NULL, path, "org.freedesktop.DBus.Properties", "GetAll")) >= 0)
        r = sd_bus_message_append(m, "s", BUS_SERVICE_INTERFACE);
    return r < 0 ? r : sd_bus_call_async(bus, &l->call, m, on_reply, l, LOOK_LIMIT);
}

/* Asks what the first of those who wait wants to know. */
static void ask(Looks *l)
{
    while (!l->call && l->first) {
        for (Look *look = l->first; look; look = look->next)
            look->asked = look->kind == l->first->kind && streq_ptr(look->name, l->first->name);
        int r = call(l, l->first->kind, l->first->name);
        if (r >= 0)
            return;
        log_debug_errno(r, "Cannot ask the manager for services: %m");
        tell(l, &(LookAnswer){.fd = -EBADF, .status = 503});
    }
}

int look_new(Looks *l, LookKind kind, const char *name, LookDone done, void *userdata, Look **ret)
{
    if (!link_is_attached(l->api->link))
        return -ENOTCONN;
    if (l->n >= LOOKS_MAX)
        return -EBUSY;
    Look *look = new0(Look, 1);
    if (!look)
        return -ENOMEM;
    *look = (Look){.looks = l, .prev = l->last, .kind = kind, .done = done, .userdata = userdata};
    if (name && !(look->name = strdup(name))) {
        free(look);
        return -ENOMEM;
    }
    if (look->prev)
        look->prev->next = look;
    else
        l->first = look;
    l->last = look;
    l->n++;
    if (!l->call) {
        int r = call(l, kind, name);
        if (r < 0) {
            look_cancel(look);
            return r;
        }
        look->asked = true;
    }
    *ret = look;
    return 0;
}
