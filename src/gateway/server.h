/* SPDX-License-Identifier: ISC */
#pragma once

/* libmicrohttpd on our loop. It polls nothing by itself and has no thread: we run it when its epoll has
 * something, and when one of its connections was resumed or has an answer. */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "util/address.h"

typedef struct Server Server;
struct Proxy;
struct Client;

/* `max_head`: bytes of a request's head. Returns 0, -EOPNOTSUPP when the library does not store heads in the
 * way the audit needs (logged), or -errno. */
int server_new(struct Proxy *p, uint32_t max_head, Server **ret);
Server *server_free(Server *s);

int server_add_connection(Server *s, struct Client *c, const struct sockaddr *address, socklen_t len);

/* Has it run as soon as the loop comes by; cheap, callable from anywhere. */
void server_kick(Server *s);
/* Runs it now if it was kicked: for the end of a batch of events. */
void server_run_if_kicked(Server *s);

/* Bytes of a connection's memory, which request and response heads share. */
size_t server_pool_size(const Server *s);
uint32_t server_max_head(const Server *s);

/* An exchange whose answer is awaited without having been suspended: the library calls its handler at each
 * run. Suspending costs four system calls, an answer that comes within a moment makes them needless. Returns
 * whether there is room for one more such; if so, the exchange calls server_linger_end() when it is over, be
 * it by suspension. */
bool server_linger_begin(Server *s);
void server_linger_end(Server *s);
/* For how long (µs) an exchange may linger. */
#define SERVER_LINGER_SPAN (5 * USEC_PER_MSEC)

/* Something happened in this run that makes another run worth while. */
void server_note_progress(Server *s);
