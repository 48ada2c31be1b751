/* SPDX-License-Identifier: ISC */

/* libmicrohttpd owns the descriptor and tells of the connection's begin and end; between these two a Client
 * exists, and longer where it sleeps in between (slumber.c). Limits in time are ours, because the library's
 * is an idle limit, which a trickle of bytes keeps from ever running out: a head has to be complete
 * `requestHeadTimeout` after its connection was accepted or its first line was read, whatever arrives
 * meanwhile. */

#include "gateway/client.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <linux/tcp.h> /* netinet/tcp.h knows no tcpi_bytes_sent */
#include <sys/socket.h>

#include "gateway/exchange.h"
#include "gateway/lodging.h"
#include "gateway/preamble.h"
#include "gateway/proxy.h"
#include "gateway/relay.h"
#include "gateway/slumber.h"
#include "util/fd.h"
#include "util/log.h"

static void read_address(Client *c, const struct sockaddr *sa)
{
    switch (sa->sa_family) {
    case AF_INET: {
        const struct in_addr *a = &((const struct sockaddr_in *) sa)->sin_addr;
        c->address[10] = c->address[11] = 0xff;
        memcpy(c->address + 12, a, 4);
        (void) inet_ntop(AF_INET, a, c->peer, sizeof c->peer);
        break;
    }
    case AF_INET6: {
        const struct in6_addr *a = &((const struct sockaddr_in6 *) sa)->sin6_addr;
        memcpy(c->address, a, 16);
        if (IN6_IS_ADDR_V4MAPPED(a))
            (void) inet_ntop(AF_INET, c->address + 12, c->peer, sizeof c->peer);
        else
            (void) inet_ntop(AF_INET6, a, c->peer, sizeof c->peer);
        break;
    }
    default:
        strcpy(c->peer, "unknown");
    }
}

/* Has the library read once more. It takes a short read for a drained socket, which an end that came along
 * with the last bytes belies: there will be no further edge to tell of it. Ending the receiving side makes
 * one, and loses no byte. */
static void have_end_read(Client *c)
{
    (void) shutdown(c->fd, SHUT_RD);
}

#define END_EVENTS (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

/* Its own bytes begin. 0 or -errno; then it is freed. `address`: as accept(2) gave it. */
static int client_begin(Client *c, const struct sockaddr *address, socklen_t len)
{
    if (relay_is_wanted(c)) {
        int r = client_watch(c);
        if (r < 0)
            client_drop(c);
        else
            relay_start(c);
        return r;
    }
    if (c->proxy->draining)
        client_drain(c);
    else
        client_limit_silence(c);
    /* From here on the library closes the descriptor, also on failure, and calls client_free(). */
    int r = server_add_connection(c->proxy->server, c, address, len);
    if (r < 0)
        client_free(c);
    return r;
}

static bool is_one_too_many(Client *c)
{
    uint32_t max = route_image_settings(c->proxy->routes)->max_connections_per_address;
    return max > 0 && clients_count_address(&c->proxy->clients, c->address) >= max;
}

/* From here on the client is who the proxy says it is. False: it has too many connections. */
static bool become(Client *c, const ProxyEnds *ends)
{
    if (!ends->known)
        return true;
    c->ends = memdup_bytes(ends, sizeof *ends);
    if (!c->ends)
        return false;
    clients_remove(&c->proxy->clients, c);
    memcpy(c->address, &ends->source, sizeof c->address);
    bool v4 = IN6_IS_ADDR_V4MAPPED(&ends->source);
    (void) inet_ntop(v4 ? AF_INET : AF_INET6, c->address + (v4 ? 12 : 0), c->peer, sizeof c->peer);
    bool fits = !is_one_too_many(c);
    if (!fits)
        proxy_count(c->proxy, COUNT_REFUSED, 1);
    clients_add(&c->proxy->clients, c);
    c->tls = ends->tls;
    c->trusted = route_image_trusts(c->proxy->routes, c->address);
    return fits;
}

static void read_preamble(Client *c, bool ended)
{
    SocketAddress address = {.len = sizeof address.un};
    ProxyEnds ends;

    int r = preamble_take(c, &ends);
    if (r == -EAGAIN && !ended)
        return;
    if (r < 0)
        log_debug("%s has begun without a PROXY header: closed.", c->peer);
    if (r < 0 || !become(c, &ends) || getpeername(c->fd, &address.sa, &address.len) < 0) {
        client_drop(c);
        return;
    }
    c->preamble = false;
    deadline_clear(&c->deadline);
    client_watch_input(c, false);
    (void) client_begin(c, &address.sa, MAX(address.len, (socklen_t) sizeof(struct sockaddr)));
}

void client_on_watched(PollSource *s, uint32_t events)
{
    Client *c = container_of(s, Client, watch);

    if (c->asleep) {
        slumber_disturbed(c, events);
        return;
    }
    if (c->preamble) {
        read_preamble(c, events & END_EVENTS);
        return;
    }
    if (c->relay) {
        if (events & (EPOLLHUP | EPOLLERR))
            relay_broken(c->relay);
        return;
    }
    if (!(events & END_EVENTS)) {
        if (c->exchange)
            interim_go_on(c->exchange);
        return;
    }
    if (c->gone) /* what have_end_read() does is an edge here, too */
        return;
    c->gone = true;
    if (c->exchange && c->exchange->suspended)
        exchange_abort(c->exchange);
    else
        have_end_read(c);
}

/* `input`: EPOLLIN or 0. */
static int watch_for(Client *c, uint32_t input)
{
    int r = poller_add(&c->proxy->poller, &c->watch, c->fd, EPOLLRDHUP | EPOLLET | input, client_on_watched);
    return r < 0 ? log_debug_errno(r, "Cannot watch a connection: %m") : 0;
}

static void on_broken_body(Tap *t)
{
    Client *c = container_of(t, Client, tap);

    if (c->exchange)
        exchange_body_broken(c->exchange);
}

int client_open_tap(Client *c)
{
    int r = tap_open(&c->tap, c->fd);
    if (r < 0)
        return r;
    c->tap.on_broken = on_broken_body;
    /* It has to fit into the library's buffer, beside the head. */
    c->tap.max_framing = route_image_settings(c->proxy->routes)->max_head_size / 4;
    return 0;
}

int client_accept(struct Proxy *p, int fd, uint32_t listener, const struct sockaddr *address, socklen_t len)
{
    Client *c = slab_alloc(&p->clients.memory);
    if (!c) {
        fd_close(fd);
        return -ENOMEM;
    }
    bool is_ip = address->sa_family != AF_UNIX;
    *c = (Client){.proxy = p,
            .watch.fd = -EBADF,
            .tap.fd = -EBADF,
            .heir = -EBADF,
            .fd = fd,
            .listener = listener,
            .is_ip = is_ip};
    read_address(c, address);
    c->preamble = preamble_is_wanted(c); /* whose connections are counted by what that says */
    proxy_count(p, COUNT_ACCEPTED, 1);
    if (is_ip && !c->preamble && is_one_too_many(c)) {
        proxy_count(p, COUNT_REFUSED, 1);
        fd_close(fd);
        slab_free(&p->clients.memory, c);
        return -EUSERS;
    }
    c->trusted = is_ip && route_image_trusts(p->routes, c->address);
    int r = client_open_tap(c);
    if (r >= 0 && c->preamble)
        r = watch_for(c, EPOLLIN);
    if (r < 0) {
        tap_close(&c->tap);
        fd_close(fd);
        slab_free(&p->clients.memory, c);
        return r;
    }
    clients_add(&p->clients, c);
    if (!c->preamble)
        return client_begin(c, address, len);
    deadline_set(&c->deadline, p->draining ? &p->clients.graces : &p->clients.heads);
    return 0;
}

int client_watch(Client *c)
{
    return c->watch.fd >= 0 ? 0 : watch_for(c, 0);
}

void client_watch_input(Client *c, bool on)
{
    if (c->watch.fd >= 0)
        poller_rearm(&c->proxy->poller, &c->watch, EPOLLRDHUP | EPOLLET | (on ? EPOLLIN : 0U));
    else if (on && watch_for(c, EPOLLIN) < 0)
        client_shutdown(c);
}

void client_closing(Client *c)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    char byte;

    struct tcp_info info = {};
    socklen_t len = sizeof info;

    if (c->heir >= 0) /* it goes on */
        return;
    /* Not if anything was answered, be it by the library, and not if we or the client ended it. */
    if (!c->begun && !c->shut && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0 &&
            getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_bytes_sent == 0) {
        (void) send(c->fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        proxy_count(c->proxy, COUNT_STRAYS + stray_status_index(400), 1);
    }
}

void client_closed(Client *c)
{
    c->mhd = NULL;
    if (c->heir >= 0 && c->tap.held)
        lodging_move(c);
    else if (c->heir >= 0) {
        if (slumber_fall_asleep(c) < 0)
            client_drop(c);
    } else if (!c->tunnel)
        client_free(c);
}

void client_unwatch(Client *c)
{
    tap_close(&c->tap);
    poller_forget(&c->proxy->poller, &c->watch, true);
}

void client_drop(Client *c)
{
    client_unwatch(c);
    c->fd = fd_close(c->fd);
    client_free(c);
}

void client_detached(Client *c)
{
    if (!c->mhd)
        client_free(c);
}

void client_free(Client *c)
{
    Clients *cs = &c->proxy->clients;

    if (c->exchange) /* its answer was on its way to another hall */
        exchange_completed(c->exchange, false);
    deadline_clear(&c->deadline);
    tap_close(&c->tap);
    poller_forget(&c->proxy->poller, &c->watch, false);
    clients_remove(cs, c);
    free(c->ends);
    slab_free(&cs->memory, c);
    if (cs->on_less)
        cs->on_less(cs->userdata);
}

void client_shutdown(Client *c)
{
    deadline_clear(&c->deadline);
    slumber_cancel(c);
    c->shut = true;
    (void) shutdown(c->fd, SHUT_RDWR);
}

void client_give_up(Client *c)
{
    (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
}

void client_end(Client *c)
{
    if (c->asleep)
        client_drop(c);
    else
        client_shutdown(c);
}

void client_drain(Client *c)
{
    deadline_set(&c->deadline, &c->proxy->clients.graces);
}

void client_head_begins(Client *c)
{
    c->begun = true;
    c->tap.unheard = true;
    /* An end that has come along with a part would not be seen: the library takes a short read for a drained
     * socket. */
    if (!c->tap.whole)
        (void) client_watch(c);
    deadline_set(&c->deadline, &c->proxy->clients.heads);
}

void client_head_complete(Client *c)
{
    c->tap.unheard = false;
    deadline_clear(&c->deadline);
}

void client_exchange_over(Client *c)
{
    c->exchange = NULL;

    if (c->tunnel)
        return;
    if (c->gone)
        have_end_read(c);
    else if (c->proxy->draining) /* an answer that began before says nothing of the end to come */
        client_drain(c);
    else
        client_limit_silence(c);
}
