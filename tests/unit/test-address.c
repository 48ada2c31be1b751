/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/address.h"
#include "util/fd.h"

static void reads_and_writes_addresses(void **state)
{
    static const struct {
        const char *text, *back;
    } table[] = {
            {"127.0.0.1:3000", "127.0.0.1:3000"},
            {"[::1]:65535", "[::1]:65535"},
            {"80", "[::]:80"},
            {"localhost:1", "127.0.0.1:1"},
            {"unix:/run/x.sock", "unix:/run/x.sock"},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        SocketAddress a;
        char buf[SOCKET_ADDRESS_STRING_MAX];
        assert_int_equal(socket_address_parse(table[i].text, &a), 0);
        assert_string_equal(socket_address_format(buf, &a), table[i].back);
    }
}

static void refuses_what_is_no_address(void **state)
{
    SocketAddress a;
    static const char *const bad[] = {"", ":", ":80", "example.com:80", "::1:80", "[127.0.0.1]:80",
            "1.2.3.4:", "1.2.3.4:8x", "unix:", "unix:relative"};
    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        assert_int_equal(socket_address_parse(bad[i], &a), -EINVAL);
    assert_int_equal(socket_address_parse("0", &a), -ERANGE);
    assert_int_equal(socket_address_parse("127.0.0.1:65536", &a), -ERANGE);

    char path[200] = "unix:/";
    memset(path + strlen(path), 'x', 150);
    assert_int_equal(socket_address_parse(path, &a), -ENAMETOOLONG);
}

static void replaces_only_a_stale_unix_socket(void **state)
{
    char text[64], dir[] = "/tmp/test-address-XXXXXX";
    SocketAddress a;

    assert_non_null(mkdtemp(dir));
    snprintf(text, sizeof text, "unix:%s/s", dir);
    assert_int_equal(socket_address_parse(text, &a), 0);
    int fd = socket_address_listen(&a, 1);
    assert_true(fd >= 0);
    assert_int_equal(socket_address_listen(&a, 1), -EADDRINUSE);
    close(fd); /* the file stays, nobody listens */
    fd = socket_address_listen(&a, 1);
    assert_true(fd >= 0);
    close(fd);
    unlink(a.un.sun_path);
    rmdir(dir);
}

static void an_any_address_is_dual_stack(void **state)
{
    SocketAddress any, v4;
    assert_int_equal(socket_address_from_ip("::", 0, &any), 0);
    _cleanup_close_ int fd = socket_address_listen(&any, 1);
    assert_true(fd >= 0);
    SocketAddress bound = {.len = sizeof bound.in6};
    assert_int_equal(getsockname(fd, &bound.sa, &bound.len), 0);
    assert_int_equal(socket_address_from_ip("127.0.0.1", socket_address_port(&bound), &v4), 0);
    _cleanup_close_ int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, &v4.sa, v4.len), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(reads_and_writes_addresses),
            cmocka_unit_test(refuses_what_is_no_address),
            cmocka_unit_test(replaces_only_a_stale_unix_socket),
            cmocka_unit_test(an_any_address_is_dual_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
