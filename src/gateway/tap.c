/* SPDX-License-Identifier: ISC */

/* libmicrohttpd has no hook for what it receives. But it receives with recv(2), which the dynamic linker
 * looks for in this program first: the definition below is the one that it finds. That it is, and that the
 * library's buffer is what tap_head() takes it for, is proved at each start by head_audit_self_test(). Heads
 * with a body behind them it sends with sendmsg(2), which is found in the same way.
 *
 * Owns the table from descriptors to taps: the one thing in this program that has to be found without a
 * pointer to it. A worker has one thread, so nobody else looks at it. */

#ifdef _FORTIFY_SOURCE
#undef _FORTIFY_SOURCE /* which would have recv() be a function of the header's */
#endif

#include "gateway/tap.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    Tap **by_fd;
    size_t n;
} taps;

int tap_open(Tap *t, int fd)
{
    size_t i = (size_t) fd;

    assert(fd >= 0);
    if (i >= taps.n) {
        size_t n = MAX(2 * taps.n, MAX(i + 1, (size_t) 64));
        Tap **grown = reallocarray(taps.by_fd, n, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        memset(grown + taps.n, 0, (n - taps.n) * sizeof *grown);
        taps.by_fd = grown;
        taps.n = n;
    }
    *t = (Tap){.fd = fd};
    taps.by_fd[i] = t;
    return 0;
}

void tap_close(Tap *t)
{
    if (t->fd >= 0 && (size_t) t->fd < taps.n && taps.by_fd[t->fd] == t)
        taps.by_fd[t->fd] = NULL;
    t->fd = -EBADF;
    t->held = mfree(t->held);
}

void tap_attend(Tap *t, bool (*first)(Tap *t, const char *bytes, size_t n))
{
    t->first = first;
}

int tap_hold_back(Tap *t, const char *bytes, size_t n)
{
    assert(!t->held);
    t->held = memdup_bytes(bytes, n);
    if (!t->held)
        return -ENOMEM;
    t->n_held = n;
    t->held_at = 0;
    t->ended = true;
    return 0;
}

char *tap_take_held(Tap *t, size_t *ret_n)
{
    *ret_n = t->n_held;
    return TAKE_PTR(t->held);
}

void tap_give_back(Tap *t, char *bytes, size_t n)
{
    assert(!t->held);
    t->held = bytes;
    t->n_held = n;
    t->held_at = 0;
}

static void scan(Tap *t, const char *bytes, size_t n)
{
    size_t consumed;

    if (t->verdict != 0)
        return;
    t->verdict = chunked_scan(&t->chunks, bytes, n, &consumed);
    t->scanned += consumed;
    if (t->verdict == 0 && t->max_framing > 0 && t->chunks.overhead > t->max_framing)
        t->verdict = -EMSGSIZE;
}

void tap_end(Tap *t)
{
    t->ended = true;
}

size_t tap_head(Tap *t, const char *end)
{
    t->body = t->message + (uint64_t) (end - t->buffer);
    return t->received > t->body ? (size_t) (t->received - t->body) : 0;
}

void tap_scan(Tap *t, const char *end, size_t n_received)
{
    t->chunks = CHUNKED_DECODER_INIT;
    t->scanning = true;
    t->verdict = 0;
    t->scanned = 0;
    scan(t, end, n_received);
}

void tap_next(Tap *t, uint64_t body)
{
    t->message = t->body + body;
    t->scanning = false;
}

static void note(Tap *t, const char *bytes, size_t n)
{
    if (t->received == 0)
        t->buffer = bytes;
    t->received += n;
    t->whole = n >= 4 && memcmp(bytes + n - 4, "\r\n\r\n", 4) == 0;
    if (t->scanning)
        scan(t, bytes, n);
}

static size_t receive_held(Tap *t, char *buf, size_t len)
{
    size_t n = MIN(len, t->n_held - t->held_at);

    memcpy(buf, t->held + t->held_at, n);
    t->held_at += n;
    if (t->held_at == t->n_held)
        t->held = mfree(t->held);
    note(t, buf, n);
    return n;
}

/* In place of the C library's, for all that this program links. */
__attribute__((visibility("default"), used)) ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    Tap *t = fd >= 0 && (size_t) fd < taps.n ? taps.by_fd[fd] : NULL;

    if (!t || (flags & MSG_PEEK))
        return recvfrom(fd, buf, len, flags, NULL, NULL);
    if (t->ended)
        return 0;
    if (t->held)
        return (ssize_t) receive_held(t, buf, len);
    ssize_t n = recvfrom(fd, buf, len, flags, NULL, NULL);
    if (n <= 0)
        return n;
    if (t->first && !tap_has_begun(t) && t->first(t, buf, (size_t) n))
        return 0;
    note(t, buf, (size_t) n);
    if (!t->scanning || t->verdict >= 0 || !t->on_broken)
        return n;
    t->on_broken(t);
    errno = ECONNRESET;
    return -1;
}

/* Sends a head that was written twice once, and says that both have been sent. */
static ssize_t send_half(int fd, const struct msghdr *m, int flags)
{
    struct iovec parts[2] = {m->msg_iov[0], m->msg_iov[1]};
    struct msghdr once = *m;
    size_t half = parts[0].iov_len / 2;

    parts[0].iov_len = half;
    once.msg_iov = parts;
    ssize_t n = syscall(SYS_sendmsg, fd, &once, flags);
    /* If that was not all, the library goes on in the second head, where the first was left. */
    return n < 0 ? n : n + (ssize_t) half;
}

static bool is_twice_the_same(const struct iovec *v)
{
    const char *bytes = v->iov_base;
    size_t half = v->iov_len / 2;

    return v->iov_len > 0 && v->iov_len % 2 == 0 && memcmp(bytes, bytes + half, half) == 0;
}

/* Likewise. */
__attribute__((visibility("default"), used)) ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    if ((size_t) fd < taps.n && taps.by_fd[fd] && taps.by_fd[fd]->unheard && m->msg_iovlen == 2 &&
            is_twice_the_same(m->msg_iov))
        return send_half(fd, m, flags);
    return syscall(SYS_sendmsg, fd, m, flags);
}
