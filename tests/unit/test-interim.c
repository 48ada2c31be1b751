/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "wire/interim.h"

static void expect(const char *in, const char *out)
{
    char buf[500];
    ResponseHead head;

    assert_int_equal(response_head_parse(&head, in, strlen(in), false), strlen(in));
    ssize_t n = interim_write(buf, sizeof buf, &head);
    assert_int_equal(n, strlen(out));
    assert_memory_equal(buf, out, strlen(out));
    for (size_t i = 0; i < strlen(out); i++)
        assert_int_equal(interim_write(buf, i, &head), -ENOBUFS);
}

static void what_is_end_to_end_is_passed_on_as_it_came(void **state)
{
    expect("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink:  </b> \r\nX-Empty:\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink: </b>\r\nX-Empty: \r\n\r\n");
    expect("HTTP/1.0 102\r\n\r\n", "HTTP/1.1 102 \r\n\r\n");
}

static void what_is_for_us_is_not(void **state)
{
    expect("HTTP/1.1 103 x\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-End: 2\r\n"
           "Content-Length: 0\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.1 103 x\r\nX-End: 2\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_is_end_to_end_is_passed_on_as_it_came),
            cmocka_unit_test(what_is_for_us_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
