/* SPDX-License-Identifier: ISC */

/* Ready is what accepts a connection, TCP or unix. Also the connecting half of the http probe. The addresses
 * of an endpoint are tried one after the other: on loopback, where services live, a port that nobody listens
 * on refuses at once. On loopback the outcome is also known as soon as connect(2) has returned, whatever it
 * says, so it is asked for before an event source is made: a waiting probe costs a few system calls an
 * attempt.
 *
 * A peculiarity that retries must know: a connect to a port of this machine out of the range that the kernel
 * takes source ports from may by chance be given that same port as its source, and is then connected to
 * itself (RFC 9293 3.5, simultaneous open). That is no service. It is reset at once, rather than closed: in
 * TIME_WAIT, or while it is open, it would keep the service from binding its port. */

#include "probe/probe-internal.h"

#include <sys/epoll.h>

#include "util/fd.h"
#include "util/text.h"

static void connect_next(Probe *p, int error);

/* Is the socket connected to itself, or about to be? It will be reset then when it is closed. */
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

/* How a connect stands: 0 for connected, EINPROGRESS, or why it failed. */
static int connect_state(int fd)
{
    SocketAddress peer = {.len = sizeof peer.un};
    socklen_t len = sizeof(int);
    int error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return errno;
    if (error != 0)
        return error;
    return getpeername(fd, &peer.sa, &peer.len) == 0 ? 0 : errno == ENOTCONN ? EINPROGRESS : errno;
}

/* The socket's outcome is known. May free the probe. */
static void connect_finished(Probe *p, int error)
{
    if (error == 0)
        p->connector.connected(p);
    else
        connect_next(p, error);
}

static int on_connect(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Probe *p = userdata;
    int error = connect_state(fd);

    if (error == EINPROGRESS)
        return 0;
    p->connector.io = sd_event_source_disable_unref(p->connector.io);
    connect_finished(p, error);
    return 0;
}

/* Returns 0 for connected, EINPROGRESS when the outcome will be told to on_connect(), or another error. */
static int connect_begin(Probe *p, const SocketAddress *a)
{
    int fd, error;

    fd = p->connector.fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    error = connect(fd, &a->sa, a->len) == 0 ? 0 : errno;
    if (is_self_connected(fd, a))
        return ECONNREFUSED;
    if (error == EINPROGRESS)
        error = connect_state(fd);
    if (error != EINPROGRESS)
        return error;
    int r = sd_event_add_io(p->context.event, &p->connector.io, fd, EPOLLOUT, on_connect, p);
    if (r < 0)
        return -r;
    (void) sd_event_source_set_description(p->connector.io, "probe-connect");
    return EINPROGRESS;
}

/* Goes on with the next address; `error` is what the one before met. */
static void connect_next(Probe *p, int error)
{
    const Endpoint *e = &p->config->health_check.endpoint;
    char buf[ERROR_TEXT_MAX];

    probe_disconnect(p);
    if (p->connector.next < e->n_addresses) {
        const SocketAddress *a = &e->addresses[p->connector.next++];
        error = connect_begin(p, a);
        if (error != EINPROGRESS)
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
