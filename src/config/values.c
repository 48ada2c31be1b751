/* SPDX-License-Identifier: ISC */

/* Single JSON values of the types that configuration knows, each with the sentence for what is not one. */

#include <math.h>
#include <stdio.h>

#include "config/reader.h"

/* JSON's numbers are doubles elsewhere: whole numbers beyond this are not told apart (RFC 8259, 6). */
#define WHOLE_MAX UINT64_C(9007199254740991)

const char *value_describe(const Value *v, char buf[static DESCRIPTION_MAX])
{
    switch (json_object_get_type(v->json)) {
    case json_type_null:
        return strcpy(buf, "null");
    case json_type_object:
        return strcpy(buf, json_object_object_length(v->json) > 0 ? "an object" : "an empty object");
    case json_type_array:
        return strcpy(buf, json_object_array_length(v->json) > 0 ? "an array" : "an empty array");
    default:
        break;
    }

    const char *s = json_object_to_json_string_ext(v->json, JSON_C_TO_STRING_NOSLASHESCAPE);
    size_t n = s ? strlen(s) : 0, max = 64;
    if (n > max) {
        while (((unsigned char) s[max] & 0xc0) == 0x80)
            max--;
        snprintf(buf, DESCRIPTION_MAX, "%.*s…%s", (int) max, s, *s == '"' ? "\"" : "");
    } else
        snprintf(buf, DESCRIPTION_MAX, "%s", s ?: "?");
    return buf;
}

int set_string(char **field, const char *s)
{
    char *copy = strdup(s);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

int value_string(Reader *r, const Value *v, const char *what, const char **ret)
{
    const char *s = value_is(v, json_type_string) ? json_object_get_string(v->json) : NULL;
    if (!s || !*s)
        return problem_expected(r, v, "%s", what);
    *ret = s;
    return 0;
}

int value_bool(Reader *r, const Value *v, bool *ret)
{
    if (!value_is(v, json_type_boolean))
        return problem_expected(r, v, "true or false");
    *ret = json_object_get_boolean(v->json);
    return 0;
}

bool value_is_whole(const Value *v, uint64_t *ret)
{
    if (value_is(v, json_type_int)) {
        int64_t i = json_object_get_int64(v->json);
        if (i < 0)
            return false;
        *ret = json_object_get_uint64(v->json);
        return true;
    }
    double d = value_is(v, json_type_double) ? json_object_get_double(v->json) : -1;
    if (!(d >= 0) || !isfinite(d) || d != floor(d))
        return false;
    *ret = d > (double) WHOLE_MAX ? UINT64_MAX : (uint64_t) d;
    return true;
}

int value_uint(Reader *r, const Value *v, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t n;
    if (!value_is_whole(v, &n) || n < min || n > max)
        return problem_expected(
                r, v, "a whole number from %llu to %llu", (unsigned long long) min, (unsigned long long) max);
    *ret = n;
    return 0;
}

int value_port(Reader *r, const Value *v, const char *what, uint16_t *ret)
{
    uint64_t n;
    if (!value_is_whole(v, &n) || n < 1 || n > UINT16_MAX)
        return problem_expected(r, v, "%s", what);
    *ret = (uint16_t) n;
    return 0;
}

#define TIMESPAN_EXAMPLE "a time span such as \"5min\""

/* A string that is no span, with a hint for the likely slips. */
static int bad_timespan(Reader *r, const Value *v, const char *s, int error)
{
    bool digits = *s && s[strspn(s, "0123456789.")] == 0;
    return problem_expected_hint(r, v, TIMESPAN_EXAMPLE,
            error == -ERANGE ? ", which is too long"
            : digits         ? " (a number of milliseconds is written without quotes)"
                             : "");
}

static int parse_timespan(Reader *r, const Value *v, TimespanFlags flags, usec_t *ret)
{
    uint64_t ms;

    if (value_is(v, json_type_string)) {
        const char *s = json_object_get_string(v->json);
        if (streq(s, "never")) {
            *ret = USEC_INFINITY;
            return 0;
        }
        int k = timespan_parse(s, ret);
        return k < 0 ? bad_timespan(r, v, s, k) : 0;
    }
    if (value_is(v, json_type_int) || value_is(v, json_type_double)) {
        if (!value_is_whole(v, &ms) || ms > WHOLE_MAX)
            return problem_expected(r, v, "a whole number of milliseconds or " TIMESPAN_EXAMPLE);
        *ret = ms * USEC_PER_MSEC;
        return 0;
    }
    if (value_is(v, json_type_null) && (flags & TIMESPAN_NEVER))
        return problem_expected_hint(r, v, TIMESPAN_EXAMPLE, "; for no limit write \"never\"");
    return problem_expected(r, v, TIMESPAN_EXAMPLE);
}

int value_timespan(Reader *r, const Value *v, TimespanFlags flags, usec_t *ret)
{
    usec_t t = 0;

    int k = parse_timespan(r, v, flags, &t);
    if (k < 0)
        return k;
    if (t == 0 && (flags & TIMESPAN_ZERO_NEVER))
        t = USEC_INFINITY;
    if (t == USEC_INFINITY && !(flags & TIMESPAN_NEVER))
        return problem_expected(r, v, "a time span that ends, such as \"5s\"");
    if (t == 0)
        return problem_expected(r, v,
                flags & TIMESPAN_NEVER ? "a time span of more than 0, or \"never\""
                                       : "a time span of more than 0");
    *ret = t;
    return 0;
}
