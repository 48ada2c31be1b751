/* SPDX-License-Identifier: ISC */

/* Owns what is known of single bytes, names and values: the octet table, the names that mean something to a
 * gateway, and comma-separated lists. Every function is pure, reads each byte a bounded number of times and
 * nothing outside the view it was given. Names are compared by length first: most of a head's fields are told
 * apart without a look at their letters. */

#include "wire/field.h"

#include "wire/octet.h"

/* clang-format off */
#define ALNUM    (OCTET_TCHAR | OCTET_FIELD | OCTET_TARGET | OCTET_HOST | OCTET_ALNUM)
#define MARK(c)  [c] = OCTET_TCHAR | OCTET_FIELD | OCTET_TARGET
#define NAME(c)  [c] = OCTET_TCHAR | OCTET_FIELD | OCTET_TARGET | OCTET_HOST
#define DELIM(c) [c] = OCTET_FIELD | OCTET_TARGET

const uint8_t octet_class[256] = {
    ['\t'] = OCTET_FIELD, [' '] = OCTET_FIELD,
    ['0' ... '9'] = ALNUM,
    ['A' ... 'Z'] = ALNUM,
    ['a' ... 'z'] = ALNUM,
    NAME('-'), NAME('.'), NAME('_'), NAME('~'),
    MARK('!'), MARK('$'), MARK('%'), MARK('&'), MARK('\''), MARK('*'), MARK('+'), MARK('^'), MARK('`'), MARK('|'),
    ['#'] = OCTET_TCHAR | OCTET_FIELD,
    DELIM('"'), DELIM('('), DELIM(')'), DELIM(','), DELIM('/'), DELIM(':'), DELIM(';'), DELIM('<'), DELIM('='),
    DELIM('>'), DELIM('?'), DELIM('@'), DELIM('['), DELIM('\\'), DELIM(']'), DELIM('{'), DELIM('}'),
    [0x80 ... 0xff] = OCTET_FIELD | OCTET_TARGET,
};

const uint8_t octet_lower[256] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
    0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f,
    0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
    0x40, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f,
    0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x5b, 0x5c, 0x5d, 0x5e, 0x5f,
    0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f,
    0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x7b, 0x7c, 0x7d, 0x7e, 0x7f,
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f,
    0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f,
    0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
    0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf,
    0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf,
    0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf,
    0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef,
    0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff,
};
/* clang-format on */

FieldId field_identify(const Field *f)
{
#define IF_NAMED(literal, id)                                                                                \
    if (octets_equal_lower(f->name, literal, STRLEN(literal)))                                               \
        return id;

    switch (f->name_len) {
    case STRLEN("te"):
        IF_NAMED("te", FIELD_TE);
        break;
    case STRLEN("host"):
        IF_NAMED("host", FIELD_HOST);
        break;
    case STRLEN("expect"):
        IF_NAMED("expect", FIELD_EXPECT);
        break;
    case STRLEN("upgrade"):
        IF_NAMED("upgrade", FIELD_UPGRADE);
        IF_NAMED("trailer", FIELD_TRAILER);
        break;
    case STRLEN("forwarded"):
        IF_NAMED("forwarded", FIELD_FORWARDED);
        break;
    case STRLEN("connection"):
        IF_NAMED("connection", FIELD_CONNECTION);
        IF_NAMED("keep-alive", FIELD_KEEP_ALIVE);
        break;
    case STRLEN("content-length"):
        IF_NAMED("content-length", FIELD_CONTENT_LENGTH);
        break;
    case STRLEN("x-forwarded-for"):
        IF_NAMED("x-forwarded-for", FIELD_X_FORWARDED_FOR);
        break;
    case STRLEN("x-forwarded-host"):
        IF_NAMED("x-forwarded-host", FIELD_X_FORWARDED_HOST);
        IF_NAMED("proxy-connection", FIELD_PROXY_CONNECTION);
        break;
    case STRLEN("transfer-encoding"):
        IF_NAMED("transfer-encoding", FIELD_TRANSFER_ENCODING);
        IF_NAMED("x-forwarded-proto", FIELD_X_FORWARDED_PROTO);
        break;
    }
    return FIELD_OTHER;
}

bool field_is(const Field *f, const char *lower_case_name)
{
    return f->name_len == strlen(lower_case_name) &&
           octets_equal_lower(f->name, lower_case_name, f->name_len);
}

bool token_is_valid(const char *s, size_t len)
{
    return len > 0 && octet_skip(s, s + len, OCTET_TCHAR) == s + len;
}

bool field_value_is_valid(const char *s, size_t len)
{
    return len == 0 || octet_skip_field(s, s + len) == s + len;
}

bool list_next(const char **pos, const char *end, const char **ret, size_t *ret_len)
{
    const char *from = *pos;

    if (!from)
        return false;
    const char *comma = memchr(from, ',', (size_t) (end - from));
    const char *to = comma ? comma : end;
    while (from < to && octet_is_ows(*from))
        from++;
    while (to > from && octet_is_ows(to[-1]))
        to--;
    *pos = comma ? comma + 1 : NULL;
    *ret = from;
    *ret_len = (size_t) (to - from);
    return true;
}

bool list_has_token(const char *s, size_t len, const char *lower_case_token)
{
    size_t wanted = strlen(lower_case_token), n;
    const char *pos = s, *element;

    while (list_next(&pos, s + len, &element, &n))
        if (n == wanted && octets_equal_lower(element, lower_case_token, n))
            return true;
    return false;
}

static bool id_is_hop_by_hop(FieldId id)
{
    const unsigned hop_by_hop = 1U << FIELD_CONNECTION | 1U << FIELD_PROXY_CONNECTION |
                                1U << FIELD_KEEP_ALIVE | 1U << FIELD_TE | 1U << FIELD_TRANSFER_ENCODING |
                                1U << FIELD_UPGRADE | 1U << FIELD_TRAILER;
    return hop_by_hop >> id & 1;
}

bool field_is_hop_by_hop(const Field *f)
{
    return id_is_hop_by_hop(field_identify(f));
}

/* A sender must not nominate what is meant for every recipient (RFC 9110 7.6.1). Where one does, to make a
 * gateway drop what the next recipient decides by, the fields that say where a message goes, how long it is,
 * what it holds and whence it came are not given away. */
static bool field_is_protected(const Field *f)
{
    return OCTETS_START(f->name, f->name_len, "content-") ||
           OCTETS_START(f->name, f->name_len, "x-forwarded-") || field_is(f, "host") ||
           field_is(f, "forwarded") || field_is(f, "via") || field_is(f, "cache-control");
}

bool field_is_nominated(const Field *f, const Field *fields, size_t n_fields)
{
    if (field_is_protected(f))
        return false;
    for (size_t i = 0; i < n_fields; i++) {
        if (field_identify(&fields[i]) != FIELD_CONNECTION)
            continue;
        const char *pos = fields[i].value, *end = pos + fields[i].value_len, *element;
        size_t n;
        while (list_next(&pos, end, &element, &n))
            if (n == f->name_len && octets_equal(element, f->name, n))
                return true;
    }
    return false;
}

/* FNV-1a of the name in lower case. */
static uint32_t name_hash(const char *s, size_t len)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ octet_lower[(uint8_t) s[i]]) * 16777619u;
    return h;
}

int connection_options_add(ConnectionOptions *o, const Field *connection)
{
    const char *pos = connection->value, *end = pos + connection->value_len, *element;
    size_t n;

    while (list_next(&pos, end, &element, &n)) {
        const Field named = {.name = element, .name_len = (uint32_t) n};
        if (n == 0)
            continue;
        if (OCTETS_ARE(element, n, "close"))
            o->close = true;
        else if (OCTETS_ARE(element, n, "keep-alive"))
            o->keep_alive = true;
        else if (OCTETS_ARE(element, n, "upgrade"))
            o->upgrade = true;
        else if (!field_is_hop_by_hop(&named) && !field_is_protected(&named)) {
            if (o->n_nominated == CONNECTION_NOMINATED_MAX)
                return -E2BIG;
            o->nominated[o->n_nominated].name = element;
            o->nominated[o->n_nominated].len = named.name_len;
            o->nominated[o->n_nominated++].hash = name_hash(element, n);
        }
    }
    return 0;
}

bool connection_options_nominate(const ConnectionOptions *o, const Field *f)
{
    if (likely(o->n_nominated == 0))
        return false;

    uint32_t hash = name_hash(f->name, f->name_len);
    for (uint32_t i = 0; i < o->n_nominated; i++)
        if (o->nominated[i].hash == hash && o->nominated[i].len == f->name_len &&
                octets_equal(o->nominated[i].name, f->name, f->name_len))
            return true;
    return false;
}

int content_length_parse(const char *s, size_t len, uint64_t *ret)
{
    uint64_t v = 0;

    if (len == 0)
        return -EBADMSG;
    for (size_t i = 0; i < len; i++) {
        if (!octet_is_digit(s[i]))
            return -EBADMSG;
        uint64_t digit = (uint64_t) (s[i] - '0');
        if (v > (INT64_MAX - digit) / 10)
            return -EBADMSG;
        v = v * 10 + digit;
    }
    *ret = v;
    return 0;
}
