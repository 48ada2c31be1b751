/* SPDX-License-Identifier: ISC */
#pragma once

/* RFC 9112 7.1, decoding. Strict: CRLF only, hex digits only for the size, extensions skipped but bounded,
 * trailers skipped but bounded. Pure and incremental; any split of the input gives the same result. */

#include "util/macro.h"

/* Bytes that framing may cost: the trailer section, and what size lines hold beyond 16 bytes and twice their
 * chunk's data, summed up. Thus a long extension is fine, and one to each single byte of data is not. */
#define CHUNKED_OVERHEAD_MAX 16384

typedef struct ChunkedDecoder {
    uint64_t left; /* data bytes left in this chunk */
    uint32_t state;
    uint32_t overhead; /* bytes of framing not yet made up for by data, or of the trailer section */
} ChunkedDecoder;

#define CHUNKED_DECODER_INIT ((ChunkedDecoder){})

/* Decodes buf[0..*len) in place: data bytes are moved to the front, *len becomes their number, *consumed the
 * number of input bytes used (all of them unless the end was reached; what follows the end is not the
 * body's). Returns 1 when the last chunk and the trailer section have ended, 0 when more is needed, -EBADMSG
 * on bad syntax (then *len bytes at the front are still good data), -EMSGSIZE when extensions or the trailers
 * exceed their bound. The end and an error are final: later calls give the same and consume nothing. */
int chunked_decode(ChunkedDecoder *d, char *buf, size_t *len, size_t *consumed);

/* The same without decoding: looks at buf[0..len) and leaves it as it is. */
int chunked_scan(ChunkedDecoder *d, const char *buf, size_t len, size_t *consumed);
