/* SPDX-License-Identifier: ISC */
#pragma once

#include "util/string-table.h"

/* A service's state, as both programs and all clients of the API name it. */
typedef enum ServiceState {
    SERVICE_OFFLINE,
    SERVICE_STARTING,
    SERVICE_ONLINE,
    SERVICE_STOPPING,
    SERVICE_FAILED, /* a start failed; a back-off runs, requests are answered 503 at once */
    _SERVICE_STATE_MAX,
    _SERVICE_STATE_INVALID = -EINVAL,
} ServiceState;
DECLARE_STRING_TABLE(service_state, ServiceState)
