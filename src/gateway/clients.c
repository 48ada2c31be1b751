/* SPDX-License-Identifier: ISC */

/* All clients of a worker: their number, in total and for each address, and their limits in time, a queue for
 * each kind of wait. */

#include "gateway/client.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "gateway/proxy.h"
#include "gateway/relay.h"
#include "gateway/slumber.h"

#define BUCKETS 4096U

static void on_head_expired(Deadline *d)
{
    static const char answer[] =
            "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    Client *c = container_of(d, Client, deadline);

    if (c->preamble) {
        client_drop(c);
        return;
    }
    /* Nothing of ours can be on the way: the exchange that would write has not begun. */
    (void) send(c->fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    proxy_count(c->proxy, COUNT_STRAYS + stray_status_index(408), 1);
    client_end(c);
}

/* Its time between two requests is up, unless the next one has come in this very moment. */
static void on_idle_expired(Deadline *d)
{
    Client *c = container_of(d, Client, deadline);
    char byte;

    if (c->preamble) { /* what it has sent of its header stays in the socket, and is no request */
        client_drop(c);
        return;
    }
    if (c->tap.held || recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        deadline_set(&c->deadline, &c->proxy->clients.heads);
    else
        client_end(c);
}

/* Nothing has been heard of it for SLUMBER_AFTER. */
static void on_still(Deadline *d)
{
    Client *c = container_of(d, Client, deadline);
    Clients *cs = &c->proxy->clients;

    deadline_set(&c->deadline, c->begun ? &cs->keep_alives_rest : &cs->heads_rest);
    if (!tap_has_begun(&c->tap))
        slumber_begin(c);
    else /* the library keeps a part of a request line */
        (void) client_watch(c);
}

void client_limit_silence(Client *c)
{
    Clients *cs = &c->proxy->clients;
    DeadlineQueue *q = c->begun ? &cs->keep_alives : &cs->heads;

    deadline_set(&c->deadline, q->span > SLUMBER_AFTER ? &cs->still : q);
}

static usec_t rest_of(usec_t span)
{
    return span == USEC_INFINITY ? span : usec_sub(span, SLUMBER_AFTER);
}

void clients_set_limits(Clients *cs, usec_t head, usec_t keep_alive)
{
    cs->heads.span = head;
    cs->heads_rest.span = rest_of(head);
    cs->keep_alives.span = keep_alive;
    cs->keep_alives_rest.span = rest_of(keep_alive);
}

int clients_init(Clients *cs, Deadlines *deadlines)
{
    *cs = (Clients){};
    if (getrandom(&cs->seed, sizeof cs->seed, 0) != sizeof cs->seed)
        return -errno;
    cs->by_address = new0(Client *, BUCKETS);
    if (!cs->by_address)
        return -ENOMEM;
    deadline_queue_init(&cs->heads, deadlines, USEC_INFINITY, on_head_expired);
    deadline_queue_init(&cs->keep_alives, deadlines, USEC_INFINITY, on_idle_expired);
    deadline_queue_init(&cs->graces, deadlines, CLIENT_GRACE, on_idle_expired);
    deadline_queue_init(&cs->still, deadlines, SLUMBER_AFTER, on_still);
    deadline_queue_init(&cs->heads_rest, deadlines, USEC_INFINITY, on_head_expired);
    deadline_queue_init(&cs->keep_alives_rest, deadlines, USEC_INFINITY, on_idle_expired);
    slab_init(&cs->memory, sizeof(Client));
    return 0;
}

void clients_done(Clients *cs)
{
    assert(!cs->all);
    cs->by_address = mfree(cs->by_address);
    cs->trim = sd_event_source_disable_unref(cs->trim);
    slab_done(&cs->memory);
}

/* The seed keeps a client with a /64 to choose from from filling one bucket. */
static Client **bucket_of(const Clients *cs, const uint8_t address[static 16])
{
    uint64_t h = cs->seed;
    for (size_t i = 0; i < 16; i++)
        h = (h ^ address[i]) * UINT64_C(0x9E3779B97F4A7C15) + (h >> 29);
    return &cs->by_address[(h >> 32) % BUCKETS];
}

size_t clients_count_address(const Clients *cs, const uint8_t address[static 16])
{
    size_t n = 0;
    for (Client *c = *bucket_of(cs, address); c; c = c->same_hash)
        n += memcmp(c->address, address, 16) == 0;
    return n;
}

void clients_add(Clients *cs, Client *c)
{
    c->prev = NULL; /* it may have been among them before */
    c->next = cs->all;
    if (c->next)
        c->next->prev = c;
    cs->all = c;
    cs->n++;
    cs->on_change(cs->change_userdata);
    Client **b = bucket_of(cs, c->address);
    c->same_hash = *b;
    c->hash_place = b;
    if (c->same_hash)
        c->same_hash->hash_place = &c->same_hash;
    *b = c;
}

void clients_remove(Clients *cs, Client *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        cs->all = c->next;
    if (c->next)
        c->next->prev = c->prev;
    cs->n--;
    cs->on_change(cs->change_userdata);
    /* Behind a proxy thousands have one address: none is to be looked for. */
    *c->hash_place = c->same_hash;
    if (c->same_hash)
        c->same_hash->hash_place = c->hash_place;
}

void clients_drop_waiting(Clients *cs)
{
    for (Client *c = cs->all, *next; c; c = next) {
        next = c->next;
        if (c->relay)
            relay_end(c->relay);
        else if (c->preamble || c->asleep)
            client_drop(c);
    }
}
