/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "wire/upgrade.h"

#define UPGRADE(v)                                                                                           \
    {                                                                                                        \
        .name = "Upgrade", .name_len = 7, .value = v, .value_len = STRLEN(v)                                 \
    }

static void protocols_come_in_their_order_without_what_may_not_pass(void **state)
{
    const Field f = UPGRADE(" websocket ,,H2C, h2c,TLS/1.0, a b, irc/, /1, IRC/6.9");
    static const char *const expected[] = {"websocket", "TLS/1.0", "IRC/6.9"};
    const char *pos = f.value, *protocol;
    size_t n, i = 0;

    for (; upgrade_next(&pos, f.value + f.value_len, &protocol, &n); i++) {
        assert_true(i < ELEMENTSOF(expected));
        assert_int_equal(n, strlen(expected[i]));
        assert_memory_equal(protocol, expected[i], n);
    }
    assert_int_equal(i, ELEMENTSOF(expected));
    assert_true(upgrade_offers(&f));
    assert_false(upgrade_offers(&(Field) UPGRADE("h2c, ")));
}

static void a_service_may_take_only_what_was_offered(void **state)
{
    static const struct {
        Field request[2], answer[2];
        bool matches;
    } table[] = {
            {{UPGRADE("websocket")}, {UPGRADE("WebSocket")}, true},
            {{UPGRADE("a, b/1"), UPGRADE("c")}, {UPGRADE("c")}, true},
            {{UPGRADE("a, b/1")}, {UPGRADE("b/1"), UPGRADE("a")}, true},
            {{UPGRADE("a, b/1")}, {UPGRADE("b")}, false},
            {{UPGRADE("a")}, {UPGRADE("a, b")}, false},
            {{UPGRADE("a")}, {UPGRADE("")}, false},
            {{UPGRADE("a")}, {}, false},
            {{UPGRADE("h2c")}, {UPGRADE("h2c")}, false},
            {{}, {UPGRADE("websocket")}, false},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        if (upgrade_matches(table[i].request, 2, table[i].answer, 2) != table[i].matches)
            fail_msg("case %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(protocols_come_in_their_order_without_what_may_not_pass),
            cmocka_unit_test(a_service_may_take_only_what_was_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
