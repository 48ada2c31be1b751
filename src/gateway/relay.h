/* SPDX-License-Identifier: ISC */
#pragma once

/* A connection to a service that does not speak HTTP, from accept(2) until it is a tunnel: it waits for its
 * service as a request would. */

#include "gateway/client.h"

typedef struct Relay Relay;

/* Is the client's listener one for such connections? */
bool relay_is_wanted(const Client *c);
/* Takes the client, whose descriptor nobody else has: it is freed when it cannot be served. */
void relay_start(Client *c);
/* The client's connection is broken. */
void relay_broken(Relay *r);
/* It is not served any more. */
void relay_end(Relay *r);
