/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <stdio.h>

#include "ipc/table.h"
#include "manager/slots.h"

static void a_name_keeps_its_slot(void **state)
{
    Slots s = {};
    uint32_t a, b, again;

    assert_int_equal(slots_get(&s, "blog", &a), 0);
    assert_int_equal(slots_get(&s, "shop", &b), 0);
    assert_int_not_equal(a, b);
    assert_int_equal(slots_get(&s, "blog", &again), 0);
    assert_int_equal(again, a);
    slots_done(&s);
}

static void there_are_as_many_as_the_tables_have_and_no_more(void **state)
{
    Slots s = {};
    uint32_t slot;
    char name[32];

    for (uint32_t i = 0; i < SLOTS_MAX; i++) {
        snprintf(name, sizeof name, "service-%u", i);
        assert_int_equal(slots_get(&s, name, &slot), 0);
        assert_int_equal(slot, i);
    }
    assert_int_equal(slots_get(&s, "one-more", &slot), -ENOSPC);
    assert_int_equal(slots_get(&s, "service-16000", &slot), 0);
    assert_int_equal(slot, 16000);
    slots_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_name_keeps_its_slot),
            cmocka_unit_test(there_are_as_many_as_the_tables_have_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
