/* SPDX-License-Identifier: ISC */

/* Ready by HTTP. */

#include "tests/unit/test.h"

#include <stdio.h>
#include <sys/epoll.h>

#include "tests/unit/probe-fixture.h"

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

static int run(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(http_is_ready_by_its_status),
            cmocka_unit_test(http_is_tried_until_the_status_is_right),
            cmocka_unit_test(an_attempt_ends_with_its_time_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_probe_tests(run);
}
