/* SPDX-License-Identifier: ISC */
#pragma once

/* The listening sockets that the configuration asks for: bound once, by the manager, and handed to every
 * worker. */

#include "util/address.h"

typedef struct Listeners Listeners;

Listeners *listeners_new(void); /* NULL: out of memory */
Listeners *listeners_free(Listeners *l);
DEFINE_CLEANUP(Listeners *, listeners_free)

/* Says that the configuration listens on `a`; nothing is bound yet. Saying it again is fine. 0 or -ENOMEM. */
int listeners_want(Listeners *l, const SocketAddress *a);

/* Takes the sockets of addresses that are wanted here too from `before`, which then goes, with those that are
 * not. Gateways may have such a one open for a moment longer. */
void listeners_replace(Listeners *l, Listeners *before);

/* How many addresses are wanted. */
size_t listeners_count(const Listeners *l) _pure_;

/* How many sockets are ours alone: bound here, or taken over from an earlier manager. */
size_t listeners_n_bound(const Listeners *l) _pure_;

/* The socket of an address that is wanted, bound at the first call and tried again after a failure. Returns
 * the descriptor, which stays ours, or -errno of socket_address_listen(); -ENOENT if nobody wants it. */
int listeners_get(Listeners *l, const SocketAddress *a);

/* Takes a copy of a socket that a gateway still holds from a manager before us, if it listens on an address
 * that is wanted and not bound yet: as long as the gateway has it open nobody could bind that address anew.
 * Returns true if it was taken. */
bool listeners_offer(Listeners *l, int fd);

/* The same for one that belongs to whoever started the gateway, until listeners_forget_lent(), which returns
 * whether there was any. */
bool listeners_lend(Listeners *l, int fd);
bool listeners_forget_lent(Listeners *l);
