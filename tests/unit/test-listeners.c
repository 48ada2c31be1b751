/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/listeners.h"
#include "util/fd.h"

/* An address of 127.0.0.1 where nobody listens. */
static SocketAddress free_address(void)
{
    SocketAddress a;
    assert_int_equal(socket_address_from_ip("127.0.0.1", 0, &a), 0);
    _cleanup_close_ int fd = socket_address_listen(&a, 1);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, &a.sa, &a.len), 0);
    return a;
}

static bool same_socket(int a, int b)
{
    struct stat x, y;
    assert_int_equal(fstat(a, &x), 0);
    assert_int_equal(fstat(b, &y), 0);
    return x.st_ino == y.st_ino;
}

static bool somebody_listens(const SocketAddress *a)
{
    _cleanup_close_ int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, &a->sa, a->len) == 0;
}

static void an_address_is_bound_at_first_use_and_once(void **state)
{
    _cleanup_(listeners_freep) Listeners *l = listeners_new();
    SocketAddress a = free_address(), b = free_address();

    assert_int_equal(listeners_want(l, &a), 0);
    assert_int_equal(listeners_want(l, &a), 0);
    assert_false(somebody_listens(&a));
    int fd = listeners_get(l, &a);
    assert_true(fd >= 0);
    assert_true(somebody_listens(&a));
    assert_int_equal(listeners_get(l, &a), fd);
    assert_int_equal(listeners_get(l, &b), -ENOENT);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

static void an_address_that_was_taken_is_tried_again(void **state)
{
    _cleanup_(listeners_freep) Listeners *l = listeners_new();
    SocketAddress a = free_address();

    assert_int_equal(listeners_want(l, &a), 0);
    int other = socket_address_listen(&a, 1);
    assert_int_equal(listeners_get(l, &a), -EADDRINUSE);
    close(other);
    assert_true(listeners_get(l, &a) >= 0);
}

static void what_a_gateway_still_holds_is_taken_over(void **state)
{
    _cleanup_(listeners_freep) Listeners *l = listeners_new();
    SocketAddress a = free_address();

    assert_int_equal(listeners_want(l, &a), 0);
    _cleanup_close_ int held = socket_address_listen(&a, 1);
    assert_int_equal(listeners_get(l, &a), -EADDRINUSE);
    assert_true(listeners_offer(l, held));
    int fd = listeners_get(l, &a);
    assert_int_not_equal(fd, held);
    assert_true(same_socket(fd, held));
    assert_false(listeners_offer(l, held)); /* we have it */
}

static void what_a_gateway_lends_is_kept_until_it_is_to_be_forgotten(void **state)
{
    _cleanup_(listeners_freep) Listeners *l = listeners_new();
    SocketAddress a = free_address(), b = free_address();

    assert_int_equal(listeners_want(l, &a), 0);
    assert_int_equal(listeners_want(l, &b), 0);
    int held = socket_address_listen(&a, 1);
    assert_true(listeners_lend(l, held));
    assert_false(listeners_lend(l, held)); /* we have it */
    assert_true(same_socket(listeners_get(l, &a), held));
    assert_true(listeners_get(l, &b) >= 0);
    close(held);
    assert_true(listeners_forget_lent(l));
    assert_false(somebody_listens(&a)); /* its owner has closed it */
    assert_true(somebody_listens(&b));  /* we have bound that one ourselves */
    assert_false(listeners_forget_lent(l));
}

static void only_listening_sockets_on_wanted_addresses_are_taken_over(void **state)
{
    _cleanup_(listeners_freep) Listeners *l = listeners_new();
    SocketAddress wanted = free_address(), other = free_address();

    assert_int_equal(listeners_want(l, &wanted), 0);
    _cleanup_close_ int elsewhere = socket_address_listen(&other, 1);
    assert_false(listeners_offer(l, elsewhere));
    _cleanup_close_ int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(bound, &wanted.sa, wanted.len), 0);
    assert_false(listeners_offer(l, bound));
    _cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_false(listeners_offer(l, null));
    assert_false(listeners_offer(l, -EBADF));
}

static void a_unix_path_is_an_address_too(void **state)
{
    _cleanup_(listeners_freep) Listeners *l = listeners_new(), *next = listeners_new();
    char dir[] = "/tmp/test-listeners-XXXXXX", text[64];
    SocketAddress a;

    assert_non_null(mkdtemp(dir));
    snprintf(text, sizeof text, "unix:%s/s", dir);
    assert_int_equal(socket_address_parse(text, &a), 0);
    assert_int_equal(listeners_want(l, &a), 0);
    assert_int_equal(listeners_want(next, &a), 0);
    int fd = listeners_get(l, &a);
    assert_true(fd >= 0);
    assert_true(listeners_offer(next, fd));
    assert_true(same_socket(listeners_get(next, &a), fd));
    unlink(a.un.sun_path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_address_is_bound_at_first_use_and_once),
            cmocka_unit_test(an_address_that_was_taken_is_tried_again),
            cmocka_unit_test(what_a_gateway_still_holds_is_taken_over),
            cmocka_unit_test(what_a_gateway_lends_is_kept_until_it_is_to_be_forgotten),
            cmocka_unit_test(only_listening_sockets_on_wanted_addresses_are_taken_over),
            cmocka_unit_test(a_unix_path_is_an_address_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
