/* SPDX-License-Identifier: ISC */

/* One hash table for all kinds of claims. A claim is known by its kind and two strings; the first to make it
 * keeps it, nothing is ever removed. A port route leaves several: its listener and path, the listener itself,
 * and the port under the class of the address (all or one, IPv6 or IPv4), by which listeners that exclude
 * each other find out without a look at every other one. */

#include "config/claims.h"

#include <stdio.h>

typedef enum ClaimKind {
    CLAIM_NAME,         /* name, - */
    CLAIM_HOST,         /* host, path */
    CLAIM_PORT,         /* listener, path */
    CLAIM_LISTENER,     /* listener, - */
    CLAIM_OWN_LISTENER, /* listener, - */
    CLAIM_PORT_CLASS,   /* port, class */
} ClaimKind;

struct Claim {
    ClaimKind kind;
    char *a, *b, *listener; /* one block of memory, that of `a`; a NULL: free place */
    const ServiceConfig *service;
    const RouteConfig *route;
    const char *file;
};

/* Of the listener's address, for CLAIM_PORT_CLASS. */
static const char all6[] = "::", all4[] = "0.0.0.0", one6[] = "6", one4[] = "4";

static const char *address_class(const SocketAddress *a)
{
    if (a->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr) ? all6 : one6;
    return a->in.sin_addr.s_addr == INADDR_ANY ? all4 : one4;
}

static uint64_t hash_string(uint64_t h, const char *s)
{
    for (; *s; s++)
        h = (h ^ (unsigned char) *s) * UINT64_C(0x100000001b3); /* FNV-1a */
    return (h ^ 0xff) * UINT64_C(0x100000001b3);
}

/* The claim's place, or the free one where it would go. The table is never full. */
static Claim *find_place(const Claims *c, ClaimKind kind, const char *a, const char *b)
{
    uint64_t h = hash_string(hash_string(UINT64_C(0xcbf29ce484222325) + kind, a), b);

    for (size_t i = (h ^ (h >> 32)) & (c->size - 1);; i = (i + 1) & (c->size - 1)) {
        Claim *p = &c->table[i];
        if (!p->a || (p->kind == kind && streq(p->a, a) && streq(p->b, b)))
            return p;
    }
}

static bool find(const Claims *c, ClaimKind kind, const char *a, const char *b, ClaimHolder *ret)
{
    const Claim *p = c->size ? find_place(c, kind, a, b) : NULL;
    if (!p || !p->a)
        return false;
    *ret = (ClaimHolder){.service = p->service, .route = p->route, .file = p->file};
    if (kind == CLAIM_PORT_CLASS)
        ret->listener = p->listener;
    return true;
}

static int grow(Claims *c)
{
    Claims bigger = {.size = c->size ? c->size * 2 : 16, .n = c->n};

    bigger.table = new0(Claim, bigger.size);
    if (!bigger.table)
        return -ENOMEM;
    for (size_t i = 0; i < c->size; i++)
        if (c->table[i].a)
            *find_place(&bigger, c->table[i].kind, c->table[i].a, c->table[i].b) = c->table[i];
    free(c->table);
    *c = bigger;
    return 0;
}

static int add(Claims *c, Claim claim, const char *a, const char *b, const char *listener)
{
    if (c->n * 2 >= c->size && grow(c) < 0)
        return -ENOMEM;
    Claim *p = find_place(c, claim.kind, a, b);
    if (p->a)
        return 0;

    size_t na = strlen(a) + 1, nb = strlen(b) + 1, nl = strlen(listener) + 1;
    claim.a = malloc(na + nb + nl);
    if (!claim.a)
        return -ENOMEM;
    claim.b = claim.a + na;
    claim.listener = claim.b + nb;
    memcpy(claim.a, a, na);
    memcpy(claim.b, b, nb);
    memcpy(claim.listener, listener, nl);
    *p = claim;
    c->n++;
    return 0;
}

void claims_done(Claims *c)
{
    for (size_t i = 0; i < c->size; i++)
        free(c->table[i].a);
    free(c->table);
    *c = (Claims){};
}

bool claims_name_is_taken(const Claims *c, const char *name, ClaimHolder *ret)
{
    return find(c, CLAIM_NAME, name, "", ret);
}

/* Does a listener that is not this one keep it from being opened? */
static bool is_excluded(const Claims *c, const SocketAddress *a, ClaimHolder *ret)
{
    const char *class = address_class(a);
    char port[8];

    snprintf(port, sizeof port, "%u", socket_address_port(a));
    if (class != all6 && find(c, CLAIM_PORT_CLASS, port, all6, ret))
        return true;
    if (class != all4 && class != one6 && find(c, CLAIM_PORT_CLASS, port, all4, ret))
        return true;
    if ((class == all6 || class == all4) && find(c, CLAIM_PORT_CLASS, port, one4, ret))
        return true;
    return class == all6 && find(c, CLAIM_PORT_CLASS, port, one6, ret);
}

bool claims_route_is_taken(const Claims *c, const RouteConfig *route, ClaimHolder *ret)
{
    char listener[SOCKET_ADDRESS_STRING_MAX];
    ClaimHolder other;

    if (route->type == ROUTE_HOST)
        return find(c, CLAIM_HOST, route->host, route->path, ret);
    socket_address_format(listener, &route->listen);
    if (find(c, CLAIM_OWN_LISTENER, listener, "", ret) || find(c, CLAIM_PORT, listener, route->path, ret))
        return true;
    if (!find(c, CLAIM_LISTENER, listener, "", &other))
        return is_excluded(c, &route->listen, ret);
    /* HTTP routes share a listener, others have it for themselves. */
    if (!route->target.tcp && !other.route->target.tcp)
        return false;
    *ret = other;
    return true;
}

bool claims_listener_disagrees(const Claims *c, const RouteConfig *route, ClaimHolder *ret)
{
    char listener[SOCKET_ADDRESS_STRING_MAX];

    return route->type == ROUTE_PORT &&
           find(c, CLAIM_LISTENER, socket_address_format(listener, &route->listen), "", ret) &&
           ret->route->accept_proxy != route->accept_proxy;
}

bool claims_listener_is_taken(const Claims *c, const SocketAddress *a, ClaimHolder *ret)
{
    char listener[SOCKET_ADDRESS_STRING_MAX];
    return find(c, CLAIM_LISTENER, socket_address_format(listener, a), "", ret) || is_excluded(c, a, ret);
}

bool claims_has_own_listener(const Claims *c, const SocketAddress *a)
{
    char listener[SOCKET_ADDRESS_STRING_MAX];
    ClaimHolder ignored;
    return find(c, CLAIM_OWN_LISTENER, socket_address_format(listener, a), "", &ignored);
}

int claims_add_name(Claims *c, const ServiceConfig *service)
{
    Claim claim = {.kind = CLAIM_NAME, .service = service, .file = service->file};
    return add(c, claim, service->name, "", "");
}

static int add_listener(Claims *c, Claim claim, const SocketAddress *a, const char *listener)
{
    char port[8];

    int r = add(c, claim, listener, "", "");
    if (r < 0)
        return r;
    claim.kind = CLAIM_PORT_CLASS;
    snprintf(port, sizeof port, "%u", socket_address_port(a));
    return add(c, claim, port, address_class(a), listener);
}

int claims_add_route(Claims *c, const ServiceConfig *service, const RouteConfig *route)
{
    Claim claim = {.service = service, .file = service->file, .route = route};
    char listener[SOCKET_ADDRESS_STRING_MAX];

    if (route->type == ROUTE_HOST) {
        claim.kind = CLAIM_HOST;
        return add(c, claim, route->host, route->path, "");
    }
    socket_address_format(listener, &route->listen);
    claim.kind = CLAIM_PORT;
    int r = add(c, claim, listener, route->path, "");
    if (r < 0)
        return r;
    claim.kind = CLAIM_LISTENER;
    return add_listener(c, claim, &route->listen, listener);
}

int claims_add_own_listener(Claims *c, const SocketAddress *a, const char *file)
{
    Claim claim = {.kind = CLAIM_OWN_LISTENER, .file = file};
    char listener[SOCKET_ADDRESS_STRING_MAX];

    return add_listener(c, claim, a, socket_address_format(listener, a));
}
