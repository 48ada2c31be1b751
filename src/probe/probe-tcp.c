/* SPDX-License-Identifier: ISC */

/* Ready is what accepts a connection, TCP or unix. Also the connecting half of the http probe. The addresses
 * of an endpoint are tried one after the other: on loopback, where services live, a port that nobody listens
 * on refuses at once.
 *
 * A peculiarity that retries must know: a connect to a port of this machine out of the range that the kernel
 * takes source ports from may by chance be given that same port as its source, and is then connected to
 * itself (RFC 9293 3.5, simultaneous open). That is no service; and it must be reset rather than closed, or
 * the port would be taken for as long as TIME_WAIT lasts. */

#include "probe/probe-internal.h"

#include <sys/epoll.h>

#include "util/fd.h"
#include "util/text.h"

static void connect_next(Probe *p, int error);

/* Is the socket connected to itself? Resets it then. */
static bool is_self_connected(int fd, const SocketAddress *peer)
{
    SocketAddress own = {.len = sizeof own.in6};
    const struct linger reset = {.l_onoff = 1};

    if (peer->sa.sa_family == AF_UNIX || getsockname(fd, &own.sa, &own.len) < 0)
        return false;
    if (socket_address_port(&own) != socket_address_port(peer))
        return false;
    bool same = own.sa.sa_family == AF_INET ? own.in.sin_addr.s_addr == peer->in.sin_addr.s_addr
                                            : IN6_ARE_ADDR_EQUAL(&own.in6.sin6_addr, &peer->in6.sin6_addr);
    if (same)
        (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return same;
}

/* The socket says 0 or why it could not connect. May free the probe. */
static void connect_finished(Probe *p, int error)
{
    const SocketAddress *peer = &p->config->health_check.endpoint.addresses[p->connector.next - 1];

    if (error == 0 && is_self_connected(p->connector.fd, peer))
        error = ECONNREFUSED;
    if (error == 0)
        p->connector.connected(p);
    else
        connect_next(p, error);
}

static int on_connect(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Probe *p = userdata;
    int error = 0;
    socklen_t len = sizeof error;

    p->connector.io = sd_event_source_disable_unref(p->connector.io);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    connect_finished(p, error);
    return 0;
}

/* Returns 0 when the outcome is known, in *ret_error, 1 when it will be told to on_connect(). */
static int connect_begin(Probe *p, const SocketAddress *a, int *ret_error)
{
    p->connector.fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->connector.fd < 0) {
        *ret_error = errno;
        return 0;
    }
    if (connect(p->connector.fd, &a->sa, a->len) == 0) {
        *ret_error = 0;
        return 0;
    }
    if (errno != EINPROGRESS) {
        *ret_error = errno;
        return 0;
    }
    int r = sd_event_add_io(p->context.event, &p->connector.io, p->connector.fd, EPOLLOUT, on_connect, p);
    if (r < 0) {
        *ret_error = -r;
        return 0;
    }
    (void) sd_event_source_set_description(p->connector.io, "probe-connect");
    return 1;
}

/* Goes on with the next address; `error` is what the one before met. */
static void connect_next(Probe *p, int error)
{
    const Endpoint *e = &p->config->health_check.endpoint;
    char buf[ERROR_TEXT_MAX];

    probe_disconnect(p);
    if (p->connector.next < e->n_addresses) {
        const SocketAddress *a = &e->addresses[p->connector.next++];
        if (connect_begin(p, a, &error) == 0)
            connect_finished(p, error);
        return;
    }
    /* A unix socket whose queue is full says EAGAIN, unix(7). */
    probe_attempt_done(
            p, -error, error == EAGAIN ? "its queue of connections is full" : error_text(buf, error));
}

void probe_connect(Probe *p, void (*connected)(Probe *p))
{
    p->connector.connected = connected;
    p->connector.next = 0;
    connect_next(p, EADDRNOTAVAIL);
}

void probe_disconnect(Probe *p)
{
    p->connector.io = sd_event_source_disable_unref(p->connector.io);
    p->connector.fd = fd_close(p->connector.fd);
}

static void tcp_connected(Probe *p)
{
    probe_attempt_done(p, 0, NULL);
}

static void tcp_attempt(Probe *p)
{
    probe_connect(p, tcp_connected);
}

const ProbeVTable probe_tcp_vtable = {.attempt = tcp_attempt, .cancel = probe_disconnect};
