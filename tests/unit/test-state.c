/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "ipc/state.h"

static void every_state_has_a_name_that_is_read_back(void **state)
{
    for (ServiceState s = 0; s < _SERVICE_STATE_MAX; s++) {
        const char *name = service_state_to_string(s);
        assert_non_null(name);
        assert_int_equal(service_state_from_string(name), s);
    }
}

static void what_is_no_state_has_none(void **state)
{
    assert_null(service_state_to_string(_SERVICE_STATE_MAX));
    assert_null(service_state_to_string(_SERVICE_STATE_INVALID));
    assert_int_equal(service_state_from_string("asleep"), -EINVAL);
    assert_int_equal(service_state_from_string(""), -EINVAL);
    assert_int_equal(service_state_from_string(NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_state_has_a_name_that_is_read_back),
            cmocka_unit_test(what_is_no_state_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
