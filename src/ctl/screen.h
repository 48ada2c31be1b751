/* SPDX-License-Identifier: ISC */
#pragma once

/* The terminal as a whole: keys one by one, a screen of its own, and back to what it was, however it ends. */

#include "util/macro.h"

/* Takes over the terminal that stdin and stdout are. Returns 0, or -errno: -ENOTTY where there is none, or
 * one that cannot do it. */
int screen_begin(void);
/* Gives it back; does nothing where it was not taken. Safe in signal handlers. */
void screen_end(void);

void screen_size(size_t *ret_rows, size_t *ret_columns);

/* Shows lines, which end with '\n', from the top on, in place of what was there; they have to fit. */
void screen_show(const char *text, size_t len);
