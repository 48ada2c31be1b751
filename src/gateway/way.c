/* SPDX-License-Identifier: ISC */

/* What was received is handed on at once from memory that all ways share; only what the receiver does not
 * take is kept, and as long as something is, nothing more is read: who is slow slows the other side, and a
 * silent way has no buffer. Where much comes at once it is not even copied, but moved through a pipe
 * (splice(2)), which halves the cost of a byte; few bytes are cheaper copied.
 *
 * Invariant: the pipe is empty between two calls. */

#include "gateway/way.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/fd.h"

#define MOVE (4 * WAY_PIECE)  /* at once without copying, and so the most that can be stuck */
#define TURN (16 * WAY_PIECE) /* then others have theirs */

static void pipe_close(Mover *m)
{
    m->pipe[0] = fd_close(m->pipe[0]);
    m->pipe[1] = fd_close(m->pipe[1]);
}

static bool pipe_open(Mover *m)
{
    if (m->pipe[0] >= 0)
        return true;
    if (pipe2(m->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    (void) fcntl(m->pipe[1], F_SETPIPE_SZ, (int) MOVE);
    return true;
}

static void way_empty(Way *w)
{
    w->stuck = mfree(w->stuck);
    w->len = w->at = 0;
}

/* Sends what was just received, and keeps what is not taken. False: the receiver is gone. */
static bool way_send(Way *w, const char *data, size_t n)
{
    ssize_t sent = send(w->to, data, n, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN)
        return false;
    sent = MAX(sent, 0);
    w->bytes += (uint64_t) sent;
    if ((size_t) sent < n) {
        w->stuck = memdup_bytes(data + sent, n - (size_t) sent);
        w->len = (uint32_t) (n - (size_t) sent);
        if (!w->stuck)
            w->end = WAY_BROKEN; /* as a gap in the stream would be worse */
    }
    return true;
}

/* Sends what is stuck. False: the receiver is gone. */
static bool way_flush(Way *w)
{
    ssize_t sent = send(w->to, w->stuck + w->at, w->len - w->at, MSG_NOSIGNAL);

    if (sent < 0)
        return errno == EAGAIN;
    w->bytes += (uint64_t) sent;
    w->at += (uint32_t) sent;
    if (w->at == w->len)
        way_empty(w);
    return true;
}

/* All was delivered: the receiver is told that no more comes. */
static void way_tell(Way *w)
{
    if (!w->told) {
        w->told = true;
        (void) shutdown(w->to, SHUT_WR);
    }
}

/* Takes out of the pipe what the receiver did not take. */
static void way_keep_moved(Way *w, Mover *m, size_t n)
{
    w->stuck = malloc(n);
    for (w->len = 0; w->stuck && w->len < n;) {
        ssize_t r = read(m->pipe[0], w->stuck + w->len, n - w->len);
        if (r <= 0)
            break;
        w->len += (uint32_t) r;
    }
    if (w->len == n)
        return;
    way_empty(w);
    w->end = WAY_BROKEN; /* as a gap in the stream would be worse */
    pipe_close(m);       /* nobody else must find it there */
}

/* Moves bytes without looking at them. Returns how many came in, 0 at the end, or -errno: -EAGAIN for none,
 * -EPIPE when the receiver is gone, -EOPNOTSUPP where it cannot be done like this. */
static ssize_t way_move(Way *w, Mover *m)
{
    if (!pipe_open(m))
        return -EOPNOTSUPP;
    ssize_t n = splice(w->from, NULL, m->pipe[1], NULL, MOVE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n <= 0)
        return n < 0 ? (errno == EINVAL ? -EOPNOTSUPP : -errno) : 0;
    ssize_t sent = splice(m->pipe[0], NULL, w->to, NULL, (size_t) n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    bool gone = sent < 0 && errno != EAGAIN && errno != EINVAL;
    sent = MAX(sent, 0);
    w->bytes += (uint64_t) sent;
    if (gone)
        pipe_close(m); /* with what nobody wants */
    else if (sent < n)
        way_keep_moved(w, m, (size_t) (n - sent));
    return gone ? -EPIPE : n;
}

/* Receives and sends. Returns as way_move() does. */
static ssize_t way_copy(Way *w, Mover *m)
{
    ssize_t n = recv(w->from, m->piece, WAY_PIECE, 0);

    if (n <= 0)
        return n < 0 ? -errno : 0;
    return w->told || way_send(w, m->piece, (size_t) n) ? n : -EPIPE;
}

/* One piece. Returns as way_move() does. */
static ssize_t way_pass(Way *w, Mover *m)
{
    ssize_t n = -EOPNOTSUPP;

    if (w->bulk && !w->told)
        n = way_move(w, m);
    if (n == -EOPNOTSUPP)
        n = way_copy(w, m);
    w->bulk = n >= (ssize_t) WAY_PIECE;
    return n;
}

/* A short read means that this was all, unless the bytes were moved (the pipe has so many places, and a byte
 * may take one) or an end was announced, now or while bytes were stuck and nothing could be read. */
WayResult way_run(Way *w, Mover *m, bool to_the_end, bool ending)
{
    w->last = w->last || to_the_end;
    for (size_t turn = 0; turn < TURN;) {
        if (w->stuck && !way_flush(w))
            return WAY_GONE;
        if (w->stuck || w->end == WAY_BROKEN)
            return WAY_DRY;
        if (w->end == WAY_ENDED || ending)
            way_tell(w);
        if (w->end == WAY_ENDED)
            return WAY_DRY;
        bool moved = w->bulk;
        ssize_t n = way_pass(w, m);
        if (n == -EAGAIN)
            return WAY_DRY;
        if (n == -EPIPE)
            return WAY_GONE;
        if (n <= 0) {
            w->end = n == 0 ? WAY_ENDED : WAY_BROKEN;
            continue;
        }
        if (w->stuck || ((size_t) n < WAY_PIECE && !moved && !w->last))
            return WAY_DRY;
        turn += (size_t) n;
    }
    return WAY_MORE;
}

void way_close(Way *w)
{
    way_empty(w);
    w->told = true;
}

void way_init(Way *w, int from, int to, char *ahead, size_t at, size_t len)
{
    *w = (Way){.from = from, .to = to, .stuck = ahead, .at = (uint32_t) at, .len = (uint32_t) len};
}

void way_done(Way *w)
{
    way_empty(w);
}

void mover_init(Mover *m, char *piece)
{
    *m = (Mover){.piece = piece, .pipe = {-EBADF, -EBADF}};
}

void mover_done(Mover *m)
{
    pipe_close(m);
}
