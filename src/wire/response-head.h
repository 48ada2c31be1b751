/* SPDX-License-Identifier: ISC */
#pragma once

/* The head of an upstream's HTTP/1.x response. Pure: reads a buffer, keeps views into it, does no I/O. */

#include "wire/field.h"

#define RESPONSE_FIELDS_MAX 200
#define RESPONSE_HEAD_MAX 16384 /* bytes */

/* How the body's end is found, RFC 9112 6.3. */
typedef enum BodyFraming {
    BODY_NONE,        /* HEAD, 1xx, 204, 304: none whatever the fields say */
    BODY_LENGTH,      /* Content-Length */
    BODY_CHUNKED,     /* Transfer-Encoding: chunked */
    BODY_UNTIL_CLOSE, /* neither */
    _BODY_FRAMING_MAX,
} BodyFraming;

typedef struct ResponseHead {
    unsigned status; /* 100–999 */
    unsigned minor;  /* HTTP/1.minor, 0 or 1 */
    const char *reason;
    uint32_t reason_len;
    uint32_t n_fields;
    BodyFraming framing;
    bool keep_alive;         /* may the connection carry another request once the body has ended? */
    bool has_content_length; /* also true for HEAD and 304, where it describes a body that is not sent */
    uint64_t content_length;
    ConnectionOptions connection; /* what is for us, beside the hop-by-hop fields */
    Field fields[RESPONSE_FIELDS_MAX];
} ResponseHead;

/* Parses the head at the start of buf. `head_request`: the request was a HEAD.
 * Returns the head's length in bytes (> 0) once it is complete; -EAGAIN when more bytes are needed; -EMSGSIZE
 * when it is longer than RESPONSE_HEAD_MAX or has too many fields; -EBADMSG for everything that RFC 9112
 * forbids or that makes framing doubtful: folds, whitespace before the colon, bare CR or LF, NUL, conflicting
 * or repeated unequal Content-Length, Content-Length with Transfer-Encoding, a transfer coding other than
 * exactly `chunked` or one in HTTP/1.0, HTTP/0.9 or 2, more nominations by Connection than
 * CONNECTION_NOMINATED_MAX. What is wrong is seen as soon as its line is there: an upstream that will never
 * end its head is not waited for. Undefined ret on failure. */
int response_head_parse(ResponseHead *ret, const char *buf, size_t len, bool head_request);
