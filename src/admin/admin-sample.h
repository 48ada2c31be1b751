/* SPDX-License-Identifier: ISC */
#pragma once

/* What changes all the time, of all services, and what of it is another than the last time. */

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#include "util/macro.h"

typedef struct AdminSamples {
    uint64_t *seen; /* a hash for each service, in the manager's order */
    size_t n;
} AdminSamples;

/* Reads the reply of Sample. *ret is an array of those services that are another than they were at the last
 * call, of all at the first one; the caller puts it. Returns 0 or -errno. */
int admin_samples_read(AdminSamples *s, sd_bus_message *m, json_object **ret);
/* The next call is the first again. */
void admin_samples_done(AdminSamples *s);
