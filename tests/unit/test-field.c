/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <ctype.h>

#include "wire/field.h"
#include "wire/octet.h"

#define FIELD(n, v)                                                                                          \
    {                                                                                                        \
        .name = (n), .value = (v), .name_len = sizeof(n) - 1, .value_len = sizeof(v) - 1                     \
    }

static void a_token_is_what_rfc_9110_says(void **state)
{
    for (int c = 0; c < 256; c++) {
        char s[3] = {'a', (char) c, 'b'};
        bool tchar = c < 128 && (isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c)));
        assert_int_equal(token_is_valid(s, 3), tchar);
    }
    assert_false(token_is_valid("", 0));
    assert_true(token_is_valid("GET", 3));
}

static void a_value_holds_no_control_character_but_tab_wherever_it_stands(void **state)
{
    char s[40];

    for (int c = 0; c < 256; c++)
        for (size_t len = 1; len <= sizeof s; len++)
            for (size_t at = 0; at < len; at++) {
                memset(s, at % 3 ? 'x' : '\t', len);
                s[at] = (char) c;
                bool good = c == '\t' || (c >= 0x20 && c != 0x7f);
                if (field_value_is_valid(s, len) != good)
                    fail_msg("byte 0x%02x at %zu of %zu", c, at, len);
            }
    assert_true(field_value_is_valid("", 0));
    assert_true(field_value_is_valid(NULL, 0));
}

static void names_are_compared_in_any_case_and_whole(void **state)
{
    Field f = FIELD("Content-LENGTH", "1");
    assert_true(field_is(&f, "content-length"));
    assert_false(field_is(&f, "content-lengt"));
    assert_false(field_is(&f, "content-length2"));
    /* '-' is 0x0d with the bit that makes letters lower case. */
    Field near = FIELD("Content\rLength", "1");
    assert_false(field_is(&near, "content-length"));
    assert_int_equal(field_identify(&near), FIELD_OTHER);
}

static void every_known_field_is_identified_and_nothing_near_it(void **state)
{
    static const struct {
        const char *name;
        FieldId id;
    } table[] = {
            {"connection", FIELD_CONNECTION},
            {"content-length", FIELD_CONTENT_LENGTH},
            {"expect", FIELD_EXPECT},
            {"forwarded", FIELD_FORWARDED},
            {"host", FIELD_HOST},
            {"keep-alive", FIELD_KEEP_ALIVE},
            {"proxy-connection", FIELD_PROXY_CONNECTION},
            {"te", FIELD_TE},
            {"trailer", FIELD_TRAILER},
            {"transfer-encoding", FIELD_TRANSFER_ENCODING},
            {"upgrade", FIELD_UPGRADE},
            {"x-forwarded-for", FIELD_X_FORWARDED_FOR},
            {"x-forwarded-host", FIELD_X_FORWARDED_HOST},
            {"x-forwarded-proto", FIELD_X_FORWARDED_PROTO},
    };
    assert_int_equal(ELEMENTSOF(table), _FIELD_ID_MAX - 1);
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        char name[40];
        size_t n = strlen(table[i].name);
        memcpy(name, table[i].name, n);
        for (size_t k = 0; k <= n; k++) {
            Field f = {.name = name, .name_len = (uint32_t) n};
            assert_int_equal(field_identify(&f), table[i].id); /* with k letters in upper case */
            if (k == n)
                break;
            name[k] ^= 1;
            assert_int_equal(field_identify(&f), FIELD_OTHER);
            name[k] = (char) toupper(table[i].name[k]);
        }
        Field shorter = {.name = name, .name_len = (uint32_t) n - 1};
        assert_int_equal(field_identify(&shorter), FIELD_OTHER);
    }
}

static void a_list_is_walked_with_its_empty_elements(void **state)
{
    static const char list[] = " a ,,\tb c\t,";
    static const char *const expected[] = {"a", "", "b c", ""};
    const char *pos = list, *element;
    size_t n, i = 0;

    for (; list_next(&pos, list + sizeof list - 1, &element, &n); i++) {
        assert_int_equal(n, strlen(expected[i]));
        assert_memory_equal(element, expected[i], n);
    }
    assert_int_equal(i, 4);
}

static void a_token_in_a_list_is_found_whole_or_not_at_all(void **state)
{
    static const struct {
        const char *list;
        bool has;
    } table[] = {
            {"close", true},
            {"keep-alive, Close", true},
            {" ,, \tCLOSE\t ,", true},
            {"", false},
            {"closed", false},
            {"clos", false},
            {"no-close", false},
            {"close x", false},
            {"close;x", false},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        assert_int_equal(list_has_token(table[i].list, strlen(table[i].list), "close"), table[i].has);
}

static void hop_by_hop_fields_are_known_and_authentication_passes(void **state)
{
    static const Field hop[] = {FIELD("Connection", ""), FIELD("PROXY-Connection", ""),
            FIELD("keep-alive", ""), FIELD("te", ""), FIELD("Transfer-Encoding", ""), FIELD("Upgrade", ""),
            FIELD("Trailer", "")};
    static const Field end[] = {FIELD("Proxy-Authenticate", ""), FIELD("Proxy-Authorization", ""),
            FIELD("Content-Length", ""), FIELD("Host", ""), FIELD("T", ""), FIELD("Trailers", "")};
    for (size_t i = 0; i < ELEMENTSOF(hop); i++)
        assert_true(field_is_hop_by_hop(&hop[i]));
    for (size_t i = 0; i < ELEMENTSOF(end); i++)
        assert_false(field_is_hop_by_hop(&end[i]));
}

static void connection_removes_what_it_names_but_not_what_others_need(void **state)
{
    static const Field fields[] = {
            FIELD("Connection", "close, X-Secret ,Content-Length,host"),
            FIELD("X-Secret", "1"),
            FIELD("connection", "x-second, Cache-Control, via, X-Forwarded-For, Forwarded, content-type"),
            FIELD("X-SECOND", "2"),
            FIELD("X-Third", "3"),
    };
    static const Field protected[] = {FIELD("Content-Length", ""), FIELD("Host", ""),
            FIELD("Cache-Control", ""), FIELD("Via", ""), FIELD("X-Forwarded-For", ""),
            FIELD("Forwarded", ""), FIELD("Content-Type", "")};
    ConnectionOptions options;

    connection_options_init(&options);
    assert_int_equal(connection_options_add(&options, &fields[0]), 0);
    assert_int_equal(connection_options_add(&options, &fields[2]), 0);
    assert_true(options.close);
    assert_false(options.keep_alive || options.upgrade);
    assert_int_equal(options.n_nominated, 2);

    for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
        bool named = i == 1 || i == 3;
        assert_int_equal(field_is_nominated(&fields[i], fields, ELEMENTSOF(fields)), named);
        assert_int_equal(connection_options_nominate(&options, &fields[i]), named);
    }
    for (size_t i = 0; i < ELEMENTSOF(protected); i++) {
        assert_false(field_is_nominated(&protected[i], fields, ELEMENTSOF(fields)));
        assert_false(connection_options_nominate(&options, &protected[i]));
    }
}

static void nominations_are_bounded_and_ordinary_options_do_not_count(void **state)
{
    static const Field ordinary =
                               FIELD("Connection", "close, keep-alive,, Upgrade, TE, host, content-length"),
                       one = FIELD("Connection", "x");
    ConnectionOptions options;

    connection_options_init(&options);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(connection_options_add(&options, &ordinary), 0);
    assert_true(options.close && options.keep_alive && options.upgrade);
    assert_int_equal(options.n_nominated, 0);
    for (unsigned i = 0; i < CONNECTION_NOMINATED_MAX; i++)
        assert_int_equal(connection_options_add(&options, &one), 0);
    assert_int_equal(connection_options_add(&options, &one), -E2BIG);
}

static void content_length_is_digits_that_fit_63_bits(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0}, {"007", 7}, {"42", 42}, {"9223372036854775807", INT64_MAX},
            {"00000000000000000000000000000000000000001", 1}};
    static const char *const bad[] = {"", "+1", "-1", "1 ", " 1", "1,1", "0x10", "1e3", "1.0",
            "9223372036854775808", "18446744073709551616", "99999999999999999999999999", "1\t", "\xb2"};

    for (size_t i = 0; i < ELEMENTSOF(good); i++) {
        uint64_t v;
        assert_int_equal(content_length_parse(good[i].text, strlen(good[i].text), &v), 0);
        assert_true(v == good[i].value);
    }
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        uint64_t v = 77;
        assert_int_equal(content_length_parse(bad[i], strlen(bad[i]), &v), -EBADMSG);
        assert_int_equal(v, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_token_is_what_rfc_9110_says),
            cmocka_unit_test(a_value_holds_no_control_character_but_tab_wherever_it_stands),
            cmocka_unit_test(names_are_compared_in_any_case_and_whole),
            cmocka_unit_test(every_known_field_is_identified_and_nothing_near_it),
            cmocka_unit_test(a_list_is_walked_with_its_empty_elements),
            cmocka_unit_test(a_token_in_a_list_is_found_whole_or_not_at_all),
            cmocka_unit_test(hop_by_hop_fields_are_known_and_authentication_passes),
            cmocka_unit_test(connection_removes_what_it_names_but_not_what_others_need),
            cmocka_unit_test(nominations_are_bounded_and_ordinary_options_do_not_count),
            cmocka_unit_test(content_length_is_digits_that_fit_63_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
