/* SPDX-License-Identifier: ISC */

/* The tap by itself; that libmicrohttpd is tapped is what head_audit_self_test() shows. */

#include "tests/unit/test.h"

#include <sys/socket.h>

#include "gateway/tap.h"
#include "util/fd.h"

typedef struct Fixture {
    int peer, fd;
    char buffer[4096]; /* the library's */
    size_t end;
    Tap tap;
} Fixture;

static int set_up(void **state)
{
    Fixture *f = new0(Fixture, 1);
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    f->peer = pair[0];
    f->fd = pair[1];
    assert_int_equal(tap_open(&f->tap, f->fd), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    tap_close(&f->tap);
    fd_close(f->peer);
    fd_close(f->fd);
    free(f);
    return 0;
}

static void receive(Fixture *f, const char *bytes)
{
    size_t n = strlen(bytes);

    if (n > 0)
        assert_int_equal(send(f->peer, bytes, n, 0), n);
    ssize_t got = recv(f->fd, f->buffer + f->end, sizeof f->buffer - f->end, 0);
    assert_true(got >= (ssize_t) n);
    f->end += (size_t) got;
}

/* "HEAD" stands for a head. */
static const char *head_end(Fixture *f)
{
    return strstr(f->buffer, "HEAD") + 4;
}

static void what_is_behind_a_head_is_counted(void **state)
{
    Fixture *f = *state;
    char c;

    receive(f, "\r\nHE");
    receive(f, "AD");
    assert_int_equal(tap_head(&f->tap, head_end(f)), 0);
    receive(f, "body");
    assert_int_equal(tap_head(&f->tap, head_end(f)), 4);
    assert_int_equal(send(f->peer, "!", 1, 0), 1);
    assert_int_equal(recv(f->fd, &c, 1, MSG_PEEK), 1); /* is not received yet */
    assert_int_equal(tap_head(&f->tap, head_end(f)), 4);
    receive(f, "");
    assert_int_equal(tap_head(&f->tap, head_end(f)), 5);
    tap_next(&f->tap, 5);

    memset(f->buffer, 0, sizeof f->buffer); /* the library begins anew at the start of its buffer */
    f->end = 0;
    receive(f, "\r\nHEAD12");
    assert_int_equal(f->tap.received, 2 + 4 + 5 + 8);
    assert_int_equal(tap_head(&f->tap, head_end(f)), 2);
}

static int verdict(void **state, const char *first, const char *second)
{
    Fixture *f = *state;

    receive(f, "HEAD");
    if (*first)
        receive(f, first);
    tap_scan(&f->tap, head_end(f), tap_head(&f->tap, head_end(f)));
    if (*second)
        receive(f, second);
    int v = f->tap.verdict;
    tap_next(&f->tap, f->tap.scanned);
    tap_close(&f->tap);
    assert_int_equal(tap_open(&f->tap, f->fd), 0);
    memset(f->buffer, 0, sizeof f->buffer);
    f->end = 0;
    return v;
}

static void chunks_are_watched_wherever_they_are_cut(void **state)
{
    assert_int_equal(verdict(state, "", ""), 0);
    assert_int_equal(verdict(state, "1\r\nx\r\n0\r\n\r\n", ""), 1);
    assert_int_equal(verdict(state, "1\r\nx\r\n0\r", "\n\r\nnext"), 1);
    assert_int_equal(verdict(state, "", "1\r\nx\r\n0\r\n\r\nnext\n"), 1);
    assert_int_equal(verdict(state, "1\nx", ""), -EBADMSG);
    assert_int_equal(verdict(state, "1", "\nx"), -EBADMSG);
    assert_int_equal(verdict(state, "1\r\nx", "\n0\r\n\r\n"), -EBADMSG);
    assert_int_equal(verdict(state, "1\r\nx\r\n0\r\n", "\n"), -EBADMSG);
}

static void a_message_ends_where_its_chunks_do(void **state)
{
    Fixture *f = *state;

    receive(f, "HEAD1\r\nx\r\n0\r\n\r\nHEAD2");
    tap_scan(&f->tap, head_end(f), tap_head(&f->tap, head_end(f)));
    assert_int_equal(f->tap.verdict, 1);
    assert_int_equal(f->tap.scanned, 11);
    tap_next(&f->tap, f->tap.scanned);
    memmove(f->buffer, f->buffer + 15, 6);
    assert_int_equal(tap_head(&f->tap, head_end(f)), 1);
}

static void other_descriptors_are_left_alone(void **state)
{
    Fixture *f = *state;
    char buf[10];

    assert_int_equal(send(f->fd, "hello", 5, 0), 5);
    assert_int_equal(recv(f->peer, buf, sizeof buf, 0), 5);
    assert_int_equal(f->tap.received, 0);
    tap_close(&f->tap);
    assert_int_equal(send(f->peer, "hello", 5, 0), 5);
    assert_int_equal(recv(f->fd, buf, sizeof buf, 0), 5);
    assert_int_equal(f->tap.received, 0);
    assert_int_equal(recv(-1, buf, sizeof buf, 0), -1);
}

static void what_comes_after_the_end_stays_in_the_socket(void **state)
{
    Fixture *f = *state;
    char c;

    receive(f, "HEAD");
    assert_int_equal(tap_head(&f->tap, head_end(f)), 0);
    assert_true(tap_has_begun(&f->tap));
    tap_next(&f->tap, 0);
    assert_false(tap_has_begun(&f->tap));
    assert_int_equal(send(f->peer, "!", 1, 0), 1);
    tap_end(&f->tap);
    assert_int_equal(recv(f->fd, &c, 1, 0), 0);
    assert_false(tap_has_begun(&f->tap));
    tap_close(&f->tap);
    assert_int_equal(recv(f->fd, &c, 1, 0), 1);
    assert_int_equal(c, '!');
}

static unsigned n_broken;

static void on_broken(Tap *t)
{
    n_broken++;
}

static void a_line_that_the_library_could_not_keep_ends_the_connection(void **state)
{
    Fixture *f = *state;

    f->tap.on_broken = on_broken;
    f->tap.max_framing = 100;
    receive(f, "HEAD");
    tap_scan(&f->tap, head_end(f), tap_head(&f->tap, head_end(f)));
    receive(f, "4;short\r\nbody\r\n");
    assert_int_equal(n_broken, 0);
    memset(f->buffer, 'x', 101);
    assert_int_equal(send(f->peer, "4;", 2, 0), 2);
    assert_int_equal(send(f->peer, f->buffer, 101, 0), 101);
    assert_int_equal(recv(f->fd, f->buffer, sizeof f->buffer, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(n_broken, 1);
}

static ssize_t say(Fixture *f, const char *head, const char *body)
{
    struct iovec parts[] = {{(char *) head, strlen(head)}, {(char *) body, strlen(body)}};
    return sendmsg(f->fd, &(struct msghdr){.msg_iov = parts, .msg_iovlen = 2}, 0);
}

static void assert_heard(Fixture *f, const char *expected)
{
    char buf[64] = {};

    assert_true(recv(f->peer, buf, sizeof buf - 1, 0) > 0);
    assert_string_equal(buf, expected);
}

static void only_the_librarys_own_answer_is_kept_from_having_two_heads(void **state)
{
    Fixture *f = *state;

    assert_int_equal(say(f, "head.head.", "body"), 14);
    assert_heard(f, "head.head.body");
    f->tap.unheard = true;
    assert_int_equal(say(f, "head.head.", "body"), 14);
    assert_heard(f, "head.body");
    assert_int_equal(say(f, "head.", "body"), 9);
    assert_heard(f, "head.body");
    tap_close(&f->tap);
    assert_int_equal(say(f, "head.head.", "body"), 14);
    assert_heard(f, "head.head.body");
}

static bool wants_all(Tap *t, const char *bytes, size_t n)
{
    assert_int_equal(tap_hold_back(t, bytes, n), 0);
    return true;
}

static bool wants_none(Tap *t, const char *bytes, size_t n)
{
    assert_memory_equal(bytes, "HEAD", 4);
    return false;
}

static void first_bytes_that_are_held_back_are_received_later(void **state)
{
    Fixture *f = *state;
    char c[8];
    size_t n;

    tap_attend(&f->tap, wants_all);
    assert_int_equal(send(f->peer, "HEADbody", 8, 0), 8);
    assert_int_equal(recv(f->fd, c, 6, 0), 0);
    assert_int_equal(recv(f->fd, c, 6, 0), 0);
    assert_true(tap_has_begun(&f->tap));

    char *held = tap_take_held(&f->tap, &n);
    assert_int_equal(n, 6);
    tap_close(&f->tap);
    assert_int_equal(tap_open(&f->tap, f->fd), 0);
    tap_give_back(&f->tap, held, n);
    assert_true(tap_has_begun(&f->tap));
    assert_int_equal(recv(f->fd, f->buffer, 3, 0), 3);
    assert_int_equal(recv(f->fd, f->buffer + 3, 8, 0), 3);
    f->end = 6;
    receive(f, "");
    assert_memory_equal(f->buffer, "HEADbody", 8);
    assert_int_equal(tap_head(&f->tap, head_end(f)), 4);
}

static void only_the_first_bytes_of_a_message_are_asked_about(void **state)
{
    Fixture *f = *state;

    tap_attend(&f->tap, wants_none);
    receive(f, "HEAD");
    assert_int_equal(tap_head(&f->tap, head_end(f)), 0);
    receive(f, "body");
    tap_next(&f->tap, 4);
    receive(f, "HEAD");
}

static void what_is_held_back_is_freed_with_the_tap(void **state)
{
    Fixture *f = *state;

    assert_int_equal(tap_hold_back(&f->tap, "HEAD", 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(what_is_behind_a_head_is_counted, set_up, tear_down),
            cmocka_unit_test_setup_teardown(chunks_are_watched_wherever_they_are_cut, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_message_ends_where_its_chunks_do, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    a_line_that_the_library_could_not_keep_ends_the_connection, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    only_the_librarys_own_answer_is_kept_from_having_two_heads, set_up, tear_down),
            cmocka_unit_test_setup_teardown(other_descriptors_are_left_alone, set_up, tear_down),
            cmocka_unit_test_setup_teardown(what_comes_after_the_end_stays_in_the_socket, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    first_bytes_that_are_held_back_are_received_later, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    only_the_first_bytes_of_a_message_are_asked_about, set_up, tear_down),
            cmocka_unit_test_setup_teardown(what_is_held_back_is_freed_with_the_tap, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
