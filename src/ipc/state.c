/* SPDX-License-Identifier: ISC */

#include "ipc/state.h"

static const char *const service_state_table[_SERVICE_STATE_MAX] = {
        [SERVICE_OFFLINE] = "offline",
        [SERVICE_STARTING] = "starting",
        [SERVICE_ONLINE] = "online",
        [SERVICE_STOPPING] = "stopping",
        [SERVICE_FAILED] = "failed",
};
DEFINE_STRING_TABLE(service_state, ServiceState)
