/* SPDX-License-Identifier: ISC */
#pragma once

#include "util/macro.h"

/* Labels of 1–63 letters, digits, '-' and '_' (which real machines have, RFC 1123 or not), no '-' at either
 * end, 253 in all. IPv4 addresses are hostnames too. */
bool is_hostname(const char *s) _pure_;

/* What a route may have as host: a hostname, "*.HOSTNAME", or an IPv6 address in brackets. Puts it into *ret
 * as requests will be compared with it: lower case, the address in its shortest form (fresh memory). Returns
 * 0, -ENOMEM, or -EINVAL with *ret_why (static) saying what is wrong, to go behind "got …". */
int hostname_normalize(const char *s, char **ret, const char **ret_why);
