/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/way.h"
#include "util/fd.h"

/* sender ── from │ way │ to ── receiver */
typedef struct Fixture {
    int sender, from, to, receiver;
    char piece[WAY_PIECE];
    Mover mover;
    Way way;
} Fixture;

static int set_up(void **state)
{
    Fixture *f = new0(Fixture, 1);
    int in[2], out[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, in), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out), 0);
    f->sender = in[0];
    f->from = in[1];
    f->to = out[0];
    f->receiver = out[1];
    mover_init(&f->mover, f->piece);
    way_init(&f->way, f->from, f->to, NULL, 0, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    way_done(&f->way);
    mover_done(&f->mover);
    fd_close(f->sender);
    fd_close(f->from);
    fd_close(f->to);
    fd_close(f->receiver);
    free(f);
    return 0;
}

static WayResult run(Fixture *f)
{
    return way_run(&f->way, &f->mover, false, false);
}

/* Expects exactly this. */
static void expect(Fixture *f, const char *text)
{
    char buf[100];
    ssize_t n = recv(f->receiver, buf, sizeof buf, 0);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, strlen(text));
}

static bool is_silent(Fixture *f)
{
    char c;
    return recv(f->receiver, &c, 1, 0) < 0 && errno == EAGAIN;
}

static bool has_ended(Fixture *f)
{
    char c;
    return recv(f->receiver, &c, 1, 0) == 0;
}

static void what_comes_goes_out_and_so_does_the_end(void **state)
{
    Fixture *f = *state;

    assert_int_equal(run(f), WAY_DRY);
    assert_int_equal(send(f->sender, "one", 3, 0), 3);
    assert_int_equal(run(f), WAY_DRY);
    expect(f, "one");
    assert_int_equal(send(f->sender, "two", 3, 0), 3);
    shutdown(f->sender, SHUT_WR);
    assert_int_equal(way_run(&f->way, &f->mover, true, false), WAY_DRY);
    assert_int_equal(f->way.end, WAY_ENDED);
    assert_int_equal(f->way.bytes, 6);
    expect(f, "two");
    assert_true(has_ended(f));
    assert_null(f->way.stuck);
}

static void what_came_ahead_goes_first(void **state)
{
    Fixture *f = *state;

    way_init(&f->way, f->from, f->to, strdup("xxahead "), 2, 8);
    assert_int_equal(send(f->sender, "behind", 6, 0), 6);
    assert_int_equal(run(f), WAY_DRY);
    expect(f, "ahead behind");
}

/* Sends a known stream through, the receiver taking `take` bytes at a time, and compares. */
static void stream(Fixture *f, size_t total, size_t take)
{
    _cleanup_free_ char *in = malloc(total), *out = malloc(total + take);
    size_t sent = 0, got = 0;
    bool bulk = false, stuck = false;

    for (size_t i = 0; i < total; i++)
        in[i] = (char) (i * 7 + i / 251);
    while (got < total) {
        ssize_t n = sent < total ? send(f->sender, in + sent, total - sent, 0) : 0;
        assert_true(n >= 0 || errno == EAGAIN);
        sent += (size_t) MAX(n, 0);
        assert_true(run(f) != WAY_GONE);
        bulk |= f->way.bulk;
        stuck |= f->way.stuck != NULL;
        assert_true(f->way.len <= 4 * WAY_PIECE);
        n = recv(f->receiver, out + got, take, 0);
        assert_true(n >= 0 || errno == EAGAIN);
        got += (size_t) MAX(n, 0);
    }
    assert_memory_equal(in, out, total);
    assert_int_equal(f->way.bytes, total);
    assert_true(bulk);
    assert_true(stuck);
    assert_true(is_silent(f));
}

static void many_bytes_arrive_in_order_however_slowly_they_are_taken(void **state)
{
    stream(*state, 8 * 1024 * 1024, 10007);
}

static void the_pipe_is_empty_in_between(void **state)
{
    Fixture *f = *state;
    char c;

    stream(f, 4 * 1024 * 1024, 100000);
    assert_true(f->mover.pipe[0] >= 0);
    assert_int_equal(read(f->mover.pipe[0], &c, 1), -1);
    assert_int_equal(errno, EAGAIN);
}

static void an_end_that_was_announced_while_bytes_were_stuck_is_found_behind_them(void **state)
{
    Fixture *f = *state;
    char buf[4096] = {};

    do {
        assert_int_equal(send(f->sender, buf, sizeof buf, 0), sizeof buf);
        assert_int_equal(run(f), WAY_DRY);
    } while (!f->way.stuck);
    assert_int_equal(send(f->sender, "last", 4, 0), 4);
    shutdown(f->sender, SHUT_WR);
    assert_int_equal(way_run(&f->way, &f->mover, true, false), WAY_DRY);
    assert_int_equal(f->way.end, WAY_OPEN);
    while (recv(f->receiver, buf, sizeof buf, 0) > 0)
        ;
    assert_int_equal(run(f), WAY_DRY); /* there is room, which is all that is said now */
    assert_int_equal(f->way.end, WAY_ENDED);
    while (recv(f->receiver, buf, sizeof buf, 0) > 0)
        ;
    assert_true(has_ended(f));
}

static void a_turn_has_an_end(void **state)
{
    Fixture *f = *state;
    const int large = 16 * 1024 * 1024;
    static char bytes[WAY_PIECE];
    size_t sent = 0;
    ssize_t n;

    if (setsockopt(f->sender, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof large) < 0)
        skip(); /* only root may have a socket with so much in it */
    assert_int_equal(setsockopt(f->to, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof large), 0);
    while ((n = send(f->sender, bytes, sizeof bytes, 0)) > 0)
        sent += (size_t) n;
    assert_true(sent > 4 * 1024 * 1024);
    assert_int_equal(run(f), WAY_MORE);
    assert_true(f->way.bytes < sent / 2);
}

static void a_receiver_that_is_gone_is_noticed(void **state)
{
    Fixture *f = *state;

    f->receiver = fd_close(f->receiver);
    assert_int_equal(send(f->sender, "x", 1, 0), 1);
    assert_int_equal(run(f), WAY_GONE);
    way_close(&f->way);
    assert_int_equal(send(f->sender, "y", 1, 0), 1);
    assert_int_equal(run(f), WAY_DRY); /* for nobody */
    shutdown(f->sender, SHUT_WR);
    assert_int_equal(run(f), WAY_DRY);
    assert_int_equal(f->way.end, WAY_ENDED);
}

static void a_sender_that_breaks_is_no_end(void **state)
{
    Fixture *f = *state;

    /* A unix socket that is closed with bytes unread is reset. */
    assert_int_equal(send(f->from, "unread", 6, 0), 6);
    assert_int_equal(send(f->sender, "last", 4, 0), 4);
    f->sender = fd_close(f->sender);
    assert_int_equal(way_run(&f->way, &f->mover, true, false), WAY_DRY);
    assert_int_equal(f->way.end, WAY_BROKEN);
    assert_false(f->way.told); /* that is for who knows what to do about it */
}

static void at_the_end_what_still_comes_is_dropped(void **state)
{
    Fixture *f = *state;

    assert_int_equal(way_run(&f->way, &f->mover, false, true), WAY_DRY);
    assert_true(has_ended(f));
    assert_int_equal(send(f->sender, "late", 4, 0), 4);
    assert_int_equal(way_run(&f->way, &f->mover, false, true), WAY_DRY);
    assert_int_equal(f->way.bytes, 0);
    shutdown(f->sender, SHUT_WR);
    assert_int_equal(way_run(&f->way, &f->mover, false, true), WAY_DRY);
    assert_int_equal(f->way.end, WAY_ENDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(what_comes_goes_out_and_so_does_the_end, set_up, tear_down),
            cmocka_unit_test_setup_teardown(what_came_ahead_goes_first, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    many_bytes_arrive_in_order_however_slowly_they_are_taken, set_up, tear_down),
            cmocka_unit_test_setup_teardown(the_pipe_is_empty_in_between, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    an_end_that_was_announced_while_bytes_were_stuck_is_found_behind_them, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_turn_has_an_end, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_receiver_that_is_gone_is_noticed, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_sender_that_breaks_is_no_end, set_up, tear_down),
            cmocka_unit_test_setup_teardown(at_the_end_what_still_comes_is_dropped, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
