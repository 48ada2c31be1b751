/* SPDX-License-Identifier: ISC */
#pragma once

/* RFC 9112 7.1, decoding. Strict: CRLF only, hex digits only for the size, extensions skipped but bounded,
 * trailers skipped but bounded. Pure and incremental; any split of the input gives the same result. */

#include "util/macro.h"

typedef struct ChunkedDecoder {
    uint64_t left; /* data bytes left in this chunk */
    uint32_t state;
    uint32_t overhead; /* bytes of this size line or of the trailer section, for their bound */
} ChunkedDecoder;

#define CHUNKED_DECODER_INIT ((ChunkedDecoder){})

/* Decodes buf[0..*len) in place: data bytes are moved to the front, *len becomes their number, *consumed the
 * number of input bytes used (all of them unless the end was reached; what follows the end is not the
 * body's). Returns 1 when the last chunk and the trailer section have ended, 0 when more is needed, -EBADMSG
 * on bad syntax (then *len bytes at the front are still good data), -EMSGSIZE when an extension or the
 * trailers exceed their bound. */
int chunked_decode(ChunkedDecoder *d, char *buf, size_t *len, size_t *consumed);
