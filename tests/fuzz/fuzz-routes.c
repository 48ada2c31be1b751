/* SPDX-License-Identifier: ISC */

/* A route image of arbitrary bytes: route_image_map() either refuses it, or nothing that is then looked up
 * leads out of it. An input that begins with 'P' is a list of patches (offset, value; four bytes each) to an
 * image that was built properly, so that the fuzzer gets past the magic number however the layout changes. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/routes.h"
#include "ipc/table.h"
#include "util/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int build(void)
{
    _cleanup_(route_builder_freep) RouteBuilder *b = route_builder_new();
    SocketAddress l, m, t;
    char path[32];

    if (!b || socket_address_parse("127.0.0.1:1", &t) < 0 || socket_address_parse("unix:/x", &l) < 0 ||
            socket_address_parse("[::1]:80", &m) < 0)
        abort();
    int target = route_builder_add_target(b, &t, 1);
    for (unsigned k = 0; k < 12; k++) {
        snprintf(path, sizeof path, "/p%u", k);
        int s = route_builder_add_service(b, path + 1, k, false);
        (void) route_builder_add_host_route(b, k < 10 ? "many.test" : "*.test", path, false, s, target);
        (void) route_builder_add_port_route(b, &l, path, true, s, target);
    }
    (void) route_builder_add_main_listener(b, &m);
    (void) route_builder_add_network(b, (const uint8_t[16]){1}, 9);
    return route_builder_finish(b);
}

static char *patched(const uint8_t *data, size_t size, size_t *ret_len)
{
    _cleanup_close_ int fd = build();
    char *buf;

    if (fd < 0 || fd_read_file(fd, 1 << 20, &buf, ret_len) < 0)
        abort();
    for (; size >= 8; data += 8, size -= 8) {
        uint32_t at, value;
        memcpy(&at, data, 4);
        memcpy(&value, data + 4, 4);
        memcpy(buf + at % (*ret_len / 4) * 4, &value, 4);
    }
    return buf;
}

static void look_around(const RouteImage *i)
{
    static const char *const hosts[] = {"many.test", "a.b.test", "MANY.test.", "x", "..", "test"};
    static const char *const targets[] = {"/p1", "/p3/x?y", "/p11", "/", "*", "", "/pppppppppppppppppppp/p"};
    volatile size_t sum = 0;
    bool known;

    for (size_t t = 0; t < ELEMENTSOF(targets); t++) {
        for (size_t h = 0; h < ELEMENTSOF(hosts); h++) {
            const RouteEntry *e = route_image_match_host(
                    i, hosts[h], strlen(hosts[h]), targets[t], strlen(targets[t]), &known);
            if (e)
                sum += route_image_service(i, e->service)->slot +
                       route_image_target(i, e->target)->n_addresses + strlen(route_image_string(i, e->path));
        }
        for (uint32_t l = 0; l < MIN(route_image_n_listeners(i), (size_t) 64); l++)
            if (route_image_match_listener(i, l, targets[t], strlen(targets[t])))
                sum++;
    }
    for (uint32_t s = 0; s < route_image_n_services(i); s++)
        sum += strlen(route_image_string(i, route_image_service(i, s)->name));
    for (uint32_t l = 0; l < route_image_n_listeners(i); l++) {
        char buf[SOCKET_ADDRESS_STRING_MAX];
        sum += strlen(socket_address_format(buf, &route_image_listener(i, l)->address));
    }
    sum += route_image_trusts(i, (const uint8_t[16]){1, 2, 3});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    _cleanup_free_ char *buf = NULL;
    RouteImage *i;

    if (size > 0 && data[0] == 'P') {
        buf = patched(data + 1, size - 1, &size);
        data = (const uint8_t *) buf;
    }
    if (fd < 0 || write(fd, data, size) != (ssize_t) size ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        abort();
    if (route_image_map(fd, &i) < 0)
        return 0;
    look_around(i);
    route_image_unref(i);
    return 0;
}
