/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <stdio.h>
#include <unistd.h>

#include "ctl/table.h"

/* What a table prints; the caller frees it. */
static char *print(const Table *t, bool header, size_t width)
{
    int p[2], saved = dup(STDOUT_FILENO);
    char *buf = new0(char, 4096);

    assert_non_null(buf);
    assert_int_equal(pipe(p), 0);
    fflush(stdout);
    dup2(p[1], STDOUT_FILENO);
    table_print(t, header, width);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(p[1]);
    assert_true(read(p[0], buf, 4095) >= 0);
    close(p[0]);
    return buf;
}

static const char *const header[] = {"A", "NAME", "LAST", NULL};

static Table *table(const char *const *cells)
{
    Table *t = table_new(header);
    assert_non_null(t);
    for (; *cells; cells++)
        assert_int_equal(table_add(t, *cells, COLOUR_RED), 0);
    return t;
}

static void columns_are_as_wide_as_what_is_in_them(void **state)
{
    _cleanup_(table_freep) Table *t =
            table((const char *const[]){"a long one", "x", "end", "b", "y", "a longer end", NULL});
    _cleanup_free_ char *with = print(t, true, 0), *without = print(t, false, 0);

    assert_string_equal(with, "A           NAME  LAST\n"
                              "a long one  x     end\n"
                              "b           y     a longer end\n"); /* and no colours: it is no terminal */
    assert_string_equal(without, "a long one  x  end\n"
                                 "b           y  a longer end\n");
}

static void letters_beyond_ascii_have_the_width_of_a_letter(void **state)
{
    _cleanup_(table_freep) Table *t =
            table((const char *const[]){"bücher", "x", "1", "books", "y", "2", NULL});
    _cleanup_free_ char *text = print(t, false, 0);

    assert_string_equal(text, "bücher  x  1\nbooks   y  2\n");
}

static void the_last_column_ends_where_the_terminal_does(void **state)
{
    _cleanup_(table_freep) Table *t =
            table((const char *const[]){"a", "b", "0123456789", "a", "b", "üüüü", NULL});
    _cleanup_free_ char *fits = print(t, false, 16), *cut = print(t, false, 10), *tiny = print(t, false, 3);

    assert_string_equal(fits, "a  b  0123456789\na  b  üüüü\n");
    assert_string_equal(cut, "a  b  012…\na  b  üüüü\n");
    assert_string_equal(tiny, "a  b  …\na  b  …\n");
}

static void an_empty_table_is_its_header(void **state)
{
    _cleanup_(table_freep) Table *t = table((const char *const[]){NULL});
    _cleanup_free_ char *text = print(t, true, 0);

    assert_string_equal(text, "A  NAME  LAST\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(columns_are_as_wide_as_what_is_in_them),
            cmocka_unit_test(letters_beyond_ascii_have_the_width_of_a_letter),
            cmocka_unit_test(the_last_column_ends_where_the_terminal_does),
            cmocka_unit_test(an_empty_table_is_its_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
