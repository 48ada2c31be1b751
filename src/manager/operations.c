/* SPDX-License-Identifier: ISC */

/* A start waits as every request does, in the service's own list. A stop waits in ours, for the state in
 * which nothing of the service runs: that may last no longer than a moment, because requests have come
 * meanwhile. */

#include "manager/operations.h"

struct Operation {
    OperationDone done;
    void *userdata;
    Waiter *waiter; /* of a start; else NULL and in the list: */
    Operations *list;
    const Service *service;
    Operation *prev, *next;
};

static bool is_down(const Service *s)
{
    return service_state(s) == SERVICE_OFFLINE || service_state(s) == SERVICE_FAILED;
}

static void operation_free(Operation *op)
{
    if (op->list) {
        if (op->prev)
            op->prev->next = op->next;
        else
            op->list->head = op->next;
        if (op->next)
            op->next->prev = op->prev;
    }
    free(op);
}

void operation_cancel(Operation *op)
{
    if (!op)
        return;
    service_waiter_cancel(op->waiter);
    operation_free(op);
}

static void finish(Operation *op, const WakeResult *result)
{
    OperationDone done = op->done;
    void *userdata = op->userdata;

    operation_free(op);
    done(result, userdata);
}

static void on_woken(Service *s, const WakeResult *result, void *userdata)
{
    finish(userdata, result);
}

static int begin_stop(Operations *o, Service *s, const char *reason, Operation *op, Operation **ret)
{
    int r = service_stop(s, reason);
    if (r < 0) {
        operation_free(op);
        return r;
    }
    *ret = NULL;
    if (is_down(s)) {
        finish(op, &(WakeResult){.online = false});
        return 0;
    }
    op->list = o;
    op->next = o->head;
    if (op->next)
        op->next->prev = op;
    o->head = *ret = op;
    return 0;
}

int operation_begin(Operations *o, Service *s, OperationKind kind, const char *reason, OperationDone done,
        void *userdata, Operation **ret)
{
    Waiter *waiter = NULL;
    int r;

    if (!service_is_managed(s))
        return -EOPNOTSUPP;
    Operation *op = new0(Operation, 1);
    if (!op)
        return -ENOMEM;
    *op = (Operation){.service = s, .done = done, .userdata = userdata};
    if (kind == OPERATION_STOP)
        return begin_stop(o, s, reason, op, ret);

    r = (kind == OPERATION_START        ? service_start(s, reason, on_woken, op, &waiter)
            : kind == OPERATION_RESTART ? service_restart(s, reason, on_woken, op, &waiter)
                                        : service_wake(s, 0, reason, on_woken, op, &waiter));
    if (r < 0) {
        operation_free(op);
        return r;
    }
    *ret = waiter ? op : NULL; /* without one it was answered at once, and is gone */
    if (waiter)
        op->waiter = waiter;
    return 0;
}

void operations_state_changed(Operations *o, const Service *s)
{
    Operation *next;

    if (!is_down(s))
        return;
    for (Operation *op = o->head; op; op = next) {
        next = op->next;
        if (op->service == s)
            finish(op, &(WakeResult){.online = false});
    }
}
