/* SPDX-License-Identifier: ISC */

/* Owns the head that goes upstream. Every byte in it is either ours or was checked before: names and values
 * by the audit of the head, target, host and body by request_check(); so nothing here escapes or validates.
 * The fields are walked once, and once more only to join what a trusted proxy said; running out of room is
 * noted and found at the end. */

#include "wire/request-head.h"

#include "wire/octet.h"
#include "wire/upgrade.h"

typedef struct Writer {
    char *p, *end;
    bool full;
} Writer;

static inline void put(Writer *w, const char *s, size_t n)
{
    if (unlikely((size_t) (w->end - w->p) < n)) {
        w->full = true;
        return;
    }
    memcpy(w->p, s, n);
    w->p += n;
}

#define PUT(w, literal) put(w, literal, STRLEN(literal))

static void put_string(Writer *w, const char *s)
{
    put(w, s, strlen(s));
}

static void put_number(Writer *w, uint64_t v)
{
    char digits[20], *p = digits + sizeof digits;

    do
        *--p = (char) ('0' + v % 10);
    while (v /= 10);
    put(w, p, (size_t) (digits + sizeof digits - p));
}

static void put_field(Writer *w, const Field *f)
{
    put(w, f->name, f->name_len);
    PUT(w, ": ");
    put(w, f->value, f->value_len);
    PUT(w, "\r\n");
}

static void put_request_line(Writer *w, const RequestHead *head, const RequestFacts *facts, size_t strip)
{
    const char *target = facts->target, *query = memchr(target, '?', facts->target_len);
    size_t path_len = query ? (size_t) (query - target) : facts->target_len;
    size_t cut = MIN(strip, path_len);

    put_string(w, head->method);
    PUT(w, " ");
    if (cut == facts->target_len || (target[cut] != '/' && target[0] != '*'))
        PUT(w, "/");
    put(w, target + cut, facts->target_len - cut);
    PUT(w, " HTTP/1.1\r\n");
}

static void put_host(Writer *w, const RequestFacts *facts, const char *host_override)
{
    PUT(w, "Host: ");
    if (host_override)
        put_string(w, host_override);
    else
        put(w, facts->authority, facts->authority_len);
    PUT(w, "\r\n");
}

typedef enum Family { FAMILY_NONE, FAMILY_MEMBER, FAMILY_SHADOW } Family;

/* Is the name X-Forwarded-something, or would a server that turns names into variables (HTTP_X_FORWARDED_…),
 * where all that is no letter or digit becomes '_', take it for one? */
static Family x_forwarded_family(const Field *f)
{
    static const char prefix[] = "x-forwarded-";
    Family family = FAMILY_MEMBER;

    if (f->name_len < sizeof prefix - 1 || octet_lower[(uint8_t) f->name[0]] != 'x')
        return FAMILY_NONE;
    for (size_t i = 0; i < sizeof prefix - 1; i++) {
        char c = f->name[i];
        if (prefix[i] != '-') {
            if (octet_lower[(uint8_t) c] != (uint8_t) prefix[i])
                return FAMILY_NONE;
        } else if (octet_is(c, OCTET_ALNUM))
            return FAMILY_NONE;
        else if (c != '-')
            family = FAMILY_SHADOW;
    }
    return family;
}

/* What was met on the way through the client's fields. */
typedef struct Met {
    bool forwarded, x_forwarded_for, x_forwarded_host, x_forwarded_proto;
} Met;

static bool passes_on(const Field *f, const ConnectionOptions *connection, bool trusted, Met *met)
{
    bool stays = trusted && f->value_len > 0;

    switch (field_identify(f)) {
    case FIELD_OTHER:
        switch (x_forwarded_family(f)) {
        case FAMILY_MEMBER:
            return trusted;
        case FAMILY_SHADOW:
            return false;
        case FAMILY_NONE:
            return !connection_options_nominate(connection, f);
        }
        return false;
    case FIELD_X_FORWARDED_HOST:
        met->x_forwarded_host |= stays;
        return stays;
    case FIELD_X_FORWARDED_PROTO:
        met->x_forwarded_proto |= stays;
        return stays;
    case FIELD_X_FORWARDED_FOR:
        met->x_forwarded_for |= stays;
        return false;
    case FIELD_FORWARDED:
        met->forwarded |= stays;
        return false;
    default:
        return false;
    }
}

static Met put_client_fields(Writer *w, const RequestHead *head, bool trusted)
{
    ConnectionOptions connection;
    Met met = {};

    connection_options_init(&connection);
    for (size_t i = 0; i < head->n_fields; i++)
        if (field_identify(&head->fields[i]) == FIELD_CONNECTION)
            (void) connection_options_add(
                    &connection, &head->fields[i]); /* request_check() saw that it fits */
    for (size_t i = 0; i < head->n_fields; i++)
        if (passes_on(&head->fields[i], &connection, trusted, &met))
            put_field(w, &head->fields[i]);
    return met;
}

/* The values of all fields of one name, each followed by ", ". */
static void put_values(Writer *w, const RequestHead *head, FieldId id)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        const Field *f = &head->fields[i];
        if (f->value_len > 0 && field_identify(f) == id) {
            put(w, f->value, f->value_len);
            PUT(w, ", ");
        }
    }
}

/* RFC 7239 4: a value is a token, or quoted; 6: an IPv6 address has brackets, and so is quoted. */
static void put_forwarded_element(Writer *w, const RequestFacts *facts, const ForwardedBy *by)
{
    PUT(w, "for=");
    if (strchr(by->peer, ':')) {
        PUT(w, "\"[");
        put_string(w, by->peer);
        PUT(w, "]\"");
    } else
        put_string(w, by->peer);
    if (facts->authority_len > 0) {
        bool quoted = !token_is_valid(facts->authority, facts->authority_len);
        PUT(w, ";host=");
        put(w, "\"", quoted);
        put(w, facts->authority, facts->authority_len);
        put(w, "\"", quoted);
    }
    PUT(w, ";proto=");
    put_string(w, by->proto);
}

static void put_forwarding(
        Writer *w, const RequestHead *head, const RequestFacts *facts, const ForwardedBy *by, Met met)
{
    PUT(w, "X-Forwarded-For: ");
    if (met.x_forwarded_for)
        put_values(w, head, FIELD_X_FORWARDED_FOR);
    put_string(w, by->peer);
    if (!met.x_forwarded_proto) {
        PUT(w, "\r\nX-Forwarded-Proto: ");
        put_string(w, by->proto);
    }
    if (!met.x_forwarded_host && facts->authority_len > 0) {
        PUT(w, "\r\nX-Forwarded-Host: ");
        put(w, facts->authority, facts->authority_len);
    }
    PUT(w, "\r\nForwarded: ");
    if (met.forwarded)
        put_values(w, head, FIELD_FORWARDED);
    put_forwarded_element(w, facts, by);
    put_string(w, facts->http_1_0 ? "\r\nVia: 1.0 dynapm\r\n" : "\r\nVia: 1.1 dynapm\r\n");
}

/* Hop by hop, and so said anew: RFC 9110 7.8. */
static void put_upgrade(Writer *w, const RequestHead *head)
{
    const char *separator = "Connection: upgrade\r\nUpgrade: ";

    for (size_t i = 0; i < head->n_fields; i++) {
        const Field *f = &head->fields[i];
        if (field_identify(f) != FIELD_UPGRADE)
            continue;
        const char *pos = f->value, *protocol;
        size_t n;
        while (upgrade_next(&pos, f->value + f->value_len, &protocol, &n)) {
            put_string(w, separator);
            put(w, protocol, n);
            separator = ", ";
        }
    }
    PUT(w, "\r\n");
}

static void put_framing(Writer *w, const RequestFacts *facts)
{
    switch (facts->body) {
    case REQUEST_BODY_NONE:
        break;
    case REQUEST_BODY_LENGTH:
        PUT(w, "Content-Length: ");
        put_number(w, facts->content_length);
        PUT(w, "\r\n");
        break;
    case REQUEST_BODY_CHUNKED:
        PUT(w, "Transfer-Encoding: chunked\r\n");
        break;
    }
}

ssize_t request_head_write(char *buf, size_t size, const RequestHead *head, const RequestFacts *facts,
        size_t strip, const char *host_override, const ForwardedBy *by)
{
    Writer w = {.p = buf, .end = buf + size};

    put_request_line(&w, head, facts, strip);
    put_host(&w, facts, host_override);
    Met met = put_client_fields(&w, head, by->trusted);
    put_forwarding(&w, head, facts, by, met);
    if (facts->upgrade)
        put_upgrade(&w, head);
    put_framing(&w, facts);
    if (facts->expect_continue)
        PUT(&w, "Expect: 100-continue\r\n");
    PUT(&w, "\r\n");
    return w.full ? -ENOBUFS : w.p - buf;
}
