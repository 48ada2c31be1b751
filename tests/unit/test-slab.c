/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "util/slab.h"

#define N 5000
#define SIZE 300

static unsigned char *objects[N];

static void fill(Slab *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        objects[i] = slab_alloc(s);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t) objects[i] % sizeof(void *), 0);
        for (size_t k = 0; k < SIZE; k++)
            assert_int_equal(objects[i][k], 0);
        memset(objects[i], (int) (i % 251 + 1), SIZE);
    }
}

static void check(size_t i)
{
    for (size_t k = 0; k < SIZE; k++)
        assert_int_equal(objects[i][k], i % 251 + 1);
}

static void objects_are_zeroed_and_do_not_overlap(void **state)
{
    Slab s;

    slab_init(&s, SIZE);
    fill(&s, 0, N);
    for (size_t i = 0; i < N; i++) {
        check(i);
        slab_free(&s, objects[i]);
    }
    slab_done(&s);
}

static void a_place_that_came_back_is_used_again_before_memory_grows(void **state)
{
    unsigned char *old[N];
    Slab s;

    slab_init(&s, SIZE);
    fill(&s, 0, N);
    for (size_t i = 0; i < N; i += 2) {
        old[i] = objects[i];
        slab_free(&s, objects[i]);
    }
    for (size_t i = 0; i < N; i += 2) {
        bool is_old = false;
        fill(&s, i, i + 1);
        for (size_t k = 0; k < N && !is_old; k += 2)
            is_old = objects[i] == old[k];
        assert_true(is_old);
    }
    for (size_t i = 0; i < N; i++) {
        check(i);
        slab_free(&s, objects[i]);
    }
    slab_done(&s);
}

static void one_that_comes_and_goes_keeps_its_block(void **state)
{
    Slab s;

    slab_init(&s, 1);
    void *first = slab_alloc(&s);
    for (int i = 0; i < 100; i++) {
        slab_free(&s, first);
        assert_ptr_equal(slab_alloc(&s), first);
    }
    assert_null(slab_free(&s, first));
    assert_null(slab_free(&s, NULL));
    slab_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(objects_are_zeroed_and_do_not_overlap),
            cmocka_unit_test(a_place_that_came_back_is_used_again_before_memory_grows),
            cmocka_unit_test(one_that_comes_and_goes_keeps_its_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
