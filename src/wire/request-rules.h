/* SPDX-License-Identifier: ISC */
#pragma once

/* What a gateway must refuse in a request's head, and what it must derive from it. Pure: works on views of a
 * head whose syntax (lines, names, values) was audited before. RFC 9112 2–6, RFC 9110 7. */

#include "wire/field.h"

typedef struct RequestHead {
    const char *method, *target, *version; /* NUL-terminated; the target byte for byte as on the wire */
    size_t target_len;
    const Field *fields;
    size_t n_fields;
} RequestHead;

typedef enum RequestBody { REQUEST_BODY_NONE, REQUEST_BODY_LENGTH, REQUEST_BODY_CHUNKED } RequestBody;

typedef struct RequestFacts {
    bool http_1_0;
    RequestBody body;
    uint64_t content_length;
    bool expects;         /* 100-continue, also where there is no body to wait with */
    bool expect_continue; /* waits with its body until it is told to go on */
    bool keep_alive;      /* what the client wants */
    bool upgrade; /* offers to go on with another protocol that may pass (Connection lists it, and the field
                   * is there) */
    bool idempotent; /* GET, HEAD, OPTIONS, PUT, DELETE (RFC 9110 9.2.2) */
    bool is_head;
    const char *host; /* host without port, into the head, not NUL-terminated; IPv6 literals with brackets;
                       * empty when an HTTP/1.0 request names none */
    size_t host_len;
    const char *authority; /* host with its port (an empty one is cut): what goes upstream as Host */
    size_t authority_len;
    const char *target; /* origin-form (or "*"), into the head: what goes upstream; absolute-form's scheme and
                         * authority are cut, and then "/" stands for an empty target; one with a query and no
                         * path starts with its '?' (request_head_write() puts the '/' before it) */
    size_t target_len;
} RequestFacts;

/* Why a request is refused: the status, and one sentence for the client that repeats nothing of its input. */
typedef struct RequestRefusal {
    unsigned status;
    const char *sentence; /* static */
} RequestRefusal;

/* Applies rules 4–8 of the list in RFC terms: TE with CL; TE other than exactly one `chunked`, or with
 * HTTP/1.0; several or bad Content-Length; Host missing (1.1), repeated or invalid (userinfo, path, comma,
 * empty, bad port); method not a token, CONNECT and TRACE (405), one of more than 32 bytes (501); target with
 * SP or CTL or a fragment, neither origin-, absolute- nor asterisk-form (OPTIONS only); version other than
 * HTTP/1.0 and 1.1 (505); a transfer coding that is not known (501); an expectation other than 100-continue
 * (417); a Connection that nominates more than CONNECTION_NOMINATED_MAX fields. After any of them the
 * connection must be closed: where the next request starts is not certain. Returns 0 and fills ret, or
 * -EBADMSG and fills *refusal. */
int request_check(const RequestHead *head, RequestFacts *ret, RequestRefusal *refusal);
