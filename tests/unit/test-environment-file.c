/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/environment-file.h"
#include "util/fd.h"
#include "util/text.h"

static char dir[] = "/tmp/test-environment-XXXXXX";
static EnvironmentFiles files = {.dir_fd = -EBADF, .path = dir};

static char *read_back(const char *name)
{
    char *text;
    size_t len;

    _cleanup_close_ int fd = openat(files.dir_fd, name, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fd_read_file(fd, 4096, &text, &len), 0);
    return text;
}

static void test_values_are_quoted_and_nobody_else_reads_them(void **state)
{
    char *const env[] = {
            (char *) "A=1", (char *) "EMPTY=", (char *) "Q=say \"hi\" \\ $HOME `id` 'x' 100%\nnext", NULL};
    _cleanup_free_ char *path = NULL, *expected = text_format("%s/blog", dir);
    struct stat st;

    assert_int_equal(environment_file_write(&files, "blog", NULL, env, "STOP=kill $(cat pid)", &path), 0);
    assert_string_equal(path, expected);
    assert_int_equal(fstatat(files.dir_fd, "blog", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    _cleanup_free_ char *text = read_back("blog");
    assert_string_equal(text,
            "A=\"1\"\nEMPTY=\"\"\nQ=\"say \\\"hi\\\" \\\\ \\$HOME \\`id\\` 'x' 100%\nnext\"\n"
            "STOP=\"kill \\$(cat pid)\"\n");
}

static void test_a_file_is_replaced_as_a_whole(void **state)
{
    char *const env[] = {(char *) "A=a long value to begin with", NULL};
    _cleanup_free_ char *first = NULL, *second = NULL;

    assert_int_equal(environment_file_write(&files, "wiki", "/nowhere", env, NULL, &first), 0);
    assert_int_equal(environment_file_write(&files, "wiki", NULL, NULL, "B=2", &second), 0);
    _cleanup_free_ char *text = read_back("wiki");
    assert_string_equal(text, "B=\"2\"\n");
    assert_int_equal(faccessat(files.dir_fd, "wiki~", F_OK, 0), -1);
}

static void test_a_runtime_folder_is_told_of_if_it_is_there_and_may_be_another(void **state)
{
    char *const env[] = {(char *) "XDG_RUNTIME_DIR=/own", NULL};
    _cleanup_free_ char *path = NULL,
                        *expected = text_format("XDG_RUNTIME_DIR=\"%s\"\nXDG_RUNTIME_DIR=\"/own\"\n", dir);

    assert_int_equal(environment_file_write(&files, "blog", dir, env, NULL, &path), 0);
    _cleanup_free_ char *text = read_back("blog");
    assert_string_equal(text, expected);
}

static void test_a_folder_that_is_gone_is_an_error(void **state)
{
    const EnvironmentFiles none = {.dir_fd = -EBADF, .path = "/nowhere"};
    char *path = NULL;

    assert_int_equal(environment_file_write(&none, "blog", NULL, NULL, "B=2", &path), -EBADF);
    assert_null(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_values_are_quoted_and_nobody_else_reads_them),
            cmocka_unit_test(test_a_file_is_replaced_as_a_whole),
            cmocka_unit_test(test_a_runtime_folder_is_told_of_if_it_is_there_and_may_be_another),
            cmocka_unit_test(test_a_folder_that_is_gone_is_an_error),
    };

    if (!mkdtemp(dir) || (files.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return 1;
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    (void) unlinkat(files.dir_fd, "blog", 0);
    (void) unlinkat(files.dir_fd, "wiki", 0);
    return rmdir(dir) == 0 ? r : 1;
}
