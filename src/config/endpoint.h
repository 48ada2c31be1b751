/* SPDX-License-Identifier: ISC */
#pragma once

/* Where a service listens: `base`, a route's `target`, the `url` of a health check. */

#include "config/reader.h"

#define ENDPOINT_FORMS "http://HOST:PORT, http+unix:///PATH or tcp://HOST:PORT"

/* Reads "http://HOST[:PORT][/]", "http+unix:///PATH" or "tcp://HOST:PORT". Where ret_target is not NULL,
 * "http://…" is all that is accepted, and may go on with a path and query, which go there (fresh memory, "/"
 * for none). Returns as all of reader.h. */
int endpoint_read(Reader *r, const Value *v, Endpoint *ret, char **ret_target);

/* The same endpoint at another port; of a unix socket, localhost's. Returns 0 or -ENOMEM. */
int endpoint_with_port(const Endpoint *e, uint16_t port, Endpoint *ret);
int endpoint_copy(const Endpoint *e, Endpoint *ret);

/* The value of a Host field for it (RFC 9112, 3.2): "127.0.0.1:3001", without the port where it is 80,
 * "localhost" for a unix socket. Fresh memory, NULL when out of memory. */
char *endpoint_host_field(const Endpoint *e);

/* May it be sent as a path of a request target? Starts with '/', visible ASCII, no '#'; '?' only with
 * `query`. */
bool is_request_path(const char *s, bool query) _pure_;
