/* SPDX-License-Identifier: ISC */
#pragma once

/* A probe, what it tells, and sockets for it to meet. */

#include <stdio.h>
#include <sys/syscall.h>

#include "probe/probe.h"
#include "tests/unit/loop.h"
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

static inline void take_outcome(Probe *p, int r, const char *why, void *userdata)
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

static inline Probe *new_probe(Loop *l, const ServiceConfig *config, Outcome *o)
{
    const ProbeContext context = {.event = l->event,
            .commands = &l->commands,
            .command = {.cwd = config->cwd, .env = config->env, .user = config->user}};
    Probe *p;

    *o = (Outcome){};
    assert_int_equal(probe_new(&context, config, take_outcome, o, &p), 0);
    return p;
}

static inline void start(Probe *p, ProbeMode mode)
{
    starting = true;
    assert_int_equal(probe_start(p, mode), 0);
    starting = false;
}

/* One attempt and what comes of it. */
static inline Outcome probe_once(Loop *l, const ServiceConfig *config)
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
static inline int bound_socket(SocketAddress *a)
{
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &a->sa, a->len), 0);
    assert_int_equal(getsockname(fd, &a->sa, &a->len), 0);
    return fd;
}

static inline SocketAddress loopback(void)
{
    SocketAddress a;
    assert_int_equal(socket_address_from_ip("127.0.0.1", 0, &a), 0);
    return a;
}

static inline SocketAddress unix_path(const char *name)
{
    _cleanup_free_ char *path = text_format("%s/%s", dir, name);
    SocketAddress a;
    assert_int_equal(socket_address_from_path(path, &a), 0);
    return a;
}

static inline ServiceConfig config_for(HealthCheckType type, const SocketAddress *a)
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

/* Runs a group of tests in a folder of their own. */
static inline int run_probe_tests(int (*run)(void))
{
    if (!mkdtemp(dir))
        return 1;
    int r = run();
    _cleanup_free_ char *command = text_format("rm -rf %s", dir);
    return system(command) == 0 ? r : 1;
}
