/* SPDX-License-Identifier: ISC */

/* Owns the chunked transfer coding, read side: a state machine that takes one byte at a time, but for data,
 * which it takes whole. Invariants: `left` counts only in SIZE (being read) and DATA (being used up); a byte
 * outside data either moves the machine on or ends it for good; so the way the input is cut cannot matter. */

#include "wire/chunked.h"

#include "wire/octet.h"

typedef enum ChunkedState {
    SIZE_START, /* the first digit of a size: zero, so that CHUNKED_DECODER_INIT starts here */
    SIZE,
    SIZE_BWS, /* whitespace after the size: an extension must follow */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* a trailer field's name, or the empty line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    END,
    BAD,
    TOO_LARGE,
} ChunkedState;

static int hex_digit(char c)
{
    if (octet_is_digit(c))
        return c - '0';
    char lower = (char) octet_lower[(uint8_t) c];
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static ChunkedState expect(char c, char wanted, ChunkedState next)
{
    return c == wanted ? next : BAD;
}

static ChunkedState take_size(ChunkedDecoder *d, char c)
{
    int digit = hex_digit(c);

    if (digit >= 0) {
        if (d->left > INT64_MAX >> 4)
            return BAD;
        d->left = d->left << 4 | (uint64_t) digit;
        return SIZE;
    }
    if (d->state == SIZE_START)
        return BAD;
    return c == '\r' ? SIZE_LF : c == ';' ? EXTENSION : octet_is_ows(c) ? SIZE_BWS : BAD;
}

/* The size line has ended: data pays for it, the last chunk starts the account of the trailer section. */
static ChunkedState end_size_line(ChunkedDecoder *d)
{
    if (d->left == 0) {
        d->overhead = 0;
        return TRAILER_START;
    }
    uint64_t credit = 16 + 2 * MIN(d->left, (uint64_t) CHUNKED_OVERHEAD_MAX);
    d->overhead -= (uint32_t) MIN(d->overhead, credit);
    return DATA;
}

static ChunkedState next_state(ChunkedDecoder *d, char c)
{
    switch ((ChunkedState) d->state) {
    case SIZE_START:
    case SIZE:
        return take_size(d, c);
    case SIZE_BWS:
        return octet_is_ows(c) ? SIZE_BWS : expect(c, ';', EXTENSION);
    case EXTENSION:
        return octet_is(c, OCTET_FIELD) ? EXTENSION : expect(c, '\r', SIZE_LF);
    case SIZE_LF:
        return c == '\n' ? end_size_line(d) : BAD;
    case DATA_CR:
        return expect(c, '\r', DATA_LF);
    case DATA_LF:
        return expect(c, '\n', SIZE_START);
    case TRAILER_START:
        return octet_is(c, OCTET_TCHAR) ? TRAILER_NAME : expect(c, '\r', END_LF);
    case TRAILER_NAME:
        return octet_is(c, OCTET_TCHAR) ? TRAILER_NAME : expect(c, ':', TRAILER_VALUE);
    case TRAILER_VALUE:
        return octet_is(c, OCTET_FIELD) ? TRAILER_VALUE : expect(c, '\r', TRAILER_LF);
    case TRAILER_LF:
        return expect(c, '\n', TRAILER_START);
    case END_LF:
        return expect(c, '\n', END);
    case DATA:
    case END:
    case BAD:
    case TOO_LARGE:
        break; /* chunked_decode() does not ask */
    }
    return BAD;
}

/* `to` NULL: the data are not wanted. */
static size_t take_data(ChunkedDecoder *d, char *to, const char *from, size_t n)
{
    n = (size_t) MIN((uint64_t) n, d->left);
    if (to && to != from)
        memmove(to, from, n);
    d->left -= n;
    if (d->left == 0)
        d->state = DATA_CR;
    return n;
}

static int run(ChunkedDecoder *d, const char *buf, size_t len, char *out, size_t *ret_len, size_t *consumed)
{
    const char *p = buf, *end = buf + len;

    *ret_len = 0;
    while (p < end && d->state < END) {
        if (d->state == DATA) {
            size_t n = take_data(d, out ? out + *ret_len : NULL, p, (size_t) (end - p));
            *ret_len += n;
            p += n;
            continue;
        }
        if (d->state != DATA_CR && d->state != DATA_LF && ++d->overhead > CHUNKED_OVERHEAD_MAX) {
            d->state = TOO_LARGE;
            break;
        }
        d->state = next_state(d, *p);
        if (d->state != BAD)
            p++;
    }
    *consumed = (size_t) (p - buf);
    switch (d->state) {
    case END:
        return 1;
    case BAD:
        return -EBADMSG;
    case TOO_LARGE:
        return -EMSGSIZE;
    default:
        return 0;
    }
}

int chunked_decode(ChunkedDecoder *d, char *buf, size_t *len, size_t *consumed)
{
    return run(d, buf, *len, buf, len, consumed);
}

int chunked_scan(ChunkedDecoder *d, const char *buf, size_t len, size_t *consumed)
{
    size_t n_data;
    return run(d, buf, len, NULL, &n_data, consumed);
}
