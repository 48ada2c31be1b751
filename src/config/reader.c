/* SPDX-License-Identifier: ISC */

/* Tables of keys, iteration, and how problems come to their place and path. A Value's node and its
 * json_object are walked side by side: json-c keeps members in the order of the text as long as no name
 * occurs twice, which check_duplicates() makes sure of before anything else reads. */

#include "config/reader.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/suggest.h"

/* A file can be wrong in more places than anybody reads. */
#define PROBLEMS_MAX 1000

bool value_is(const Value *v, json_type type)
{
    return json_object_get_type(v->json) == type;
}

bool value_next(const Reader *r, const Value *v, ValueIterator *it, Value *ret)
{
    bool object = value_is(v, json_type_object);

    if (!it->started) {
        it->started = true;
        it->node = v->node->n_children ? (uint32_t) (v->node - r->text->nodes) + 1 : 0;
        it->entry = object ? json_object_get_object(v->json)->head : NULL;
    } else {
        it->node = r->text->nodes[it->node].next;
        it->index++;
        it->entry = it->entry ? it->entry->next : NULL;
    }
    if (!it->node)
        return false;
    *ret = (Value){.parent = v, .index = it->index, .node = &r->text->nodes[it->node]};
    if (object) {
        assert(it->entry);
        ret->key = lh_entry_k(it->entry);
        ret->json = (json_object *) lh_entry_v(it->entry);
    } else
        ret->json = json_object_array_get_idx(v->json, it->index);
    return true;
}

/* ── problems ── */

static bool is_plain_key(const char *key)
{
    size_t n = strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-$");
    return n > 0 && !key[n];
}

static void write_key(FILE *f, const char *key, bool first)
{
    if (is_plain_key(key)) {
        fprintf(f, "%s%s", first ? "" : ".", key);
        return;
    }
    json_object *quoted = json_object_new_string(key);
    fprintf(f, "[%s]", json_object_to_json_string_ext(quoted, JSON_C_TO_STRING_NOSLASHESCAPE) ?: "?");
    json_object_put(quoted);
}

static void write_path(FILE *f, const Value *v)
{
    if (!v->parent)
        return;
    write_path(f, v->parent);
    if (v->key)
        write_key(f, v->key, !v->parent->parent);
    else
        fprintf(f, "[%zu]", v->index);
}

/* NULL where there is nothing to say; -ENOMEM shows as a failure of the stream. */
static int format_path(const Value *v, const char *child, char **ret)
{
    _cleanup_free_ char *path = NULL;
    size_t size;

    FILE *f = open_memstream(&path, &size);
    if (!f)
        return -ENOMEM;
    write_path(f, v);
    if (child)
        write_key(f, child, !v->parent);
    if (fclose(f) != 0 || !path)
        return -ENOMEM;
    *ret = *path ? TAKE_PTR(path) : NULL;
    return 0;
}

_printf_(5, 0) static int add_problem(
        Reader *r, JsonPosition at, const Value *v, const char *child, const char *format, va_list ap)
{
    char *path = NULL, *message;
    int k;

    if (++r->n_problems > PROBLEMS_MAX)
        return -EBADMSG;
    if (r->n_problems == PROBLEMS_MAX) {
        message = strdup("so much is wrong that the rest is not listed");
        k = config_add_problem(r->config, r->file, at.line, at.column, NULL, message);
        return k < 0 ? k : -EBADMSG;
    }
    k = format_path(v, child, &path);
    if (k < 0)
        return k;
    if (vasprintf(&message, format, ap) < 0)
        message = NULL;
    k = config_add_problem(r->config, r->file, at.line, at.column, path, message);
    return k < 0 ? k : -EBADMSG;
}

int problem_at(Reader *r, const Value *v, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    int k = add_problem(r, v->node->value, v, NULL, format, ap);
    va_end(ap);
    return k;
}

int problem_at_key(Reader *r, const Value *v, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    int k = add_problem(r, v->node->key, v, NULL, format, ap);
    va_end(ap);
    return k;
}

int problem_missing(Reader *r, const Value *object, const char *key, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    int k = add_problem(r, object->node->key, object, key, format, ap);
    va_end(ap);
    return k;
}

int problem_expected(Reader *r, const Value *v, const char *format, ...)
{
    _cleanup_free_ char *what = NULL;
    char got[DESCRIPTION_MAX];
    va_list ap;

    va_start(ap, format);
    int k = vasprintf(&what, format, ap);
    va_end(ap);
    if (k < 0) {
        what = NULL;
        return -ENOMEM;
    }
    return problem_at(r, v, "expected %s, got %s", what, value_describe(v, got));
}

int problem_expected_hint(Reader *r, const Value *v, const char *what, const char *hint)
{
    char got[DESCRIPTION_MAX];
    return problem_at(r, v, "expected %s, got %s%s", what, value_describe(v, got), hint);
}

/* ── tables ── */

static int unknown_key(Reader *r, const Value *v, const Key *keys)
{
    Suggestion s = {};
    char name[DESCRIPTION_MAX];

    for (const Key *k = keys; r->n_problems < PROBLEMS_MAX && k->name; k++)
        suggestion_consider(&s, v->key, k->name);

    json_object *quoted = json_object_new_string(v->key);
    Value as_string = {.json = quoted};
    value_describe(&as_string, name);
    json_object_put(quoted);

    const char *ignored = r->dynapm ? ", which is ignored" : "";
    int e = s.best ? problem_at_key(r, v, "unknown key %s%s; did you mean \"%s\"?", name, ignored, s.best)
                   : problem_at_key(r, v, "unknown key %s%s", name, ignored);
    return e == -EBADMSG && r->dynapm ? 0 : e;
}

int read_object(Reader *r, const Value *v, const Key *keys, void *object)
{
    ValueIterator it = {};
    int all = 0;

    if (!value_is(v, json_type_object))
        return problem_expected(r, v, "an object");
    for (Value member = {}; value_next(r, v, &it, &member);) {
        const Key *k = keys;
        while (k->name && !streq(k->name, member.key) && !streq(k->name, "*"))
            k++;
        int e = !k->name ? unknown_key(r, &member, keys) : k->read ? k->read(r, &member, k, object) : 0;
        if (is_fatal(&all, e))
            return e;
    }
    return all;
}

int key_keep(Reader *r, const Value *v, const Key *key, void *object)
{
    *(Value *) ((char *) object + key->offset) = *v;
    return 0;
}

int key_timespan(Reader *r, const Value *v, const Key *key, void *object)
{
    return value_timespan(r, v, key->flags, (usec_t *) ((char *) object + key->offset));
}

int key_bool(Reader *r, const Value *v, const Key *key, void *object)
{
    return value_bool(r, v, (bool *) ((char *) object + key->offset));
}

int key_ignored_string(Reader *r, const Value *v, const Key *key, void *object)
{
    return value_is(v, json_type_string) ? 0 : problem_expected(r, v, "a string");
}

int key_object(Reader *r, const Value *v, const Key *key, void *object)
{
    return read_object(r, v, key->keys, object);
}

/* ── a file ── */

/* A name as json-c reads it, from its place in the text. */
static json_object *decode_name(const Reader *r, const JsonNode *n)
{
    struct json_tokener *t = json_tokener_new();
    if (!t)
        return NULL;
    json_object *name = json_tokener_parse_ex(t, r->text->text + n->key_offset, (int) n->key_len);
    json_tokener_free(t);
    return name;
}

/* json-c let the last of two equal names win: find the second one and say so. Where there is none, it had no
 * memory for a member and did not mention it. */
static int report_duplicates(Reader *r, const Value *v)
{
    json_object *seen = json_object_new_object();
    const JsonNode *nodes = r->text->nodes;
    int all = seen ? 0 : -ENOMEM;

    for (uint32_t n = (uint32_t) (v->node - nodes) + 1; n && (all == 0 || all == -EBADMSG);
            n = nodes[n].next) {
        json_object *name = decode_name(r, &nodes[n]), *first;
        if (!name) {
            all = -ENOMEM;
            break;
        }
        const char *key = json_object_get_string(name);
        if (json_object_object_get_ex(seen, key, &first)) {
            Value member = {.parent = v, .key = key, .node = &nodes[n]};
            all = problem_at_key(
                    r, &member, "written twice in one object, first in line %d", json_object_get_int(first));
        } else if (json_object_object_add(seen, key, json_object_new_int((int) nodes[n].key.line)) < 0)
            all = -ENOMEM;
        json_object_put(name);
    }
    json_object_put(seen);
    return all < 0 ? all : -ENOMEM;
}

static int check_duplicates(Reader *r, const Value *v)
{
    bool object = value_is(v, json_type_object);
    ValueIterator it = {};
    int all = 0;

    if (!object && !value_is(v, json_type_array))
        return 0;
    if (object && (size_t) json_object_object_length(v->json) != v->node->n_children)
        return report_duplicates(r, v);
    for (Value child = {}; value_next(r, v, &it, &child);) {
        int e = check_duplicates(r, &child);
        if (is_fatal(&all, e))
            return e;
    }
    return all;
}

/* People read a file from its top, whatever order it was understood in. */
static int compare_problems(const void *a, const void *b)
{
    const ConfigProblem *x = a, *y = b;

    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return strcmp(x->message, y->message);
}

int reader_run(Reader *r, const char *text, size_t len, int (*read)(Reader *r, const Value *root))
{
    Config *c = r->config;
    size_t first = c->n_problems;
    JsonError error;

    int k = json_text_parse(text, len, &r->text, &error);
    if (k == -EBADMSG) {
        k = config_add_problem(c, r->file, error.position.line, error.position.column, NULL, error.message);
        return k < 0 ? k : -EBADMSG;
    }
    if (k < 0)
        return k;

    Value root = {.json = r->text->root, .node = r->text->nodes};
    k = check_duplicates(r, &root);
    if (k == 0)
        k = read(r, &root);
    r->text = json_text_free(r->text);
    if (c->n_problems > first)
        qsort(c->problems + first, c->n_problems - first, sizeof *c->problems, compare_problems);
    return k;
}
