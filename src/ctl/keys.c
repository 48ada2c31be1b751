/* SPDX-License-Identifier: ISC */

#include "ctl/keys.h"

static int sequence_key(unsigned number, char last)
{
    switch (last) {
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_END;
    case '~':
        return number == 5                  ? KEY_PAGE_UP
               : number == 6                ? KEY_PAGE_DOWN
               : number == 1 || number == 7 ? KEY_HOME
               : number == 4 || number == 8 ? KEY_END
                                            : KEY_NONE;
    default:
        return KEY_NONE;
    }
}

int key_decode(KeyDecoder *d, char byte)
{
    unsigned char c = (unsigned char) byte;

    switch (d->state) {
    case KEYS_PLAIN:
        if (c == 0x1b)
            d->state = KEYS_ESCAPED;
        return c == 0x1b || c >= 0x80 ? KEY_NONE : c;
    case KEYS_ESCAPED:
        if (c == 0x1b)
            return KEY_ESCAPE; /* the first one; the second one may be a beginning */
        d->state = c == '[' || c == 'O' ? KEYS_SEQUENCE : KEYS_PLAIN;
        d->number = 0;
        d->number_ends = false;
        return KEY_NONE; /* with Alt */
    default:
        if (c >= 0x40 && c <= 0x7e) {
            d->state = KEYS_PLAIN;
            return sequence_key(d->number, byte);
        }
        if (c < '0' || c > '9')
            d->number_ends = true;
        else if (!d->number_ends && d->number < 1000)
            d->number = d->number * 10 + c - '0';
        return KEY_NONE;
    }
}

int key_decode_pause(KeyDecoder *d)
{
    bool alone = d->state == KEYS_ESCAPED;

    *d = (KeyDecoder){};
    return alone ? KEY_ESCAPE : KEY_NONE;
}
