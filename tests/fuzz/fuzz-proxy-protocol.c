/* SPDX-License-Identifier: ISC */

/* A PROXY header is read the same however it is cut, and what is written of what was read is read as the same
 * again. */

#include <stdio.h>

#include "wire/proxy-protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(expression)                                                                                    \
    do {                                                                                                     \
        if (!(expression)) {                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expression);                                 \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static int read_copy(const uint8_t *data, size_t n, ProxyEnds *ret)
{
    char *copy = malloc(n + !n);

    memcpy(copy, data, n);
    int r = proxy_header_read(copy, n, ret);
    free(copy);
    return r;
}

static bool equal(const ProxyEnds *a, const ProxyEnds *b)
{
    return a->known == b->known &&
           (!a->known ||
                   (IN6_ARE_ADDR_EQUAL(&a->source, &b->source) &&
                           IN6_ARE_ADDR_EQUAL(&a->destination, &b->destination) &&
                           a->source_port == b->source_port && a->destination_port == b->destination_port));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ProxyEnds whole = {}, part;
    char buf[PROXY_HEADER_MAX];

    int r = read_copy(data, size, &whole);
    CHECK(r == -EAGAIN || r == -EBADMSG || (r > 0 && (size_t) r <= size));
    for (size_t n = 0; n < MIN(size, (size_t) 300); n++) {
        int k = read_copy(data, n, &part);
        CHECK(k == -EAGAIN || (k == -EBADMSG && r == -EBADMSG) || (k == r && equal(&whole, &part)));
    }
    if (r <= 0)
        return 0;
    for (unsigned version = 1; version <= 2; version++) {
        size_t n = proxy_header_write(buf, version, &whole);
        CHECK(n <= sizeof buf);
        CHECK(read_copy((uint8_t *) buf, n, &part) == (int) n && equal(&whole, &part));
    }
    return 0;
}
