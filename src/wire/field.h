/* SPDX-License-Identifier: ISC */
#pragma once

/* Header fields as they lie in a message: views, nothing is copied or NUL-terminated. */

#include "util/macro.h"

typedef struct Field {
    const char *name, *value; /* the value has no surrounding whitespace */
    uint32_t name_len, value_len;
} Field;

/* The fields that mean something to a gateway. All others are only carried. */
typedef enum FieldId {
    FIELD_OTHER,
    FIELD_CONNECTION,
    FIELD_CONTENT_LENGTH,
    FIELD_EXPECT,
    FIELD_FORWARDED,
    FIELD_HOST,
    FIELD_KEEP_ALIVE,
    FIELD_PROXY_CONNECTION,
    FIELD_TE,
    FIELD_TRAILER,
    FIELD_TRANSFER_ENCODING,
    FIELD_UPGRADE,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_PROTO,
    _FIELD_ID_MAX,
} FieldId;

/* Which one is it? One look at the length, then at most two comparisons. */
FieldId field_identify(const Field *f) _pure_;

/* Case-insensitive comparison of a field name with a literal in lower case. */
bool field_is(const Field *f, const char *lower_case_name) _pure_;

/* RFC 9110 5.6.2: 1 or more tchar. */
bool token_is_valid(const char *s, size_t len) _pure_;

/* RFC 9110 5.5: no control character but HTAB (bytes >= 0x80 are allowed). */
bool field_value_is_valid(const char *s, size_t len) _pure_;

/* Walks a comma-separated list, RFC 9110 5.6.1: sets *ret and *ret_len to the element at *pos less the
 * whitespace around it (empty elements too) and moves *pos behind its comma, or to NULL after the last.
 * Returns false when *pos is NULL. Knows no quoted strings: the lists it is for consist of tokens. */
bool list_next(const char **pos, const char *end, const char **ret, size_t *ret_len);

/* Does a comma-separated list such as Connection's contain this token (lower case literal)? RFC 9110 5.6.1.
 */
bool list_has_token(const char *s, size_t len, const char *lower_case_token) _pure_;

/* RFC 9110 7.6.1: Connection, Proxy-Connection, Keep-Alive, TE, Transfer-Encoding, Upgrade, Trailer (framing
 * is ours), Proxy-Authenticate and Proxy-Authorization excepted: those are end to end for a reverse proxy. */
bool field_is_hop_by_hop(const Field *f) _pure_;

/* Is this field named by one of the Connection fields among `fields`? What Connection may not remove never
 * is: Host, Content-*, Cache-Control, Via, Forwarded, X-Forwarded-*. Reads all the fields; to ask for many of
 * a head, use ConnectionOptions. */
bool field_is_nominated(const Field *f, const Field *fields, size_t n_fields) _pure_;

#define CONNECTION_NOMINATED_MAX 32

/* What all the Connection fields of one head say, read once, so that the cost of a head is linear in its
 * length whatever its sender chose. Views into the head. Start with connection_options_init(). */
typedef struct ConnectionOptions {
    bool close, keep_alive, upgrade;
    uint32_t n_nominated; /* those that are hop-by-hop anyway, or protected, are not counted */
    struct {
        const char *name;
        uint32_t len, hash;
    } nominated[CONNECTION_NOMINATED_MAX]; /* only the first n_nominated are initialized */
} ConnectionOptions;

static inline void connection_options_init(ConnectionOptions *o)
{
    o->close = o->keep_alive = o->upgrade = false;
    o->n_nominated = 0;
}

/* Adds one Connection field. Returns 0, or -E2BIG when the fields nominate more than
 * CONNECTION_NOMINATED_MAX others. */
int connection_options_add(ConnectionOptions *o, const Field *connection);

/* field_is_nominated(), from the options. */
bool connection_options_nominate(const ConnectionOptions *o, const Field *f) _pure_;

/* RFC 9112 6.2: digits only, no sign, no list, fits 63 bits. Returns 0 or -EBADMSG. */
int content_length_parse(const char *s, size_t len, uint64_t *ret);
