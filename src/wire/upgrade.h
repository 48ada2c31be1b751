/* SPDX-License-Identifier: ISC */
#pragma once

/* The Upgrade field, RFC 9110 7.8: which other protocols a client offers to go on with, and whether a
 * service's 101 has taken one of those. */

#include "wire/field.h"

/* The next protocol at *pos that a gateway may pass on, moving *pos behind it; false when there is none left.
 * What is not `name[/version]` is left out, and so is h2c: RFC 9113 3.1 has withdrawn it, and it would carry
 * requests that nobody here has looked at. */
bool upgrade_next(const char **pos, const char *end, const char **ret, size_t *ret_len);

/* Does this Upgrade field offer any? */
bool upgrade_offers(const Field *f);

/* Do the Upgrade fields of `answer` name one protocol at least, and only such as the Upgrade fields of
 * `request` offered? Names are compared without regard to case (RFC 9110 7.8). */
bool upgrade_matches(const Field *request, size_t n_request, const Field *answer, size_t n_answer);
