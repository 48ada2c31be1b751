/* SPDX-License-Identifier: ISC */
#pragma once

/* Columns for people: as wide as what is in them, the last one cut where the terminal ends. */

#include "ctl/ctl.h"

typedef struct Table Table;

/* `header`: NULL-terminated, static. NULL: out of memory. */
Table *table_new(const char *const *header);
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free)

/* The next cell, row by row; copied. 0 or -ENOMEM. */
int table_add(Table *t, const char *text, Colour colour);

/* Prints it to stdout; `width`: columns of the terminal, 0 = as wide as it takes. */
void table_print(const Table *t, bool header, size_t width);
