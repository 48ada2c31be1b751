/* SPDX-License-Identifier: ISC */

/* Invariant: rates are in the samples, put there when one is taken, so that drawing compares nothing. Names
 * and states are ASCII: a byte is a column. */

#include "ctl/top-view.h"

#include <fnmatch.h>
#include <inttypes.h>

#define CELL_MAX 40
#define KEYS "q quit  s service  m memory  r requests  a active  S start  X stop"

typedef const ServiceSample *Row;

void top_view_done(TopView *v)
{
    free(v->bounds);
    free(v->selected);
    sample_done(&v->now);
    sample_done(&v->tick);
}

/* ── taking ── */

static bool is_wanted(const TopView *v, const char *name)
{
    char **p = v->patterns;

    if (!p || !*p)
        return true;
    for (; *p; p++)
        if (fnmatch(*p, name, 0) == 0)
            return true;
    return false;
}

static void drop_unwanted(const TopView *v, Sample *s)
{
    Sample kept = *s, dropped = {};
    _cleanup_free_ ServiceSample *unwanted = new0(ServiceSample, MAX(s->n, (size_t) 1));

    if (!unwanted) /* they are shown, then */
        return;
    kept.n = 0;
    dropped.services = unwanted;
    for (size_t i = 0; i < s->n; i++)
        if (is_wanted(v, s->services[i].name))
            kept.services[kept.n++] = s->services[i];
        else
            dropped.services[dropped.n++] = s->services[i];
    TAKE_PTR(unwanted);
    sample_done(&dropped);
    *s = kept;
}

static void compare(const TopView *v, ServiceSample *s, const Sample *before, const Sample *now)
{
    const ServiceSample *b = sample_find(before, s->name);
    usec_t span = usec_sub(now->monotonic, before->monotonic);

    s->rate = b && span > 0 && s->requests >= b->requests
                      ? (double) (s->requests - b->requests) * USEC_PER_SEC / (double) span
                      : -1;
    s->p95 = sample_p95(b, s, v->bounds, v->n_bounds);
}

static void keep(ServiceSample *s, const Sample *before)
{
    const ServiceSample *b = sample_find(before, s->name);

    s->rate = b ? b->rate : -1;
    s->p95 = b ? b->p95 : USEC_INFINITY;
}

int top_view_take(TopView *v, Sample *sample, bool tick)
{
    Sample s = *sample;

    *sample = (Sample){};
    drop_unwanted(v, &s);
    for (size_t i = 0; i < s.n; i++)
        if (tick)
            compare(v, &s.services[i], v->now_is_tick ? &v->now : &v->tick, &s);
        else
            keep(&s.services[i], &v->now);
    if (v->now_is_tick) {
        sample_done(&v->tick);
        v->tick = v->now;
    } else
        sample_done(&v->now);
    v->now = s;
    v->now_is_tick = tick;
    if (!v->selected && s.n > 0)
        v->selected = strdup(s.services[0].name);
    return 0;
}

/* ── order and selection ── */

static int compare_numbers(double a, double b)
{
    return (a < b) - (a > b); /* the largest first */
}

static double known(uint64_t n)
{
    return n == UINT64_MAX ? -1 : (double) n;
}

static int by_column(const void *a, const void *b, void *userdata)
{
    const TopView *v = userdata;
    Row x = *(const Row *) a, y = *(const Row *) b;
    int r = v->sort == TOP_BY_MEMORY   ? compare_numbers(known(x->memory), known(y->memory))
            : v->sort == TOP_BY_RATE   ? compare_numbers(x->rate, y->rate)
            : v->sort == TOP_BY_ACTIVE ? compare_numbers((double) x->active, (double) y->active)
                                       : strcmp(x->name, y->name);

    if (r == 0)
        return strcmp(x->name, y->name);
    return v->reverse ? -r : r;
}

/* Fresh memory that the caller frees; NULL: out of memory. */
static Row *sorted(const TopView *v)
{
    Row *rows = new0(Row, MAX(v->now.n, (size_t) 1));

    for (size_t i = 0; rows && i < v->now.n; i++)
        rows[i] = &v->now.services[i];
    if (rows && v->now.n > 1)
        qsort_r(rows, v->now.n, sizeof *rows, by_column, (void *) v);
    return rows;
}

static size_t selected_line(const TopView *v, const Row *rows)
{
    for (size_t i = 0; i < v->now.n; i++)
        if (streq_ptr(v->selected, rows[i]->name))
            return i;
    return 0;
}

void top_view_sort(TopView *v, TopSort by)
{
    v->reverse = v->sort == by && !v->reverse;
    v->sort = by;
    v->first = 0;
}

void top_view_move(TopView *v, long lines)
{
    _cleanup_free_ Row *rows = sorted(v);

    if (!rows || v->now.n == 0)
        return;
    long line = (long) selected_line(v, rows), last = (long) v->now.n - 1;
    line = lines > last - line ? last : lines < -line ? 0 : line + lines;
    char *name = strdup(rows[line]->name);
    if (name) {
        free(v->selected);
        v->selected = name;
    }
}

const char *top_view_selected(const TopView *v)
{
    return v->selected && sample_find(&v->now, v->selected) ? v->selected : NULL;
}

/* ── cells ── */

typedef void (*Format)(char buf[static CELL_MAX], Row s, usec_t now);

/* The two largest units. */
static void put_span(char buf[static CELL_MAX], usec_t t)
{
    usec_t unit = t >= 24 * 60 * USEC_PER_MINUTE ? 60 * USEC_PER_MINUTE
                  : t >= 60 * USEC_PER_MINUTE    ? USEC_PER_MINUTE
                                                 : USEC_PER_SEC;
    char text[TIMESPAN_STRING_MAX];

    snprintf(buf, CELL_MAX, "%s", t < USEC_PER_SEC ? "now" : timespan_format(text, t - t % unit));
}

static void format_since(char buf[static CELL_MAX], Row s, usec_t now)
{
    put_span(buf, usec_sub(now, s->since));
}

static void put_count(char buf[static CELL_MAX], uint64_t n)
{
    if (n == 0 || n == UINT64_MAX)
        strcpy(buf, "-");
    else
        snprintf(buf, CELL_MAX, "%" PRIu64, n);
}

static void format_active(char buf[static CELL_MAX], Row s, usec_t now)
{
    put_count(buf, s->active);
}

static void format_waiting(char buf[static CELL_MAX], Row s, usec_t now)
{
    put_count(buf, s->waiting);
}

static void format_rate(char buf[static CELL_MAX], Row s, usec_t now)
{
    if (s->rate <= 0)
        strcpy(buf, "-");
    else
        snprintf(buf, CELL_MAX, s->rate < 100 ? "%.1f" : "%.0f", s->rate);
}

static void format_p95(char buf[static CELL_MAX], Row s, usec_t now)
{
    double ms = (double) s->p95 / USEC_PER_MSEC;

    if (s->p95 == USEC_INFINITY)
        strcpy(buf, "-");
    else if (ms < 1000)
        snprintf(buf, CELL_MAX, ms < 10 ? "%.1fms" : "%.0fms", ms);
    else
        snprintf(buf, CELL_MAX, "%.1fs", ms / 1000);
}

static void format_memory(char buf[static CELL_MAX], Row s, usec_t now)
{
    static const char units[] = "BKMGTPE";
    double n = (double) s->memory;
    size_t unit = 0;

    if (s->memory == UINT64_MAX || s->memory == 0) {
        strcpy(buf, "-");
        return;
    }
    for (; n >= 1024 && units[unit + 1]; unit++)
        n /= 1024;
    snprintf(buf, CELL_MAX, unit == 0 || n >= 100 ? "%.0f%c" : "%.1f%c", n, units[unit]);
}

static void format_idle(char buf[static CELL_MAX], Row s, usec_t now)
{
    if (s->idle_deadline == 0 || s->idle_deadline == UINT64_MAX)
        strcpy(buf, "-");
    else
        put_span(buf, usec_sub(s->idle_deadline, now));
}

/* Behind the name and the state, to the right. */
static const struct {
    const char *header;
    Format format;
} columns[] = {
        {"SINCE", format_since},
        {"ACTIVE", format_active},
        {"WAITING", format_waiting},
        {"REQ/S", format_rate},
        {"P95", format_p95},
        {"MEMORY", format_memory},
        {"IDLE IN", format_idle},
};

typedef struct Widths {
    size_t name, state, columns[ELEMENTSOF(columns)];
} Widths;

static void measure(const TopView *v, const Row *rows, Widths *w)
{
    char cell[CELL_MAX];

    *w = (Widths){.name = STRLEN("SERVICE"), .state = STRLEN("stopping")};
    for (size_t c = 0; c < ELEMENTSOF(columns); c++)
        w->columns[c] = strlen(columns[c].header);
    for (size_t i = 0; i < v->now.n; i++) {
        w->name = MAX(w->name, strlen(rows[i]->name));
        for (size_t c = 0; c < ELEMENTSOF(columns); c++) {
            columns[c].format(cell, rows[i], v->now.realtime);
            w->columns[c] = MAX(w->columns[c], strlen(cell));
        }
    }
}

/* ── lines ── */

/* A line that ends where the terminal does. */
typedef struct Line {
    FILE *f;
    size_t left;
} Line;

static void put_cell(Line *l, const char *text, size_t width, bool right)
{
    size_t len = strlen(text), blanks = width > len ? width - len : 0;

    for (size_t i = 0; right && i < blanks && l->left > 0; i++, l->left--)
        fputc(' ', l->f);
    for (; *text && l->left > 0; l->left--)
        fputc(*text++, l->f);
    for (size_t i = 0; !right && i < blanks && l->left > 0; i++, l->left--)
        fputc(' ', l->f);
}

/* s NULL: the header. */
static void put_row(FILE *f, const TopView *v, const Widths *w, Row s, size_t width)
{
    Line l = {f, width};
    char cell[CELL_MAX];

    put_cell(&l, s ? s->name : "SERVICE", w->name, false);
    put_cell(&l, "", 2, false);
    fputs(s ? colour_on(colour_of_state(s->state)) : "", f);
    put_cell(&l, s ? s->state : "STATE", w->state, false);
    fputs(s ? colour_off() : "", f);
    for (size_t c = 0; c < ELEMENTSOF(columns); c++) {
        if (s)
            columns[c].format(cell, s, v->now.realtime);
        put_cell(&l, "", 2, false);
        put_cell(&l, s ? cell : columns[c].header, w->columns[c], true);
    }
    fputc('\n', f);
}

static void put_summary(FILE *f, const TopView *v, size_t width)
{
    uint64_t n_online = 0, n_starting = 0, n_failed = 0, active = 0;
    double rate = 0;
    char text[256];

    for (size_t i = 0; i < v->now.n; i++) {
        const ServiceSample *s = &v->now.services[i];
        n_online += streq(s->state, "online");
        n_starting += streq(s->state, "starting");
        n_failed += streq(s->state, "failed");
        active += s->active;
        rate += MAX(s->rate, 0.0);
    }
    snprintf(text, sizeof text,
            "%zu service%s: %" PRIu64 " online, %" PRIu64 " starting, %" PRIu64 " failed; %" PRIu64
            " request%s open, %.1f/s",
            v->now.n, v->now.n == 1 ? "" : "s", n_online, n_starting, n_failed, active,
            active == 1 ? "" : "s", rate);
    Line l = {f, width};
    put_cell(&l, text, 0, false);
    fputc('\n', f);
}

int top_view_format(TopView *v, size_t rows, size_t width, const char *message, FILE *f)
{
    _cleanup_free_ Row *all = sorted(v);
    size_t room = rows > 3 ? rows - 3 : 0;
    Widths w;

    if (!all)
        return -ENOMEM;
    measure(v, all, &w);
    size_t line = selected_line(v, all);
    if (line < v->first)
        v->first = line;
    else if (room > 0 && line >= v->first + room)
        v->first = line - room + 1;
    put_summary(f, v, width);
    Line l = {f, width};
    fputs(message ? "" : colour_on(COLOUR_GREY), f);
    put_cell(&l, message ?: KEYS, 0, false);
    fprintf(f, "%s\n%s  ", message ? "" : colour_off(), colour_on(COLOUR_BOLD));
    put_row(f, v, &w, NULL, width > 2 ? width - 2 : 0);
    fputs(colour_off(), f);
    for (size_t i = v->first; i < v->now.n && i - v->first < room; i++) {
        fputs(i == line ? "> " : "  ", f);
        put_row(f, v, &w, all[i], width > 2 ? width - 2 : 0);
    }
    return 0;
}

int top_view_print(TopView *v, bool legend, FILE *f)
{
    _cleanup_free_ Row *all = sorted(v);
    Widths w;

    if (!all)
        return -ENOMEM;
    measure(v, all, &w);
    if (legend) {
        put_summary(f, v, SIZE_MAX);
        put_row(f, v, &w, NULL, SIZE_MAX);
    }
    for (size_t i = 0; i < v->now.n; i++)
        put_row(f, v, &w, all[i], SIZE_MAX);
    return 0;
}

/* ── JSON ── */

static json_object *number(uint64_t n)
{
    return n == UINT64_MAX ? NULL : json_object_new_uint64(n);
}

json_object *top_view_to_json(const TopView *v)
{
    json_object *array = json_object_new_array();

    for (size_t i = 0; array && i < v->now.n; i++) {
        const ServiceSample *s = &v->now.services[i];
        json_object *o = json_object_new_object();
        if (!o || json_object_array_add(array, o) < 0 ||
                json_object_object_add(o, "name", json_object_new_string(s->name)) < 0 ||
                json_object_object_add(o, "state", json_object_new_string(s->state)) < 0 ||
                json_object_object_add(o, "since", number(s->since)) < 0 ||
                json_object_object_add(o, "activeExchanges", number(s->active)) < 0 ||
                json_object_object_add(o, "waiting", number(s->waiting)) < 0 ||
                json_object_object_add(o, "requests", number(s->requests)) < 0 ||
                json_object_object_add(
                        o, "requestsPerSecond", s->rate < 0 ? NULL : json_object_new_double(s->rate)) < 0 ||
                json_object_object_add(o, "p95", number(s->p95)) < 0 ||
                json_object_object_add(o, "memory", number(s->memory)) < 0 ||
                json_object_object_add(
                        o, "idleDeadline", s->idle_deadline == 0 ? NULL : number(s->idle_deadline)) < 0) {
            json_object_put(array);
            return NULL;
        }
    }
    return array;
}
