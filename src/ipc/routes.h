/* SPDX-License-Identifier: ISC */
#pragma once

/* The route image: all that a gateway may know of the configuration, flat in one sealed memfd. The manager
 * writes it, every worker maps the same pages read-only and looks hosts up in the hash index that is part of
 * it: nothing to parse, nothing to copy, the same cost for ten services and for ten thousand. It holds no
 * command, no environment, no secret. */

#include "util/address.h"
#include "util/time-util.h"

#define ROUTE_ADDRESSES_MAX 2

/* Offsets are bytes from the image's start; strings are NUL-terminated. */
typedef struct RouteTarget {
    uint32_t n_addresses;
    SocketAddress addresses[ROUTE_ADDRESSES_MAX];
} RouteTarget;

typedef struct RouteService {
    uint32_t slot;
    uint32_t name;
    uint32_t proxy_only;
    usec_t web_socket_idle; /* a tunnel silent for so long keeps it no more awake */
} RouteService;

/* A path on a host or on a listener; those of one host lie together, longest path first. */
typedef struct RouteEntry {
    uint32_t service;  /* index */
    uint32_t target;   /* index */
    uint32_t path;     /* string */
    uint32_t path_len; /* 0 for "/": matches all */
    uint32_t strip;    /* remove the path upstream? */
    uint32_t next;     /* chain of the path index's bucket, index + 1, 0 = end */
} RouteEntry;

typedef struct RouteHost {
    uint32_t name; /* string; for a wildcard "*.example.com" the part from its dot on: ".example.com" */
    uint32_t name_len;
    uint32_t first, n; /* entries */
    uint32_t next;     /* chain of the hash bucket, index + 1, 0 = end */
} RouteHost;

typedef struct RouteListener {
    SocketAddress address;
    uint32_t main;         /* 1: one of the configuration's `listen`: its requests are matched by host */
    uint32_t admin;        /* 1: its requests are for the admin API */
    uint32_t first, n;     /* entries; none on a main listener and on that of the admin API */
    uint32_t tcp;          /* 1: connections are passed on as they are, to the first entry's service */
    uint32_t send_proxy;   /* and begin with a PROXY header of this version, 0: do not */
    uint32_t accept_proxy; /* 1: connections begin with a PROXY header; on a main listener the settings say it
                            */
} RouteListener;

/* What a worker needs of the global settings. */
typedef struct RouteSettings {
    usec_t request_head_timeout, request_body_timeout, request_body_idle_timeout, keep_alive_timeout;
    usec_t upstream_connect_timeout, upstream_first_byte_timeout, upstream_idle_timeout, client_write_timeout;
    usec_t tunnel_idle_timeout;
    uint32_t max_connections, max_connections_per_address, max_parked, max_parked_per_service, max_head_size;
    uint32_t request_log;
    uint32_t accept_proxy;             /* connections to main listeners begin with a PROXY header */
    uint32_t trusted_first, n_trusted; /* RouteNetwork array */
    uint32_t admin;                    /* 1: there is an admin API */
    uint32_t admin_host;               /* string, what it is called; 0: it has no name */
    uint32_t admin_on_main;            /* 1: and it is on main listeners, under that name */
    uint32_t admin_first, n_admin;     /* who may ask at all: RouteNetwork array; none: everybody */
} RouteSettings;

typedef struct RouteNetwork {
    uint8_t address[16];
    uint32_t prefix;
} RouteNetwork;

typedef struct RouteImage RouteImage;

/* ── writing, by the manager ── */

typedef struct RouteBuilder RouteBuilder;
RouteBuilder *route_builder_new(void);
RouteBuilder *route_builder_free(RouteBuilder *b);
DEFINE_CLEANUP(RouteBuilder *, route_builder_free)

void route_builder_set_settings(RouteBuilder *b, const RouteSettings *settings); /* trusted_*, admin_*: not */
int route_builder_add_network(RouteBuilder *b, const uint8_t address[static 16], uint32_t prefix);
/* Each returns an index (>= 0) or -ENOMEM. */
int route_builder_add_service(RouteBuilder *b, const char *name, uint32_t slot, bool proxy_only);
int route_builder_add_target(RouteBuilder *b, const SocketAddress *addresses, size_t n);
/* USEC_INFINITY, never, until set. */
void route_builder_set_web_socket_idle(RouteBuilder *b, int service, usec_t idle);
/* host: lower case, 255 bytes at most, "*.x.y" for a wildcard. path: "/" or "/x", without '?' and '#'; else
 * -EINVAL. Of two equal host and path, the first stays. */
int route_builder_add_host_route(
        RouteBuilder *b, const char *host, const char *path, bool strip, int service, int target);
/* Returns the listener's index; the same address again, the same index. -EADDRINUSE where the address is a
 * main listener's. */
int route_builder_add_port_route(
        RouteBuilder *b, const SocketAddress *listen, const char *path, bool strip, int service, int target);
/* The listener's connections are not HTTP; `send_proxy`: version of the PROXY header for its service, or 0.
 */
void route_builder_set_tcp(RouteBuilder *b, int listener, unsigned send_proxy);
void route_builder_set_accept_proxy(RouteBuilder *b, int listener);
/* Returns the listener's index; -EADDRINUSE where the address has routes of its own. */
int route_builder_add_main_listener(RouteBuilder *b, const SocketAddress *listen);
/* There is an admin API: on `listen`, which may be NULL, then on main listeners; `host`, lower case, may be
 * NULL. Returns the listener's index, 0 without one; -EADDRINUSE where the address has routes. */
int route_builder_set_admin(RouteBuilder *b, const SocketAddress *listen, const char *host);
/* Only these may use it. To be called after the last route_builder_add_network(). */
int route_builder_allow_admin(RouteBuilder *b, const uint8_t address[static 16], uint32_t prefix);
/* Writes it all to a fresh, fully sealed memfd. Returns the descriptor, which the caller closes, or -errno.
 */
int route_builder_finish(RouteBuilder *b);

/* ── reading, by a gateway ── */

/* Maps an image; the caller keeps its descriptor. Every count, offset and index in it is checked here, once,
 * so that nothing after needs to. -EINVAL for one that is not sealed, not ours or inconsistent. */
int route_image_map(int fd, RouteImage **ret);
RouteImage *route_image_ref(RouteImage *i);
RouteImage *route_image_unref(RouteImage *i);
DEFINE_CLEANUP(RouteImage *, route_image_unref)

const RouteSettings *route_image_settings(const RouteImage *i);
size_t route_image_n_services(const RouteImage *i);
const RouteService *route_image_service(const RouteImage *i, uint32_t index);
const RouteTarget *route_image_target(const RouteImage *i, uint32_t index);
size_t route_image_n_targets(const RouteImage *i);
size_t route_image_n_listeners(const RouteImage *i);
const RouteListener *route_image_listener(const RouteImage *i, uint32_t index);
const char *route_image_string(const RouteImage *i, uint32_t offset);
/* Is the address (16 bytes, IPv4 as ::ffff:a.b.c.d) in trustedProxies? */
bool route_image_trusts(const RouteImage *i, const uint8_t address[static 16]);

/* May it use the admin API, as far as addresses count? */
bool route_image_lets_administer(const RouteImage *i, const uint8_t address[static 16]);

/* The route for host (any case, without port, a dot at its end ignored) and target, exact host before
 * wildcard, longer wildcard before shorter, longest path first; a host that has no route for the path does
 * not hide a wildcard that has. A path matches byte for byte on a '/' boundary, the query not being part of
 * it. NULL: none; then *ret_host_known tells "no such host" from "no such path". */
const RouteEntry *route_image_match_host(const RouteImage *i, const char *host, size_t host_len,
        const char *target, size_t target_len, bool *ret_host_known);
/* The same for a request that came in on a listener of the image. */
const RouteEntry *route_image_match_listener(
        const RouteImage *i, uint32_t listener, const char *target, size_t target_len);
