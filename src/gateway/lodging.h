/* SPDX-License-Identifier: ISC */
#pragma once

/* Which kind of hall a connection is in. libmicrohttpd clears all of a connection's memory after each
 * request, and that has to hold the largest head that is allowed, twice: 32 KiB, which is more work than
 * everything else it does for a small one. So a connection that has shown to be used for small requests goes
 * to a small hall, where it has a quarter of that, and back when something comes that might not fit: always
 * with the bytes of a request that the library has not seen yet, or with an answer in hand. */

#include "gateway/client.h"

struct Exchange;

/* Bytes of a connection's memory in a small hall. */
#define SMALL_POOL ((size_t) 8192)
/* Of these, what there is for the head of an answer at least. */
#define SMALL_ANSWER ((size_t) 3072)

/* Has a say about the first bytes of each request from here on. */
void lodging_attend(Client *c);
/* A request is over. `small`: it and its answer were of the kind that small halls are for. */
void lodging_note(Client *c, bool small);
/* In the handler only, which then ends the connection for the library: the answer's head is too large for
 * where the client is, so it is queued in another hall. It is the last one on its connection. False: it
 * cannot be. */
bool lodging_take_answer(struct Exchange *e);
/* libmicrohttpd has let go of a client that moves: it goes on in the other hall. Frees it where that fails.
 */
void lodging_move(Client *c);
