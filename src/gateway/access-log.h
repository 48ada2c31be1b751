/* SPDX-License-Identifier: ISC */
#pragma once

#include <stdbool.h>

struct Exchange;

/* One line for a finished exchange, where `logging.enableRequestLog` asks for it: method, host, target,
 * status, bytes, total and upstream milliseconds. `ok`: the answer was delivered to its end. */
void access_log(const struct Exchange *e, bool ok);
