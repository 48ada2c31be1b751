/* SPDX-License-Identifier: ISC */

/* The texts that streams send (WHATWG HTML, 9.2): one line of data each, as JSON has no line breaks. */

#include "admin/admin-service.h"
#include "gateway/admin-internal.h"

Event *event_unref(Event *e)
{
    if (e && --e->n_ref == 0)
        free(e);
    return NULL;
}
Event *event_new(const char *before, const char *text, size_t len)
{
    size_t n = strlen(before);

    Event *e = malloc(sizeof *e + n + len + 3);
    if (!e)
        return NULL;
    *e = (Event){.n_ref = 1, .len = n + len + 2};
    memcpy(e->text, before, n);
    memcpy(e->text + n, text, len);
    memcpy(e->text + n + len, "\n\n", 3);
    return e;
}

/* {"type": TYPE, KEY: VALUE, …}; `value` is taken. */
json_object *event_body_new(const char *type, const char *key, json_object *value)
{
    json_object *o = json_object_new_object();

    if (o && admin_json_add(o, "type", json_object_new_string(type)) && admin_json_add(o, key, value))
        return o;
    if (!o)
        json_object_put(value);
    json_object_put(o);
    return NULL;
}

/* `body` is taken; NULL: out of memory. */
Event *event_from(json_object *body, const char *before)
{
    size_t len = 0;

    _cleanup_free_ char *text = body ? admin_json_text(body, &len) : NULL;
    json_object_put(body);
    return text ? event_new(before, text, len) : NULL;
}
