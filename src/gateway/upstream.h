/* SPDX-License-Identifier: ISC */
#pragma once

/* Connections to services: opened, kept for reuse, closed. A connection is either somebody's (it has an
 * owner, who gets its events) or idle in its pool, where any event means its end. Knows nothing of HTTP. */

#include "gateway/deadline.h"
#include "gateway/poller.h"
#include "ipc/routes.h"

typedef struct Upstream Upstream;
typedef struct UpstreamPool UpstreamPool;
typedef struct Upstreams Upstreams;

/* How the owner hears of its connection. `events` as epoll_wait(2) gives them; a connection that could not be
 * established arrives as upstream_failed with the errno of the last address tried. Either may release the
 * connection. */
typedef struct UpstreamOwner {
    void (*ready)(void *owner, Upstream *u, uint32_t events);
    void (*failed)(void *owner, Upstream *u, int error);
} UpstreamOwner;

/* The pools of all targets of one route image. */
Upstreams *upstreams_new(Poller *poller, Deadlines *deadlines, usec_t connect_timeout);
/* Goes on to a new image, which the caller keeps alive until the next call: idle connections of the old one
 * are closed, those in use end with their owners. 0 or -ENOMEM. */
int upstreams_set_routes(Upstreams *us, const RouteImage *routes);
Upstreams *upstreams_free(Upstreams *us);
DEFINE_CLEANUP(Upstreams *, upstreams_free)

/* A connection to the image's target: an idle one, or with `fresh` or where there is none a new one, which
 * may still be connecting. Returns 0, -ECONNREFUSED, -ENOENT (no such unix
 * socket), -EAGAIN (a unix socket's backlog is full) or another -errno. */
int upstream_acquire(
        Upstreams *us, uint32_t target, bool fresh, const UpstreamOwner *ops, void *owner, Upstream **ret);

/* Gives the connection back: `reusable` keeps it for the next, else it is closed. Returns NULL. */
Upstream *upstream_release(Upstream *u, bool reusable);

/* Its events go to another owner from now on. */
void upstream_give(Upstream *u, const UpstreamOwner *ops, void *owner);
/* Has its owner hear again of what it is ready for now. */
void upstream_rearm(Upstream *u);

int upstream_fd(const Upstream *u);
/* Until it is, nothing may be sent: an error of the connection would come out there, and be lost to those who
 * try the next address. */
bool upstream_is_connected(const Upstream *u);
/* Has it carried a request before? Then its peer may have given it up just now. */
bool upstream_is_reused(const Upstream *u);
/* Does a reused one still look alive? Costs a system call; for requests that must not be sent twice. */
bool upstream_is_alive(const Upstream *u);
