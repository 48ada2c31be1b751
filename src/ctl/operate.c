/* SPDX-License-Identifier: ISC */

/* start, stop, restart: one call a service, all under way at once, each answered when it is done. */

#include "ctl/ctl.h"
#include "ctl/services.h"
#include "ipc/bus.h"

typedef struct Operation {
    const char *method; /* of BUS_MANAGER_INTERFACE */
    const char *verb;   /* "Cannot VERB blog" */
} Operation;

typedef struct Pending {
    const Operation *operation;
    sd_bus *bus;
    const char *name;
    bool done;
    int status;
} Pending;

int ctl_status_of(const sd_bus_error *e)
{
    if (sd_bus_error_has_names(
                e, SD_BUS_ERROR_ACCESS_DENIED, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
        return CTL_NO_PERMISSION;
    if (sd_bus_error_has_name(e, BUS_ERROR_NO_SUCH_SERVICE))
        return CTL_NOT_INSTALLED;
    if (sd_bus_error_has_name(e, SD_BUS_ERROR_NOT_SUPPORTED))
        return CTL_NOT_SUPPORTED;
    return CTL_FAILURE;
}

static void say_unknown(Pending *p)
{
    _cleanup_(services_done) Services all = {};

    if (services_fetch(p->bus, &all) >= 0)
        services_say_unknown(&all, p->name);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    Pending *p = userdata;

    p->done = true;
    if (!e)
        return 0;
    p->status = ctl_status_of(e);
    if (p->status == CTL_NOT_INSTALLED)
        return 0; /* is said later: calls are not nested */
    if (sd_bus_error_has_name(e, BUS_ERROR_START_FAILED))
        (void) ctl_error("%s", e->message); /* it names the service */
    else
        (void) ctl_error("Cannot %s %s: %s", p->operation->verb, p->name, e->message ?: e->name);
    if (p->status == CTL_NO_PERMISSION)
        (void) ctl_error("Try it as root.");
    return 0;
}

static int begin(Pending *p)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    if ((r = sd_bus_message_new_method_call(p->bus, &m, sd_bus_is_bus_client(p->bus) ? BUS_NAME : NULL,
                 BUS_PATH, BUS_MANAGER_INTERFACE, p->operation->method)) < 0 ||
            (r = sd_bus_message_append(m, "s", p->name)) < 0)
        return r;
    /* How long it may take is the manager's business, which has limits for it. */
    return sd_bus_call_async(p->bus, NULL, m, on_answer, p, UINT64_MAX);
}

static bool all_done(const Pending *pending, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!pending[i].done)
            return false;
    return true;
}

static int await(sd_bus *bus, const Pending *pending, size_t n)
{
    while (!all_done(pending, n)) {
        int r = sd_bus_process(bus, NULL);
        if (r == 0)
            r = sd_bus_wait(bus, UINT64_MAX);
        if (r < 0)
            return r;
    }
    return 0;
}

static int operate(const CtlOptions *options, const Operation *operation, char **names)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_free_ Pending *pending = NULL;
    int status = CTL_OK, r = 0;
    size_t n = 0;

    while (names[n])
        n++;
    pending = new0(Pending, n);
    if (!pending)
        return ctl_oom();
    if (ctl_connect(options, &bus) < 0)
        return CTL_FAILURE;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        pending[i] = (Pending){.operation = operation, .bus = bus, .name = names[i]};
        r = begin(&pending[i]);
    }
    if (r >= 0)
        r = await(bus, pending, n);
    if (r < 0)
        return ctl_error("The manager does not answer: %s", strerror(-r));
    for (size_t i = 0; i < n; i++) {
        if (pending[i].status == CTL_NOT_INSTALLED)
            say_unknown(&pending[i]);
        status = MAX(status, pending[i].status);
    }
    return status;
}

int ctl_start(const CtlOptions *options, char **names)
{
    return operate(options, &(Operation){"Start", "start"}, names);
}

int ctl_stop(const CtlOptions *options, char **names)
{
    return operate(options, &(Operation){"Stop", "stop"}, names);
}

int ctl_restart(const CtlOptions *options, char **names)
{
    return operate(options, &(Operation){"Restart", "restart"}, names);
}
