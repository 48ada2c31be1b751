/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "ctl/keys.h"

/* The last key of some bytes, each of which but the last must be none. */
static int decode(KeyDecoder *d, const char *bytes)
{
    int key = KEY_NONE;
    for (; *bytes; bytes++) {
        assert_int_equal(key, KEY_NONE);
        key = key_decode(d, *bytes);
    }
    return key;
}

static void letters_are_themselves(void **state)
{
    KeyDecoder d = {};
    for (char c = ' '; c < 0x7f; c++)
        assert_int_equal(key_decode(&d, c), c);
}

static void arrows_and_their_like_are_sequences(void **state)
{
    static const struct {
        const char *bytes;
        int key;
    } cases[] = {{"\x1b[A", KEY_UP}, {"\x1bOA", KEY_UP}, {"\x1b[B", KEY_DOWN}, {"\x1b[5~", KEY_PAGE_UP},
            {"\x1b[6~", KEY_PAGE_DOWN}, {"\x1b[H", KEY_HOME}, {"\x1bOF", KEY_END}, {"\x1b[1~", KEY_HOME},
            {"\x1b[8~", KEY_END}, {"\x1b[1;5A", KEY_UP}, {"\x1b[15~", KEY_NONE}, {"\x1b[Z", KEY_NONE},
            {"\x1bx", KEY_NONE}, {"\xc3\xa4", KEY_NONE}};
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        KeyDecoder d = {};
        assert_int_equal(decode(&d, cases[i].bytes), cases[i].key);
        assert_false(key_is_pending(&d));
        assert_int_equal(key_decode(&d, 'q'), 'q');
    }
}

static void escape_is_a_key_when_nothing_follows(void **state)
{
    KeyDecoder d = {};

    assert_int_equal(key_decode_pause(&d), KEY_NONE);
    assert_int_equal(key_decode(&d, 0x1b), KEY_NONE);
    assert_true(key_is_pending(&d));
    assert_int_equal(key_decode_pause(&d), KEY_ESCAPE);
    assert_int_equal(key_decode(&d, 'A'), 'A');
    assert_int_equal(decode(&d, "\x1b\x1b"), KEY_ESCAPE);
    assert_int_equal(decode(&d, "[B"), KEY_DOWN);
    assert_int_equal(decode(&d, "\x1b["), KEY_NONE); /* half a sequence, and then nothing */
    assert_int_equal(key_decode_pause(&d), KEY_NONE);
    assert_int_equal(key_decode(&d, 'q'), 'q');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(letters_are_themselves),
            cmocka_unit_test(arrows_and_their_like_are_sequences),
            cmocka_unit_test(escape_is_a_key_when_nothing_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
