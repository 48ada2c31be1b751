/* SPDX-License-Identifier: ISC */

/* The way the input is cut changes nothing, and a body that is decoded to its end is what a plain, slow
 * reading of the grammar finds. The input's first four bytes choose the cuts. */

#include <stdio.h>

#include "wire/chunked.h"
#include "wire/field.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(expression)                                                                                    \
    do {                                                                                                     \
        if (!(expression)) {                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expression);                                 \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

typedef struct Outcome {
    char *data;
    size_t len, consumed;
    int result;
} Outcome;

/* seed 0: in one piece. */
static Outcome decode(const char *in, size_t len, uint32_t seed)
{
    ChunkedDecoder d = CHUNKED_DECODER_INIT;
    Outcome o = {.data = malloc(len + 1)};

    do {
        size_t n = len - o.consumed;
        if (seed) {
            seed = seed * 1103515245 + 12345;
            size_t wanted = 1 + (seed >> 16) % (seed & 0x1000 ? 3 : 40);
            n = MIN(n, wanted);
        }
        char *buf = malloc(n + !n);
        memcpy(buf, in + o.consumed, n);
        size_t got = n, used = 0, seen = 0;
        ChunkedDecoder looks = d;
        int result = chunked_scan(&looks, buf, n, &seen);
        o.result = chunked_decode(&d, buf, &got, &used);
        CHECK(result == o.result && seen == used && memcmp(&looks, &d, sizeof d) == 0);
        CHECK(got <= used && used <= n && (o.result != 0 || used == n));
        memcpy(o.data + o.len, buf, got);
        o.len += got;
        o.consumed += used;
        free(buf);
    } while (o.result == 0 && o.consumed < len);
    return o;
}

/* The line at *p: its length without CR LF, and *p moved behind it; -1 without one. */
static ssize_t read_line(const char **p, const char *end, const char **ret)
{
    const char *eol = memmem(*p, (size_t) (end - *p), "\r\n", 2);
    if (!eol)
        return -1;
    *ret = *p;
    *p = eol + 2;
    return eol - *ret;
}

/* RFC 9112 7.1 line by line. Returns the bytes used, or -1 when in[] does not start with a whole, good body.
 */
static ssize_t read_plainly(const char *in, size_t len, char *out, size_t *out_len)
{
    const char *p = in, *end = in + len, *line;
    uint64_t chunk;
    ssize_t n;

    *out_len = 0;
    do {
        n = read_line(&p, end, &line);
        if (n < 0)
            return -1;
        size_t digits = 0;
        for (chunk = 0; digits < (size_t) n; digits++) {
            const char *hex = "0123456789abcdefABCDEF", *at = line[digits] ? strchr(hex, line[digits]) : NULL;
            if (!at)
                break;
            if (chunk >> 59)
                return -1;
            chunk = chunk * 16 + (uint64_t) (at - hex >= 16 ? at - hex - 6 : at - hex);
        }
        const char *rest = line + digits, *stop = line + n;
        if (digits == 0 || !field_value_is_valid(rest, (size_t) (stop - rest)))
            return -1;
        while (rest < stop && (*rest == ' ' || *rest == '\t'))
            rest++;
        if (stop != line + digits && (rest == stop || *rest != ';'))
            return -1;
        if (chunk == 0)
            break;
        if ((uint64_t) (end - p) < chunk || (uint64_t) (end - p) - chunk < 2 ||
                memcmp(p + chunk, "\r\n", 2) != 0)
            return -1;
        memcpy(out + *out_len, p, chunk);
        *out_len += chunk;
        p += chunk + 2;
    } while (true);
    while ((n = read_line(&p, end, &line)) > 0) {
        const char *colon = memchr(line, ':', (size_t) n);
        if (!colon || !token_is_valid(line, (size_t) (colon - line)) ||
                !field_value_is_valid(colon, (size_t) (line + n - colon)))
            return -1;
    }
    return n == 0 ? p - in : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t seed;
    size_t plain_len;

    if (size < sizeof seed)
        return 0;
    memcpy(&seed, data, sizeof seed);
    const char *in = (const char *) data + sizeof seed;
    size_t len = size - sizeof seed;

    Outcome whole = decode(in, len, 0), split = decode(in, len, seed | 1);
    CHECK(whole.result == split.result && whole.len == split.len && whole.consumed == split.consumed);
    CHECK(memcmp(whole.data, split.data, whole.len) == 0);

    char *plain = malloc(len + 1);
    ssize_t used = read_plainly(in, len, plain, &plain_len);
    CHECK((whole.result == 1) == (used >= 0) || whole.result == -EMSGSIZE);
    if (whole.result == 1)
        CHECK((size_t) used == whole.consumed && plain_len == whole.len &&
                memcmp(plain, whole.data, plain_len) == 0);
    free(plain);
    free(whole.data);
    free(split.data);
    return 0;
}
