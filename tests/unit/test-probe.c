/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "probe/probe.h"
#include "tests/unit/loop.h"
#include "util/event.h"
#include "util/fd.h"
#include "util/text.h"

static char dir[] = "/tmp/test-probe-XXXXXX";
static unsigned n_connects;

/* Attempts are counted where they reach the kernel. */
int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    n_connects++;
    return (int) syscall(SYS_connect, fd, address, len);
}

typedef struct Outcome {
    unsigned n;
    int r;
    char why[256];
    bool in_start;
    enum { LEAVE, FREE, RESTART } then;
} Outcome;

static bool starting;

static void take_outcome(Probe *p, int r, const char *why, void *userdata)
{
    Outcome *o = userdata;

    o->n++;
    o->r = r;
    o->in_start = starting;
    snprintf(o->why, sizeof o->why, "%s", why);
    if (o->then == FREE)
        probe_free(p);
    if (o->then == RESTART && o->n < 3)
        assert_int_equal(probe_start(p, PROBE_ONCE), 0);
}

static Probe *new_probe(Loop *l, const ServiceConfig *config, Outcome *o)
{
    const ProbeContext context = {.event = l->event, .children = l->children};
    Probe *p;

    *o = (Outcome){};
    assert_int_equal(probe_new(&context, config, take_outcome, o, &p), 0);
    return p;
}

static void start(Probe *p, ProbeMode mode)
{
    starting = true;
    assert_int_equal(probe_start(p, mode), 0);
    starting = false;
}

/* One attempt and what comes of it. */
static Outcome probe_once(Loop *l, const ServiceConfig *config)
{
    Outcome o;
    Probe *p = new_probe(l, config, &o);

    start(p, PROBE_ONCE);
    RUN_UNTIL(l->event, o.n > 0);
    assert_false(o.in_start);
    if (o.r < 0)
        assert_string_equal(probe_last_error(p), o.why);
    probe_free(p);
    return o;
}

/* A bound socket, so that the port is ours: refuses until listen(2). Fills in the address. */
static int bound_socket(SocketAddress *a)
{
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &a->sa, a->len), 0);
    assert_int_equal(getsockname(fd, &a->sa, &a->len), 0);
    return fd;
}

static SocketAddress loopback(void)
{
    SocketAddress a;
    assert_int_equal(socket_address_from_ip("127.0.0.1", 0, &a), 0);
    return a;
}

static SocketAddress unix_path(const char *name)
{
    _cleanup_free_ char *path = text_format("%s/%s", dir, name);
    SocketAddress a;
    assert_int_equal(socket_address_from_path(path, &a), 0);
    return a;
}

static ServiceConfig config_for(HealthCheckType type, const SocketAddress *a)
{
    ServiceConfig c = {.health_check = {.type = type,
                               .timeout = PATIENCE,
                               .host = (char *) "blog.example.com",
                               .path = (char *) "/health?x=1"}};
    if (a) {
        c.health_check.endpoint.addresses[0] = *a;
        c.health_check.endpoint.n_addresses = 1;
    }
    return c;
}

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
        t += MIN(MAX(t / 32, (usec_t) 250), 20 * USEC_PER_MSEC);
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

/* A server on the loop: answers the n-th connection with the n-th script, the last one for ever. Bytes go out
 * one at a time, in as many packets as the kernel makes of it. */
typedef struct Server {
    int fd;
    SocketAddress address;
    const char *const *scripts;
    unsigned n_connections;
    char request[1024];
    sd_event_source *accepts;
    struct Connection {
        struct Server *server;
        sd_event_source *io;
        const char *script;
        size_t received;
    } connections[16];
} Server;

static const char SILENCE[] = "(silence)", ENDLESS[] = "(endless)";

static int on_request(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct Connection *c = userdata;
    char *request = c->server->request;

    ssize_t n = recv(fd, request + c->received, sizeof c->server->request - 1 - c->received, 0);
    if (n > 0) {
        c->received += (size_t) n;
        request[c->received] = 0;
        if (!strstr(request, "\r\n\r\n") || c->script == SILENCE)
            return 0;
        for (const char *p = c->script; *p && c->script != ENDLESS; p++)
            (void) send(fd, p, 1, MSG_NOSIGNAL);
        if (c->script == ENDLESS) {
            (void) send(fd, "HTTP/1.1 200 OK\r\nX: ", 20, MSG_NOSIGNAL);
            while (send(fd, "xxxxxxxxxxxxxxxx", 16, MSG_NOSIGNAL) > 0)
                ;
        }
    }
    c->io = sd_event_source_disable_unref(c->io);
    return 0;
}

static int on_accept(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    Server *server = userdata;
    struct Connection *c = &server->connections[server->n_connections % ELEMENTSOF(server->connections)];
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    assert_true(client >= 0);
    sd_event_source_disable_unref(c->io);
    *c = (struct Connection){.server = server};
    c->script = *server->scripts;
    if (server->scripts[1])
        server->scripts++;
    server->n_connections++;
    assert_true(sd_event_add_io(sd_event_source_get_event(s), &c->io, client, EPOLLIN, on_request, c) >= 0);
    assert_true(sd_event_source_set_io_fd_own(c->io, 1) >= 0);
    return 0;
}

static void server_init(Server *server, Loop *l, SocketAddress a, const char *const *scripts)
{
    *server = (Server){.address = a, .scripts = scripts};
    server->fd = bound_socket(&server->address);
    assert_int_equal(listen(server->fd, 64), 0);
    assert_true(sd_event_add_io(l->event, &server->accepts, server->fd, EPOLLIN, on_accept, server) >= 0);
}

static void server_done(Server *server)
{
    for (size_t i = 0; i < ELEMENTSOF(server->connections); i++)
        sd_event_source_disable_unref(server->connections[i].io);
    sd_event_source_disable_unref(server->accepts);
    close(server->fd);
}

static void http_is_ready_by_its_status(void **state)
{
    static const struct {
        const char *script;
        unsigned expected;
        const char *why; /* NULL: ready */
    } table[] = {
            {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 0, NULL},
            {"HTTP/1.0 204 No Content\r\n\r\n", 0, NULL},
            {"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n", 0, NULL},
            {"HTTP/1.1 399 \r\n\r\n", 0, NULL},
            {"HTTP/1.1 404 Not Found\r\n\r\n", 404, NULL},
            {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 "
             "OK\r\n\r\n",
                    200, NULL},
            {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 Later\r\n\r\n", 200, "status 503, expected 200"},
            {"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", 200, "status 302, expected 200"},
            {"HTTP/1.1 400 Bad Request\r\n\r\n", 0, "status 400, expected 200 to 399"},
            {"HTTP/1.1 200 OK\r\n", 0, "connection closed without a response"},
            {"", 0, "connection closed without a response"},
            {"HTTP/1.1 100 Continue\r\n\r\n", 0, "connection closed without a response"},
            {"SSH-2.0-OpenSSH_9.2\r\n\r\n", 0, "its response is not valid HTTP/1.1"},
            {ENDLESS, 0, "the head of its response is too long"},
    };
    Loop l = loop_new();
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        Server server;
        server_init(&server, &l, loopback(), (const char *const[]){table[i].script, NULL});
        ServiceConfig config = config_for(HEALTH_CHECK_HTTP, &server.address);
        config.health_check.expected_status = table[i].expected;
        Outcome o = probe_once(&l, &config);
        assert_string_equal(o.why, table[i].why ?: "ready");
        assert_int_equal(o.r == 0, table[i].why == NULL);
        assert_int_equal(server.n_connections, 1); /* no redirect is followed */
        assert_string_equal(server.request, "GET /health?x=1 HTTP/1.1\r\nHost: blog.example.com\r\n"
                                            "User-Agent: dynapm\r\nAccept: */*\r\nConnection: close\r\n\r\n");
        server_done(&server);
    }
    loop_done(&l);
}

static void http_is_tried_until_the_status_is_right(void **state)
{
    static const char *const scripts[] = {"HTTP/1.1 503 Starting\r\n\r\n", "",
            "HTTP/1.1 503 Starting\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 500 Asked too often\r\n\r\n", NULL};
    Loop l = loop_new();
    for (int i = 0; i < 2; i++) {
        SocketAddress a = i == 0 ? loopback() : unix_path("http");
        Server server;
        Outcome o;
        server_init(&server, &l, a, scripts);
        ServiceConfig config = config_for(HEALTH_CHECK_HTTP, &server.address);
        Probe *p = new_probe(&l, &config, &o);
        start(p, PROBE_UNTIL_READY);
        RUN_UNTIL(l.event, o.n == 1);
        assert_int_equal(o.r, 0);
        assert_int_equal(server.n_connections, 4);
        probe_free(p);
        server_done(&server);
    }
    loop_done(&l);
}

static void an_attempt_ends_with_its_time_limit(void **state)
{
    Loop l = loop_new();
    Server server;
    server_init(&server, &l, loopback(),
            (const char *const[]){SILENCE, SILENCE, "HTTP/1.1 200 OK\r\n\r\n", NULL});
    ServiceConfig config = config_for(HEALTH_CHECK_HTTP, &server.address);
    config.health_check.timeout = 100 * USEC_PER_MSEC;
    Outcome o = probe_once(&l, &config);
    assert_int_equal(o.r, -ETIMEDOUT);
    assert_string_equal(o.why, "no answer within 100ms");

    Probe *p = new_probe(&l, &config, &o); /* and the next one is made */
    start(p, PROBE_UNTIL_READY);
    RUN_UNTIL(l.event, o.n == 1);
    assert_int_equal(o.r, 0);
    assert_int_equal(server.n_connections, 3);
    probe_free(p);

    config.health_check.timeout = PATIENCE; /* one under way can be dropped */
    server.scripts = (const char *const[]){SILENCE, NULL};
    p = new_probe(&l, &config, &o);
    start(p, PROBE_UNTIL_READY);
    RUN_UNTIL(l.event, server.n_connections == 4);
    probe_free(p);
    server_done(&server);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_connection_to_itself_is_no_service),
            cmocka_unit_test(tcp_is_ready_when_the_port_accepts),
            cmocka_unit_test(waiting_is_no_busy_loop),
            cmocka_unit_test(one_attempt_tells_what_it_met),
            cmocka_unit_test(every_address_of_localhost_is_tried),
            cmocka_unit_test(unix_sockets_are_ready_when_they_accept),
            cmocka_unit_test(none_is_ready_at_once_but_not_before_start_returns),
            cmocka_unit_test(http_is_ready_by_its_status),
            cmocka_unit_test(http_is_tried_until_the_status_is_right),
            cmocka_unit_test(an_attempt_ends_with_its_time_limit),
            cmocka_unit_test(a_command_is_ready_when_it_exits_with_0),
    };
    if (!mkdtemp(dir))
        return 1;
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    _cleanup_free_ char *command = text_format("rm -rf %s", dir);
    return system(command) == 0 ? r : 1;
}
