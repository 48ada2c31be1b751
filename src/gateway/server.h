/* SPDX-License-Identifier: ISC */
#pragma once

/* libmicrohttpd on our loop. It polls nothing by itself and has no thread: we run it when its epoll has
 * something, and when one of its connections was resumed or has an answer. Connections are divided among
 * several of its daemons, the halls. */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "util/address.h"

typedef struct Server Server;
typedef struct Hall Hall;
struct Proxy;
struct Client;
struct MHD_Connection;

/* `max_head`: bytes of a request's head. Returns 0, -EOPNOTSUPP when the library does not store heads in the
 * way the audit needs (logged), or -errno. */
int server_new(struct Proxy *p, uint32_t max_head, Server **ret);
Server *server_free(Server *s);

/* The library's version as we run with it, "0.9.75"; static. */
const char *server_library_version(void);

/* Of connections that come from now on. */
void server_set_max_head(Server *s, uint32_t max_head);

/* Are there two kinds of halls? Not where the largest head is small itself. */
bool server_has_small_halls(const Server *s);

/* Gives a hall, a small one if c->small, the client (c->hall from then on) and its descriptor. 0 or -EIO. */
int server_add_connection(Server *s, struct Client *c, const struct sockaddr *address, socklen_t len);
/* Has all halls run as soon as the loop comes by. */
void server_kick(Server *s);
/* Runs those now that were kicked: for the end of a batch of events. */
void server_run_if_kicked(Server *s);

/* Bytes of a connection's memory in the next hall of the large kind: request and response heads share it. */
size_t server_pool_size(const Server *s);

/* ── one hall ── */

/* Bytes of a connection's memory, which request and response heads share. */
size_t hall_pool_size(const Hall *h);
uint32_t hall_max_head(const Hall *h);

/* Has it run as soon as the loop comes by; cheap, callable from anywhere. */
void hall_kick(Hall *h);

/* An exchange whose answer is awaited without having been suspended: the library calls its handler at each
 * run. Suspending costs four system calls, an answer that comes within a moment makes them needless. Returns
 * whether there is room for one more such; if so, the exchange calls hall_linger_end() when it is over, be it
 * by suspension. */
bool hall_linger_begin(Hall *h);
void hall_linger_end(Hall *h);
/* For how long (µs) an exchange may linger. */
#define SERVER_LINGER_SPAN (5 * USEC_PER_MSEC)

/* A body cannot go on: to be called by its reader, which then returns MHD_CONTENT_READER_END_WITH_ERROR. The
 * connection is closed at once, and not only when something else happens on it. */
void hall_take_down(Hall *h, struct MHD_Connection *mhd);

/* Has the library look at a connection between two requests, of which the tap is to say that it has ended
 * (tap_end()): it closes its descriptor and is done with it. */
void hall_let_go(Hall *h, struct MHD_Connection *mhd);

/* Something happened in this run that makes another run worth while. */
void hall_note_progress(Hall *h);
