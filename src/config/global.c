/* SPDX-License-Identifier: ISC */

/* Settings of dynapm itself. They come from dynapm.json, and from whole DynaPM configurations among the
 * drop-ins: of two that say the same, the first keeps its word, and dynapm.json is always the first. Only the
 * addresses to listen on add up, so that two DynaPM gateways become one that answers in both places. */

#include "config/global.h"

#include "config/service.h"

/* What has to wait until the whole object is known. */
typedef struct GlobalDraft {
    ConfigDraft *config;
    SettingsFile *file;
    Value host, port, services, trusted_proxies, admin_api;
} GlobalDraft;

/* A field of GlobalConfig, unless an earlier file has set it. */
static void *field(GlobalDraft *d, const Key *key)
{
    if (d->config->said[key->offset])
        return NULL;
    d->config->said[key->offset] = true;
    return (char *) &d->config->config.global + key->offset;
}

static int limit_timespan(Reader *r, const Value *v, const Key *key, void *object)
{
    usec_t t, *ret;

    int k = value_timespan(r, v, TIMESPAN_NEVER, &t);
    if (k == 0 && (ret = field(object, key)))
        *ret = t;
    return k;
}

static int limit_number(Reader *r, const Value *v, const Key *key, void *object)
{
    uint32_t *ret;
    uint64_t n;

    int k = value_uint(r, v, key->min, key->max, &n);
    if (k == 0 && (ret = field(object, key)))
        *ret = (uint32_t) n;
    return k;
}

static int global_bool(Reader *r, const Value *v, const Key *key, void *object)
{
    bool b, *ret;

    int k = value_bool(r, v, &b);
    if (k == 0 && (ret = field(object, key)))
        *ret = b;
    return k;
}

/* A setting that DynaPM has and dynapm does not need. */
static int ignore_bool(Reader *r, const Value *v, const Key *key, void *object)
{
    bool ignored;
    return value_bool(r, v, &ignored);
}

static const Key limits_keys[] = {
        {"requestHeadTimeout", limit_timespan, offsetof(GlobalConfig, request_head_timeout)},
        {"requestBodyTimeout", limit_timespan, offsetof(GlobalConfig, request_body_timeout)},
        {"requestBodyIdleTimeout", limit_timespan, offsetof(GlobalConfig, request_body_idle_timeout)},
        {"keepAliveTimeout", limit_timespan, offsetof(GlobalConfig, keep_alive_timeout)},
        {"upstreamConnectTimeout", limit_timespan, offsetof(GlobalConfig, upstream_connect_timeout)},
        {"upstreamFirstByteTimeout", limit_timespan, offsetof(GlobalConfig, upstream_first_byte_timeout)},
        {"upstreamIdleTimeout", limit_timespan, offsetof(GlobalConfig, upstream_idle_timeout)},
        {"clientWriteTimeout", limit_timespan, offsetof(GlobalConfig, client_write_timeout)},
        {"tunnelIdleTimeout", limit_timespan, offsetof(GlobalConfig, tunnel_idle_timeout)},
        {"maxConnections", limit_number, offsetof(GlobalConfig, max_connections), .min = 1, .max = 1048576},
        {"maxConnectionsPerAddress", limit_number, offsetof(GlobalConfig, max_connections_per_address),
                .min = 0, .max = 1048576},
        {"maxParkedRequests", limit_number, offsetof(GlobalConfig, max_parked), .min = 1, .max = 1048576},
        {"maxParkedRequestsPerService", limit_number, offsetof(GlobalConfig, max_parked_per_service),
                .min = 1, .max = 1048576},
        {"maxConcurrentStarts", limit_number, offsetof(GlobalConfig, max_concurrent_starts), .min = 0,
                .max = 1048576},
        {"maxRequestHead", limit_number, offsetof(GlobalConfig, max_head_size), .min = 1024, .max = 65536},
        {},
};

static const Key logging_keys[] = {
        {"enableRequestLog", global_bool, offsetof(GlobalConfig, request_log)},
        {"enableWebSocketLog", ignore_bool},
        {"enableErrorLog", ignore_bool},
        {"enablePerformanceLog", ignore_bool},
        {},
};

const Key global_keys[] = {
        {"$schema", key_ignored_string},
        {"host", key_keep, offsetof(GlobalDraft, host)},
        {"port", key_keep, offsetof(GlobalDraft, port)},
        {"limits", key_object, .keys = limits_keys},
        {"logging", key_object, .keys = logging_keys},
        {"acceptProxyProtocol", global_bool, offsetof(GlobalConfig, accept_proxy)},
        {"trustedProxies", key_keep, offsetof(GlobalDraft, trusted_proxies)},
        {"adminApi", key_keep, offsetof(GlobalDraft, admin_api), .keys = admin_keys},
        {"services", key_keep, offsetof(GlobalDraft, services)},
        {},
};

int listen_host_read(Reader *r, const Value *v, SocketAddress *ret)
{
    const char *s = "";

    if (!value_is(v, json_type_string))
        return problem_expected(r, v, "an IP address or localhost");
    s = json_object_get_string(v->json);
    if (streq(s, "localhost"))
        s = LISTEN_DEFAULT_HOST;
    else if (streq(s, ""))
        s = "::"; /* as in Node.js */
    if (socket_address_from_ip(s, LISTEN_DEFAULT_PORT, ret) < 0)
        return problem_expected(r, v, "an IP address or localhost");
    return 0;
}

void listen_set_port(SocketAddress *a, uint16_t port)
{
    *(a->sa.sa_family == AF_INET ? &a->in.sin_port : &a->in6.sin6_port) = htons(port);
}

static int add_listener(
        Reader *r, const GlobalDraft *d, const Value *where, const char *key, const SocketAddress *a)
{
    GlobalConfig *g = &r->config->global;
    Claims *claims = &config_draft(r->config)->claims;
    char listener[SOCKET_ADDRESS_STRING_MAX];
    ClaimHolder holder;

    bool is_admin = g->admin.enabled && socket_address_equal(&g->admin.listen, a);
    if (claims_has_own_listener(claims, a) && !is_admin)
        return 0;
    if (is_admin) {
        static const char format[] = "%s cannot be opened, adminApi of %s is there";
        socket_address_format(listener, a);
        return key ? problem_missing(r, where, key, format, listener, g->admin.file)
                   : problem_at(r, where, format, listener, g->admin.file);
    }
    if (claims_listener_is_taken(claims, a, &holder)) {
        socket_address_format(listener, a);
        static const char format[] = "%s cannot be opened, as %s is open for %s";
        const char *other = holder.listener ?: listener;
        return key ? problem_missing(r, where, key, format, listener, other, holder.file)
                   : problem_at(r, where, format, listener, other, holder.file);
    }
    int k = array_grow((void **) &g->listen, g->n_listen, sizeof *g->listen);
    if (k < 0)
        return k;
    g->listen[g->n_listen++] = *a;
    return claims_add_own_listener(claims, a, d->file->file);
}

/* DynaPM's host and port, either of which has a default. *ret is the address for ports of services, right
 * even where the port is not. */
static int read_listen(Reader *r, const Value *root, const GlobalDraft *d, SocketAddress *ret)
{
    uint16_t port = LISTEN_DEFAULT_PORT;
    int all = 0, k;

    (void) socket_address_from_ip(LISTEN_DEFAULT_HOST, port, ret);
    k = value_given(&d->host) ? listen_host_read(r, &d->host, ret) : 0;
    if (is_fatal(&all, k))
        return k;
    k = value_given(&d->port) ? value_port(r, &d->port, "a port from 1 to 65535", &port) : 0;
    if (is_fatal(&all, k))
        return k;
    listen_set_port(ret, port);
    if (all < 0 || d->config->listen_said)
        return all;
    if (!value_given(&d->host) && !value_given(&d->port) && !value_given(&d->services))
        return 0;
    if (value_given(&d->port))
        return add_listener(r, d, &d->port, NULL, ret);
    return add_listener(r, d, root, "port", ret);
}

/* The first file that has it has all of it; one that is refused there leaves it off. Later ones are looked at
 * all the same. */
static int read_admin(Reader *r, GlobalDraft *d)
{
    bool *said = (bool *) &d->config->said[offsetof(GlobalConfig, admin)];
    Claims *claims = &config_draft(r->config)->claims;
    char listener[SOCKET_ADDRESS_STRING_MAX];
    AdminConfig a = {};
    ClaimHolder holder;
    int k;

    k = admin_api_read(r, &d->admin_api, &a);
    if (*said)
        a.enabled = false;
    *said = true;
    bool is_ip = k == 0 && a.enabled && a.listen.len > 0 && a.listen.sa.sa_family != AF_UNIX;
    if (is_ip && (claims_has_own_listener(claims, &a.listen) ||
                         claims_listener_is_taken(claims, &a.listen, &holder))) {
        socket_address_format(listener, &a.listen);
        k = claims_listener_is_taken(claims, &a.listen, &holder)
                    ? problem_at(r, &d->admin_api,
                              "%s cannot be its own address, %s has one that excludes it", listener,
                              holder.file)
                    : problem_at(
                              r, &d->admin_api, "%s cannot be its own address, services are there", listener);
    } else if (is_ip)
        k = claims_add_own_listener(claims, &a.listen, d->file->file);
    if (k < 0 || !a.enabled) {
        admin_config_done(&a);
        return k;
    }
    admin_config_done(&r->config->global.admin);
    r->config->global.admin = a;
    return 0;
}

static int read_settings(Reader *r, const Value *root, GlobalDraft *d, SocketAddress *ret_listen)
{
    bool *said = (bool *) &d->config->said[offsetof(GlobalConfig, trusted_proxies)];
    int all = 0, k;

    k = config_add_settings_file(r->config, r->file, &d->file);
    if (k < 0)
        return k;
    k = read_object(r, root, global_keys, d);
    if (is_fatal(&all, k))
        return k;
    k = read_listen(r, root, d, ret_listen);
    if (is_fatal(&all, k))
        return k;
    if (value_given(&d->trusted_proxies) && !*said) {
        k = cidr_blocks_read(r, &d->trusted_proxies, &r->config->global.trusted_proxies,
                &r->config->global.n_trusted_proxies);
        if (is_fatal(&all, k))
            return k;
        *said = k == 0;
    }
    k = value_given(&d->admin_api) ? read_admin(r, d) : 0;
    if (is_fatal(&all, k))
        return k;
    d->file->good = all == 0;
    return all;
}

/* Settings first, wherever they stand: services are on the address that they name. */
static int read_whole(Reader *r, const Value *root)
{
    GlobalDraft d = {.config = config_draft(r->config)};
    SocketAddress listen;
    int all = 0, k;

    r->dynapm = true;
    k = read_settings(r, root, &d, &listen);
    if (is_fatal(&all, k))
        return k;
    k = dynapm_services_read(r, &d.services, &listen);
    if (is_fatal(&all, k))
        return k;
    return all;
}

static bool is_whole(const Value *root)
{
    json_object *ignored;
    return json_object_object_get_ex(root->json, "services", &ignored);
}

int global_read(Reader *r, const Value *root)
{
    GlobalDraft d = {.config = config_draft(r->config)};
    SocketAddress listen;

    int k = is_whole(root) ? read_whole(r, root) : read_settings(r, root, &d, &listen);
    d.config->listen_said = r->config->global.n_listen > 0;
    return k;
}

int drop_in_read(Reader *r, const Value *root)
{
    _cleanup_free_ char *name = NULL;

    if (is_whole(root))
        return read_whole(r, root);
    const char *base = strrchr(r->file, '/') ? strrchr(r->file, '/') + 1 : r->file;
    const char *suffix = strrchr(base, '.');
    name = strndup(base, suffix && streq(suffix, ".json") ? (size_t) (suffix - base) : strlen(base));
    if (!name)
        return -ENOMEM;
    return service_read(r, root, &(ServicePlace){.name = name});
}
