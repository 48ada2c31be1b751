/* SPDX-License-Identifier: ISC */

/* "Did you mean …?": the optimal string alignment distance (Damerau's four slips of the typist), with three
 * rows of the matrix. */

#include "config/suggest.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][SUGGEST_MAX + 1], na = strlen(a), nb = strlen(b);
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    if (na > SUGGEST_MAX || nb > SUGGEST_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++)
        before[j] = last[j] = j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            bool same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = MIN(MIN(last[j] + 1, row[j - 1] + 1), last[j - 1] + !same);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[nb];
}

void suggestion_consider(Suggestion *s, const char *written, const char *candidate)
{
    size_t d = edit_distance(written, candidate);

    /* A third of the letters, at least one: "hots" is near "host", "foo" is near nothing. */
    if (d > MAX(strlen(candidate) / 3, (size_t) 1) || (s->best && d >= s->distance))
        return;
    s->best = candidate;
    s->distance = d;
}
