/* SPDX-License-Identifier: ISC */

/* What comes before an answer, RFC 9110 15.2 and 10.1.1. Whether a body is wanted is for the service to say:
 * a client that expects 100 (Continue) waits until the service has said so, or has given its answer, which
 * then goes out without the body having been asked for. The wait also ends when the client sends without it,
 * and after CONTINUE_SPAN, as there are services that know nothing of it and clients that would wait for
 * ever.
 *
 * libmicrohttpd sends 100 by itself when its handler's first call is over, and knows no other interim answer.
 * Those are written to the client's socket here, while nothing of an answer is. They are hints: one that
 * does not fit into the socket's buffer at once is dropped. */

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "gateway/exchange.h"
#include "gateway/proxy.h"
#include "util/log.h"
#include "wire/interim.h"

#define CONTINUE_SPAN (5 * USEC_PER_SEC)
#define QUEUE_MAX ((size_t) 4096) /* for what the smallest send buffer has room, tcp(7) */
#define INTERIM_MAX 256           /* of one exchange; a service that goes on and on is broken */

bool interim_is_awaited(const Exchange *e)
{
    return e->facts.expect_continue && !e->go_on && e->state == EXCHANGE_UPLOADING;
}

void interim_forgo(Exchange *e)
{
    const char *value = NULL;

    (void) MHD_lookup_connection_value_n(e->mhd, MHD_HEADER_KIND, "Expect", STRLEN("Expect"), &value, NULL);
    if (value) /* it points into what was received, which is no longer needed: the rules have read it */
        *(char *) value = '-';
}

void interim_await(Exchange *e)
{
    deadline_clear(&e->total); /* it is not the client that is late */
    deadline_set(&e->wait, &e->client->proxy->go_on);
    client_watch_input(e->client, true);
}

void interim_go_on(Exchange *e)
{
    Proxy *p = e->client->proxy;

    if (!interim_is_awaited(e))
        return;
    e->go_on = true;
    client_watch_input(e->client, false);
    deadline_set(&e->wait, &p->body_idle);
    deadline_set(&e->total, &p->body_total);
    exchange_poke(e);
}

static void on_go_on(Deadline *d)
{
    interim_go_on(container_of(d, Exchange, wait));
}

void interim_init_deadline(Proxy *p)
{
    deadline_queue_init(&p->go_on, &p->deadlines, CONTINUE_SPAN, on_go_on);
}

/* Will the socket take n bytes at once? */
static bool has_room(int fd, size_t n)
{
    int queued;
    return ioctl(fd, SIOCOUTQ, &queued) >= 0 && (size_t) queued + n <= QUEUE_MAX;
}

bool interim_received(Exchange *e, const ResponseHead *head)
{
    char text[QUEUE_MAX];

    if (++e->n_interim > INTERIM_MAX)
        return false;
    if (head->status == 100) {
        interim_go_on(e);
        return true;
    }
    if (e->facts.http_1_0) /* RFC 9110 15.2: does not know them */
        return true;
    ssize_t n = interim_write(text, sizeof text, head);
    if (n < 0 || !has_room(e->client->fd, (size_t) n))
        return true;
    ssize_t sent = send(e->client->fd, text, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0 && sent < n) /* no message may be cut short */
        exchange_abort(e);
    return true;
}
