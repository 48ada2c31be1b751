/* SPDX-License-Identifier: ISC */
#pragma once

#include "util/macro.h"

/* How many letters have to be inserted, removed, replaced or swapped with their neighbour to turn one word
 * into the other; case does not count. Words longer than SUGGEST_MAX are infinitely far from each other. */
#define SUGGEST_MAX 40
size_t edit_distance(const char *a, const char *b) _pure_;

/* Keeps the nearest word of those it is shown, if it is near enough to be what was meant. */
typedef struct Suggestion {
    const char *best; /* borrowed from the caller; NULL = nothing is near */
    size_t distance;
} Suggestion;
void suggestion_consider(Suggestion *s, const char *written, const char *candidate);
