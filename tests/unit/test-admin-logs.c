/* SPDX-License-Identifier: ISC */

/* What journalctl writes, as clients get it. */

#include "tests/unit/test.h"

#include "admin/admin-service.h"

static void assert_lines(const char *journal, const char *expected)
{
    /* Exactly as many bytes as there are, so that reading past them shows under valgrind. */
    size_t n = strlen(journal);
    _cleanup_free_ char *copy = malloc(n ? n : 1);
    memcpy(copy, journal, n);
    json_object *o = admin_logs_read(copy, n);
    assert_non_null(o);
    _cleanup_free_ char *text = admin_json_text(o, NULL);
    assert_string_equal(text, expected);
    json_object_put(o);
}

static void lines_are_told_in_their_order(void **state)
{
    assert_lines("", "{\"lines\":[]}");
    assert_lines("{\"__REALTIME_TIMESTAMP\":\"1700000000123456\",\"PRIORITY\":\"6\",\"SYSLOG_IDENTIFIER\":"
                 "\"node\","
                 "\"MESSAGE\":\"one\",\"_X\":\"y\"}\n"
                 "{\"MESSAGE\":\"two\"}\n",
            "{\"lines\":[{\"time\":1700000000123,\"priority\":6,\"identifier\":\"node\",\"text\":\"one\"},"
            "{\"time\":null,\"priority\":null,\"identifier\":null,\"text\":\"two\"}]}");
}

static void what_programs_print_may_be_anything(void **state)
{
    assert_lines("{\"MESSAGE\":\"</script>\\\"\\u0000\\u001b[2J\"}",
            "{\"lines\":[{\"time\":null,\"priority\":null,\"identifier\":null,"
            "\"text\":\"</script>\\\"\\u0000\\u001b[2J\"}]}");
    assert_lines("{\"MESSAGE\":[104,105,255,0,27,10,-1,\"x\",99999]}",
            "{\"lines\":[{\"time\":null,\"priority\":null,\"identifier\":null,\"text\":\"hi???\\n???\"}]}");
    assert_lines("{\"MESSAGE\":null,\"SYSLOG_IDENTIFIER\":[1,2],\"PRIORITY\":{}}",
            "{\"lines\":[{\"time\":null,\"priority\":0,\"identifier\":null,\"text\":\"\"}]}");
}

static void what_is_no_line_is_left_out(void **state)
{
    assert_lines("\n\nnonsense\n[1]\n5\nnull\n{\"MESSAGE\":\"cut of", "{\"lines\":[]}");
    assert_lines("{\"MESSAGE\":\"a\"}\n{\"MESS",
            "{\"lines\":[{\"time\":null,\"priority\":null,\"identifier\":null,"
            "\"text\":\"a\"}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(lines_are_told_in_their_order),
            cmocka_unit_test(what_programs_print_may_be_anything),
            cmocka_unit_test(what_is_no_line_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
