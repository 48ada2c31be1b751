/* SPDX-License-Identifier: ISC */

/* What a service may use, in the syntax of systemd.resource-control(5), as the properties that a service
 * manager takes for a transient unit (org.freedesktop.systemd1(5)): sizes in bytes, shares of the machine as
 * a fraction of UINT32_MAX in a property of its own, CPU time in µs a second. What sizes and shares mean here
 * is for the service manager to know; that a value can be none is said here, with file and line. */

#include <ctype.h>
#include <stdio.h>

#include "config/service.h"

#define NO_LIMIT UINT64_MAX     /* CGROUP_LIMIT_MAX */
#define WEIGHT_IDLE UINT64_C(0) /* CGROUP_WEIGHT_IDLE */
#define WEIGHT_MAX 10000
#define SCALE_MAX UINT32_MAX /* 100% */

typedef struct Limit Limit;
struct Limit {
    int (*read)(Reader *r, const Value *v, const Limit *limit, UnitLimit *ret);
    const char *property;
    const char *scale; /* the property for a share of what the machine has, NULL: it has none */
    const char *what;  /* what is expected */
    bool bytes;        /* a size, with K, M, G and T */
};

/* ── numbers in strings ── */

/* "12", "1.5" */
typedef struct Decimal {
    uint64_t whole;
    uint32_t millionths;
    unsigned decimals; /* how many stood behind the point */
} Decimal;

/* Reads the one at the beginning of s. Returns what is behind it, or NULL. */
static const char *decimal_parse(const char *s, Decimal *ret)
{
    Decimal d = {};

    if (!isdigit((unsigned char) *s))
        return NULL;
    for (; isdigit((unsigned char) *s); s++)
        if (__builtin_mul_overflow(d.whole, 10, &d.whole) ||
                __builtin_add_overflow(d.whole, (unsigned) (*s - '0'), &d.whole))
            d.whole = NO_LIMIT; /* and never less again */
    if (*s == '.') {
        uint32_t unit = 1000000;
        for (s++; isdigit((unsigned char) *s) && d.decimals < 6; s++, d.decimals++)
            d.millionths += (unsigned) (*s - '0') * (unit /= 10);
        if (d.decimals == 0 || isdigit((unsigned char) *s))
            return NULL;
    }
    *ret = d;
    return s;
}

/* "50%", in hundredths of a percent, of which systemd knows no parts. */
static bool parse_percentage(const char *s, uint64_t *ret)
{
    Decimal d;

    s = decimal_parse(s, &d);
    if (!s || !streq(s, "%") || d.decimals > 2)
        return false;
    *ret = d.whole > UINT32_MAX ? NO_LIMIT : d.whole * 100 + d.millionths / 10000;
    return true;
}

static const char size_units[] = "KMGT";

/* "512M"; *ret is NO_LIMIT for what is too much. */
static bool parse_size(const char *s, uint64_t *ret)
{
    uint64_t factor = 1, n;
    const char *unit;
    Decimal d;

    s = decimal_parse(s, &d);
    if (!s)
        return false;
    if (*s) {
        unit = strchr(size_units, *s);
        if (!unit || s[1])
            return false;
        factor = UINT64_C(1) << (10 * (unit - size_units + 1));
    } else if (d.decimals > 0)
        return false;
    if (__builtin_mul_overflow(d.whole, factor, &n) ||
            __builtin_add_overflow(n, factor * d.millionths / 1000000, &n))
        n = NO_LIMIT;
    *ret = n;
    return true;
}

/* What was meant by "512MB", "512 MiB" or "512m", as a hint. */
static const char *suggest_size(const char *s, char *buf, size_t size)
{
    static const char *const tails[] = {"", "b", "i", "ib"};
    char unit[2] = {};
    Decimal d;

    const char *end = decimal_parse(s, &d), *p = end;
    if (!end || end - s > 20)
        return "";
    while (*p == ' ')
        p++;
    unit[0] = (char) toupper((unsigned char) *p);
    if (!unit[0] || !strchr(size_units, unit[0]))
        return "";
    for (size_t i = 0; i < ELEMENTSOF(tails); i++)
        if (strcasecmp(p + 1, tails[i]) == 0) {
            snprintf(buf, size, "; did you mean \"%.*s%s\"?", (int) (end - s), s, unit);
            return buf;
        }
    return "";
}

/* ── the kinds of limits ── */

static int set_share(Reader *r, const Value *v, const Limit *limit, uint64_t permyriad, UnitLimit *ret)
{
    if (permyriad < 1 || permyriad > 10000)
        return problem_expected(r, v, "a percentage of more than 0%% and at most 100%%");
    uint64_t scale = (permyriad * SCALE_MAX + 5000) / 10000;
    /* systemd takes no TasksMaxScale of 100%, though its files may say so: the last task but one is as good.
     */
    *ret = (UnitLimit){limit->scale, 'u', limit->bytes ? scale : MIN(scale, (uint64_t) SCALE_MAX - 1)};
    return 0;
}

/* A number, of bytes or of tasks; a share; or none. */
static int read_amount(Reader *r, const Value *v, const Limit *limit, UnitLimit *ret)
{
    const char *s = value_is(v, json_type_string) ? json_object_get_string(v->json) : NULL;
    uint64_t n = 0;
    char hint[64];
    Decimal d;

    if (s && streq(s, "infinity")) {
        *ret = (UnitLimit){limit->property, 't', NO_LIMIT};
        return 0;
    }
    if (s && parse_percentage(s, &n))
        return set_share(r, v, limit, n, ret);
    if (s && !limit->bytes) {
        const char *end = decimal_parse(s, &d);
        if (!end || *end || d.decimals > 0)
            return problem_expected(r, v, "%s", limit->what);
        n = d.whole;
    } else if (s ? !parse_size(s, &n) : !value_is_whole(v, &n))
        return problem_expected_hint(r, v, limit->what,
                s                             ? suggest_size(s, hint, sizeof hint)
                : value_is(v, json_type_null) ? "; for no limit write \"infinity\""
                                              : "");
    if (n == 0)
        return problem_expected(r, v, "a %s of more than 0", limit->bytes ? "size" : "number");
    if (n == NO_LIMIT)
        return problem_expected_hint(r, v, limit->what, ", which is too much");
    *ret = (UnitLimit){limit->property, 't', n};
    return 0;
}

static int read_weight(Reader *r, const Value *v, const Limit *limit, UnitLimit *ret)
{
    const char *s = value_is(v, json_type_string) ? json_object_get_string(v->json) : NULL;
    uint64_t n = 0;

    if (s && streq(s, "idle") && streq(limit->property, "CPUWeight"))
        n = WEIGHT_IDLE;
    else {
        Decimal d = {};
        const char *end = s ? decimal_parse(s, &d) : NULL;
        bool number = s ? end && !*end && d.decimals == 0 : value_is_whole(v, &n);
        n = s ? d.whole : n;
        if (!number || n < 1 || n > WEIGHT_MAX)
            return problem_expected(r, v, "%s", limit->what);
    }
    *ret = (UnitLimit){limit->property, 't', n};
    return 0;
}

static int read_quota(Reader *r, const Value *v, const Limit *limit, UnitLimit *ret)
{
    const char *s = value_is(v, json_type_string) ? json_object_get_string(v->json) : NULL;
    uint64_t n = 0;
    char hint[64];
    Decimal d = {};

    if (!s || !parse_percentage(s, &n)) {
        const char *end = s ? decimal_parse(s, &d) : NULL;
        bool bare = s ? end && !*end && d.whole < 10000 : value_is_whole(v, &d.whole) && d.whole < 10000;
        if (bare && s)
            snprintf(hint, sizeof hint, "; did you mean \"%.20s%%\"?", s);
        else if (bare)
            snprintf(hint, sizeof hint, "; did you mean \"%llu%%\"?", (unsigned long long) d.whole);
        return problem_expected_hint(r, v, limit->what,
                bare                                                         ? hint
                : (s && streq(s, "infinity")) || value_is(v, json_type_null) ? "; for no limit leave it out"
                                                                             : "");
    }
    if (n < 1)
        return problem_expected(r, v, "a percentage of more than 0%%");
    if (n > INT32_MAX)
        return problem_expected_hint(r, v, limit->what, ", which is too much");
    *ret = (UnitLimit){limit->property, 't', n * USEC_PER_SEC / 10000};
    return 0;
}

#define SIZE "a size such as \"512M\", a percentage such as \"25%\", or \"infinity\""

static const Limit limits[_LIMIT_KEY_MAX] = {
        [LIMIT_MEMORY_MAX] = {read_amount, "MemoryMax", "MemoryMaxScale", SIZE, .bytes = true},
        [LIMIT_MEMORY_HIGH] = {read_amount, "MemoryHigh", "MemoryHighScale", SIZE, .bytes = true},
        [LIMIT_CPU_QUOTA] = {read_quota, "CPUQuotaPerSecUSec", NULL,
                "a share of one CPU's time such as \"20%\" or \"150%\""},
        [LIMIT_CPU_WEIGHT] = {read_weight, "CPUWeight", NULL, "a weight from 1 to 10000, or \"idle\""},
        [LIMIT_IO_WEIGHT] = {read_weight, "IOWeight", NULL, "a weight from 1 to 10000"},
        [LIMIT_TASKS_MAX] = {read_amount, "TasksMax", "TasksMaxScale",
                "a number of processes and threads such as 64, a percentage such as \"10%\", or "
                "\"infinity\""},
};

int limits_read(Reader *r, const ServiceDraft *d, ServiceConfig *service)
{
    int all = 0;

    for (size_t i = 0; i < _LIMIT_KEY_MAX; i++) {
        if (!value_given(&d->limits[i]))
            continue;
        if (!service->limits) {
            service->limits = new0(UnitLimit, _LIMIT_KEY_MAX);
            if (!service->limits)
                return -ENOMEM;
        }
        int k = limits[i].read(r, &d->limits[i], &limits[i], &service->limits[service->n_limits]);
        if (is_fatal(&all, k))
            return k;
        if (k == 0)
            service->n_limits++;
    }
    return all;
}
