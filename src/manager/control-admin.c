/* SPDX-License-Identifier: ISC */

/* BUS_ADMIN_INTERFACE as D-Bus sees it: what a gateway asks for in the name of those who talk HTTP to it.
 * That it asks gives it no right; the token that comes along does. See ipc/bus.h. */

#include "ipc/bus.h"
#include "manager/control-internal.h"
#include "util/fd.h"

static int method_authorize(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    static const char *const names[] = {
            [ADMIN_NOBODY] = BUS_ROLE_NONE,
            [ADMIN_READ] = BUS_ROLE_READ,
            [ADMIN_MANAGE] = BUS_ROLE_MANAGE,
    };
    const Admin *a = &((Control *) userdata)->manager->admin;
    const char *token;

    int r = sd_bus_message_sensitive(m);
    if (r < 0 || (r = sd_bus_message_read(m, "s", &token)) < 0)
        return r;
    if (!a->enabled)
        return sd_bus_error_set(error, BUS_ERROR_NO_ADMIN, "there is no admin API");
    return sd_bus_reply_method_return(m, "s", names[admin_role(a, token)]);
}

static bool is_wrong_state(OperationKind kind, ServiceState state)
{
    switch (kind) {
    case OPERATION_START:
        return state == SERVICE_ONLINE || state == SERVICE_STARTING;
    case OPERATION_STOP:
        return state == SERVICE_OFFLINE || state == SERVICE_STOPPING;
    default:
        return false;
    }
}

static int operate(Control *c, sd_bus_message *m, OperationKind kind, sd_bus_error *error)
{
    const char *name, *token, *client;

    int r = sd_bus_message_sensitive(m);
    if (r < 0 || (r = sd_bus_message_read(m, "sss", &name, &token, &client)) < 0)
        return r;
    if (admin_role(&c->manager->admin, token) != ADMIN_MANAGE)
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "the token is not one for this");
    const Service *s = manager_find(c->manager, name);
    if (s && service_config(s)->kind != SERVICE_PROXY_ONLY && is_wrong_state(kind, service_state(s)))
        return sd_bus_error_setf(error, BUS_ERROR_WRONG_STATE, "%s is %s already", name,
                service_state_to_string(service_state(s)));
    r = sd_bus_message_rewind(m, true);
    return r < 0 ? r : call_begin(c, m, kind, &(Caller){.client = client}, error);
}

static int method_start(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return operate(userdata, m, OPERATION_START, error);
}

static int method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return operate(userdata, m, OPERATION_STOP, error);
}

static int method_restart(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return operate(userdata, m, OPERATION_RESTART, error);
}

static int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *token, *client;
    Control *c = userdata;

    int r = sd_bus_message_sensitive(m);
    if (r < 0 || (r = sd_bus_message_read(m, "ss", &token, &client)) < 0)
        return r;
    if (admin_role(&c->manager->admin, token) != ADMIN_MANAGE)
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "the token is not one for this");
    return reload_call_begin(c, m, &(Caller){.client = client}, error);
}

static int method_logs(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_close_ int fd = -EBADF;
    const char *name, *token;
    Control *c = userdata;
    uint32_t lines;

    int r = sd_bus_message_sensitive(m);
    if (r < 0 || (r = sd_bus_message_read(m, "ssu", &name, &token, &lines)) < 0)
        return r;
    if (admin_role(&c->manager->admin, token) != ADMIN_MANAGE)
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "the token is not one for this");
    const Service *s = manager_find(c->manager, name);
    if (!s)
        return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_SERVICE, "there is no service \"%s\"", name);
    r = logs_open(c->manager, s, lines, &fd);
    if (r == -ENODATA)
        return sd_bus_error_set(error, BUS_ERROR_NO_JOURNAL,
                "there is no journal: what services print is where dynapm prints");
    if (r == -EBUSY)
        return sd_bus_error_set(error, BUS_ERROR_TOO_MANY, "too many read logs");
    return r < 0 ? r : sd_bus_reply_method_return(m, "h", fd);
}

#define OPERATION(method, handler)                                                                           \
    SD_BUS_METHOD_WITH_ARGS(method, SD_BUS_ARGS("s", name, "s", token, "s", client), SD_BUS_NO_RESULT,       \
            handler, SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable admin_vtable[] = {
        SD_BUS_VTABLE_START(SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS(BUS_AUTHORIZE, SD_BUS_ARGS("s", token), SD_BUS_RESULT("s", role),
                method_authorize, SD_BUS_VTABLE_UNPRIVILEGED),
        OPERATION("Start", method_start),
        OPERATION("Stop", method_stop),
        OPERATION("Restart", method_restart),
        SD_BUS_METHOD_WITH_ARGS("Logs", SD_BUS_ARGS("s", name, "s", token, "u", lines),
                SD_BUS_RESULT("h", lines), method_logs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_ARGS("s", token, "s", client),
                SD_BUS_RESULT("u", services, "a(suuss)", problems), method_reload,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int control_admin_register(Control *c)
{
    return sd_bus_add_object_vtable(
            c->bus, &c->admin_methods, BUS_PATH, BUS_ADMIN_INTERFACE, admin_vtable, c);
}
