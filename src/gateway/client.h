/* SPDX-License-Identifier: ISC */
#pragma once

/* A client's connection, from accept(2) to close(2), around the one that libmicrohttpd keeps: who it is, when
 * it is too slow, whether it has gone. And all of them together: their number, in total and for each address,
 * has limits. */

#include <netinet/in.h>
#include <stdalign.h>

#include "gateway/deadline.h"
#include "gateway/poller.h"
#include "gateway/tap.h"
#include "util/slab.h"

typedef struct Client Client;
typedef struct Clients Clients;
struct Proxy;
struct Exchange;
struct MHD_Connection;

#define LISTENER_MAIN UINT32_MAX /* requests are matched by host */

struct Client {
    struct Proxy *proxy;
    struct Hall *hall; /* which has it, or has had it */
    struct MHD_Connection *mhd;
    struct Exchange *exchange; /* the request in hand, NULL between two */
    struct Relay *relay;       /* what it is until it is a tunnel, where it does not speak HTTP */
    struct Tunnel *tunnel;     /* what has become of the connection, NULL while it is something else */
    PollSource watch;
    Tap tap;
    struct ProxyEnds *ends; /* what a PROXY header said, NULL: nothing */
    Deadline deadline;      /* for a head, or for the next request */
    int heir;               /* of a client that is to sleep: what becomes its descriptor, else -EBADF */
    Client *prev, *next;
    Client *same_hash;   /* in Clients.by_address */
    Client **hash_place; /* what points to it there */
    int fd;              /* libmicrohttpd's, which closes it, or the tunnel's; ours while it sleeps */
    uint32_t listener;   /* index in the route image, or LISTENER_MAIN */
    bool gone;           /* its end of the connection is closed */
    bool shut;           /* so is ours */
    bool begun;          /* it has sent a request line that could be read */
    bool small;          /* its hall is a small one (lodging.h) */
    uint8_t n_small;     /* small requests in turn */
    uint8_t small_after; /* so many of them, and it moves to a small hall */
    bool asleep;         /* nothing happens on it, the library has not got it (slumber.h) */
    bool is_ip;          /* else a unix socket */
    bool preamble;       /* a PROXY header has to come first */
    bool tls;            /* it speaks TLS with the proxy in front */
    bool trusted;        /* its address is in trustedProxies */
    alignas(struct in6_addr) uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d, zero for a unix socket */
    char peer[INET6_ADDRSTRLEN];
};

struct Clients {
    Slab memory;
    Client *all;
    size_t n;
    Client **by_address; /* buckets; only with a limit for each address */
    uint32_t seed;
    DeadlineQueue heads, keep_alives, graces;
    /* The same in two parts: until it sleeps, then what is left. */
    DeadlineQueue still, heads_rest, keep_alives_rest;
    size_t n_fallen_asleep; /* since memory was last returned to the system */
    sd_event_source *trim;
    void (*on_less)(void *userdata); /* a connection has ended: an accept that paused may go on */
    void *userdata;
    void (*on_change)(void *userdata); /* their number is another */
    void *change_userdata;
};

int clients_init(Clients *cs, Deadlines *deadlines);
void clients_done(Clients *cs);
/* The limits, from the settings: until a head is complete, and between two requests. */
void clients_set_limits(Clients *cs, usec_t head, usec_t keep_alive);
void clients_add(Clients *cs, Client *c);
void clients_remove(Clients *cs, Client *c);
size_t clients_count_address(const Clients *cs, const uint8_t address[static 16]);
/* Has the next request, or the first, begin in time. */
void client_limit_silence(Client *c);

/* Takes a connection that was accepted and gives it to libmicrohttpd, or to a relay where its listener is not
 * for HTTP. The descriptor is taken in every case.
 * Returns 0, -EUSERS when there are too many (it is closed), or -errno. */
int client_accept(struct Proxy *p, int fd, uint32_t listener, const struct sockaddr *address, socklen_t len);
/* Before libmicrohttpd gets it, each time. 0 or -ENOMEM. */
int client_open_tap(Client *c);
/* Has us hear when it goes although libmicrohttpd may not: while something else than the client is waited
 * for, and while a request has come in part. Cheap where it is so already. 0 or -errno. */
int client_watch(Client *c);
/* Has the exchange hear (interim_go_on()) when the client sends something that nobody reads now. */
void client_watch_input(Client *c, bool on);
/* libmicrohttpd is about to close it. Where it does so because it could not make sense of a request line, for
 * which it has no answer, the client gets ours. */
void client_closing(Client *c);
/* libmicrohttpd has closed it: the client is freed, unless it sleeps from now on or a tunnel goes on with it.
 */
void client_closed(Client *c);
/* libmicrohttpd is to let go of it: stops watching its descriptor, which is about to be replaced. */
void client_unwatch(Client *c);
/* Its descriptor has an event. */
void client_on_watched(PollSource *s, uint32_t events);
/* Ends those that libmicrohttpd has not got and no tunnel has. */
void clients_drop_waiting(Clients *cs);
/* Ends and frees one of those. */
void client_drop(Client *c);
/* Its tunnel is over. Frees it, if libmicrohttpd has let go of it. */
void client_detached(Client *c);
void client_free(Client *c);

/* Ends the connection: libmicrohttpd, whose descriptor it is, sees it shut down and closes it. */
void client_shutdown(Client *c);
/* It takes nothing of what is on its way to it: when the connection is closed, it is reset and all of that is
 * dropped, which the system would else keep for as long as the client pleases. socket(7), SO_LINGER */
void client_give_up(Client *c);
/* The same, between requests, where the library may not have it: then it is freed. */
void client_end(Client *c);

/* The gateway is to end, and between requests this connection is too: a request that is on its way is still
 * read and answered, for which the connection stays another CLIENT_GRACE. That is the time between a client's
 * decision to use it and its request's arrival here: half a round trip of the slowest network that people
 * use. It is no longer, because a restart takes as long. */
#define CLIENT_GRACE (250 * USEC_PER_MSEC)
void client_drain(Client *c);

/* The head of a request has begun, was complete, and the whole exchange is over. */
void client_head_begins(Client *c);
void client_head_complete(Client *c);
void client_exchange_over(Client *c);
