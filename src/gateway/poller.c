/* SPDX-License-Identifier: ISC */

/* Invariant: a source that was forgotten gets no event any more, also when its event is already in the batch
 * being worked on. */

#include "gateway/poller.h"

#include "util/fd.h"
#include "util/log.h"

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Poller *p = userdata;

    int n = epoll_wait(p->fd, p->batch, POLLER_BATCH, 0);
    if (n < 0) {
        if (errno != EINTR)
            log_error_errno(errno, "epoll_wait failed: %m");
        return 0;
    }
    p->n_batch = n;
    for (p->at = 0; p->at < n; p->at++) {
        PollSource *s = p->batch[p->at].data.ptr;
        if (s)
            s->ready(s, p->batch[p->at].events);
    }
    p->n_batch = 0;
    p->after_batch(p->userdata);
    return 0;
}

int poller_init(Poller *p, sd_event *event, void (*after_batch)(void *userdata), void *userdata)
{
    int r;

    p->after_batch = after_batch;
    p->userdata = userdata;
    p->n_batch = 0;
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0)
        return -errno;
    r = sd_event_add_io(event, &p->source, p->fd, EPOLLIN, on_ready, p);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(p->source, "poller");
    return 0;
}

void poller_done(Poller *p)
{
    p->source = sd_event_source_disable_unref(p->source);
    p->fd = fd_close(p->fd);
}

int poller_add(
        Poller *p, PollSource *s, int fd, uint32_t events, void (*ready)(PollSource *s, uint32_t events))
{
    s->fd = fd;
    s->ready = ready;
    if (epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = events, .data.ptr = s}) < 0) {
        s->fd = -EBADF;
        return -errno;
    }
    return 0;
}

void poller_rearm(Poller *p, PollSource *s, uint32_t events)
{
    /* epoll_ctl(2): modifying looks at the descriptor's readiness again. */
    if (epoll_ctl(p->fd, EPOLL_CTL_MOD, s->fd, &(struct epoll_event){.events = events, .data.ptr = s}) < 0)
        log_error_errno(errno, "Cannot watch a connection: %m");
}

void poller_forget(Poller *p, PollSource *s, bool remove)
{
    if (s->fd < 0)
        return;
    for (int i = p->at + 1; i < p->n_batch; i++)
        if (p->batch[i].data.ptr == s)
            p->batch[i].data.ptr = NULL;
    if (remove)
        (void) epoll_ctl(p->fd, EPOLL_CTL_DEL, s->fd, NULL);
    s->fd = -EBADF;
}
