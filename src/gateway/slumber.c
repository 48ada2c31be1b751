/* SPDX-License-Identifier: ISC */

/* How a connection leaves the library, which knows of no such thing: it is told that the connection has ended
 * (its next recv(2), which the tap answers, says so) and closes its descriptor, but of the socket there is a
 * duplicate. MHD_USE_TURBO has it do so without a shutdown(2). As it has received nothing since the last
 * request, nothing is lost; what arrives meanwhile stays in the socket.
 *
 * Invariant: `asleep` is set exactly while the descriptor is ours, watched for input, and `mhd` is NULL;
 * `heir` is the duplicate from slumber_begin() until that. */

#include "gateway/slumber.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "gateway/proxy.h"
#include "util/event.h"
#include "util/fd.h"
#include "util/log.h"

#define TRIM_AFTER 64 /* connections: 2 MiB, as the library's pools usually are */

void slumber_begin(Client *c)
{
    int heir = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    if (heir < 0) {
        log_debug_errno(errno, "A connection cannot be put to sleep: %m");
        return;
    }
    c->heir = heir;
    tap_end(&c->tap);
    hall_let_go(c->hall, c->mhd);
}

void slumber_cancel(Client *c)
{
    c->heir = fd_close(c->heir);
}

static int on_trim(sd_event_source *source, uint64_t usec, void *userdata)
{
    Clients *cs = userdata;

    cs->n_fallen_asleep = 0;
    (void) malloc_trim(0);
    return 0;
}

/* What the library has freed goes back to the system, once for many: free(3) itself returns only what is at
 * the heap's end. */
static void trim_later(Clients *cs, sd_event *event)
{
    if (++cs->n_fallen_asleep != TRIM_AFTER)
        return;
    int r = event_arm_timer(event, &cs->trim, USEC_PER_SEC, on_trim, cs, "trim");
    if (r < 0)
        log_debug_errno(r, "Cannot set a timer: %m");
}

int slumber_fall_asleep(Client *c)
{
    Proxy *p = c->proxy;

    client_unwatch(c); /* the library closes the descriptor next */
    c->fd = TAKE_FD(c->heir);
    c->hall = NULL;
    c->asleep = true;
    int r = poller_add(&p->poller, &c->watch, c->fd, EPOLLIN | EPOLLRDHUP | EPOLLET, client_on_watched);
    if (r >= 0)
        trim_later(&p->clients, p->event);
    return r;
}

/* The library wants to know whose connection it is; only its family means something to it. */
static void make_address(const Client *c, SocketAddress *ret)
{
    struct in6_addr a;

    *ret = (SocketAddress){.len = sizeof ret->un, .sa.sa_family = AF_UNIX};
    if (!c->is_ip)
        return;
    memcpy(&a, c->address, sizeof a);
    if (IN6_IS_ADDR_V4MAPPED(&a)) {
        *ret = (SocketAddress){.len = sizeof ret->in, .in.sin_family = AF_INET};
        memcpy(&ret->in.sin_addr, c->address + 12, 4);
    } else {
        *ret = (SocketAddress){.len = sizeof ret->in6, .in6 = {.sin6_family = AF_INET6, .sin6_addr = a}};
    }
}

void slumber_rejoin(Client *c, char *held, size_t n)
{
    SocketAddress a;

    make_address(c, &a);
    int r = client_open_tap(c);
    if (r < 0) {
        free(held);
        client_drop(c);
        return;
    }
    tap_give_back(&c->tap, held, n);
    /* From here on the library closes the descriptor, also on failure. */
    if (server_add_connection(c->proxy->server, c, &a.sa, a.len) < 0)
        client_free(c);
}

static void wake(Client *c)
{
    c->asleep = false;
    client_watch_input(c, false); /* tells anew of an end that has come already */
    deadline_set(&c->deadline, &c->proxy->clients.heads);
    slumber_rejoin(c, NULL, 0);
}

void slumber_disturbed(Client *c, uint32_t events)
{
    char byte;

    /* An end may have come behind a request, or instead of one. */
    ssize_t n =
            events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 1;
    if (n > 0)
        wake(c);
    else if (n == 0 || errno != EAGAIN)
        client_drop(c);
}
