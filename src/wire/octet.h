/* SPDX-License-Identifier: ISC */
#pragma once

/* What one byte may be in HTTP/1.1, as a table, and the two scans that every parser here is made of. Private
 * to this room. */

#include "util/macro.h"

enum {
    OCTET_TCHAR = 1 << 0, /* RFC 9110 5.6.2 */
    OCTET_FIELD = 1 << 1, /* in a field value: SP, HTAB, VCHAR, obs-text */
    OCTET_TARGET =
            1 << 2,      /* in a request target: VCHAR but '#', and obs-text, which browsers' users do type */
    OCTET_HOST = 1 << 3, /* in a registered name as DNS and its users write them: letters, digits, "-._~" */
    OCTET_ALNUM = 1 << 4,
};

extern const uint8_t octet_class[256];
extern const uint8_t octet_lower[256];

static inline bool octet_is(char c, uint8_t classes)
{
    return octet_class[(uint8_t) c] & classes;
}

static inline bool octet_is_ows(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool octet_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The first byte in p..end that is none of the classes, or end. */
static inline const char *octet_skip(const char *p, const char *end, uint8_t classes)
{
    while (p < end && octet_is(*p, classes))
        p++;
    return p;
}

/* Does one of eight bytes hold a control character, HTAB included? (Subtracting borrows into the next byte
 * only where the answer is yes already.) */
static inline bool octets_have_control(uint64_t eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80, del = eight ^ ones * 0x7f;
    return (((eight - ones * 0x20) & ~eight) | ((del - ones) & ~del)) & high;
}

/* The first byte in p..end that a field value may not hold, or end: octet_skip(OCTET_FIELD), eight at a time.
 */
static inline const char *octet_skip_field(const char *p, const char *end)
{
    for (;;) {
        for (uint64_t eight; end - p >= (ptrdiff_t) sizeof eight; p += sizeof eight) {
            memcpy(&eight, p, sizeof eight);
            if (octets_have_control(eight))
                break;
        }
        while (p < end && *p != '\t' && octet_is(*p, OCTET_FIELD))
            p++;
        if (p == end || *p != '\t')
            return p;
        p++;
    }
}

/* Case-insensitive comparison of n bytes with a string in lower case. */
static inline bool octets_equal_lower(const char *s, const char *lower_case, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (octet_lower[(uint8_t) s[i]] != (uint8_t) lower_case[i])
            return false;
    return true;
}

/* The same of two strings in any case. */
static inline bool octets_equal(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (octet_lower[(uint8_t) a[i]] != octet_lower[(uint8_t) b[i]])
            return false;
    return true;
}

/* Is s[0..len) this literal, in any case? Does it start with it? */
#define OCTETS_ARE(s, len, literal)                                                                          \
    ((len) == STRLEN(literal) && octets_equal_lower(s, literal, STRLEN(literal)))
#define OCTETS_START(s, len, literal)                                                                        \
    ((len) >= STRLEN(literal) && octets_equal_lower(s, literal, STRLEN(literal)))
