/* SPDX-License-Identifier: ISC */
#pragma once

/* The admin API of a data path: requests that are for dynapm itself, on a listener of their own or for a host
 * of the main ones. */

#include "gateway/exchange.h"
#include "gateway/link.h"
#include "gateway/listener.h"

typedef struct AdminApi AdminApi;

/* Bytes of a request's body, which no request needs. */
#define ADMIN_BODY_MAX 65536U

/* `link` and `listeners` must outlive it. NULL: out of memory. */
AdminApi *admin_api_new(struct Proxy *p, Link *link, const Listeners *listeners);
AdminApi *admin_api_free(AdminApi *a);

/* The manager is gone: whoever waits for it is told so, and streams of events end. */
void admin_api_lost(AdminApi *a);
/* There is another configuration: who may not listen any more by that does not. */
void admin_api_updated(AdminApi *a);
/* The gateway is to end: streams of events do. */
void admin_api_drain(AdminApi *a);

/* Is it for the API? Its head is acceptable, its routes are known. */
bool admin_is_addressed(const Exchange *e);
/* → EXCHANGE_ADMIN, or ANSWERED where its head says that it is refused. */
void admin_begin(Exchange *e);
/* It was read to its end: now it is done. Stays EXCHANGE_ADMIN while the answer takes time. */
void admin_request_done(Exchange *e);
void admin_exchange_over(Exchange *e);
