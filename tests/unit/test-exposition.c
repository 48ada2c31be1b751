/* SPDX-License-Identifier: ISC */

/* What Prometheus reads, to the letter. */

#include "tests/unit/test.h"

#include "ipc/counters.h"
#include "manager/exposition.h"

static const usec_t bounds[] = {500, 250000, 10 * USEC_PER_SEC};
static const uint64_t counts[] = {1, 2, 0, 4};

static void write_all(Exposition *x)
{
    exposition_family(x, "app_requests", METRIC_COUNTER, "Requests, \"all\".");
    exposition_number(x, "service=\"blog\"", "code=\"2xx\"", UINT64_MAX);
    exposition_family(x, "app_seconds", METRIC_HISTOGRAM, "Durations.");
    exposition_histogram(x, "service=\"blog\"", counts, bounds, ELEMENTSOF(bounds), 1234567);
    exposition_family(x, "app_memory_bytes", METRIC_GAUGE, "Two\nlines and a \\.");
    exposition_number(x, "", "", 0);
    exposition_family(x, "app_build", METRIC_INFO, "Version.");
    exposition_number(x, "", "version=\"1\"", 1);
    exposition_end(x);
}

static void expect(MetricsFormat format, const char *text)
{
    Exposition x = {.format = format, .created = 1500000};

    write_all(&x);
    assert_false(x.oom);
    assert_int_equal(x.len, strlen(text));
    assert_memory_equal(x.text, text, x.len);
    exposition_done(&x);
}

#define HISTOGRAM                                                                                            \
    "# HELP app_seconds Durations.\n"                                                                        \
    "# TYPE app_seconds histogram\n"                                                                         \
    "app_seconds_bucket{service=\"blog\",le=\"0.0005\"} 1\n"                                                 \
    "app_seconds_bucket{service=\"blog\",le=\"0.25\"} 3\n"                                                   \
    "app_seconds_bucket{service=\"blog\",le=\"10.0\"} 3\n"                                                   \
    "app_seconds_bucket{service=\"blog\",le=\"+Inf\"} 7\n"                                                   \
    "app_seconds_sum{service=\"blog\"} 1.234567\n"                                                           \
    "app_seconds_count{service=\"blog\"} 7\n"

static void the_text_format_of_prometheus_is_written(void **state)
{
    expect(METRICS_PROMETHEUS,
            "# HELP app_requests_total Requests, \"all\".\n"
            "# TYPE app_requests_total counter\n"
            "app_requests_total{service=\"blog\",code=\"2xx\"} 18446744073709551615\n" HISTOGRAM
            "# HELP app_memory_bytes Two\\nlines and a \\\\.\n"
            "# TYPE app_memory_bytes gauge\n"
            "app_memory_bytes 0\n"
            "# HELP app_build_info Version.\n"
            "# TYPE app_build_info gauge\n"
            "app_build_info{version=\"1\"} 1\n");
}

static void openmetrics_is_written(void **state)
{
    expect(METRICS_OPENMETRICS, "# HELP app_requests Requests, \\\"all\\\".\n"
                                "# TYPE app_requests counter\n"
                                "app_requests_total{service=\"blog\",code=\"2xx\"} 18446744073709551615\n"
                                "app_requests_created{service=\"blog\",code=\"2xx\"} 1.5\n" HISTOGRAM
                                "app_seconds_created{service=\"blog\"} 1.5\n"
                                "# HELP app_memory_bytes Two\\nlines and a \\\\.\n"
                                "# TYPE app_memory_bytes gauge\n"
                                "app_memory_bytes 0\n"
                                "# HELP app_build Version.\n"
                                "# TYPE app_build info\n"
                                "app_build_info{version=\"1\"} 1\n"
                                "# EOF\n");
}

static void no_name_breaks_out_of_its_label(void **state)
{
    _cleanup_free_ char *label = exposition_label("service", "a\"} 1\nb\\c ä");

    assert_string_equal(label, "service=\"a\\\"} 1\\nb\\\\c ä\"");
}

static void every_duration_has_its_bucket(void **state)
{
    assert_int_equal(histogram_bucket(bounds, 3, 0), 0);
    assert_int_equal(histogram_bucket(bounds, 3, 500), 0);
    assert_int_equal(histogram_bucket(bounds, 3, 501), 1);
    assert_int_equal(histogram_bucket(bounds, 3, 10 * USEC_PER_SEC), 2);
    assert_int_equal(histogram_bucket(bounds, 3, USEC_INFINITY), 3);
    for (size_t i = 1; i < DURATION_BUCKETS - 1; i++)
        assert_true(duration_bounds[i] > duration_bounds[i - 1]);
    for (size_t i = 1; i < START_BUCKETS - 1; i++)
        assert_true(start_bounds[i] > start_bounds[i - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_text_format_of_prometheus_is_written),
            cmocka_unit_test(openmetrics_is_written),
            cmocka_unit_test(no_name_breaks_out_of_its_label),
            cmocka_unit_test(every_duration_has_its_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
