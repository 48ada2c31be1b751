/* SPDX-License-Identifier: ISC */

#include "tests/unit/manager-fixture.h"

#include "manager/renditions.h"

#define NOW (1000 * USEC_PER_SEC)
#define LATER (NOW + 3600 * USEC_PER_SEC)

static void manager_init(Fixture *f)
{
    fixture_init(f);
    fixture_service(f, "blog", "");
    fixture_start(f);
}

static ino_t file_of(int fd)
{
    struct stat st;

    assert_true(fd >= 0);
    assert_return_code(fstat(fd, &st), errno);
    return st.st_ino;
}

static void what_is_not_old_is_shared(void **state)
{
    Renditions r = RENDITIONS_NULL;
    Fixture f;

    manager_init(&f);
    int one = renditions_get(&r, f.manager, METRICS_PROMETHEUS, NOW);
    int two = renditions_get(&r, f.manager, METRICS_PROMETHEUS, NOW);
    int open_one = renditions_get(&r, f.manager, METRICS_OPENMETRICS, NOW);
    int late = renditions_get(&r, f.manager, METRICS_PROMETHEUS, LATER);
    assert_int_equal(file_of(one), file_of(two));
    assert_int_not_equal(file_of(one), file_of(open_one));
    assert_int_not_equal(file_of(one), file_of(late));
    renditions_done(&r);
    assert_true(file_of(one) > 0); /* who has it keeps it */
    fd_close(one);
    fd_close(two);
    fd_close(open_one);
    fd_close(late);
    fixture_done(&f);
}

static void readers_do_not_disturb_each_other(void **state)
{
    Renditions r = RENDITIONS_NULL;
    char a[16], b[16];
    Fixture f;

    manager_init(&f);
    int one = renditions_get(&r, f.manager, METRICS_PROMETHEUS, NOW);
    int two = renditions_get(&r, f.manager, METRICS_PROMETHEUS, NOW);
    assert_int_equal(read(one, a, sizeof a), sizeof a);
    assert_int_equal(read(two, b, sizeof b), sizeof b);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(a, "# HELP dynapm_", 14);
    assert_true(write(one, "x", 1) < 0);
    assert_true(ftruncate(two, 0) < 0);
    fd_close(one);
    fd_close(two);
    renditions_done(&r);
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_is_not_old_is_shared),
            cmocka_unit_test(readers_do_not_disturb_each_other),
    };
    int r = fixture_main(argc, argv);
    return r >= 0 ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
