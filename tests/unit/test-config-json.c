/* SPDX-License-Identifier: ISC */

#include "tests/unit/config-fixture.h"

static void says_where_the_grammar_is_left_and_what_was_expected(void **state)
{
    static const Refusal table[] = {
            {"", "1:1: expected an object in braces, got the end of the file"},
            {"  \n\n ", "3:2: expected an object in braces, got the end of the file"},
            {"[1]", "1:1: expected an object in braces, got \"[\""},
            {"host", "1:1: expected an object in braces, got \"host\""},
            {"{", "1:2: expected a name in double quotes, got the end of the file"},
            {"{host: 1}", "1:2: expected a name in double quotes, got \"host\""},
            {"{'host': 1}", "1:2: expected a name in double quotes, got \"'\""},
            {"{1: 1}", "1:2: expected a name in double quotes, got \"1\""},
            {"{\"host\" 1}", "1:9: expected \":\" after a name, got \"1\""},
            {"{\"host\": }", "1:10: expected a value, got \"}\""},
            {"{\"host\": 'a'}", "1:10: expected a value, got \"'\" (strings are written in double quotes)"},
            {"{\"host\": undefined}", "1:10: expected a value, got \"undefined\""},
            {"{\"host\": True}", "1:10: expected a value, got \"True\""},
            {"{\"host\": NaN}", "1:10: expected a value, got \"NaN\""},
            {"{\"host\": nullx}", "1:10: expected a value, got \"nullx\""},
            {"{\"host\": -Infinity}", "1:11: expected a digit, got \"Infinity\""},
            {"{\"host\": \"a\"\n \"base\": 1}", "2:2: expected \",\" or \"}\", got '\"'"},
            {"{\"host\": \"a\";}", "1:13: expected \",\" or \"}\", got \";\""},
            {"{\"host\": \"a\"", "1:13: expected \",\" or \"}\", got the end of the file"},
            {"{\"host\": \"a\",\n}",
                    "2:1: expected a name in double quotes, got \"}\" (no comma may stand before it)"},
            {"{\"hosts\": [\"a\",]}", "1:16: expected a value, got \"]\" (no comma may stand before it)"},
            {"{\"hosts\": [\"a\" \"b\"]}", "1:16: expected \",\" or \"]\", got '\"'"},
            {"{} {}", "1:4: expected the end of the file, got \"{\""},
            {"{}\n}", "2:1: expected the end of the file, got \"}\""},
            {"{\"a\": 012}", "1:7: expected a number without leading zeros, got \"012\""},
            {"{\"a\": 1.}", "1:9: expected a digit after the point, got \"}\""},
            {"{\"a\": .5}", "1:7: expected a value, got \".\""},
            {"{\"a\": +5}", "1:7: expected a value, got \"+\""},
            {"{\"a\": 0x10}", "1:8: expected \",\" or \"}\", got \"x10\""},
            {"{\"a\": 1e}", "1:9: expected a digit in the exponent, got \"}\""},
            {"{\x01}", "1:2: expected a name in double quotes, got the control character U+0001"},
            {"{é}", "1:2: expected a name in double quotes, got \"é\""},
            {"{/}", "1:2: expected a name in double quotes, got \"/\""},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void says_what_is_wrong_inside_a_string(void **state)
{
    static const Refusal table[] = {
            {"{\"host\": \"a\n}",
                    "1:10: expected a closing quote for this string before the end of the line"},
            {"{\"host\": \"a", "1:10: expected a closing quote for this string before the end of the file"},
            {"{\"host: \"a\"}", "1:10: expected \":\" after a name, got \"a\""},
            {"{\"a\": \"\t\"}",
                    "1:8: expected \\t for a tab inside a string, got the control character U+0009"},
            {"{\"a\": \"\x1b\"}",
                    "1:8: expected an escape such as \\u001b, got the control character U+001B"},
            {"{\"a\": \"\\x\"}", "1:9: expected one of \" \\ / b f n r t u after a backslash, got \"x\""},
            {"{\"a\": \"\\.\"}", "1:9: expected one of \" \\ / b f n r t u after a backslash, got \".\" (a "
                                 "backslash itself is "
                                 "written \\\\)"},
            {"{\"a\": \"\\u12g4\"}", "1:12: expected four hexadecimal digits after \"\\u\", got \"g4\""},
            {"{\"a\": \"\\u0000\"}", "1:8: expected a character, got \\u0000"},
            {"{\"\\u0000\": 1}", "1:3: expected a character, got \\u0000"},
            {"{\"a\": \"\\ud83d\"}", "1:8: expected both halves of a surrogate pair, got \\ud83d alone"},
            {"{\"a\": \"\\ud83d\\u0041\"}",
                    "1:8: expected both halves of a surrogate pair, got \\ud83d alone"},
            {"{\"a\": \"\\ude00\"}", "1:8: expected both halves of a surrogate pair, got \\ude00 alone"},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void refuses_bytes_that_are_no_text(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *problem;
    } table[] = {
            {"{\"a\":\n\"\xff\"}", 9, "t.json:2:2: expected UTF-8 text, got the byte 0xff"},
            {"{\"\xc0\x80\"}", 6, "t.json:1:3: expected UTF-8 text, got the byte 0xc0"},
            {"{\"\xed\xa0\x80\"}", 7, "t.json:1:3: expected UTF-8 text, got the byte 0xed"},
            {"{\"\xf4\x90\x80\x80\"}", 8, "t.json:1:3: expected UTF-8 text, got the byte 0xf4"},
            {"{\"\xe0\x80\x80\"}", 7, "t.json:1:3: expected UTF-8 text, got the byte 0xe0"},
            {"{}\xe2\x82", 4, "t.json:1:3: expected UTF-8 text, got the byte 0xe2"},
            {"// \xfe\n{}", 7, "t.json:1:4: expected UTF-8 text, got the byte 0xfe"},
            {"{\"a\": 1}\0", 9, "t.json:1:9: expected UTF-8 text, got a NUL byte"},
            {"\xff\xfe{\0}\0", 6, "t.json:1:1: expected UTF-8 text, got the byte 0xff"},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_(config_unrefp) Config *c = config_new();
        _cleanup_free_ char *exact = malloc(table[i].len);
        memcpy(exact, table[i].text, table[i].len);
        assert_int_equal(config_parse(c, "t.json", exact, table[i].len), 0);
        assert_problems(c, table[i].problem);
    }
}

static void counts_lines_and_characters_as_an_editor_does(void **state)
{
    static const Refusal table[] = {
            /* characters, not bytes; a tab is one */
            {"{\"env\": {\"A\": \"äöü😀\"}, \"x\": 1, " REST "}", "1:24: x: unknown key \"x\""},
            {"{\t\"x\": 1, " REST "}", "1:3: x: unknown key \"x\""},
            {"{\r\n  \"x\": 1,\r\n" REST "}", "2:3: x: unknown key \"x\""},
            /* comments keep their place */
            {"/* ä\n ö */ {\n // \"y\": 1\n \"x\" /* : */ : 1, " REST "}", "4:2: x: unknown key \"x\""},
            /* a byte order mark is none of the text */
            {"\xef\xbb\xbf{\"x\": 1, " REST "}", "1:2: x: unknown key \"x\""},
            {"\n\n{\"env\": {\"A\": \"\\\\\"}, \"x\": 1, " REST "}", "3:22: x: unknown key \"x\""},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void accepts_comments_everywhere_between_tokens(void **state)
{
    _cleanup_(config_unrefp) Config *c =
            parse("// first\n/**/{/* a */ \"host\" // b\n: /* c\n */ \"a.test\",\n// d \"quoted\n" BASE
                  ", \"exec\": [\"//no\", \"/*comment*/\", \"\\\"// nor this\"]/***/}//");
    const ServiceConfig *s = only_service(c);
    assert_string_equal(s->exec[0], "//no");
    assert_string_equal(s->exec[1], "/*comment*/");
    assert_string_equal(s->exec[2], "\"// nor this");

    static const Refusal table[] = {
            {"{} /* no end", "1:4: expected \"*/\" to end this comment, got the end of the file"},
            {"{} /*/", "1:4: expected \"*/\" to end this comment, got the end of the file"},
            {"{} /", "1:4: expected the end of the file, got \"/\""},
            {"{} # x", "1:4: expected the end of the file, got \"#\""},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void decodes_escapes(void **state)
{
    _cleanup_(config_unrefp) Config *c =
            parse("{\"h\\u006fst\": \"a.test\", " BASE
                  ", \"exec\": [\"/x\", \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20AC\\ud83d\\ude00\"]}");
    assert_string_equal(only_service(c)->exec[1], "\"\\/\b\f\n\r\tä€😀");
}

static void refuses_a_name_that_is_written_twice(void **state)
{
    static const Refusal table[] = {
            {"{" REST ",\n \"host\": \"b.test\"}", "2:2: host: written twice in one object, first in line 1"},
            {"{" REST ",\n \"h\\u006fst\": \"b.test\"}",
                    "2:2: host: written twice in one object, first in line 1"},
            {"{" REST ", \"env\": {\n\"A B\": \"1\",\n\n\"A B\": \"1\"}}",
                    "4:1: env[\"A B\"]: written twice in one object, first in line 2"},
            {"{\"routes\": [{}, {\"type\": 1, \"type\": 2}], " REST "}",
                    "1:29: routes[1].type: written twice in one object, first in line 1"},
            {"{\"x\": {\"\": 1, \"\": 2}}", "1:15: x[\"\"]: written twice in one object, first in line 1"},
    };
    assert_refusals(table, ELEMENTSOF(table));
}

static void limits_the_depth(void **state)
{
    char text[300] = "", *p = text;

    for (int i = 0; i < 33; i++)
        p = stpcpy(p, i % 2 ? "[" : "{\"a\":");
    _cleanup_(config_unrefp) Config *c = parse(text);
    assert_problems(c, "t.json:1:97: expected at most 32 levels of objects and arrays, got more");
}

/* What a parser that copies or compares too much would need hours for. */
static void stays_linear_on_large_and_hostile_texts(void **state)
{
    static const char *const repeated[] = {
            "\"a\":1,", "\"a\":[],", "/**/", "//\n", "\\", "[", "\"", "{\"a\":[", "\xc3\xa4", "/", "\n"};
    for (size_t i = 0; i < ELEMENTSOF(repeated); i++) {
        size_t n = strlen(repeated[i]), count = 1000000 / n;
        _cleanup_free_ char *text = malloc(2 + count * n);
        text[0] = '{';
        for (size_t j = 0; j < count; j++)
            memcpy(text + 1 + j * n, repeated[i], n);
        text[1 + count * n] = 0;
        _cleanup_(config_unrefp) Config *c = config_new();
        assert_int_equal(config_parse(c, "t.json", text, 1 + count * n), 0);
        assert_int_equal(c->n_problems, 1);
    }
}

static void stops_listing_problems_at_a_thousand(void **state)
{
    enum { COUNT = 20000 };
    _cleanup_free_ char *text = malloc(COUNT * 16 + sizeof REST + 8);
    char *p = stpcpy(text, "{" REST);

    for (int i = 0; i < COUNT; i++)
        p += sprintf(p, ",\"idle%d\":1", i);
    strcpy(p, "}");
    _cleanup_(config_unrefp) Config *c = parse(text);
    assert_int_equal(c->n_problems, 1000);
    assert_string_equal(c->problems[999].message, "so much is wrong that the rest is not listed");
    assert_int_equal(c->n_services, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(says_where_the_grammar_is_left_and_what_was_expected),
            cmocka_unit_test(says_what_is_wrong_inside_a_string),
            cmocka_unit_test(refuses_bytes_that_are_no_text),
            cmocka_unit_test(counts_lines_and_characters_as_an_editor_does),
            cmocka_unit_test(accepts_comments_everywhere_between_tokens),
            cmocka_unit_test(decodes_escapes),
            cmocka_unit_test(refuses_a_name_that_is_written_twice),
            cmocka_unit_test(limits_the_depth),
            cmocka_unit_test(stays_linear_on_large_and_hostile_texts),
            cmocka_unit_test(stops_listing_problems_at_a_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
