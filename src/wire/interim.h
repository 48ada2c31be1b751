/* SPDX-License-Identifier: ISC */
#pragma once

/* Writes an interim (1xx) response for the next hop, RFC 9110 15.2. */

#include <sys/types.h>

#include "wire/response-head.h"

/* Status, reason and fields as they came, less what is hop-by-hop, nominated by Connection, or about a body.
 * Returns the number of bytes, or -ENOBUFS. */
ssize_t interim_write(char *buf, size_t size, const ResponseHead *head);
