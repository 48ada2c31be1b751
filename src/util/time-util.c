/* SPDX-License-Identifier: ISC */

#include "util/time-util.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name;
    usec_t usec;
} units[] = {
        {"us", 1},
        {"usec", 1},
        {"µs", 1},
        {"ms", USEC_PER_MSEC},
        {"msec", USEC_PER_MSEC},
        {"s", USEC_PER_SEC},
        {"sec", USEC_PER_SEC},
        {"second", USEC_PER_SEC},
        {"seconds", USEC_PER_SEC},
        {"m", USEC_PER_MINUTE},
        {"min", USEC_PER_MINUTE},
        {"minute", USEC_PER_MINUTE},
        {"minutes", USEC_PER_MINUTE},
        {"h", 60 * USEC_PER_MINUTE},
        {"hr", 60 * USEC_PER_MINUTE},
        {"hour", 60 * USEC_PER_MINUTE},
        {"hours", 60 * USEC_PER_MINUTE},
        {"d", 24 * 60 * USEC_PER_MINUTE},
        {"day", 24 * 60 * USEC_PER_MINUTE},
        {"days", 24 * 60 * USEC_PER_MINUTE},
        {"w", 7 * 24 * 60 * USEC_PER_MINUTE},
        {"week", 7 * 24 * 60 * USEC_PER_MINUTE},
        {"weeks", 7 * 24 * 60 * USEC_PER_MINUTE},
};

static usec_t unit_lookup(const char *s, size_t n)
{
    for (size_t i = 0; i < ELEMENTSOF(units); i++)
        if (strlen(units[i].name) == n && memcmp(units[i].name, s, n) == 0)
            return units[i].usec;
    return 0;
}

/* One "NUMBER[.FRACTION] UNIT" term at *p, which is moved behind it. */
static int parse_term(const char **p, usec_t *ret)
{
    const char *s = *p;
    uint64_t whole = 0, fraction = 0, scale = 1;

    if (!isdigit((unsigned char) *s))
        return -EINVAL;
    for (; isdigit((unsigned char) *s); s++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
                __builtin_add_overflow(whole, (uint64_t) (*s - '0'), &whole))
            return -ERANGE;
    if (*s == '.') {
        if (!isdigit((unsigned char) *++s))
            return -EINVAL;
        for (; isdigit((unsigned char) *s); s++)
            if (scale < 1000000) {
                fraction = fraction * 10 + (uint64_t) (*s - '0');
                scale *= 10;
            }
    }
    while (*s == ' ')
        s++;

    size_t n = strcspn(s, " 0123456789.");
    usec_t unit = unit_lookup(s, n), t;
    if (!unit)
        return -EINVAL;
    if (__builtin_mul_overflow(whole, unit, &t) || __builtin_add_overflow(t, fraction * unit / scale, &t))
        return -ERANGE;
    *p = s + n;
    *ret = t;
    return 0;
}

int timespan_parse(const char *s, usec_t *ret)
{
    usec_t sum = 0;

    assert(s);
    s += strspn(s, " ");
    if (streq(s, "infinity")) {
        *ret = USEC_INFINITY;
        return 0;
    }
    do {
        usec_t t = 0;
        int r = parse_term(&s, &t);
        if (r < 0)
            return r;
        /* The last value of the type means "never"; a sum that reaches it is out of range. */
        if (__builtin_add_overflow(sum, t, &sum) || sum == USEC_INFINITY)
            return -ERANGE;
        s += strspn(s, " ");
    } while (*s);

    *ret = sum;
    return 0;
}

const char *timespan_format(char buf[static TIMESPAN_STRING_MAX], usec_t span)
{
    static const struct {
        const char *name;
        usec_t usec;
    } out[] = {{"d", 24 * 60 * USEC_PER_MINUTE}, {"h", 60 * USEC_PER_MINUTE}, {"min", USEC_PER_MINUTE},
            {"s", USEC_PER_SEC}};

    if (span == USEC_INFINITY)
        return strcpy(buf, "never");
    for (size_t i = 0; i < ELEMENTSOF(out); i++) {
        if (span < out[i].usec)
            continue;
        uint64_t rest = span % out[i].usec;
        if (i + 1 < ELEMENTSOF(out) && rest >= out[i + 1].usec)
            snprintf(buf, TIMESPAN_STRING_MAX, "%" PRIu64 "%s %" PRIu64 "%s", span / out[i].usec, out[i].name,
                    rest / out[i + 1].usec, out[i + 1].name);
        else if (i + 1 == ELEMENTSOF(out) && rest >= USEC_PER_SEC / 10)
            snprintf(buf, TIMESPAN_STRING_MAX, "%.1fs", (double) (span - span % 100000) / 1e6);
        else
            snprintf(buf, TIMESPAN_STRING_MAX, "%" PRIu64 "%s", span / out[i].usec, out[i].name);
        return buf;
    }
    if (span >= 10 * USEC_PER_MSEC || span % USEC_PER_MSEC == 0)
        snprintf(buf, TIMESPAN_STRING_MAX, "%" PRIu64 "ms", span / USEC_PER_MSEC);
    else if (span >= USEC_PER_MSEC)
        snprintf(buf, TIMESPAN_STRING_MAX, "%.1fms", (double) (span - span % 100) / 1e3);
    else
        snprintf(buf, TIMESPAN_STRING_MAX, "%" PRIu64 "us", span);
    return buf;
}
