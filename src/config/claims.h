/* SPDX-License-Identifier: ISC */
#pragma once

/* Who answers to what: service names, host + path, port + path. A hash, so that the ten-thousandth service is
 * checked as fast as the first. */

#include "config/config.h"

typedef struct Claim Claim;

typedef struct Claims {
    Claim *table; /* open addressing, a power of two, at most half full */
    size_t size, n;
} Claims;

void claims_done(Claims *c);

/* Who holds something already. */
typedef struct ClaimHolder {
    const ServiceConfig *service; /* NULL: dynapm itself */
    const RouteConfig *route;     /* where it is a route */
    const char *file;
    const char *listener; /* where another listener is in the way, which that is; else NULL */
} ClaimHolder;

/* Each returns true, with *ret filled, when somebody has it. A listener is in the way of another one with the
 * same port where either is for all addresses: bind(2) would refuse the second. */
bool claims_name_is_taken(const Claims *c, const char *name, ClaimHolder *ret);
bool claims_route_is_taken(const Claims *c, const RouteConfig *route, ClaimHolder *ret);
/* Is there a route on this one's listener that does not agree with it about PROXY headers? */
bool claims_listener_disagrees(const Claims *c, const RouteConfig *route, ClaimHolder *ret);
bool claims_listener_is_taken(const Claims *c, const SocketAddress *a, ClaimHolder *ret);
/* Is dynapm itself to listen there already? */
bool claims_has_own_listener(const Claims *c, const SocketAddress *a);

/* Each returns 0 or -ENOMEM. `service`, `route` and `file` must live as long as the claims; what is claimed
 * already stays with its holder. */
int claims_add_name(Claims *c, const ServiceConfig *service);
int claims_add_route(Claims *c, const ServiceConfig *service, const RouteConfig *route);
int claims_add_own_listener(Claims *c, const SocketAddress *a, const char *file);
