/* SPDX-License-Identifier: ISC */
#pragma once

/* Header fields as they lie in a message: views, nothing is copied or NUL-terminated. */

#include "util/macro.h"

typedef struct Field {
    const char *name, *value; /* the value has no surrounding whitespace */
    uint32_t name_len, value_len;
} Field;

/* Case-insensitive comparison of a field name with a literal in lower case. */
bool field_is(const Field *f, const char *lower_case_name) _pure_;

/* RFC 9110 5.6.2: 1 or more tchar. */
bool token_is_valid(const char *s, size_t len) _pure_;

/* RFC 9110 5.5: no control character but HTAB (bytes >= 0x80 are allowed). */
bool field_value_is_valid(const char *s, size_t len) _pure_;

/* Does a comma-separated list such as Connection's contain this token (lower case literal)? RFC 9110 5.6.1.
 */
bool list_has_token(const char *s, size_t len, const char *lower_case_token) _pure_;

/* RFC 9110 7.6.1: Connection, Proxy-Connection, Keep-Alive, TE, Transfer-Encoding, Upgrade, Trailer (framing
 * is ours), Proxy-Authenticate and Proxy-Authorization excepted: those are end to end for a reverse proxy. */
bool field_is_hop_by_hop(const Field *f) _pure_;

/* Is this field named by one of the Connection fields among `fields`? Content-Length, Host and the like,
 * which Connection may not remove, are never. */
bool field_is_nominated(const Field *f, const Field *fields, size_t n_fields) _pure_;

/* RFC 9112 6.2: digits only, no sign, no list, fits 63 bits. Returns 0 or -EBADMSG. */
int content_length_parse(const char *s, size_t len, uint64_t *ret);
