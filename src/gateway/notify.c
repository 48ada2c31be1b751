/* SPDX-License-Identifier: ISC */

/* A datagram socket in the abstract name space, as systemd has one for us. Who sent a datagram is known from
 * its credentials, which the kernel vouches for; what comes from anybody but a worker is dropped. */

#include "gateway/notify.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "util/event.h"
#include "util/fd.h"
#include "util/log.h"

#define N_COUNTS 4
#define WORKERS_MAX 64

typedef struct Report {
    Notify *notify;
    Child *worker;
    bool ready, idle;
    size_t counts[N_COUNTS];
    sd_event_source *watchdog;
} Report;

struct Notify {
    sd_event *event;
    sd_event_source *source;
    int fd;
    char address[sizeof((struct sockaddr_un *) 0)->sun_path + 1];
    unsigned n_workers;
    bool said_ready;
    uint64_t watchdog_usec;
    const NotifyEvents *events;
    void *userdata;
    Report reports[WORKERS_MAX];
    size_t n_reports;
};

static void say_status(Notify *n)
{
    size_t sum[N_COUNTS] = {}, ready = 0;

    for (size_t i = 0; i < n->n_reports; i++) {
        const Report *r = &n->reports[i];
        ready += r->ready;
        sum[0] = MAX(sum[0], r->counts[0]); /* all have the same services */
        for (size_t k = 1; k < N_COUNTS; k++)
            sum[k] += r->counts[k];
    }
    (void) sd_notifyf(false,
            "STATUS=%zu services, %zu connections, %zu requests open, %zu of them waiting for a start, %zu "
            "of %u workers",
            sum[0], sum[1], sum[2], sum[3], ready, n->n_workers);
    if (!n->said_ready && ready >= n->n_workers) {
        n->said_ready = true;
        (void) sd_notify(false, "READY=1");
    }
}

static int on_worker_hangs(sd_event_source *source, uint64_t usec, void *userdata)
{
    Report *r = userdata;

    log_error("Worker %d gives no sign of life: killing it.", (int) child_pid(r->worker));
    child_kill(r->worker, SIGABRT);
    return 0;
}

static void arm_watchdog(Report *r)
{
    if (r->notify->watchdog_usec > 0)
        (void) event_arm_timer(r->notify->event, &r->watchdog, r->notify->watchdog_usec, on_worker_hangs, r,
                "worker-watchdog");
}

static void take_line(Report *r, const char *line)
{
    const char *counts = startswith(line, NOTIFY_COUNTS "="), *stays = startswith(line, NOTIFY_STAYS "=");

    if (streq(line, "READY=1"))
        r->ready = true;
    else if (streq(line, "WATCHDOG=1"))
        arm_watchdog(r);
    else if (startswith(line, NOTIFY_IDLE "="))
        r->idle = streq(line, NOTIFY_IDLE "=1");
    else if (stays)
        r->notify->events->stays(strtoul(stays, NULL, 10), r->notify->userdata);
    else if (counts)
        (void) sscanf(counts, "%zu %zu %zu %zu", &r->counts[0], &r->counts[1], &r->counts[2], &r->counts[3]);
}

static bool all_are_idle(const Notify *n)
{
    for (size_t i = 0; i < n->n_reports; i++)
        if (!n->reports[i].ready || !n->reports[i].idle)
            return false;
    return n->n_reports >= n->n_workers;
}

static int on_datagram(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Notify *n = userdata;
    char buf[1024];
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec iov = {buf, sizeof buf - 1};
    struct msghdr m = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    ssize_t len = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len <= 0 || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return 0;
    buf[len] = 0;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct ucred who = {};
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
        memcpy(&who, CMSG_DATA(c), sizeof who);
    for (size_t i = 0; i < n->n_reports; i++) {
        Report *r = &n->reports[i];
        if (who.pid == 0 || child_pid(r->worker) != who.pid)
            continue;
        char *save = NULL;
        for (char *line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            take_line(r, line);
        say_status(n);
        break;
    }
    if (all_are_idle(n))
        n->events->all_idle(n->userdata);
    return 0;
}

int notify_new(sd_event *event, unsigned n_workers, const NotifyEvents *events, void *userdata, Notify **ret)
{
    _cleanup_(notify_freep) Notify *n = new0(Notify, 1);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t len = sizeof a;
    const int on = 1;

    if (!n)
        return -ENOMEM;
    n->event = sd_event_ref(event);
    n->n_workers = n_workers;
    n->events = events;
    n->userdata = userdata;
    (void) sd_watchdog_enabled(false, &n->watchdog_usec);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* An address of the family alone: the kernel chooses an abstract name, unix(7). */
    if (n->fd < 0 || setsockopt(n->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
            bind(n->fd, (struct sockaddr *) &a, sizeof a.sun_family) < 0 ||
            getsockname(n->fd, (struct sockaddr *) &a, &len) < 0)
        return -errno;
    snprintf(n->address, sizeof n->address, "@%.*s", (int) (len - offsetof(struct sockaddr_un, sun_path) - 1),
            a.sun_path + 1);
    int r = sd_event_add_io(event, &n->source, n->fd, EPOLLIN, on_datagram, n);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(n);
    return 0;
}

Notify *notify_free(Notify *n)
{
    if (!n)
        return NULL;
    for (size_t i = 0; i < n->n_reports; i++)
        sd_event_source_disable_unref(n->reports[i].watchdog);
    sd_event_source_disable_unref(n->source);
    fd_close(n->fd);
    sd_event_unref(n->event);
    return mfree(n);
}

const char *notify_address(const Notify *n)
{
    return n->address;
}

void notify_worker_add(Notify *n, Child *worker)
{
    assert(n->n_reports < WORKERS_MAX);
    Report *r = &n->reports[n->n_reports++];
    *r = (Report){.notify = n, .worker = worker};
    arm_watchdog(r);
}

void notify_worker_gone(Notify *n, const Child *worker)
{
    for (size_t i = 0; i < n->n_reports; i++) {
        Report *r = &n->reports[i];
        if (r->worker != worker)
            continue;
        r->ready = r->idle = false;
        memset(r->counts, 0, sizeof r->counts);
        event_disarm(r->watchdog); /* until the next one's first sign */
        say_status(n);
    }
}
