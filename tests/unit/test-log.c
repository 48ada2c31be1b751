/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <stdio.h>
#include <unistd.h>

#include "util/log.h"

/* What log_write() puts on stderr. */
static void capture(char *buf, size_t size, void (*act)(void))
{
    int p[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(p), 0);
    dup2(p[1], STDERR_FILENO);
    act();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(p[1]);
    ssize_t n = read(p[0], buf, size - 1);
    close(p[0]);
    buf[n > 0 ? n : 0] = 0;
}

static void write_one(void)
{
    assert_int_equal(log_service_error_errno("blog", ENOENT, "cannot start: %m"), -ENOENT);
}

static void write_forged(void)
{
    log_info("GET %s", "x\n<3>forged\x1b[31m");
}

static void write_debug(void)
{
    log_debug("not shown");
}

static void a_line_names_the_service_and_the_error(void **state)
{
    char buf[4096];
    capture(buf, sizeof buf, write_one);
    assert_non_null(strstr(buf, ": blog: cannot start: No such file or directory\n"));
    assert_non_null(startswith(buf, "test["));
}

static void control_characters_cannot_forge_a_line(void **state)
{
    char buf[4096];
    capture(buf, sizeof buf, write_forged);
    assert_non_null(strstr(buf, "GET x\\x0a<3>forged\\x1b[31m\n"));
}

static void the_level_is_respected(void **state)
{
    char buf[4096];
    log_set_max_level(LOG_INFO);
    capture(buf, sizeof buf, write_debug);
    assert_string_equal(buf, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_line_names_the_service_and_the_error),
            cmocka_unit_test(control_characters_cannot_forge_a_line),
            cmocka_unit_test(the_level_is_respected),
    };
    unsetenv("JOURNAL_STREAM");
    log_setup("test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
