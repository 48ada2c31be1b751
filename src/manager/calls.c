/* SPDX-License-Identifier: ISC */

/* Calls that are answered when a service has come or gone. An answer and the end of the connection are the
 * two ends that a call can have; what it has set going goes on in either case. */

#include <stdio.h>

#include "ipc/bus.h"
#include "manager/control-internal.h"
#include "util/log.h"
#include "util/text.h"

typedef struct Call {
    Control *control;
    struct Call *prev, *next;
    sd_bus_message *message;
    OperationKind kind;
    Operation *operation;
} Call;

static void call_free(Call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        call->control->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    call->control->n_calls--;
    operation_cancel(call->operation);
    sd_bus_message_unref(call->message);
    free(call);
}

void calls_forget(Control *c)
{
    while (c->calls)
        call_free(c->calls);
}

static void on_done(const WakeResult *result, void *userdata)
{
    Call *call = userdata;
    int r;

    call->operation = NULL;
    switch (call->kind) {
    case OPERATION_WAKE:
        r = sd_bus_reply_method_return(call->message, "bsu", (int) result->online,
                result->online || !result->why ? "" : result->why, (uint32_t) result->retry_after);
        break;
    case OPERATION_STOP:
        r = sd_bus_reply_method_return(call->message, NULL);
        break;
    default:
        r = result->online ? sd_bus_reply_method_return(call->message, NULL)
                           : sd_bus_reply_method_errorf(
                                     call->message, BUS_ERROR_START_FAILED, "%s", result->why ?: "?");
    }
    if (r < 0)
        log_debug_errno(r, "Cannot answer a call: %m");
    call_free(call);
}

void call_describe(char *buf, size_t size, const char *verb, const Caller *caller)
{
    char user[32] = "root", process[32] = "", client[64];

    if (caller->client) {
        snprintf(buf, size, "%s by hand: admin API, %s", verb,
                text_copy_utf8(client, sizeof client, caller->client));
        return;
    }
    if (caller->uid != 0)
        snprintf(user, sizeof user, "user %u", caller->uid);
    if (caller->pid > 0)
        snprintf(process, sizeof process, ", process %d", (int) caller->pid);
    snprintf(buf, size, "%s by hand: %s%s", verb, user, process);
}

int call_begin(Control *c, sd_bus_message *m, OperationKind kind, const Caller *caller, sd_bus_error *error)
{
    static const char *const verbs[] = {
            [OPERATION_START] = "start",
            [OPERATION_RESTART] = "restart",
            [OPERATION_STOP] = "stop",
            [OPERATION_WAKE] = "wake",
    };
    const char *name;
    char reason[128];
    Operation *op;

    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return r;
    if (c->manager->stopping)
        return sd_bus_error_set(error, BUS_ERROR_SHUTTING_DOWN, "the manager is shutting down");
    Service *s = manager_find(c->manager, name);
    if (!s)
        return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_SERVICE, "there is no service \"%s\"", name);
    if (c->n_calls >= CALLS_MAX)
        return sd_bus_error_set(error, BUS_ERROR_TOO_MANY, "too many calls wait for their answer");

    Call *call = new0(Call, 1);
    if (!call)
        return -ENOMEM;
    *call = (Call){.control = c, .next = c->calls, .message = sd_bus_message_ref(m), .kind = kind};
    if (call->next)
        call->next->prev = call;
    c->calls = call;
    c->n_calls++;
    call_describe(reason, sizeof reason, verbs[kind], caller);
    recovery_hurry(&c->manager->recovery, service_slot(s));
    r = operation_begin(&c->manager->operations, s, kind, reason, on_done, call, &op);
    if (r < 0) {
        call_free(call);
        return r == -EOPNOTSUPP ? sd_bus_error_setf(error, SD_BUS_ERROR_NOT_SUPPORTED,
                                          "%s is proxied only, never started or stopped", name)
                                : r;
    }
    if (op) /* else it was answered at once, and the call is gone */
        call->operation = op;
    return 1;
}
