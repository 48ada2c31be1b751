/* SPDX-License-Identifier: ISC */

/* Who may come in: root, whoever runs the manager, and the gateways' user; the kernel says who it is
 * (SO_PEERCRED), so that nothing that the other side sends is read before. At most so many at a time, and the
 * gateways' user cannot take all the room: one more is let go at once and will try again. When descriptors
 * run out the door closes for a moment instead of spinning on it. */

#include "manager/peers.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/manager.h"
#include "manager/peer.h"
#include "util/event.h"
#include "util/fd.h"
#include "util/log.h"

#define ACCEPTS_A_TURN 16
#define PAUSE (100 * USEC_PER_MSEC)

static void on_gone(Peer *peer, void *userdata)
{
    Peers *p = userdata;

    for (size_t i = 0; i < p->n; i++)
        if (p->peers[i] == peer) {
            p->peers[i] = p->peers[--p->n];
            break;
        }
    peer_free(peer);
    manager_gateways_changed(p->manager);
}

/* How many may be there before this one is too many; 0: none of its kind may. */
static size_t room_for(const Peers *p, uid_t uid)
{
    if (uid == 0 || uid == geteuid())
        return PEERS_MAX;
    return p->manager->gateway_uid != (uid_t) -1 && uid == p->manager->gateway_uid ? GATEWAYS_MAX : 0;
}

static void let_in(Peers *p, int fd)
{
    _cleanup_close_ int owned = fd;
    struct ucred cred;
    socklen_t len = sizeof cred;
    Peer *peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
        log_warning_errno(errno, "Cannot find out who connects, sending it away: %m");
        return;
    }
    size_t room = room_for(p, cred.uid);
    if (room == 0) {
        log_warning("Process %d of user %u may not attach, sending it away.", (int) cred.pid, cred.uid);
        return;
    }
    if (p->n >= room) {
        log_warning("%zu connections are open already, sending process %d away.", p->n, (int) cred.pid);
        return;
    }
    int r = peer_new(p->manager, TAKE_FD(owned), &cred, on_gone, p, &peer);
    if (r < 0) {
        log_warning_errno(r, "Cannot talk to process %d: %m", (int) cred.pid);
        return;
    }
    p->peers[p->n++] = peer;
    manager_gateways_changed(p->manager);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
    Peers *p = userdata;
    (void) sd_event_source_set_enabled(p->accept, SD_EVENT_ON);
    return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Peers *p = userdata;

    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection >= 0) {
            let_in(p, connection);
            continue;
        }
        if (errno == EAGAIN)
            break;
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        log_warning_errno(errno, "Cannot accept a gateway's connection, waiting a moment: %m");
        if (event_arm_timer(p->manager->event, &p->pause, PAUSE, on_pause_over, p, "accept-pause") >= 0)
            event_disarm(p->accept);
        break;
    }
    return 0;
}

int peers_init(Peers *p, Manager *m, int listen_fd)
{
    *p = (Peers){.manager = m, .listen_fd = listen_fd};
    int r = sd_event_add_io(m->event, &p->accept, listen_fd, EPOLLIN, on_connection, p);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(p->accept, "gateways");
    /* Made now: when it is needed there is no descriptor left for a first timer. */
    r = event_arm_timer(m->event, &p->pause, PAUSE, on_pause_over, p, "accept-pause");
    if (r >= 0)
        event_disarm(p->pause);
    return r;
}

void peers_close_door(Peers *p)
{
    p->accept = sd_event_source_disable_unref(p->accept);
    p->pause = sd_event_source_disable_unref(p->pause);
    for (size_t i = 0; i < p->n; i++)
        peer_refuse_waiting(p->peers[i]);
}

void peers_tell_if_offline(Peers *p)
{
    bool wanted = false;

    for (size_t i = 0; i < p->n; i++)
        wanted |= peer_awaits_offline(p->peers[i]);
    if (!wanted || !manager_is_at_rest(p->manager))
        return;
    for (size_t i = 0; i < p->n; i++)
        peer_tell_offline(p->peers[i]);
}

void peers_tell_changed(Peers *p)
{
    for (size_t i = 0; i < p->n; i++)
        peer_tell_changed(p->peers[i]);
}

uint64_t peers_oldest_generation(const Peers *p)
{
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; i < p->n; i++)
        oldest = MIN(oldest, peer_generation(p->peers[i]));
    return oldest;
}

size_t peers_gateways(const Peers *p, pid_t ret[static GATEWAYS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < p->n && n < GATEWAYS_MAX; i++) {
        pid_t pid = peer_pid(p->peers[i]);
        size_t k = 0;
        if (peer_generation(p->peers[i]) == UINT64_MAX)
            continue;
        while (k < n && ret[k] != pid)
            k++;
        if (k == n)
            ret[n++] = pid;
    }
    return n;
}

void peers_log_laggards(const Peers *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (peer_generation(p->peers[i]) < p->manager->generation)
            log_warning("The gateway of process %d does not use the new configuration yet.",
                    (int) peer_pid(p->peers[i]));
}

void peers_done(Peers *p)
{
    peers_close_door(p);
    while (p->n > 0)
        peer_free(p->peers[--p->n]);
}
