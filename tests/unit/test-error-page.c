/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "gateway/error-page.h"

static void the_form_follows_accept(void **state)
{
    static const struct {
        const char *accept, *type;
    } table[] = {
            {NULL, "text/plain; charset=utf-8"},
            {"*/*", "text/plain; charset=utf-8"},
            {"text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"},
            {"application/json", "application/problem+json"},
            {"application/problem+json, text/html", "application/problem+json"},
            {"text/plain, text/html", "text/plain; charset=utf-8"},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        ErrorPage p;
        const char *accept = table[i].accept;
        assert_int_equal(error_page_make(404, "x", accept, accept ? strlen(accept) : 0, &p), 0);
        assert_string_equal(p.content_type, table[i].type);
        free(p.body);
    }
}

static void what_a_sentence_holds_cannot_leave_its_place(void **state)
{
    static const char evil[] = "</p><script>\"&'\\\n";
    ErrorPage p;

    assert_int_equal(error_page_make(503, evil, "text/html", 9, &p), 0);
    assert_null(memmem(p.body, p.len, "<script", 7));
    assert_non_null(memmem(p.body, p.len, "&#60;script&#62;&#34;&#38;&#39;", 31));
    free(p.body);

    assert_int_equal(error_page_make(503, evil, "application/json", 16, &p), 0);
    assert_non_null(memmem(p.body, p.len, "<script>\\u0022&'\\u005c\\u000a\"}", 30));
    free(p.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_form_follows_accept),
            cmocka_unit_test(what_a_sentence_holds_cannot_leave_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
