/* SPDX-License-Identifier: ISC */

/* Ready by TCP, by a command, or at once; and when it is looked. */

#include "tests/unit/test.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "tests/unit/probe-fixture.h"
#include "util/event.h"
#include "util/fd.h"

static void tcp_is_ready_when_the_port_accepts(void **state)
{
    Loop l = loop_new();
    SocketAddress a = loopback();
    _cleanup_close_ int fd = bound_socket(&a);
    ServiceConfig config = config_for(HEALTH_CHECK_TCP, &a);
    Outcome o;
    Probe *p = new_probe(&l, &config, &o);

    assert_string_equal(probe_last_error(p), "not tried yet");
    n_connects = 0;
    start(p, PROBE_UNTIL_READY);
    assert_int_equal(n_connects, 1); /* from the first moment */
    RUN_UNTIL(l.event, n_connects == 20);
    assert_int_equal(o.n, 0);
    assert_string_equal(probe_last_error(p), "connection refused");
    assert_int_equal(listen(fd, 8), 0);
    RUN_UNTIL(l.event, o.n > 0);
    assert_int_equal(o.r, 0);
    assert_int_equal(n_connects, 21); /* the next attempt has found it */
    probe_free(p);
    loop_done(&l);
}

static int on_end_of_wait(sd_event_source *s, uint64_t usec, void *userdata)
{
    *(bool *) userdata = true;
    return 0;
}

/* The pauses of probe.h allow so many attempts in a wait of some µs, and no more. */
static unsigned attempts_allowed(usec_t wait)
{
    unsigned n = 1;
    for (usec_t t = 0; t < wait; n++)
        t += MIN(MAX(t / (t < 100 * USEC_PER_MSEC ? 32 : 16), (usec_t) 250), 100 * USEC_PER_MSEC);
    return n;
}

static void waiting_is_no_busy_loop(void **state)
{
    Loop l = loop_new();
    SocketAddress a = loopback();
    _cleanup_close_ int fd = bound_socket(&a); /* refuses */
    ServiceConfig config = config_for(HEALTH_CHECK_TCP, &a);
    sd_event_source *timer = NULL;
    unsigned turns = 0;
    bool over = false;
    Outcome o;

    assert_true(fd >= 0);
    Probe *p = new_probe(&l, &config, &o);

    n_connects = 0;
    usec_t begin = now_monotonic();
    start(p, PROBE_UNTIL_READY);
    assert_int_equal(event_arm_timer(l.event, &timer, USEC_PER_SEC, on_end_of_wait, &over, "end"), 0);
    while (!over) {
        assert_true(sd_event_run(l.event, PATIENCE) > 0);
        turns++;
    }
    usec_t waited = now_monotonic() - begin;
    assert_in_range(n_connects, 10, attempts_allowed(waited));
    assert_in_range(turns, n_connects - 1, n_connects + 4); /* and the loop does not turn for anything else */
    sd_event_source_disable_unref(timer);
    probe_free(p);

    config.health_check.interval = 300; /* µs: the configured ceiling */
    p = new_probe(&l, &config, &o);
    n_connects = 0;
    start(p, PROBE_UNTIL_READY);
    RUN_UNTIL(l.event, n_connects == 100); /* the default's pauses would need 80 ms */
    probe_free(p);
    loop_done(&l);
}

static void one_attempt_tells_what_it_met(void **state)
{
    Loop l = loop_new();
    SocketAddress a = loopback(), missing = unix_path("missing");
    _cleanup_close_ int fd = bound_socket(&a);
    ServiceConfig config = config_for(HEALTH_CHECK_TCP, &a), no_file = config_for(HEALTH_CHECK_TCP, &missing);

    Outcome o = probe_once(&l, &config);
    assert_int_equal(o.r, -ECONNREFUSED);
    assert_string_equal(o.why, "connection refused");
    o = probe_once(&l, &no_file);
    assert_int_equal(o.r, -ENOENT);
    assert_string_equal(o.why, "no such file or directory");
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(probe_once(&l, &config).r, 0);
    loop_done(&l);
}

static void every_address_of_localhost_is_tried(void **state)
{
    Loop l = loop_new();
    SocketAddress v4 = loopback(), v6;
    _cleanup_close_ int fd4 = bound_socket(&v4); /* refuses */
    assert_true(fd4 >= 0);
    assert_int_equal(socket_address_from_ip("::1", socket_address_port(&v4), &v6), 0);
    _cleanup_close_ int fd6 = socket_address_listen(&v6, 8);
    assert_true(fd6 >= 0);
    ServiceConfig config = config_for(HEALTH_CHECK_TCP, &v4);
    config.health_check.endpoint.addresses[1] = v6;
    config.health_check.endpoint.n_addresses = 2;
    assert_int_equal(probe_once(&l, &config).r, 0);
    loop_done(&l);
}

static void unix_sockets_are_ready_when_they_accept(void **state)
{
    Loop l = loop_new();
    SocketAddress a = unix_path("socket");
    _cleanup_close_ int fd = bound_socket(&a);
    ServiceConfig config = config_for(HEALTH_CHECK_TCP, &a);

    assert_int_equal(probe_once(&l, &config).r, -ECONNREFUSED);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(probe_once(&l, &config).r, 0); /* accepted in connect(2): told from the loop even so */
    /* The one above is in the queue, which is full then: not ready, but soon. */
    Outcome o;
    Probe *p = new_probe(&l, &config, &o);
    start(p, PROBE_ONCE);
    RUN_UNTIL(l.event, o.n > 0);
    assert_int_equal(o.r, -EAGAIN);
    assert_string_equal(o.why, "its queue of connections is full");
    start(p, PROBE_UNTIL_READY);
    int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(c >= 0);
    close(c);
    RUN_UNTIL(l.event, o.n > 1);
    assert_int_equal(o.r, 0);
    probe_free(p);
    unlink(a.un.sun_path);
    loop_done(&l);
}

static void none_is_ready_at_once_but_not_before_start_returns(void **state)
{
    Loop l = loop_new();
    ServiceConfig config = config_for(HEALTH_CHECK_NONE, NULL);
    Outcome o;
    Probe *p = new_probe(&l, &config, &o);

    start(p, PROBE_UNTIL_READY);
    assert_int_equal(o.n, 0);
    RUN_UNTIL(l.event, o.n == 1);
    assert_int_equal(o.r, 0);

    start(p, PROBE_ONCE); /* stopped before the loop turns: nothing is told */
    probe_stop(p);
    assert_int_equal(sd_event_run(l.event, 0), 0);
    assert_int_equal(o.n, 1);

    o.then = RESTART;
    start(p, PROBE_ONCE);
    RUN_UNTIL(l.event, o.n == 3);
    o.then = FREE;
    start(p, PROBE_ONCE);
    RUN_UNTIL(l.event, o.n == 4);
    loop_done(&l);
}

static void a_command_is_ready_when_it_exits_with_0(void **state)
{
    Loop l = loop_new();
    char *env[] = {(char *) "LIMIT=4", NULL};
    ServiceConfig config = config_for(HEALTH_CHECK_COMMAND, NULL);
    config.cwd = dir;
    config.env = env;
    config.health_check.command =
            (char *) "echo noise; echo noise >&2; echo x >> runs; [ $(grep -c x runs) -ge $LIMIT ]";
    Outcome o;
    Probe *p = new_probe(&l, &config, &o);

    start(p, PROBE_UNTIL_READY);
    RUN_UNTIL(l.event, o.n == 1);
    assert_int_equal(o.r, 0);
    assert_string_equal(probe_last_error(p), "the health check's command exited with status 1");
    _cleanup_free_ char *path = text_format("%s/runs", dir);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 8); /* four runs */
    probe_free(p);

    config.health_check.command = (char *) "exit 9";
    o = probe_once(&l, &config);
    assert_string_equal(o.why, "the health check's command exited with status 9");
    config.user = (char *) "no-such-user";
    assert_string_equal(probe_once(&l, &config).why, "there is no user no-such-user");
    config.user = NULL;

    config.health_check.command = (char *) "sleep 1000";
    config.health_check.timeout = 100 * USEC_PER_MSEC;
    assert_string_equal(probe_once(&l, &config).why, "no answer within 100ms");
    while (waitpid(-1, NULL, WNOHANG) >= 0) /* killed, so that soon no child is left */
        assert_true(sd_event_run(l.event, PATIENCE) >= 0);
    loop_done(&l);
}

/* A network of our own in which the kernel has hardly any source ports to choose from. */
static bool enter_small_network(void)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};

    if (unshare(CLONE_NEWNET) < 0)
        return false;
    _cleanup_close_ int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    _cleanup_close_ int range = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
    return s >= 0 && ioctl(s, SIOCSIFFLAGS, &lo) >= 0 && range >= 0 &&
           write(range, "40000 40001\n", 12) == 12;
}

static void a_connection_to_itself_is_no_service(void **state)
{
    const struct linger reset = {.l_onoff = 1};
    _cleanup_close_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    SocketAddress a;
    Outcome o;

    if (!enter_small_network()) {
        (void) setns(home, CLONE_NEWNET);
        skip();
    }
    assert_int_equal(socket_address_from_ip("127.0.0.1", 40000, &a), 0);
    /* Without care, this is what happens. */
    int naive = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(naive, &a.sa, a.len), 0);
    (void) setsockopt(naive, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(naive);

    Loop l = loop_new();
    ServiceConfig config = config_for(HEALTH_CHECK_TCP, &a);
    Probe *p = new_probe(&l, &config, &o);
    n_connects = 0;
    start(p, PROBE_UNTIL_READY);
    RUN_UNTIL(l.event, n_connects == 50);
    assert_int_equal(o.n, 0);
    assert_string_equal(probe_last_error(p), "connection refused");
    _cleanup_close_ int fd = bound_socket(&a); /* the port is free at any time */
    assert_int_equal(listen(fd, 8), 0);
    RUN_UNTIL(l.event, o.n > 0);
    assert_int_equal(o.r, 0);
    probe_free(p);
    loop_done(&l);
    assert_int_equal(setns(home, CLONE_NEWNET), 0);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(tcp_is_ready_when_the_port_accepts),
            cmocka_unit_test(waiting_is_no_busy_loop),
            cmocka_unit_test(one_attempt_tells_what_it_met),
            cmocka_unit_test(every_address_of_localhost_is_tried),
            cmocka_unit_test(unix_sockets_are_ready_when_they_accept),
            cmocka_unit_test(none_is_ready_at_once_but_not_before_start_returns),
            cmocka_unit_test(a_command_is_ready_when_it_exits_with_0),
            cmocka_unit_test(a_connection_to_itself_is_no_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_probe_tests(run);
}
