/* SPDX-License-Identifier: ISC */
#pragma once

/* A real manager on a loop of its own, with a configuration in a temporary folder, and gateways that speak to
 * it over its socket in the same loop. Services run this very program: see fixture_main(). */

#include "tests/unit/test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "ipc/bus.h"
#include "ipc/routes.h"
#include "ipc/table.h"
#include "manager/manager.h"
#include "util/fd.h"
#include "util/text.h"

typedef struct Fixture {
    char dir[32], conf[48], run[48], global[48];
    const char *dirs[2];
    sd_event *event;
    Manager *manager;
    bool passed;           /* its socket is not its own */
    usec_t exit_idle_time; /* 0: never */
} Fixture;

typedef struct Gateway {
    Fixture *fixture;
    sd_bus *bus;
    bool disconnected;
    /* what Attach gave */
    const StatusTable *status;
    ActivityTable *activity;
    RouteImage *routes;
    int listeners[512];
    size_t n_listeners;
} Gateway;

/* A call under way. */
typedef struct Call {
    sd_bus_slot *slot;
    sd_bus_message *reply;
} Call;

static char fixture_program[4096]; /* our own path, for "exec" */

/* Turns the loop until the condition holds; the alarm of fixture_main() ends a test that waits in vain. */
#define run_until(f, condition)                                                                              \
    while (!(condition))                                                                                     \
    assert_true(sd_event_run((f)->event, UINT64_MAX) >= 0)

/* ── the service: this program with arguments ── */

static int serve(uint16_t port)
{
    SocketAddress a;
    if (socket_address_from_ip("127.0.0.1", port, &a) < 0)
        return 1;
    int fd = socket_address_listen(&a, 16);
    if (fd < 0)
        return 1;
    for (;;)
        pause();
}

/* On all addresses: connections that are over, of others, may still hold it on one of them. */
static uint16_t free_port(void)
{
    SocketAddress a;
    assert_int_equal(socket_address_from_ip("0.0.0.0", 0, &a), 0);
    _cleanup_close_ int fd = socket_address_listen(&a, 1);
    assert_int_equal(getsockname(fd, &a.sa, &a.len), 0);
    return socket_address_port(&a);
}

static inline bool somebody_listens(uint16_t port)
{
    SocketAddress a;
    assert_int_equal(socket_address_from_ip("127.0.0.1", port, &a), 0);
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, &a.sa, a.len) == 0;
}

/* ── the manager ── */

static void fixture_init(Fixture *f)
{
    *f = (Fixture){.dir = "/tmp/test-manager-XXXXXX"};
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->conf, sizeof f->conf, "%s/conf", f->dir);
    snprintf(f->run, sizeof f->run, "%s/run", f->dir);
    snprintf(f->global, sizeof f->global, "%s/dynapm.json", f->dir);
    f->dirs[0] = f->conf;
    assert_int_equal(mkdir(f->conf, 0755), 0);
}

static void fixture_config(Fixture *f, const char *name, const char *json)
{
    _cleanup_free_ char *path = text_format("%s/conf/%s.json", f->dir, name);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, json, strlen(json)), strlen(json));
}

/* A service that this program plays, on a port of its own, which is returned. */
static inline uint16_t fixture_service(Fixture *f, const char *name, const char *more)
{
    uint16_t port = free_port();
    _cleanup_free_ char *json = text_format("{\"host\": \"%s.test\", \"base\": \"http://127.0.0.1:%u\","
                                            " \"exec\": [\"%s\", \"serve\", \"%u\"]%s%s}",
            name, port, fixture_program, port, *more ? ", " : "", more);
    fixture_config(f, name, json);
    return port;
}

/* The socket that a service manager would pass. */
static inline int fixture_socket(const char *run)
{
    _cleanup_free_ char *path = text_format("%s/" MANAGER_SOCKET_NAME, run);
    SocketAddress a;

    assert_true(mkdir(run, 0755) == 0 || errno == EEXIST);
    assert_int_equal(socket_address_from_path(path, &a), 0);
    int fd = socket_address_listen(&a, 16);
    assert_true(fd >= 0);
    return fd;
}

static int fixture_try(Fixture *f)
{
    assert_int_equal(sd_event_new(&f->event), 0);
    return manager_new(f->event,
            &(ManagerOptions){
                    .config = {.dirs = f->dirs, .global = f->global},
                    .runtime_dir = f->run,
                    .listen_fd = f->passed ? fixture_socket(f->run) : -EBADF,
                    .exit_idle_time = f->exit_idle_time,
                    .gateway_uid = (uid_t) -1,
            },
            &f->manager);
}

static void fixture_start(Fixture *f)
{
    assert_int_equal(fixture_try(f), 0);
}

/* Stops the services as a real shutdown does, and returns the loop's exit status. */
static int fixture_shutdown(Fixture *f)
{
    manager_shutdown(f->manager, "test");
    return sd_event_loop(f->event);
}

static void fixture_drop(Fixture *f)
{
    f->manager = manager_free(f->manager);
    f->event = sd_event_unref(f->event);
}

static void fixture_done(Fixture *f)
{
    if (f->manager && !f->manager->stopping)
        assert_int_equal(fixture_shutdown(f), 0);
    fixture_drop(f);
    _cleanup_free_ char *command = text_format("rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
}

static inline Service *fixture_get(Fixture *f, const char *name)
{
    for (uint32_t i = 0; i < f->manager->n_services; i++) {
        Service *s = manager_service(f->manager, i);
        if (s && streq(service_name(s), name))
            return s;
    }
    fail_msg("no service %s", name);
    return NULL;
}

/* ── gateways ── */

static int on_gateway_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Gateway *g = userdata;
    g->disconnected = true;
    return 0;
}

static inline int fixture_connect(Fixture *f)
{
    _cleanup_free_ char *path = text_format("%s/run/" MANAGER_SOCKET_NAME, f->dir);
    SocketAddress a;

    assert_int_equal(socket_address_from_path(path, &a), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, &a.sa, a.len), 0);
    return fd;
}

static inline void gateway_init(Gateway *g, Fixture *f)
{
    *g = (Gateway){.fixture = f};
    int fd = fixture_connect(f);
    assert_int_equal(sd_bus_new(&g->bus), 0);
    assert_int_equal(sd_bus_set_fd(g->bus, fd, fd), 0);
    assert_true(sd_bus_negotiate_fds(g->bus, true) >= 0);
    assert_true(sd_bus_start(g->bus) >= 0);
    assert_true(sd_bus_attach_event(g->bus, f->event, 0) >= 0);
    assert_true(sd_bus_match_signal(g->bus, NULL, NULL, NULL, "org.freedesktop.DBus.Local", "Disconnected",
                        on_gateway_disconnected, g) >= 0);
}

static inline void gateway_done(Gateway *g)
{
    g->bus = sd_bus_close_unref(g->bus);
    status_table_unmap(g->status);
    activity_table_unmap(g->activity);
    g->routes = route_image_unref(g->routes);
    for (size_t i = 0; i < g->n_listeners; i++)
        close(g->listeners[i]);
    g->n_listeners = 0;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Call *c = userdata;
    c->reply = sd_bus_message_ref(m);
    return 0;
}

static void call_done(Call *c)
{
    c->slot = sd_bus_slot_unref(c->slot);
    c->reply = sd_bus_message_unref(c->reply);
}

#define gateway_call(g, c, method, ...)                                                                      \
    (*(c) = (Call){}, assert_true(sd_bus_call_method_async((g)->bus, &(c)->slot, NULL, BUS_PATH,             \
                                          BUS_GATEWAY_INTERFACE, method, on_reply, c, __VA_ARGS__) >= 0))

/* Waits for the call's error and compares its name. */
static inline void expect_error(Gateway *g, Call *c, const char *name)
{
    run_until(g->fixture, c->reply);
    const sd_bus_error *e = sd_bus_message_get_error(c->reply);
    assert_non_null(e);
    assert_string_equal(e->name, name);
    assert_true(strlen(e->message) > 0);
    call_done(c);
}

static inline void gateway_read_listeners(Gateway *g, sd_bus_message *m)
{
    int fd;

    assert_true(sd_bus_message_enter_container(m, 'a', "h") > 0);
    while (sd_bus_message_read(m, "h", &fd) > 0) {
        assert_true(g->n_listeners < ELEMENTSOF(g->listeners));
        g->listeners[g->n_listeners++] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    }
}

/* Attaches and maps everything. */
static inline void gateway_attach(Gateway *g, bool main_listeners)
{
    int status_fd, activity_fd, routes_fd;
    Call c;

    gateway_call(g, &c, BUS_ATTACH, "ub", BUS_ATTACH_VERSION, (int) main_listeners);
    run_until(g->fixture, c.reply);
    assert_null(sd_bus_message_get_error(c.reply));
    assert_true(sd_bus_message_read(c.reply, "hhh", &status_fd, &activity_fd, &routes_fd) > 0);
    assert_int_equal(status_table_map(status_fd, &g->status), 0);
    assert_int_equal(activity_table_map(activity_fd, &g->activity), 0);
    assert_int_equal(route_image_map(routes_fd, &g->routes), 0);
    gateway_read_listeners(g, c.reply);
    call_done(&c);
}

/* The slot that a request for `host` goes to. */
static inline uint32_t gateway_slot(const Gateway *g, const char *host)
{
    bool known;
    const RouteEntry *e = route_image_match_host(g->routes, host, strlen(host), "/", 1, &known);
    assert_non_null(e);
    return route_image_service(g->routes, e->service)->slot;
}

static inline uint32_t gateway_state(const Gateway *g, uint32_t slot)
{
    return atomic_load(&g->status->slots[slot].state);
}

typedef struct WakeReply {
    int online;
    uint32_t epoch, retry_after;
    char why[256];
} WakeReply;

static inline void read_wake(Gateway *g, Call *c, WakeReply *ret)
{
    const char *why;

    run_until(g->fixture, c->reply);
    assert_null(sd_bus_message_get_error(c->reply));
    assert_true(
            sd_bus_message_read(c->reply, "busu", &ret->online, &ret->epoch, &why, &ret->retry_after) > 0);
    snprintf(ret->why, sizeof ret->why, "%s", why);
    call_done(c);
}

static inline void gateway_wake(Gateway *g, uint32_t slot, uint32_t dead_epoch, WakeReply *ret)
{
    Call c;
    gateway_call(g, &c, BUS_WAKE, "uus", slot, dead_epoch, "GET test/");
    read_wake(g, &c, ret);
}

/* ── main ── */

/* Returns < 0 to go on with the tests, else the exit status of the service that this program has played. */
static int fixture_main(int argc, char **argv)
{
    sigset_t mask;

    if (argc == 3 && streq(argv[1], "serve"))
        return serve((uint16_t) atoi(argv[2]));
    ssize_t n = readlink("/proc/self/exe", fixture_program, sizeof fixture_program - 1);
    if (n < 0)
        return 1;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    (void) sigprocmask(SIG_BLOCK, &mask, NULL);
    (void) alarm(60);
    return -1;
}
