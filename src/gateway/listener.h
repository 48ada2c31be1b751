/* SPDX-License-Identifier: ISC */
#pragma once

/* Listening sockets and what comes in on them. */

#include "gateway/client.h"

typedef struct Listeners Listeners;
struct Proxy;

/* `shared`: other workers accept from the same sockets, one of them is to be woken for a connection, not all.
 */
int listeners_new(struct Proxy *p, bool shared, Listeners **ret);
Listeners *listeners_free(Listeners *ls);
DEFINE_CLEANUP(Listeners *, listeners_free)

/* Accepts from fd, which is taken, for requests of the route image's listener, or LISTENER_MAIN. `given`: it
 * came from a manager, and the next one may give others. 0 or -errno. */
int listeners_add(Listeners *ls, int fd, uint32_t listener, bool given);
/* A manager gave `fd`, which stays the caller's, for the route image's `listener`: is it one of our own
 * sockets? Then that one serves it from now on. */
bool listeners_claim(Listeners *ls, int fd, uint32_t listener);
/* Another configuration's listeners come, between these two, of which the first is called while the earlier
 * routes still hold. Meanwhile listeners_keep() says whether `fd`, which
 * stays the caller's, is one that a manager gave before; then that one serves `listener` from now on. What
 * was given and is not kept is closed at the end, after whoever waits there with a request was accepted and
 * is on LISTENER_MAIN; connections that are not HTTP, or on which nothing has been said yet, are reset. Our
 * own serve LISTENER_MAIN unless they are claimed. */
void listeners_begin_update(Listeners *ls);
bool listeners_keep(Listeners *ls, int fd, uint32_t listener);
void listeners_end_update(Listeners *ls);
/* Have clients connected, and said nothing yet, to sockets that would be closed to them by listeners_stop()?
 * They would be reset, as the kernel has nobody accept them before they speak. */
bool listeners_are_unheard(const Listeners *ls, bool own_last, bool given_last);
/* Accepts no more; the sockets stay open, to be lent and offered to managers. Connections that wait in a
 * backlog are left to whoever accepts from that socket after us; where that is nobody (`own_last` for our own
 * sockets, `given_last` for those that a manager gave) they are taken first, and later ones are refused at
 * once. */
void listeners_stop(Listeners *ls, bool own_last, bool given_last);
/* The `at`th socket that came from a manager, -EBADF behind the last. */
int listeners_given(const Listeners *ls, size_t at);
size_t listeners_count(const Listeners *ls);
/* Of these, how many a manager gave that are not our own. */
size_t listeners_n_given(const Listeners *ls);
/* The lowest TCP port on which requests for all routes come in, 0 if there is none. */
uint16_t listeners_main_port(const Listeners *ls);
