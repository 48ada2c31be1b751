/* SPDX-License-Identifier: ISC */
#pragma once

/* One direction of a tunnel: from one socket to another. */

#include "util/macro.h"

#define WAY_PIECE ((size_t) (64 * 1024))

typedef enum WayEnd { WAY_OPEN, WAY_ENDED, WAY_BROKEN } WayEnd;

typedef enum WayResult {
    WAY_DRY,  /* all that can be done now is done */
    WAY_MORE, /* there may be more to read, and others should have their turn first */
    WAY_GONE, /* the receiver takes nothing any more */
} WayResult;

/* What all ways share, for the length of a call. */
typedef struct Mover {
    char *piece; /* WAY_PIECE bytes, borrowed */
    int pipe[2]; /* empty in between */
} Mover;

typedef struct Way {
    int from, to; /* borrowed; non-blocking stream sockets */
    uint32_t len, at;
    char *stuck; /* bytes that the receiver did not take yet; NULL: none */
    uint64_t bytes;
    WayEnd end; /* of the sender */
    bool told;  /* the receiver was told of the end, or takes no more: what still comes is dropped */
    bool bulk;  /* it came faster than it was read */
    bool last;  /* an end was announced: it may be behind the bytes, and nothing tells of it again */
} Way;

void mover_init(Mover *m, char *piece);
void mover_done(Mover *m);

/* Takes `ahead`, whose bytes `at` to `len` are to go first, or NULL. */
void way_init(Way *w, int from, int to, char *ahead, size_t at, size_t len);
void way_done(Way *w);

/* Sends what is stuck, then receives and sends what there is; then, where the sender has ended, or `ending`
 * says that no more is passed on, tells the receiver (shutdown(2)). `to_the_end`: an end was announced along
 * with the bytes, which is remembered. To be called whenever the sender has something or, if bytes are stuck,
 * the receiver has room, edge-triggered. */
WayResult way_run(Way *w, Mover *m, bool to_the_end, bool ending);

/* The receiver is gone or must get no more: drops what is stuck, and what still comes. */
void way_close(Way *w);
