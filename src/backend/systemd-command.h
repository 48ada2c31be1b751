/* SPDX-License-Identifier: ISC */
#pragma once

/* Commands that the service manager runs: outside our sandbox, as their own user, in a control group of their
 * own. Each is a unit of Type=oneshot for as long as it runs. */

#include "backend/environment-file.h"
#include "backend/systemd.h"
#include "util/command.h"

typedef struct SystemdRunner {
    CommandRunner runner;
    Systemd *systemd;
    const EnvironmentFiles *environments;
    uint64_t n; /* so many commands; what makes their units' names differ */
} SystemdRunner;

/* Both are borrowed. Not to be moved. */
void systemd_runner_init(SystemdRunner *r, Systemd *systemd, const EnvironmentFiles *environments);
