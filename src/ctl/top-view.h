/* SPDX-License-Identifier: ISC */
#pragma once

/* What `top` shows: samples in, lines out. Knows neither terminals nor the manager. */

#include <json-c/json.h>
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/sample.h"

typedef enum TopSort {
    TOP_BY_SERVICE,
    TOP_BY_MEMORY,
    TOP_BY_RATE,
    TOP_BY_ACTIVE,
} TopSort;

typedef struct TopView {
    char **patterns;  /* of the names that are shown; borrowed; empty: all */
    uint64_t *bounds; /* of durations; ours, may be NULL */
    size_t n_bounds;

    Sample now;
    Sample tick; /* what `now` is compared with unless it is one itself */
    bool now_is_tick;

    TopSort sort;
    bool reverse;
    char *selected; /* a name; NULL: the first line */
    size_t first;   /* line that is the first on the screen */
} TopView;

void top_view_done(TopView *v);

/* Takes the sample. A tick is one of those that are regularly apart: rates are those between two of them;
 * other samples only show what has changed meanwhile. Returns 0 or -ENOMEM. */
int top_view_take(TopView *v, Sample *sample, bool tick);

/* By another column; by the same one again: the other way round. */
void top_view_sort(TopView *v, TopSort by);
/* Selects the one so many lines further down, or up. */
void top_view_move(TopView *v, long lines);
/* NULL: there is none. */
const char *top_view_selected(const TopView *v);

/* Writes `rows` lines, each at most `columns` wide; `message` takes the place of the keys. */
int top_view_format(TopView *v, size_t rows, size_t columns, const char *message, FILE *f);
/* Writes the whole table, for files. */
int top_view_print(TopView *v, bool legend, FILE *f);
/* NULL: out of memory. */
json_object *top_view_to_json(const TopView *v);
