/* SPDX-License-Identifier: ISC */
#pragma once

/* What does not fit on a screen goes through a pager, as with systemctl(1): $SYSTEMD_PAGER, $PAGER, less(1).
 */

#include <sys/types.h>

#include "util/macro.h"

typedef struct Pager {
    pid_t pid;                      /* 0: there is none */
    int saved_stdout, saved_stderr; /* where these led; < 0: they lead there still */
} Pager;

#define PAGER_NULL ((Pager){.saved_stdout = -EBADF, .saved_stderr = -EBADF})

/* From here on stdout, and stderr where that is a terminal, go to a pager, if stdout is a terminal that can
 * have one and there is one. To be called when there is something to show: whoever has begun to read is not
 * to be interrupted, so that SIGINT and SIGPIPE are ignored from then on. NULL is accepted: none is wanted.
 */
void pager_open(Pager *p);

/* Waits until it has been read; stdout and stderr lead where they led before. Returns whether there was a
 * pager: what it did not want to read is no error then. */
bool pager_close(Pager *p);
