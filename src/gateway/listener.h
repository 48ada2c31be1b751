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
/* Closes all that a manager gave, or all. */
void listeners_drop(Listeners *ls, bool given_only);
/* The `at`th socket that came from a manager, -EBADF behind the last. */
int listeners_given(const Listeners *ls, size_t at);
size_t listeners_count(const Listeners *ls);
