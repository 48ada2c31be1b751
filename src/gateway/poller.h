/* SPDX-License-Identifier: ISC */
#pragma once

/* All upstream sockets, listeners and watched clients in one epoll, which the sd-event loop sees as a single
 * source. sd-event spends an epoll_wait and a gettid on each source that it dispatches; here one call fetches
 * a whole batch, which is worth two system calls a request. */

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "util/macro.h"

typedef struct PollSource PollSource;
struct PollSource {
    int fd; /* borrowed; -EBADF = not added */
    void (*ready)(PollSource *s, uint32_t events);
};

#define POLLER_BATCH 128

typedef struct Poller {
    int fd;
    sd_event_source *source;
    void (*after_batch)(void *userdata);
    void *userdata;
    struct epoll_event batch[POLLER_BATCH];
    int n_batch, at;
} Poller;

/* `after_batch` is called once after each batch of events. Returns 0 or -errno. */
int poller_init(Poller *p, sd_event *event, void (*after_batch)(void *userdata), void *userdata);
void poller_done(Poller *p);

/* Watches fd for `events` (epoll_ctl(2); usually with EPOLLET). Returns 0 or -errno. */
int poller_add(
        Poller *p, PollSource *s, int fd, uint32_t events, void (*ready)(PollSource *s, uint32_t events));
/* Has an edge-triggered source report anew what it is ready for: for who could not take all of it. */
void poller_rearm(Poller *p, PollSource *s, uint32_t events);
/* To be called before the source's memory goes or its fd is closed; `remove` false when close(2) follows and
 * removes it anyway. */
void poller_forget(Poller *p, PollSource *s, bool remove);
