/* SPDX-License-Identifier: ISC */

/* Builds a route image. Everything that is added lies in growable arrays, hosts and listeners being found
 * again by a hash, so that building is linear but for one sort of the entries; then the image's size is
 * known, and it is laid out directly in the pages of the memfd that is given away. Of what callers hand in
 * only the bytes that mean something are copied: no stray stack content of the manager gets into an image. */

#include "ipc/routes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/index.h"
#include "ipc/routes-image.h"
#include "ipc/table.h"
#include "util/fd.h"

#define NO_HOST UINT32_MAX

/* A route as it was added; entries are made of them once they are sorted. */
typedef struct Route {
    uint32_t host, listener; /* index; NO_HOST when it is a listener's */
    uint32_t sequence;
    RouteEntry entry; /* `path` is an offset into the builder's strings, as all strings are until the end */
} Route;

struct RouteBuilder {
    RouteSettings settings;
    Array sections[_SECTION_MAX]; /* all but the entries and the buckets, which are made at the end */
    Array routes;
    Index hosts, listeners;
    uint32_t root_path; /* the string "/" */
    uint32_t n_wildcards;
    uint32_t n_trusted; /* of the networks, which come first */
};

#define HOST(b, i) AT(RouteHost, &(b)->sections[SECTION_HOSTS], i)
#define LISTENER(b, i) AT(RouteListener, &(b)->sections[SECTION_LISTENERS], i)

static void *section_add(RouteBuilder *b, RouteSection s, uint32_t *ret_index)
{
    void *p = array_extend(&b->sections[s], route_section_element(s), 1);
    if (p)
        *ret_index = (uint32_t) b->sections[s].n - 1;
    return p;
}

static int string_add(RouteBuilder *b, const char *s, size_t len, uint32_t *ret)
{
    char *p = array_extend(&b->sections[SECTION_STRINGS], 1, len + 1);
    if (!p)
        return -ENOMEM;
    memcpy(p, s, len);
    *ret = (uint32_t) (p - (char *) b->sections[SECTION_STRINGS].data);
    return 0;
}

static const char *string_at(const RouteBuilder *b, uint32_t offset)
{
    return (const char *) b->sections[SECTION_STRINGS].data + offset;
}

RouteBuilder *route_builder_new(void)
{
    _cleanup_(route_builder_freep) RouteBuilder *b = new0(RouteBuilder, 1);

    if (!b || string_add(b, "/", 1, &b->root_path) < 0)
        return NULL;
    return TAKE_PTR(b);
}

RouteBuilder *route_builder_free(RouteBuilder *b)
{
    if (!b)
        return NULL;
    for (size_t i = 0; i < _SECTION_MAX; i++)
        array_done(&b->sections[i]);
    array_done(&b->routes);
    index_done(&b->hosts);
    index_done(&b->listeners);
    return mfree(b);
}

void route_builder_set_settings(RouteBuilder *b, const RouteSettings *settings)
{
    b->settings = *settings;
    b->settings.admin = b->settings.admin_host = b->settings.admin_on_main = 0;
}

int route_builder_add_network(RouteBuilder *b, const uint8_t address[static 16], uint32_t prefix)
{
    uint32_t index;
    assert(prefix <= 128);
    RouteNetwork *n = section_add(b, SECTION_NETWORKS, &index);
    if (!n)
        return -ENOMEM;
    memcpy(n->address, address, sizeof n->address);
    n->prefix = prefix;
    b->n_trusted = index + 1;
    return (int) index;
}

int route_builder_add_service(RouteBuilder *b, const char *name, uint32_t slot, bool proxy_only)
{
    uint32_t string, index;
    assert(slot < SLOTS_MAX);
    int r = string_add(b, name, strlen(name), &string);
    if (r < 0)
        return r;
    RouteService *s = section_add(b, SECTION_SERVICES, &index);
    if (!s)
        return -ENOMEM;
    *s = (RouteService){
            .slot = slot, .name = string, .proxy_only = proxy_only, .web_socket_idle = USEC_INFINITY};
    return (int) index;
}

void route_builder_set_web_socket_idle(RouteBuilder *b, int service, usec_t idle)
{
    AT(RouteService, &b->sections[SECTION_SERVICES], service)->web_socket_idle = idle;
}

static void copy_address(SocketAddress *dst, const SocketAddress *src)
{
    assert(src->len <= sizeof(struct sockaddr_un));
    memset(dst, 0, sizeof *dst);
    memcpy(&dst->un, &src->un, src->len);
    dst->len = src->len;
}

int route_builder_add_target(RouteBuilder *b, const SocketAddress *addresses, size_t n)
{
    uint32_t index;
    assert(n > 0 && n <= ROUTE_ADDRESSES_MAX);
    RouteTarget *t = section_add(b, SECTION_TARGETS, &index);
    if (!t)
        return -ENOMEM;
    t->n_addresses = (uint32_t) n;
    for (size_t i = 0; i < n; i++)
        copy_address(&t->addresses[i], &addresses[i]);
    return (int) index;
}

static int host_get(RouteBuilder *b, const char *name, size_t len, uint32_t *ret)
{
    uint64_t hash = route_hash_host(name, len);
    uint32_t string, index;

    for (uint32_t at = index_first(&b->hosts, hash); at != 0; at = index_next(&b->hosts, at)) {
        const RouteHost *h = HOST(b, at - 1);
        if (h->name_len == len && memcmp(string_at(b, h->name), name, len) == 0) {
            *ret = at - 1;
            return 0;
        }
    }
    int r = string_add(b, name, len, &string);
    if (r < 0)
        return r;
    RouteHost *h = section_add(b, SECTION_HOSTS, &index);
    if (!h)
        return -ENOMEM;
    h->name = string;
    h->name_len = (uint32_t) len;
    b->n_wildcards += name[0] == '.';
    *ret = index;
    return index_add(&b->hosts, hash);
}

static int listener_get(RouteBuilder *b, const SocketAddress *listen, bool is_main, uint32_t *ret)
{
    uint64_t hash = ROUTE_HASH_SEED;
    uint32_t index;

    for (size_t i = 0; i < listen->len; i++)
        hash = route_hash_step(hash, ((const uint8_t *) &listen->un)[i]);
    for (uint32_t at = index_first(&b->listeners, hash); at != 0; at = index_next(&b->listeners, at)) {
        const RouteListener *l = LISTENER(b, at - 1);
        if (socket_address_equal(&l->address, listen)) {
            if (l->main != is_main)
                return -EADDRINUSE;
            *ret = at - 1;
            return 0;
        }
    }
    RouteListener *l = section_add(b, SECTION_LISTENERS, &index);
    if (!l)
        return -ENOMEM;
    copy_address(&l->address, listen);
    l->main = is_main;
    *ret = index;
    return index_add(&b->listeners, hash);
}

static bool path_is_valid(const char *path)
{
    size_t len = strlen(path);
    return path[0] == '/' && !strpbrk(path, "?#") && (len == 1 || path[len - 1] != '/');
}

static int route_add(RouteBuilder *b, uint32_t host, uint32_t listener, const char *path, bool strip,
        int service, int target)
{
    uint32_t string = b->root_path;
    size_t len = streq(path, "/") ? 0 : strlen(path);
    assert(service >= 0 && (size_t) service < b->sections[SECTION_SERVICES].n);
    assert(target >= 0 && (size_t) target < b->sections[SECTION_TARGETS].n);
    if (len > 0 && string_add(b, path, len, &string) < 0)
        return -ENOMEM;
    Route *route = array_extend(&b->routes, sizeof(Route), 1);
    if (!route)
        return -ENOMEM;
    *route = (Route){
            .host = host,
            .listener = listener,
            .sequence = (uint32_t) b->routes.n,
            .entry = {(uint32_t) service, (uint32_t) target, string, (uint32_t) len, strip, 0},
    };
    return 0;
}

int route_builder_add_host_route(
        RouteBuilder *b, const char *host, const char *path, bool strip, int service, int target)
{
    uint32_t index;

    if (startswith(host, "*."))
        host++;
    size_t len = strlen(host);
    if (len == 0 || len > ROUTE_HOST_MAX || !path_is_valid(path))
        return -EINVAL;
    int r = host_get(b, host, len, &index);
    if (r < 0)
        return r;
    r = route_add(b, index, 0, path, strip, service, target);
    return r < 0 ? r : (int) index;
}

int route_builder_add_port_route(
        RouteBuilder *b, const SocketAddress *listen, const char *path, bool strip, int service, int target)
{
    uint32_t index;

    if (!path_is_valid(path))
        return -EINVAL;
    int r = listener_get(b, listen, false, &index);
    if (r >= 0 && LISTENER(b, index)->admin)
        r = -EADDRINUSE;
    if (r < 0)
        return r;
    r = route_add(b, NO_HOST, index, path, strip, service, target);
    return r < 0 ? r : (int) index;
}

void route_builder_set_tcp(RouteBuilder *b, int listener, unsigned send_proxy)
{
    LISTENER(b, listener)->tcp = 1;
    LISTENER(b, listener)->send_proxy = send_proxy;
}

void route_builder_set_accept_proxy(RouteBuilder *b, int listener)
{
    LISTENER(b, listener)->accept_proxy = 1;
}

int route_builder_add_main_listener(RouteBuilder *b, const SocketAddress *listen)
{
    uint32_t index;
    int r = listener_get(b, listen, true, &index);
    return r < 0 ? r : (int) index;
}

int route_builder_set_admin(RouteBuilder *b, const SocketAddress *listen, const char *host)
{
    uint32_t index = 0;
    int r;

    if (host && (r = string_add(b, host, strlen(host), &b->settings.admin_host)) < 0)
        return r;
    if (listen) {
        size_t n = b->sections[SECTION_LISTENERS].n;
        r = listener_get(b, listen, false, &index);
        if (r < 0)
            return r;
        if (index < n) /* it was there before */
            return -EADDRINUSE;
        LISTENER(b, index)->admin = 1;
    }
    b->settings.admin = 1;
    b->settings.admin_on_main = !listen;
    return (int) index;
}

int route_builder_allow_admin(RouteBuilder *b, const uint8_t address[static 16], uint32_t prefix)
{
    uint32_t n_trusted = b->n_trusted;

    int r = route_builder_add_network(b, address, prefix);
    b->n_trusted = n_trusted;
    return r;
}

/* ── the image ── */

/* By owner, then longest path first, equal paths in the order they came. */
static int route_compare(const void *x, const void *y, void *userdata)
{
    const RouteBuilder *b = userdata;
    const Route *p = x, *q = y;
    int r;

    if (p->host != q->host)
        return p->host < q->host ? -1 : 1;
    if (p->listener != q->listener)
        return p->listener < q->listener ? -1 : 1;
    if (p->entry.path_len != q->entry.path_len)
        return p->entry.path_len > q->entry.path_len ? -1 : 1;
    r = memcmp(string_at(b, p->entry.path), string_at(b, q->entry.path), p->entry.path_len);
    if (r != 0)
        return r;
    return p->sequence < q->sequence ? -1 : 1;
}

static bool same_path(const RouteBuilder *b, const Route *p, const Route *q)
{
    return p->host == q->host && p->listener == q->listener && p->entry.path_len == q->entry.path_len &&
           memcmp(string_at(b, p->entry.path), string_at(b, q->entry.path), p->entry.path_len) == 0;
}

/* Sorts the routes, drops those whose path another one had first, and makes entries of them, still with the
 * builder's string offsets. */
static int make_entries(RouteBuilder *b)
{
    Array *entries = &b->sections[SECTION_ENTRIES];

    entries->n = 0; /* finishing twice is legal */
    if (b->routes.n > 0)
        qsort_r(b->routes.data, b->routes.n, sizeof(Route), route_compare, b);
    for (size_t i = 0; i < b->routes.n; i++) {
        const Route *route = AT(Route, &b->routes, i);
        if (i > 0 && same_path(b, route - 1, route))
            continue;
        uint32_t *first, *n, index;
        if (route->host != NO_HOST)
            first = &HOST(b, route->host)->first, n = &HOST(b, route->host)->n;
        else
            first = &LISTENER(b, route->listener)->first, n = &LISTENER(b, route->listener)->n;
        RouteEntry *e = section_add(b, SECTION_ENTRIES, &index);
        if (!e)
            return -ENOMEM;
        *e = route->entry;
        if (i == 0 || route->host != (route - 1)->host || route->listener != (route - 1)->listener) {
            *first = index;
            *n = 0;
        }
        (*n)++;
    }
    return 0;
}

/* How many entries of the group that begins at `first` are looked up by hash. */
static size_t indexed(uint32_t n)
{
    return n > ROUTE_PATHS_LINEAR ? n : 0;
}

static void chain_paths(
        const RouteBuilder *b, RouteImageHeader *header, RouteEntry *entries, uint32_t first, uint32_t n)
{
    const RouteImageSection *buckets = &header->sections[SECTION_PATH_BUCKETS];

    for (uint32_t i = first; i < first + indexed(n); i++) {
        uint64_t h = route_hash_path_seed(first);
        const char *path = string_at(b, entries[i].path);
        for (size_t k = 0; k < entries[i].path_len; k++)
            h = route_hash_step(h, (uint8_t) path[k]);
        bucket_chain((uint32_t *) ((char *) header + buckets->offset), buckets->n, h, i, &entries[i].next);
        header->max_path_len = MAX(header->max_path_len, entries[i].path_len);
    }
}

/* Decides where everything lies. Returns 0 or -E2BIG. */
static int lay_out(const RouteBuilder *b, RouteImageHeader *ret)
{
    size_t n_paths = 0;
    uint64_t size = sizeof *ret;

    for (uint32_t i = 0; i < b->sections[SECTION_HOSTS].n; i++)
        n_paths += indexed(HOST(b, i)->n);
    for (uint32_t i = 0; i < b->sections[SECTION_LISTENERS].n; i++)
        n_paths += indexed(LISTENER(b, i)->n);

    *ret = (RouteImageHeader){
            .magic = ROUTE_IMAGE_MAGIC,
            .version = ROUTE_IMAGE_VERSION,
            .header_size = sizeof *ret,
            .n_wildcards = b->n_wildcards,
    };
    for (RouteSection s = 0; s < _SECTION_MAX; s++) {
        size_t n = s == SECTION_HOST_BUCKETS   ? bucket_count(b->sections[SECTION_HOSTS].n)
                   : s == SECTION_PATH_BUCKETS ? bucket_count(n_paths)
                                               : b->sections[s].n;
        size = (size + 7) & ~UINT64_C(7);
        if (size > ROUTE_IMAGE_SIZE_MAX)
            return -E2BIG;
        ret->sections[s] = (RouteImageSection){(uint32_t) size, (uint32_t) n};
        size += n * route_section_element(s);
    }
    if (size > ROUTE_IMAGE_SIZE_MAX)
        return -E2BIG;
    ret->size = size;
    ret->settings = b->settings;
    ret->settings.trusted_first = 0;
    ret->settings.n_trusted = b->n_trusted;
    ret->settings.admin_first = b->n_trusted;
    ret->settings.n_admin = (uint32_t) b->sections[SECTION_NETWORKS].n - b->n_trusted;
    if (ret->settings.admin_host != 0)
        ret->settings.admin_host += ret->sections[SECTION_STRINGS].offset;
    return 0;
}

/* Copies the arrays to their places, chains the indexes and turns string offsets into those of the image. */
static void fill(const RouteBuilder *b, const RouteImageHeader *header, void *base)
{
    RouteImageHeader *image = memcpy(base, header, sizeof *header);
    void *at[_SECTION_MAX];

    for (RouteSection s = 0; s < _SECTION_MAX; s++) {
        at[s] = (char *) base + header->sections[s].offset;
        if (b->sections[s].n > 0)
            memcpy(at[s], b->sections[s].data, b->sections[s].n * route_section_element(s));
    }
    RouteHost *hosts = at[SECTION_HOSTS];
    RouteListener *listeners = at[SECTION_LISTENERS];
    RouteEntry *entries = at[SECTION_ENTRIES];
    RouteService *services = at[SECTION_SERVICES];
    uint32_t strings = header->sections[SECTION_STRINGS].offset;

    for (uint32_t i = 0; i < header->sections[SECTION_HOSTS].n; i++) {
        bucket_chain(at[SECTION_HOST_BUCKETS], header->sections[SECTION_HOST_BUCKETS].n,
                AT(IndexNode, &b->hosts.nodes, i)->hash, i, &hosts[i].next);
        chain_paths(b, image, entries, hosts[i].first, hosts[i].n);
        hosts[i].name += strings;
    }
    for (uint32_t i = 0; i < header->sections[SECTION_LISTENERS].n; i++)
        chain_paths(b, image, entries, listeners[i].first, listeners[i].n);
    for (uint32_t i = 0; i < header->sections[SECTION_ENTRIES].n; i++)
        entries[i].path += strings;
    for (uint32_t i = 0; i < header->sections[SECTION_SERVICES].n; i++)
        services[i].name += strings;
}

int route_builder_finish(RouteBuilder *b)
{
    RouteImageHeader header;

    int r = make_entries(b);
    if (r < 0)
        return r;
    r = lay_out(b, &header);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = memfd_new_sized("dynapm-routes", header.size);
    if (fd < 0)
        return fd;
    void *base = mmap(NULL, header.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    fill(b, &header, base);
    (void) munmap(base, header.size); /* F_SEAL_WRITE needs it gone */
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return -errno;
    return TAKE_FD(fd);
}
