/* SPDX-License-Identifier: ISC */
#pragma once

/* What somebody has asked for by hand and waits for: a service to be online, or not to be. */

#include "service/service.h"

typedef struct Operation Operation;

typedef enum OperationKind {
    OPERATION_START,   /* without waiting for a back-off */
    OPERATION_RESTART, /* whatever is open */
    OPERATION_STOP,    /* the same */
    OPERATION_WAKE,    /* as a request does it */
} OperationKind;

/* Called exactly once, possibly before operation_begin() returns; the operation is gone by then. `result` is
 * about being online; of a stop its `why` is NULL. May not touch the service. */
typedef void (*OperationDone)(const WakeResult *result, void *userdata);

/* Those of a manager. */
typedef struct Operations {
    Operation *head;
} Operations;

/* `reason` is for the log. *ret is good until `done`, NULL after. Returns 0, -EOPNOTSUPP for a service that
 * is never started or stopped, or -errno. */
int operation_begin(Operations *o, Service *s, OperationKind kind, const char *reason, OperationDone done,
        void *userdata, Operation **ret);
/* Forgets it without calling back; what it has set going goes on. NULL is accepted. */
void operation_cancel(Operation *op);

/* A service has changed its state: stops may be through. */
void operations_state_changed(Operations *o, const Service *s);
