/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "ctl/top-view.h"

#define SECOND USEC_PER_SEC
#define BEGIN (1000000 * SECOND)

static const uint64_t bounds[] = {10 * USEC_PER_MSEC, 100 * USEC_PER_MSEC};

/* One as it comes from a manager at a moment after BEGIN. */
static Sample sample(usec_t at, size_t n)
{
    Sample s = {.realtime = BEGIN + at, .monotonic = at, .services = new0(ServiceSample, n), .n = n};

    for (size_t i = 0; i < n; i++) {
        char name[] = "a";
        name[0] = (char) ('a' + i);
        s.services[i] = (ServiceSample){.name = strdup(name),
                .state = strdup("offline"),
                .since = BEGIN,
                .idle_deadline = UINT64_MAX,
                .memory = UINT64_MAX,
                .waiting = UINT64_MAX};
    }
    return s;
}

static void set_state(Sample *s, size_t i, const char *state)
{
    free(s->services[i].state);
    s->services[i].state = strdup(state);
}

static void set_durations(Sample *s, size_t i, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t n[] = {a, b, c};
    s->services[i].durations = memdup_bytes(n, sizeof n);
    s->services[i].n_durations = 3;
}

static TopView view(void)
{
    TopView v = {.bounds = memdup_bytes(bounds, sizeof bounds), .n_bounds = 2};
    return v;
}

static char *text_of(TopView *v, size_t rows, size_t columns)
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    assert_int_equal(top_view_format(v, rows, columns, NULL, f), 0);
    fclose(f);
    return text;
}

/* The first letters of the lines with services, the selected one as a capital. */
static void assert_order(TopView *v, size_t rows, const char *expected)
{
    _cleanup_free_ char *text = text_of(v, rows, 80);
    char got[64], *line = text;
    size_t n = 0;

    for (size_t i = 0; *line; i++) {
        if (i >= 3)
            got[n++] = (char) (line[0] == '>' ? line[2] - 'a' + 'A' : line[2]);
        line = strchr(line, '\n') + 1;
    }
    got[n] = 0;
    assert_string_equal(got, expected);
}

static void a_table_tells_all(void **state)
{
    _cleanup_(top_view_done) TopView v = view();
    Sample s = sample(0, 2), later = sample(2 * SECOND, 2);

    set_durations(&s, 0, 0, 0, 0);
    top_view_take(&v, &s, true);
    set_state(&later, 0, "online");
    set_durations(&later, 0, 10, 0, 0);
    later.services[0].requests = 25;
    later.services[0].active = 7;
    later.services[0].waiting = 3;
    later.services[0].memory = 12 * 1024 * 1024 + 512 * 1024;
    later.services[0].idle_deadline = BEGIN + 302 * SECOND;
    later.services[1].since = BEGIN + 2 * SECOND - 90061 * SECOND;
    top_view_take(&v, &later, true);
    _cleanup_free_ char *text = text_of(&v, 10, 100);
    assert_string_equal(text, "2 services: 1 online, 0 starting, 0 failed; 7 requests open, 12.5/s\n"
                              "q quit  s service  m memory  r requests  a active  S start  X stop\n"
                              "  SERVICE  STATE     SINCE  ACTIVE  WAITING  REQ/S    P95  MEMORY  IDLE IN\n"
                              "> a        online       2s       7        3   12.5  9.5ms   12.5M     5min\n"
                              "  b        offline   1d 1h       -        -      -      -       -        -\n");
}

static void rates_are_between_ticks_and_stay_until_the_next_one(void **state)
{
    _cleanup_(top_view_done) TopView v = view();
    const struct {
        usec_t at;
        uint64_t requests;
        bool tick;
        double rate;
    } steps[] = {{0, 5, true, -1}, {SECOND / 2, 100, false, -1}, {SECOND, 15, true, 10},
            {SECOND * 3 / 2, 90, false, 10}, {SECOND * 7 / 4, 90, false, 10}, {2 * SECOND, 95, true, 80},
            {3 * SECOND, 95, true, 0}, {4 * SECOND, 2, true, -1}, /* another manager counts anew */
            {5 * SECOND, 4, true, 2}};

    for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
        Sample s = sample(steps[i].at, 1);
        s.services[0].requests = steps[i].requests;
        top_view_take(&v, &s, steps[i].tick);
        assert_true(v.now.services[0].rate == steps[i].rate);
    }
}

static void a_percentile_is_that_of_what_came_between(void **state)
{
    Sample a = sample(0, 1), b = sample(SECOND, 1), c = sample(2 * SECOND, 1), d = sample(3 * SECOND, 1);

    set_durations(&a, 0, 1000, 0, 0);
    set_durations(&b, 0, 1000, 100, 0);
    set_durations(&c, 0, 1000, 100, 10);
    set_durations(&d, 0, 1, 0, 0);
    assert_int_equal(sample_p95(&a.services[0], &b.services[0], bounds, 2), 95500);
    assert_int_equal(sample_p95(&b.services[0], &c.services[0], bounds, 2), 100 * USEC_PER_MSEC);
    assert_int_equal(sample_p95(&c.services[0], &c.services[0], bounds, 2), USEC_INFINITY);
    assert_int_equal(sample_p95(&c.services[0], &d.services[0], bounds, 2), USEC_INFINITY);
    assert_int_equal(sample_p95(NULL, &a.services[0], bounds, 2), USEC_INFINITY);
    assert_int_equal(sample_p95(&a.services[0], &b.services[0], bounds, 1), USEC_INFINITY);
    sample_done(&a);
    sample_done(&b);
    sample_done(&c);
    sample_done(&d);
}

static void columns_sort_the_largest_first_and_the_second_time_the_other_way(void **state)
{
    _cleanup_(top_view_done) TopView v = view();
    Sample s = sample(0, 4);

    s.services[1].memory = 5;
    s.services[2].memory = 9;
    s.services[3].active = 1;
    top_view_take(&v, &s, true);
    assert_order(&v, 10, "Abcd");
    top_view_sort(&v, TOP_BY_MEMORY);
    assert_order(&v, 10, "cbAd"); /* what is not known comes last, by name */
    top_view_sort(&v, TOP_BY_MEMORY);
    assert_order(&v, 10, "Adbc");
    top_view_sort(&v, TOP_BY_ACTIVE);
    assert_order(&v, 10, "dAbc");
    top_view_sort(&v, TOP_BY_SERVICE);
    top_view_sort(&v, TOP_BY_SERVICE);
    assert_order(&v, 10, "dcbA");
}

static void the_selected_service_stays_selected_and_on_the_screen(void **state)
{
    _cleanup_(top_view_done) TopView v = view();
    Sample s = sample(0, 6), fewer = sample(SECOND, 2);

    top_view_take(&v, &s, true);
    top_view_move(&v, 1);
    assert_order(&v, 6, "aBc");
    top_view_move(&v, 2);
    assert_order(&v, 6, "bcD");
    top_view_move(&v, -1);
    assert_order(&v, 6, "bCd");
    top_view_move(&v, INT32_MAX);
    assert_order(&v, 6, "deF");
    assert_string_equal(top_view_selected(&v), "f");
    assert_order(&v, 3, ""); /* no room for any */
    top_view_move(&v, -INT32_MAX);
    assert_order(&v, 6, "Abc");
    top_view_move(&v, 5);
    top_view_take(&v, &fewer, true); /* it is gone */
    assert_null(top_view_selected(&v));
    assert_order(&v, 6, "Ab");
    top_view_move(&v, 1);
    assert_string_equal(top_view_selected(&v), "b");
}

static void no_line_is_wider_than_the_terminal(void **state)
{
    _cleanup_(top_view_done) TopView v = view();
    Sample s = sample(0, 3);

    top_view_take(&v, &s, true);
    for (size_t width = 2; width < 90; width++) {
        _cleanup_free_ char *text = text_of(&v, 10, width);
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
            assert_true((size_t) (end - line) <= width);
    }
}

static void only_what_is_asked_for_is_shown(void **state)
{
    _cleanup_(top_view_done) TopView v = view();
    char *patterns[] = {(char *) "[bc]", (char *) "x*", NULL};
    Sample s = sample(0, 5);

    v.patterns = patterns;
    top_view_take(&v, &s, true);
    assert_order(&v, 10, "Bc");
}

static void nothing_at_all_can_be_shown(void **state)
{
    _cleanup_(top_view_done) TopView v = view();
    Sample s = sample(0, 0);

    assert_order(&v, 10, "");
    top_view_take(&v, &s, true);
    top_view_move(&v, 1);
    assert_order(&v, 10, "");
    assert_null(top_view_selected(&v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_table_tells_all),
            cmocka_unit_test(rates_are_between_ticks_and_stay_until_the_next_one),
            cmocka_unit_test(a_percentile_is_that_of_what_came_between),
            cmocka_unit_test(columns_sort_the_largest_first_and_the_second_time_the_other_way),
            cmocka_unit_test(the_selected_service_stays_selected_and_on_the_screen),
            cmocka_unit_test(no_line_is_wider_than_the_terminal),
            cmocka_unit_test(only_what_is_asked_for_is_shown),
            cmocka_unit_test(nothing_at_all_can_be_shown),
    };
    (void) setenv("NO_COLOR", "1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
