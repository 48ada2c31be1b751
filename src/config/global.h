/* SPDX-License-Identifier: ISC */
#pragma once

/* Settings of dynapm itself, and files that hold them. */

#include "config/reader.h"

extern const Key global_keys[];

/* A drop-in: one service, or a whole DynaPM configuration where it has `services`. */
int drop_in_read(Reader *r, const Value *root);
/* The file of global settings, which may have `services` too. */
int global_read(Reader *r, const Value *root);

/* Reads `trustedProxies` into g, all of it or nothing. */
int trusted_proxies_read(Reader *r, const Value *v, GlobalConfig *g);

/* Reads the services of a DynaPM configuration, each into the configuration or into problems of its own.
 * `listen` is where that configuration has dynapm listen, port included. */
int dynapm_services_read(Reader *r, const Value *v, const SocketAddress *listen);
