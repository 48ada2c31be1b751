/* SPDX-License-Identifier: ISC */
#pragma once

/* What Prometheus gets to know of the manager, its gateways and its services: dynapm.metrics(7). */

#include "manager/exposition.h"
#include "manager/manager.h"

/* Writes all of it. Returns 0 or -ENOMEM. */
int metrics_write(const Manager *m, Exposition *x);
