/* SPDX-License-Identifier: ISC */
#pragma once

/* The bytes that libmicrohttpd receives on a client's connection, as it receives them. The library takes the
 * framing of a body off without showing it, and accepts framing that RFC 9112 7.1 forbids; here it is looked
 * at before that happens. Also tells how much of what follows a head has been received already.
 *
 * The other way, only what the library says by itself is looked at: its refusal of a Content-Length that is
 * none begins, in 0.9.75, with two heads. */

#include "wire/chunked.h"

typedef struct Tap {
    int fd;
    const char *buffer; /* the first byte of the library's buffer */
    uint64_t received;  /* bytes since the connection's begin */
    uint64_t message;   /* where among them the message in hand begins, and its body */
    uint64_t body;
    bool unheard; /* the message in hand has not reached us: what is answered now is the library's own */
    /* NULL or: in the middle of a receive, the body has turned out not to be what it should be; the library
     * is told that the connection broke. Left to itself it would wait for ever, awake, for a line that its
     * buffer cannot hold. */
    void (*on_broken)(struct Tap *t);
    uint32_t max_framing; /* bytes of a chunk's size and extensions, or of a trailer section; 0: as decoded */
    bool scanning;
    bool whole;       /* what was received last ended with an empty line, as a head without a body does */
    bool ended;       /* whatever the socket has, the library is told that nothing more comes */
    int verdict;      /* of the chunked body: 0 it goes on, 1 it has ended, < 0 it is not what it should be */
    uint64_t scanned; /* its bytes so far, framing included */
    ChunkedDecoder chunks;
    /* Asked about the first bytes of each message: true keeps them from the library, which finds the
     * connection ended. */
    bool (*first)(struct Tap *t, const char *bytes, size_t n);
    char *held; /* bytes that the library receives before those of the socket */
    size_t n_held, held_at;
} Tap;

/* Before the library receives the first byte. 0 or -ENOMEM. */
int tap_open(Tap *t, int fd);
void tap_close(Tap *t);

/* Has a byte of the message in hand been received? */
static inline bool tap_has_begun(const Tap *t)
{
    return t->received > t->message || t->held;
}

/* To be called after tap_open(): `first` as above. */
void tap_attend(Tap *t, bool (*first)(Tap *t, const char *bytes, size_t n));
/* Keeps a copy of n > 0 bytes for tap_take_held(), and ends the connection for the library. 0 or -ENOMEM. */
int tap_hold_back(Tap *t, const char *bytes, size_t n);
/* What was held back, which is the caller's now; NULL: nothing. */
char *tap_take_held(Tap *t, size_t *ret_n);
/* The library is to receive these bytes first, which are taken. */
void tap_give_back(Tap *t, char *bytes, size_t n);

/* From now on the library finds the connection ended, and leaves what comes in the socket. */
void tap_end(Tap *t);

/* The message's head has been read; it ends at `end` in the library's buffer. Returns how many bytes behind
 * it have been received already: they are there, and unchanged. */
size_t tap_head(Tap *t, const char *end);
/* Right after that: a chunked body follows. */
void tap_scan(Tap *t, const char *end, size_t n_received);
/* The message is over, its body having had so many bytes on the wire: the next one begins. */
void tap_next(Tap *t, uint64_t body);
