/* SPDX-License-Identifier: ISC */
#pragma once

#include <stdbool.h>

struct Exchange;

/* One line for a finished exchange, where `logging.enableRequestLog` asks for it: method, host, target,
 * status, bytes, total and upstream milliseconds. `ok`: the answer was delivered to its end. */
void access_log(const struct Exchange *e, bool ok);
/* The line's beginning, up to the status, for what an exchange becomes; the caller frees it. NULL when out of
 * memory. */
char *access_log_beginning(const struct Exchange *e);
