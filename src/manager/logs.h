/* SPDX-License-Identifier: ISC */
#pragma once

/* What a service has printed and what was said of it lately, out of the journal. */

#include "service/service.h"
#include "util/command.h"

typedef struct Manager Manager;

/* At a time: whoever may look often is not to fill the machine with processes. */
#define LOGS_MAX 8
#define LOGS_LINES_MAX 1000U

typedef struct Logs {
    Command *running[LOGS_MAX];
} Logs;

/* Has journalctl(1) write the last lines, as JSON objects, one a line, to a pipe; *ret is the end to read
 * from, which the caller closes. Returns 0, -ENODATA where there is no journal, -EBUSY, or -errno. */
int logs_open(Manager *m, const Service *s, unsigned lines, int *ret);
void logs_done(Logs *l);
