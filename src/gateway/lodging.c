/* SPDX-License-Identifier: ISC */

/* A connection leaves one hall as it leaves for its sleep (slumber.c): the library finds it ended, and closes
 * its descriptor of two. What was received for it is given back to the tap, from which it is received again.
 *
 * In a small hall the library sees nothing but heads of GET and HEAD that have come in one piece, alone, and
 * small: is_small(). Their answers fit as well, or move on with lodging_take_answer(), where a request that
 * stands for the one that was answered takes the answer to the client.
 *
 * Invariant: a client moves while its tap holds something back and `heir` is a descriptor. */

#include "gateway/lodging.h"

#include <fcntl.h>
#include <stdio.h>
#include <strings.h>

#include "gateway/exchange.h"
#include "gateway/proxy.h"
#include "gateway/slumber.h"
#include "util/fd.h"
#include "util/log.h"

/* So many small requests in turn, and a connection moves; twice as many each time that it had to come back.
 */
#define SMALL_AFTER 3
#define SMALL_AFTER_MAX 192

#define SMALL_HEAD_MAX ((size_t) 2048)
#define RECORD                                                                                               \
    ((size_t) 96) /* of the library's for a field, a cookie, or an argument in the target, at most */

/* Is the line, of which n bytes follow, a field that announces a body? */
static bool announces_body(const char *line, size_t n)
{
    static const char *const names[] = {"content-length", "transfer-encoding"};

    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        if (n >= strlen(names[i]) && strncasecmp(line, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* One head, nothing behind it, of a request without a body, which leaves room for an answer. What comes
 * behind a body is received with the body's end, and nobody is asked about it. */
static bool is_small(const char *bytes, size_t n)
{
    size_t records = 0, ends = 0;

    if (n < STRLEN("GET / HTTP/1.1\r\n\r\n") || n > SMALL_HEAD_MAX ||
            (memcmp(bytes, "GET ", 4) != 0 && memcmp(bytes, "HEAD ", 5) != 0) ||
            memcmp(bytes + n - 4, "\r\n\r\n", 4) != 0)
        return false;
    for (size_t i = 0; i < n - 1; i++) {
        bool line = bytes[i] == '\n';
        if (line && announces_body(bytes + i + 1, n - i - 1))
            return false;
        records += line | (bytes[i] == ';') | (bytes[i] == '&');
        ends += line & ((bytes[i + 1] == '\r') | (bytes[i + 1] == '\n'));
    }
    /* Half is the library's buffer to begin with; cookies are copied. */
    return ends == 1 && n + records * RECORD <= SMALL_POOL / 2 &&
           2 * n + records * RECORD + SMALL_ANSWER <= SMALL_POOL;
}

static bool prepare(Client *c, const char *bytes, size_t n)
{
    int heir = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    int r = heir < 0 ? -errno : tap_hold_back(&c->tap, bytes, n);
    if (r < 0) {
        log_debug_errno(r, "A connection cannot be moved: %m");
        fd_close(heir);
        return false;
    }
    c->heir = heir;
    return true;
}

/* The first bytes of a request, which the library is not to see if this returns true. */
static bool on_first_bytes(Tap *t, const char *bytes, size_t n)
{
    Client *c = container_of(t, Client, tap);
    bool small = c->n_small >= c->small_after && is_small(bytes, n);

    /* What was received before our end was closed can still be read, also while the halls come to theirs. */
    if (c->exchange || c->shut || small == c->small)
        return false;
    if (!prepare(c, bytes, n)) {
        if (c->small)
            client_shutdown(c);
        return false;
    }
    if (!small) {
        c->n_small = 0;
        c->small_after = (uint8_t) MIN(2 * c->small_after, SMALL_AFTER_MAX);
    }
    return true;
}

void lodging_attend(Client *c)
{
    if (c->small_after == 0)
        c->small_after = SMALL_AFTER;
    if (server_has_small_halls(c->proxy->server))
        tap_attend(&c->tap, on_first_bytes);
}

void lodging_note(Client *c, bool small)
{
    if (!small)
        c->n_small = 0;
    else if (c->n_small < SMALL_AFTER_MAX)
        c->n_small++;
}

bool lodging_take_answer(Exchange *e)
{
    Client *c = e->client;
    char request[64];

    e->authority = strndup(e->facts.authority ?: "", e->facts.authority_len);
    int n = snprintf(request, sizeof request, "%s / HTTP/1.%c\r\nHost: x\r\n\r\n",
            e->facts.is_head ? "HEAD" : "GET", e->facts.http_1_0 ? '0' : '1');
    if (!e->authority || !prepare(c, request, (size_t) n))
        return false;
    /* All that is in the memory which the library is about to free. */
    e->facts.host = e->facts.authority = e->authority;
    e->facts.host_len = 0;
    e->facts.expect_continue = false;
    e->method = e->facts.is_head ? "HEAD" : "GET";
    e->version = e->facts.http_1_0 ? "HTTP/1.0" : "HTTP/1.1";
    e->raw_target = NULL;
    e->head_done = e->request_done = false;
    e->moving = true;
    c->n_small = 0;
    return true;
}

void lodging_move(Client *c)
{
    size_t n;
    char *held = tap_take_held(&c->tap, &n);

    client_unwatch(c); /* the library closes the descriptor next */
    c->fd = TAKE_FD(c->heir);
    c->small = !c->small;
    slumber_rejoin(c, held, n);
}
