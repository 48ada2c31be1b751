/* SPDX-License-Identifier: ISC */

/* Reads a route image. All distrust is in route_image_map(): it walks the whole image once and refuses it if
 * any number in it leads out of it, or if a chain could be a ring; chains therefore run from higher indexes
 * to lower ones. Everything after relies on that and on the seals, by which the image cannot change any more.
 * A look-up costs the length of the host, or of the path, and a few probes, whatever the number of services.
 */

#include "ipc/routes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ipc/routes-image.h"
#include "ipc/table.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct RouteImage {
    unsigned n_ref;
    size_t size;
    const RouteImageHeader *header; /* the image's start */
    const RouteService *services;
    const RouteTarget *targets;
    const RouteEntry *entries;
    const RouteHost *hosts;
    const RouteListener *listeners;
    const RouteNetwork *networks;
    const uint32_t *host_buckets, *path_buckets;
};

static uint32_t count(const RouteImage *i, RouteSection s)
{
    return i->header->sections[s].n;
}

/* ── checking ── */

static bool range_is_valid(uint32_t first, uint32_t n, uint32_t limit)
{
    return first <= limit && n <= limit - first;
}

/* `offset` is one of a string of `len` bytes at least, NUL included in the section in any case. */
static bool string_is_valid(const RouteImage *i, uint32_t offset, uint32_t len)
{
    const RouteImageSection *s = &i->header->sections[SECTION_STRINGS];
    return offset >= s->offset && offset - s->offset < s->n && len < s->n - (offset - s->offset);
}

static bool address_is_valid(const SocketAddress *a)
{
    switch (a->sa.sa_family) {
    case AF_INET:
        return a->len == sizeof a->in;
    case AF_INET6:
        return a->len == sizeof a->in6;
    case AF_UNIX:
        return a->len > offsetof(struct sockaddr_un, sun_path) && a->len <= sizeof a->un &&
               memchr(a->un.sun_path, 0, a->len - offsetof(struct sockaddr_un, sun_path));
    default:
        return false;
    }
}

static bool header_is_valid(const RouteImage *i)
{
    const RouteImageHeader *h = i->header;

    if (h->magic != ROUTE_IMAGE_MAGIC || h->version != ROUTE_IMAGE_VERSION || h->header_size != sizeof *h ||
            h->size != i->size)
        return false;
    for (RouteSection s = 0; s < _SECTION_MAX; s++) {
        const RouteImageSection *x = &h->sections[s];
        if (x->offset < sizeof *h || x->offset % 8 != 0 || x->offset > i->size ||
                x->n > (i->size - x->offset) / route_section_element(s))
            return false;
    }
    const RouteImageSection *strings = &h->sections[SECTION_STRINGS];
    return strings->n > 0 && ((const char *) h)[strings->offset + strings->n - 1] == 0 &&
           range_is_valid(h->settings.trusted_first, h->settings.n_trusted, count(i, SECTION_NETWORKS)) &&
           range_is_valid(h->settings.admin_first, h->settings.n_admin, count(i, SECTION_NETWORKS)) &&
           (h->settings.admin_host == 0 || string_is_valid(i, h->settings.admin_host, 0));
}

static bool buckets_are_valid(const uint32_t *buckets, uint32_t n, uint32_t limit)
{
    if (n == 0 || (n & (n - 1)) != 0)
        return false;
    for (uint32_t k = 0; k < n; k++)
        if (buckets[k] > limit)
            return false;
    return true;
}

static bool routes_are_valid(const RouteImage *i)
{
    uint32_t n_entries = count(i, SECTION_ENTRIES);

    for (uint32_t k = 0; k < n_entries; k++) {
        const RouteEntry *e = &i->entries[k];
        if (e->service >= count(i, SECTION_SERVICES) || e->target >= count(i, SECTION_TARGETS) ||
                !string_is_valid(i, e->path, e->path_len) || e->next > k)
            return false;
    }
    for (uint32_t k = 0; k < count(i, SECTION_HOSTS); k++) {
        const RouteHost *h = &i->hosts[k];
        if (h->n == 0 || !range_is_valid(h->first, h->n, n_entries) || h->name_len > ROUTE_HOST_MAX ||
                !string_is_valid(i, h->name, h->name_len) || h->next > k)
            return false;
    }
    for (uint32_t k = 0; k < count(i, SECTION_LISTENERS); k++) {
        const RouteListener *l = &i->listeners[k];
        if (!address_is_valid(&l->address) || !range_is_valid(l->first, l->n, n_entries) || l->main > 1 ||
                l->admin > 1 || l->main + l->admin > 1 || (l->main + l->admin == 1) != (l->n == 0) ||
                l->tcp > 1 || l->send_proxy > 2 || l->accept_proxy > 1)
            return false;
    }
    return buckets_are_valid(i->host_buckets, count(i, SECTION_HOST_BUCKETS), count(i, SECTION_HOSTS)) &&
           buckets_are_valid(i->path_buckets, count(i, SECTION_PATH_BUCKETS), n_entries);
}

static bool services_are_valid(const RouteImage *i)
{
    for (uint32_t k = 0; k < count(i, SECTION_SERVICES); k++)
        if (i->services[k].slot >= SLOTS_MAX || !string_is_valid(i, i->services[k].name, 0))
            return false;
    for (uint32_t k = 0; k < count(i, SECTION_TARGETS); k++) {
        const RouteTarget *t = &i->targets[k];
        if (t->n_addresses == 0 || t->n_addresses > ROUTE_ADDRESSES_MAX)
            return false;
        for (uint32_t j = 0; j < t->n_addresses; j++)
            if (!address_is_valid(&t->addresses[j]))
                return false;
    }
    for (uint32_t k = 0; k < count(i, SECTION_NETWORKS); k++)
        if (i->networks[k].prefix > 128)
            return false;
    return true;
}

static void find_sections(RouteImage *i)
{
    const char *base = (const char *) i->header;
    const RouteImageSection *s = i->header->sections;

    i->services = (const RouteService *) (base + s[SECTION_SERVICES].offset);
    i->targets = (const RouteTarget *) (base + s[SECTION_TARGETS].offset);
    i->entries = (const RouteEntry *) (base + s[SECTION_ENTRIES].offset);
    i->hosts = (const RouteHost *) (base + s[SECTION_HOSTS].offset);
    i->listeners = (const RouteListener *) (base + s[SECTION_LISTENERS].offset);
    i->networks = (const RouteNetwork *) (base + s[SECTION_NETWORKS].offset);
    i->host_buckets = (const uint32_t *) (base + s[SECTION_HOST_BUCKETS].offset);
    i->path_buckets = (const uint32_t *) (base + s[SECTION_PATH_BUCKETS].offset);
}

int route_image_map(int fd, RouteImage **ret)
{
    struct stat st;

    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return -EINVAL;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size < (off_t) sizeof(RouteImageHeader) || st.st_size > (off_t) ROUTE_IMAGE_SIZE_MAX)
        return -EINVAL;

    _cleanup_(route_image_unrefp) RouteImage *i = new0(RouteImage, 1);
    if (!i)
        return -ENOMEM;
    i->n_ref = 1;
    i->size = (size_t) st.st_size;
    void *base = mmap(NULL, i->size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    i->header = base;
    if (!header_is_valid(i))
        return -EINVAL;
    find_sections(i);
    if (!services_are_valid(i) || !routes_are_valid(i))
        return -EINVAL;
    *ret = TAKE_PTR(i);
    return 0;
}

RouteImage *route_image_ref(RouteImage *i)
{
    i->n_ref++;
    return i;
}

RouteImage *route_image_unref(RouteImage *i)
{
    if (!i || --i->n_ref > 0)
        return NULL;
    if (i->header)
        (void) munmap((void *) i->header, i->size);
    return mfree(i);
}

/* ── what is in it ── */

const RouteSettings *route_image_settings(const RouteImage *i)
{
    return &i->header->settings;
}

size_t route_image_n_services(const RouteImage *i)
{
    return count(i, SECTION_SERVICES);
}

const RouteService *route_image_service(const RouteImage *i, uint32_t index)
{
    assert(index < count(i, SECTION_SERVICES));
    return &i->services[index];
}

const RouteTarget *route_image_target(const RouteImage *i, uint32_t index)
{
    assert(index < count(i, SECTION_TARGETS));
    return &i->targets[index];
}

size_t route_image_n_targets(const RouteImage *i)
{
    return count(i, SECTION_TARGETS);
}

size_t route_image_n_listeners(const RouteImage *i)
{
    return count(i, SECTION_LISTENERS);
}

const RouteListener *route_image_listener(const RouteImage *i, uint32_t index)
{
    assert(index < count(i, SECTION_LISTENERS));
    return &i->listeners[index];
}

const char *route_image_string(const RouteImage *i, uint32_t offset)
{
    return (const char *) i->header + offset;
}

static bool is_in(const RouteImage *i, uint32_t first, uint32_t n_networks, const uint8_t address[static 16])
{
    for (uint32_t k = 0; k < n_networks; k++) {
        const RouteNetwork *n = &i->networks[first + k];
        uint32_t bytes = n->prefix / 8, bits = n->prefix % 8;
        if (memcmp(n->address, address, bytes) == 0 &&
                (bits == 0 || ((n->address[bytes] ^ address[bytes]) >> (8 - bits)) == 0))
            return true;
    }
    return false;
}

bool route_image_trusts(const RouteImage *i, const uint8_t address[static 16])
{
    const RouteSettings *s = &i->header->settings;
    return is_in(i, s->trusted_first, s->n_trusted, address);
}

bool route_image_lets_administer(const RouteImage *i, const uint8_t address[static 16])
{
    const RouteSettings *s = &i->header->settings;
    return s->n_admin == 0 || is_in(i, s->admin_first, s->n_admin, address);
}

/* ── looking up ── */

static bool is_path_end(const char *target, size_t len, size_t at)
{
    return at >= len || target[at] == '?' || target[at] == '#';
}

/* Goes through the target once, and asks the index at every '/' and at the end: the last hit is the longest.
 */
static const RouteEntry *match_path_indexed(
        const RouteImage *i, uint32_t first, uint32_t n, const char *target, size_t len)
{
    const RouteEntry *best = i->entries[first + n - 1].path_len == 0 ? &i->entries[first + n - 1] : NULL;
    uint64_t h = route_hash_path_seed(first);

    for (size_t k = 0; k <= i->header->max_path_len; k++) {
        bool end = is_path_end(target, len, k);
        if (k > 0 && (end || target[k] == '/')) {
            uint32_t at = i->path_buckets[route_hash_bucket(h, count(i, SECTION_PATH_BUCKETS))];
            for (; at != 0; at = i->entries[at - 1].next) {
                const RouteEntry *e = &i->entries[at - 1];
                if (at - 1 - first < n && e->path_len == k &&
                        memcmp(route_image_string(i, e->path), target, k) == 0) {
                    best = e;
                    break;
                }
            }
        }
        if (end)
            break;
        h = route_hash_step(h, (uint8_t) target[k]);
    }
    return best;
}

static const RouteEntry *match_path(
        const RouteImage *i, uint32_t first, uint32_t n, const char *target, size_t len)
{
    if (n > ROUTE_PATHS_LINEAR)
        return match_path_indexed(i, first, n, target, len);
    for (const RouteEntry *e = &i->entries[first]; e < &i->entries[first + n]; e++) {
        if (e->path_len == 0)
            return e;
        if (e->path_len <= len && memcmp(route_image_string(i, e->path), target, e->path_len) == 0 &&
                (is_path_end(target, len, e->path_len) || target[e->path_len] == '/'))
            return e;
    }
    return NULL;
}

static const RouteHost *find_host(const RouteImage *i, uint64_t hash, const char *name, size_t len)
{
    uint32_t at = i->host_buckets[route_hash_bucket(hash, count(i, SECTION_HOST_BUCKETS))];

    for (; at != 0; at = i->hosts[at - 1].next) {
        const RouteHost *h = &i->hosts[at - 1];
        if (h->name_len == len && memcmp(route_image_string(i, h->name), name, len) == 0)
            return h;
    }
    return NULL;
}

const RouteEntry *route_image_match_host(const RouteImage *i, const char *host, size_t host_len,
        const char *target, size_t target_len, bool *ret_host_known)
{
    struct {
        uint64_t hash;
        size_t at;
    } suffixes[ROUTE_HOST_MAX / 2 + 1]; /* those that begin with a dot, shortest first */
    char name[ROUTE_HOST_MAX];
    size_t n_suffixes = 0;
    uint64_t hash = ROUTE_HASH_SEED;

    *ret_host_known = false;
    if (host_len > 0 && host[host_len - 1] == '.')
        host_len--;
    /* A first dot would find a wildcard by its own name. */
    if (host_len == 0 || host_len > ROUTE_HOST_MAX || host[0] == '.')
        return NULL;
    for (size_t k = host_len; k-- > 0;) {
        char c = host[k];
        name[k] = c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
        hash = route_hash_step(hash, (uint8_t) name[k]);
        if (c != '.')
            continue;
        if (k + 1 == host_len || name[k + 1] == '.')
            return NULL; /* an empty label is no label */
        suffixes[n_suffixes].hash = hash;
        suffixes[n_suffixes++].at = k;
    }

    const RouteHost *h = find_host(i, hash, name, host_len);
    size_t k = i->header->n_wildcards > 0 ? n_suffixes : 0;
    for (;;) {
        if (h) {
            *ret_host_known = true;
            const RouteEntry *e = match_path(i, h->first, h->n, target, target_len);
            if (e)
                return e;
        }
        if (k-- == 0)
            return NULL;
        size_t at = suffixes[k].at;
        h = find_host(i, suffixes[k].hash, name + at, host_len - at);
    }
}

const RouteEntry *route_image_match_listener(
        const RouteImage *i, uint32_t listener, const char *target, size_t target_len)
{
    const RouteListener *l = route_image_listener(i, listener);
    return l->n > 0 ? match_path(i, l->first, l->n, target, target_len) : NULL;
}
