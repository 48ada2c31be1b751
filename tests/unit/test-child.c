/* SPDX-License-Identifier: ISC */

/* Programs that are kept running: real ones, on a real loop. */

#include "tests/unit/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "gateway/child.h"
#include "util/fd.h"
#include "util/log.h"

typedef struct Fixture {
    sd_event *event;
    int pipe[2];
    unsigned n_ended, n_stopped;
} Fixture;

static void on_ended(Child *c, bool stopped, void *userdata)
{
    Fixture *f = userdata;
    f->n_ended++;
    f->n_stopped += stopped;
}

static int set_up(void **state)
{
    Fixture *f = new0(Fixture, 1);
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
    assert_true(sd_event_new(&f->event) >= 0);
    assert_int_equal(pipe2(f->pipe, O_CLOEXEC), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;
    sd_event_unref(f->event);
    close(f->pipe[0]);
    close(f->pipe[1]);
    free(f);
    return 0;
}

static Child *start(Fixture *f, const char *script, const char *notify_socket)
{
    static char *argv[4];
    Child *c = NULL;

    argv[0] = (char *) "/bin/sh";
    argv[1] = (char *) "-c";
    argv[2] = (char *) script;
    ChildOptions o = {.name = "test",
            .argv = argv,
            .fds = &f->pipe[1],
            .n_fds = 1,
            .notify_socket = notify_socket,
            .ended = on_ended,
            .userdata = f};
    assert_int_equal(child_new(f->event, &o, &c), 0);
    return c;
}

static void turn(Fixture *f)
{
    assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

static void read_line(Fixture *f, char *buf, size_t size)
{
    size_t n = 0;
    do
        assert_int_equal(read(f->pipe[0], buf + n, 1), 1);
    while (buf[n++] != '\n' && n < size - 1);
    buf[n - 1] = 0;
}

static void it_gets_its_descriptors_and_who_it_reports_to(void **state)
{
    Fixture *f = *state;
    char line[128];

    Child *c = start(f,
            "echo $LISTEN_FDS $(test $LISTEN_PID = $$ && echo me) $NOTIFY_SOCKET >&3; exec sleep 1000", "@x");
    read_line(f, line, sizeof line);
    assert_string_equal(line, "1 me @x");
    assert_true(child_is_running(c));
    child_stop(c);
    while (f->n_stopped == 0)
        turn(f);
    assert_false(child_is_running(c));
    child_free(c);
}

static void what_ends_is_started_again(void **state)
{
    Fixture *f = *state;
    char first[64], second[64];

    Child *c = start(f, "echo $$ >&3; exec sleep 1000", NULL);
    read_line(f, first, sizeof first);
    assert_int_equal(atoi(first), child_pid(c));
    child_kill(c, SIGKILL);
    while (f->n_ended == 0 || !child_is_running(c))
        turn(f);
    read_line(f, second, sizeof second);
    assert_int_equal(atoi(second), child_pid(c));
    assert_string_not_equal(first, second);
    child_stop(c);
    while (f->n_stopped == 0)
        turn(f);
    child_free(c);
}

static void what_is_to_stop_is_not_started_again(void **state)
{
    Fixture *f = *state;
    char line[64];

    Child *c = start(f, "echo $$ >&3; exec sleep 1000", NULL);
    read_line(f, line, sizeof line);
    child_stop(c);
    while (f->n_ended == 0)
        turn(f);
    assert_int_equal(f->n_stopped, 1);
    assert_int_equal(sd_event_run(f->event, 30000), 0);
    assert_false(child_is_running(c));
    child_free(c);
}

static void a_ctrl_c_at_the_terminal_does_not_reach_it(void **state)
{
    Fixture *f = *state;
    char line[64];

    Child *c = start(f, "echo $$ >&3; exec sleep 1000", NULL);
    read_line(f, line, sizeof line);
    assert_int_equal(getpgid(child_pid(c)), child_pid(c));
    child_stop(c);
    while (f->n_ended == 0)
        turn(f);
    child_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(it_gets_its_descriptors_and_who_it_reports_to, set_up, tear_down),
            cmocka_unit_test_setup_teardown(what_ends_is_started_again, set_up, tear_down),
            cmocka_unit_test_setup_teardown(what_is_to_stop_is_not_started_again, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_ctrl_c_at_the_terminal_does_not_reach_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
