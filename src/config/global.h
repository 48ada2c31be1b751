/* SPDX-License-Identifier: ISC */
#pragma once

/* Settings of dynapm itself, and files that hold them. */

#include "config/reader.h"

extern const Key global_keys[];

/* A drop-in: one service, or a whole DynaPM configuration where it has `services`. */
int drop_in_read(Reader *r, const Value *root);
/* The file of global settings, which may have `services` too. */
int global_read(Reader *r, const Value *root);

/* Reads addresses and networks into fresh memory at *field, whose old is freed: all of it or nothing. */
int cidr_blocks_read(Reader *r, const Value *v, CidrBlock **field, size_t *n);

extern const Key admin_keys[];

/* Reads `adminApi`, all of it or, with a problem, nothing: what is doubtful lets nobody in. */
int admin_api_read(Reader *r, const Value *v, AdminConfig *ret);

/* An IP address to listen on, `localhost`, or "" for all addresses as in Node.js; with LISTEN_DEFAULT_PORT.
 */
int listen_host_read(Reader *r, const Value *v, SocketAddress *ret);
void listen_set_port(SocketAddress *a, uint16_t port);

/* Reads the services of a DynaPM configuration, each into the configuration or into problems of its own.
 * `listen` is where that configuration has dynapm listen, port included. */
int dynapm_services_read(Reader *r, const Value *v, const SocketAddress *listen);
