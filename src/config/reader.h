/* SPDX-License-Identifier: ISC */
#pragma once

/* From JSON values to fields, by tables of keys. Whatever is refused becomes a problem that names file, line,
 * column and JSON path; reading then goes on, so that one look shows all that is wrong.
 *
 * Functions return 0, -EBADMSG when they recorded a problem, or -ENOMEM. */

#include "config/internal.h"
#include "config/json-text.h"

typedef struct Reader {
    Config *config;
    const char *file;
    const char *folder; /* absolute; where relative paths of a DynaPM configuration start; may be NULL */
    bool dynapm; /* inside a whole DynaPM configuration: what DynaPM ignored is ignored too, aloud if unknown
                  */
    JsonText *text;
    unsigned n_problems;
} Reader;

/* A value and the way to it. Values live on the stack of whoever reads their parent; a copy may be kept while
 * the parent is there. `node` NULL: nothing was given. */
typedef struct Value {
    const struct Value *parent; /* NULL: the root */
    const char *key;            /* the name under which an object has it, else NULL */
    size_t index;               /* in an array */
    json_object *json;          /* NULL is null */
    const JsonNode *node;
} Value;

static inline bool value_given(const Value *v)
{
    return v->node != NULL;
}

/* The children of an object or array, in order: `for (Value c = {}; value_next(r, v, &it, &c);)`. */
typedef struct ValueIterator {
    bool started;
    uint32_t node;
    size_t index;
    struct lh_entry *entry;
} ValueIterator;
bool value_next(const Reader *r, const Value *v, ValueIterator *it, Value *ret);

/* ── problems ── */

int problem_at(Reader *r, const Value *v, const char *format, ...) _printf_(3, 4);
/* The same, but pointing to the value's name. */
int problem_at_key(Reader *r, const Value *v, const char *format, ...) _printf_(3, 4);
/* About a key that an object should have. */
int problem_missing(Reader *r, const Value *object, const char *key, const char *format, ...) _printf_(4, 5);
/* "expected WHAT, got VALUE" */
int problem_expected(Reader *r, const Value *v, const char *format, ...) _printf_(3, 4);
/* "expected WHAT, got VALUEHINT"; the hint brings its own punctuation. */
int problem_expected_hint(Reader *r, const Value *v, const char *what, const char *hint);

/* A value as a sentence quotes it: "text", 5, null, "an object"; cut where it is long. */
#define DESCRIPTION_MAX 192
const char *value_describe(const Value *v, char buf[static DESCRIPTION_MAX]);

/* ── single values ── */

bool value_is(const Value *v, json_type type);
/* Is it a number without a fraction, and not negative? Beyond 2^53 one may come back as UINT64_MAX. */
bool value_is_whole(const Value *v, uint64_t *ret);
/* Not empty. The string belongs to the value. */
int value_string(Reader *r, const Value *v, const char *what, const char **ret);
int value_bool(Reader *r, const Value *v, bool *ret);
/* A whole number of that range, 4.0 included. */
int value_uint(Reader *r, const Value *v, uint64_t min, uint64_t max, uint64_t *ret);
int value_port(Reader *r, const Value *v, const char *what, uint16_t *ret);

typedef enum TimespanFlags {
    TIMESPAN_NEVER = 1 << 0,      /* "never" and "infinity" are USEC_INFINITY */
    TIMESPAN_ZERO_NEVER = 1 << 1, /* so is 0 */
} TimespanFlags;
int value_timespan(Reader *r, const Value *v, TimespanFlags flags, usec_t *ret);

/* strdup() into *field, the old string being freed. */
int set_string(char **field, const char *s);

/* ── tables ── */

typedef struct Key {
    const char *name; /* NULL ends a table; "*", the last one, is every other name */
    /* Reads the value into `object`; NULL: accepted and of no consequence. */
    int (*read)(Reader *r, const Value *v, const struct Key *key, void *object);
    size_t offset;          /* of the field in `object` that `read` sets */
    unsigned flags;         /* TimespanFlags */
    uint64_t min, max;      /* of numbers */
    const struct Key *keys; /* of the members, or of the elements' members */
    bool array;
} Key;

/* Reads every member of an object by its table. */
int read_object(Reader *r, const Value *v, const Key *keys, void *object);
/* The function below `read` in a table that keeps a Value for later. */
int key_keep(Reader *r, const Value *v, const Key *key, void *object);
int key_timespan(Reader *r, const Value *v, const Key *key, void *object);
int key_bool(Reader *r, const Value *v, const Key *key, void *object);
/* A string of no consequence. */
int key_ignored_string(Reader *r, const Value *v, const Key *key, void *object);
/* Checks an object by its table without a field to set. */
int key_object(Reader *r, const Value *v, const Key *key, void *object);

/* 0 and -EBADMSG go on, the latter being remembered in *all; true: -ENOMEM, which ends everything. */
static inline bool is_fatal(int *all, int r)
{
    if (r < 0)
        *all = r;
    return r < 0 && r != -EBADMSG;
}

/* ── the parts of a file ── */

/* Parses `text` and hands its root on; checks what holds for every file. */
int reader_run(Reader *r, const char *text, size_t len, int (*read)(Reader *r, const Value *root));
