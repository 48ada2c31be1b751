/* SPDX-License-Identifier: ISC */

/* What happens to an exchange whose time is up, for each kind of wait. */

#include "gateway/exchange.h"
#include "gateway/proxy.h"

#define ADMISSION_SPAN (100 * USEC_PER_MSEC)

static void on_body_total(Deadline *d)
{
    exchange_refuse_body(container_of(d, Exchange, total), 408);
}

static void on_body_idle(Deadline *d)
{
    exchange_refuse_body(container_of(d, Exchange, wait), 408);
}

static void on_first_byte(Deadline *d)
{
    Exchange *e = container_of(d, Exchange, wait);

    exchange_release_upstream(e, false);
    exchange_count_error(e, UPSTREAM_TIMEOUT);
    answer_error(e, 504, "The service did not answer in time.", 0);
    exchange_poke(e);
}

static void on_upstream_stalled(Deadline *d)
{
    Exchange *e = container_of(d, Exchange, wait);

    exchange_count_error(e, UPSTREAM_TIMEOUT);
    exchange_abort(e);
}

static void on_untaken(Deadline *d)
{
    Exchange *e = container_of(d, Exchange, wait);

    client_give_up(e->client);
    exchange_abort(e);
}

/* It takes its time, which is for the service to say, or for its client: the next of those who waited may go.
 */
static void on_admission(Deadline *d)
{
    ticket_answered(&container_of(d, Exchange, admission)->ticket);
}

static void on_backlog(Deadline *d)
{
    Exchange *e = container_of(d, Exchange, wait);

    exchange_make_ready(e);
    exchange_poke(e);
}

void exchange_init_deadlines(Proxy *p)
{
    deadline_queue_init(&p->body_total, &p->deadlines, USEC_INFINITY, on_body_total);
    deadline_queue_init(&p->body_idle, &p->deadlines, USEC_INFINITY, on_body_idle);
    deadline_queue_init(&p->first_byte, &p->deadlines, USEC_INFINITY, on_first_byte);
    deadline_queue_init(&p->upstream_idle, &p->deadlines, USEC_INFINITY, on_upstream_stalled);
    deadline_queue_init(&p->client_write, &p->deadlines, USEC_INFINITY, on_untaken);
    deadline_queue_init(&p->backlog, &p->deadlines, 5 * USEC_PER_MSEC, on_backlog);
    deadline_queue_init(&p->admission, &p->deadlines, ADMISSION_SPAN, on_admission);
    interim_init_deadline(p);
}
