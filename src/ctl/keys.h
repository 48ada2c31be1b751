/* SPDX-License-Identifier: ISC */
#pragma once

/* From bytes that a terminal sends to keys. */

#include "util/macro.h"

typedef enum Key {
    KEY_NONE, /* more has to come, or it is none that matters */
    KEY_ESCAPE = 0x100,
    KEY_UP,
    KEY_DOWN,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_HOME,
    KEY_END,
    /* below that: a character */
} Key;

/* Zeroed at the beginning. */
typedef struct KeyDecoder {
    enum { KEYS_PLAIN, KEYS_ESCAPED, KEYS_SEQUENCE } state;
    unsigned number; /* a sequence's first parameter */
    bool number_ends;
} KeyDecoder;

/* Takes a byte; returns the key that ends with it. ECMA-48, 5.4; xterm's and the Linux console's keys. */
int key_decode(KeyDecoder *d, char byte);

/* Nothing has come for a moment: an escape byte was the escape key. Returns that, or KEY_NONE. */
int key_decode_pause(KeyDecoder *d);
/* Does the meaning of the last byte depend on what comes? */
static inline bool key_is_pending(const KeyDecoder *d)
{
    return d->state != KEYS_PLAIN;
}
