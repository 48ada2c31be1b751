/* SPDX-License-Identifier: ISC */

/* A width is counted in what a terminal shows, one column a code point: names of services are ASCII by rule,
 * reasons and hosts nearly always. */

#include "ctl/table.h"

#include <stdio.h>

#define GAP 2

typedef struct Cell {
    char *text;
    Colour colour;
} Cell;

struct Table {
    const char *const *header;
    size_t n_columns;
    Cell *cells;
    size_t n;
};

Table *table_new(const char *const *header)
{
    Table *t = new0(Table, 1);
    if (!t)
        return NULL;
    t->header = header;
    while (header[t->n_columns])
        t->n_columns++;
    return t;
}

Table *table_free(Table *t)
{
    if (!t)
        return NULL;
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i].text);
    free(t->cells);
    return mfree(t);
}

int table_add(Table *t, const char *text, Colour colour)
{
    char *copy = strdup(text);
    Cell *grown = copy ? reallocarray(t->cells, t->n + 1, sizeof *grown) : NULL;

    if (!grown) {
        free(copy);
        return -ENOMEM;
    }
    t->cells = grown;
    t->cells[t->n++] = (Cell){copy, colour};
    return 0;
}

static bool is_continuation(char c)
{
    return ((unsigned char) c & 0xc0) == 0x80;
}

static size_t width_of(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += !is_continuation(*s);
    return n;
}

/* Prints the first `max` columns of it, and what of `width` is left as blanks. */
static void print_cell(const char *s, size_t max, size_t width)
{
    size_t n = width_of(s), shown = n <= max ? n : max > 0 ? max - 1 : 0;
    const char *end = s;

    for (size_t i = 0; *end; end++)
        if (!is_continuation(*end) && i++ == shown)
            break;
    fwrite(s, 1, (size_t) (end - s), stdout);
    if (n > max && max > 0)
        fputs("…", stdout);
    for (n = MIN(n, max); n < width; n++)
        putchar(' ');
}

static void print_row(const Table *t, const Cell *row, const size_t *widths, size_t limit)
{
    size_t used = 0;

    for (size_t i = 0; i < t->n_columns; i++) {
        bool last = i + 1 == t->n_columns;
        const char *text = row ? row[i].text : t->header[i];
        size_t max = last && limit > 0 ? (limit > used ? limit - used : 1) : SIZE_MAX;

        fputs(colour_on(row ? row[i].colour : COLOUR_BOLD), stdout);
        print_cell(text, max, last ? 0 : widths[i]);
        fputs(colour_off(), stdout);
        if (!last)
            printf("%*s", GAP, "");
        used += widths[i] + GAP;
    }
    putchar('\n');
}

void table_print(const Table *t, bool header, size_t width)
{
    size_t widths[16] = {};

    assert(t->n_columns <= ELEMENTSOF(widths) && t->n % t->n_columns == 0);
    for (size_t i = 0; i < t->n_columns && header; i++)
        widths[i] = width_of(t->header[i]);
    for (size_t i = 0; i < t->n; i++) {
        size_t *w = &widths[i % t->n_columns];
        *w = MAX(*w, width_of(t->cells[i].text));
    }
    if (header)
        print_row(t, NULL, widths, width);
    for (size_t i = 0; i < t->n; i += t->n_columns)
        print_row(t, t->cells + i, widths, width);
}
