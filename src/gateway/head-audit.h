/* SPDX-License-Identifier: ISC */
#pragma once

/* Was the request's head on the wire exactly what RFC 9112 allows? libmicrohttpd repairs where a gateway must
 * refuse: 0.9.75 joins folded lines (into the name), accepts bare LF, whitespace before the colon, and
 * control characters. What it hands out are pointers into the buffer that it received into, with delimiters
 * overwritten by NUL, so that the original framing can be read off the distances. */

#include <microhttpd.h>

#include "wire/field.h"

#define REQUEST_FIELDS_MAX 200

typedef enum AuditResult {
    AUDIT_OK,
    AUDIT_BAD,      /* 400 */
    AUDIT_TOO_MANY, /* 431: more than REQUEST_FIELDS_MAX fields */
} AuditResult;

/* Where the library put the words of the request line: `target` as the URI log callback got it (its text is
 * rewritten later), the others as the access handler did. */
typedef struct RequestLine {
    const char *method, *target, *version;
    size_t target_len; /* of the string that the callback got */
} RequestLine;

/* Fills fields (REQUEST_FIELDS_MAX of them) with views of the request's fields in their order, valid until
 * the request's end. */
AuditResult head_audit(struct MHD_Connection *c, const RequestLine *line, Field *fields, size_t *ret_n);

/* Feeds a fixed set of good and bad heads, and of bodies for the tap (tap.h), through a real daemon and
 * compares. Returns 0 and what daemons have to be given for MHD_OPTION_STRICT_FOR_CLIENT (0 for 0.9.75, 1 for
 * 1.0), or -EOPNOTSUPP when this version of the library does not receive and store them in a way that both
 * can rely on. */
int head_audit_self_test(int *ret_strict);
