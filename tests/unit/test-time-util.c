/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "util/time-util.h"

static void reads_systemd_time_spans(void **state)
{
    static const struct {
        const char *text;
        usec_t span;
    } table[] = {
            {"5min", 5 * USEC_PER_MINUTE},
            {"1h 30s", 3630 * USEC_PER_SEC},
            {"1h30s", 3630 * USEC_PER_SEC},
            {"250ms", 250 * USEC_PER_MSEC},
            {" 2 weeks ", 14 * 24 * 60 * USEC_PER_MINUTE},
            {"1.5s", 1500 * USEC_PER_MSEC},
            {"0.0000001s", 0},
            {"0s", 0},
            {"7us", 7},
            {"7µs", 7},
            {"infinity", USEC_INFINITY},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        usec_t t = 42;
        assert_int_equal(timespan_parse(table[i].text, &t), 0);
        assert_true(t == table[i].span);
    }
}

static void refuses_what_is_no_time_span(void **state)
{
    static const char *const bad[] = {
            "", " ", "5 mins", "5", "min", "-1s", "1.s", ".5s", "5minx", "1s,2s", "1h -2s"};
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        usec_t t = 42;
        assert_int_equal(timespan_parse(bad[i], &t), -EINVAL);
        assert_int_equal(t, 42);
    }
    usec_t t;
    assert_int_equal(timespan_parse("99999999999999999999s", &t), -ERANGE);
    assert_int_equal(timespan_parse("18446744073709551615us 1us", &t), -ERANGE);
}

static void writes_spans_for_people(void **state)
{
    static const struct {
        usec_t span;
        const char *text;
    } table[] = {
            {5 * USEC_PER_MINUTE, "5min"},
            {5430 * USEC_PER_SEC, "1h 30min"},
            {90 * USEC_PER_SEC, "1min 30s"},
            {1500 * USEC_PER_MSEC, "1.5s"},
            {30 * USEC_PER_SEC, "30s"},
            {212 * USEC_PER_MSEC, "212ms"},
            {9300, "9.3ms"},
            {250, "250us"},
            {0, "0ms"},
            {USEC_INFINITY, "never"},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        char buf[TIMESPAN_STRING_MAX];
        assert_string_equal(timespan_format(buf, table[i].span), table[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(reads_systemd_time_spans),
            cmocka_unit_test(refuses_what_is_no_time_span),
            cmocka_unit_test(writes_spans_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
