/* SPDX-License-Identifier: ISC */

/* Reload of BUS_MANAGER_INTERFACE, which is answered when the gateways have gone over, and what it and Check
 * say about files. */

#include "ipc/bus.h"
#include "manager/control-internal.h"
#include "util/log.h"

typedef struct ReloadCall {
    Control *control;
    struct ReloadCall *prev, *next;
    sd_bus_message *message;
    Reload *reload;
} ReloadCall;

static void reload_call_free(ReloadCall *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        call->control->reload_calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    call->control->n_calls--;
    reload_cancel(call->reload);
    sd_bus_message_unref(call->message);
    free(call);
}

void reload_calls_forget(Control *c)
{
    while (c->reload_calls)
        reload_call_free(c->reload_calls);
}

int control_append_problems(sd_bus_message *reply, const Config *config)
{
    int r = sd_bus_message_open_container(reply, 'a', "(suuss)");
    for (size_t i = 0; r >= 0 && i < config->n_problems; i++) {
        const ConfigProblem *p = &config->problems[i];
        r = sd_bus_message_append(reply, "(suuss)", p->file, p->line, p->column, p->path ?: "", p->message);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int answer(sd_bus_message *call, const Manager *m)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    size_t n = 0;
    int r;

    for (size_t i = 0; i < m->config->n_services; i++)
        n += m->config_slots[i] != NO_SLOT;
    if ((r = sd_bus_message_new_method_return(call, &reply)) < 0 ||
            (r = sd_bus_message_append(reply, "u", (uint32_t) n)) < 0 ||
            (r = control_append_problems(reply, m->config)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

static int refuse_at_the_end(sd_bus_message *call)
{
    return sd_bus_reply_method_errorf(call, BUS_ERROR_SHUTTING_DOWN, "the manager is shutting down");
}

static void on_done(int result, void *userdata)
{
    ReloadCall *call = userdata;

    call->reload = NULL;
    int r = result < 0 ? refuse_at_the_end(call->message) : answer(call->message, call->control->manager);
    if (r < 0) /* whoever waits is to hear of it */
        r = sd_bus_reply_method_errno(call->message, r, NULL);
    if (r < 0)
        log_debug_errno(r, "Cannot answer a call: %m");
    reload_call_free(call);
}

int reload_call_begin(Control *c, sd_bus_message *m, const Caller *caller, sd_bus_error *error)
{
    char who[128];

    if (c->n_calls >= CALLS_MAX)
        return sd_bus_error_set(error, BUS_ERROR_TOO_MANY, "too many calls wait for their answer");
    ReloadCall *call = new0(ReloadCall, 1);
    if (!call)
        return -ENOMEM;
    *call = (ReloadCall){.control = c, .next = c->reload_calls, .message = sd_bus_message_ref(m)};
    if (call->next)
        call->next->prev = call;
    c->reload_calls = call;
    c->n_calls++;
    call_describe(who, sizeof who, "asked for", caller);
    int r = reload_begin(&c->manager->reloads, who, on_done, call, &call->reload);
    if (r < 0) {
        reload_call_free(call);
        return r == -ESHUTDOWN
                       ? sd_bus_error_set(error, BUS_ERROR_SHUTTING_DOWN, "the manager is shutting down")
                       : r;
    }
    return 1;
}
