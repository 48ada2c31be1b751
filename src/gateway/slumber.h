/* SPDX-License-Identifier: ISC */
#pragma once

/* Connections on which nothing happens between two requests, or before the first: they are ours alone then, a
 * Client and its socket, and libmicrohttpd, which needs a hundred times as much for one, gets them again with
 * the first byte that comes. */

#include "gateway/client.h"

/* How long one stays with the library when nothing happens. Longer than a client that is at work thinks: such
 * a connection pays nothing. Shorter than it takes thousands to be noticed. */
#define SLUMBER_AFTER USEC_PER_SEC

/* Between requests, no byte of the next having been received, and with the library: has that let go of the
 * client, which then sleeps. Where it fails the client stays where it is. */
void slumber_begin(Client *c);
/* It is not to be after all: what was prepared for it is undone. */
void slumber_cancel(Client *c);
/* The library has let go of it: the client sleeps. 0 or -errno. */
int slumber_fall_asleep(Client *c);
/* Gives libmicrohttpd a client whose descriptor is ours, for it to receive first the n bytes of `held`
 * (taken; NULL: none). Frees it where that fails. */
void slumber_rejoin(Client *c, char *held, size_t n);
/* Something has happened on one that sleeps. May free it. */
void slumber_disturbed(Client *c, uint32_t events);
