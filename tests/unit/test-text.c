/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "util/text.h"

static void utf8_is_told_from_what_is_none(void **state)
{
    static const char *const good[] = {"", "a\n\x7f", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf",
            "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\xff", "a\x80", "\xc3", "\xc0\x80", "\xe2\x82", "\xe0\x9f\xbf",
            "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80"};

    for (size_t i = 0; i < ELEMENTSOF(good); i++)
        assert_true(text_is_utf8(good[i]));
    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        assert_false(text_is_utf8(bad[i]));
}

static void a_copy_has_whole_characters_alone(void **state)
{
    char buf[6];

    assert_string_equal(text_copy_utf8(buf, sizeof buf, "abcdefgh"), "abcde");
    assert_string_equal(text_copy_utf8(buf, sizeof buf, "\xc3\xa4\xc3\xa4\xc3\xa4"), "\xc3\xa4\xc3\xa4");
    assert_string_equal(text_copy_utf8(buf, sizeof buf, "a\xff\xe2\x82"), "a???");
    assert_string_equal(text_copy_utf8(buf, sizeof buf, ""), "");
    assert_string_equal(text_copy_utf8(buf, 1, "a"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(utf8_is_told_from_what_is_none),
            cmocka_unit_test(a_copy_has_whole_characters_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
