/* SPDX-License-Identifier: ISC */

/* The journal's JSON (systemd's "Journal Export Formats") to ours: all of its values are strings, a message
 * that is no text is an array of bytes, and one that is too long is null. */

#include "admin/admin-service.h"

static json_object *text_of_bytes(json_object *bytes)
{
    size_t n = json_object_array_length(bytes);

    _cleanup_free_ char *text = malloc(n + 1);
    if (!text)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        int b = json_object_get_int(json_object_array_get_idx(bytes, i));
        text[i] = (b >= 0x20 && b < 0x7f) || b == '\t' || b == '\n' ? (char) b : '?';
    }
    return json_object_new_string_len(text, (int) n);
}

static json_object *message(json_object *entry)
{
    json_object *m = json_object_object_get(entry, "MESSAGE");

    switch (json_object_get_type(m)) {
    case json_type_string:
        return json_object_get(m);
    case json_type_array:
        return text_of_bytes(m);
    default:
        return json_object_new_string("");
    }
}

static json_object *number(json_object *entry, const char *key, int64_t divisor)
{
    json_object *v = json_object_object_get(entry, key);
    return v ? json_object_new_int64(json_object_get_int64(v) / divisor) : NULL;
}

static bool add_line(json_object *lines, json_object *entry)
{
    json_object *line = json_object_new_object();
    json_object *who = json_object_object_get(entry, "SYSLOG_IDENTIFIER");

    if (line && admin_json_add(line, "time", number(entry, "__REALTIME_TIMESTAMP", 1000)) &&
            admin_json_add(line, "priority", number(entry, "PRIORITY", 1)) &&
            admin_json_add(line, "identifier",
                    json_object_get_type(who) == json_type_string ? json_object_get(who) : NULL) &&
            admin_json_add(line, "text", message(entry)) && json_object_array_add(lines, line) == 0)
        return true;
    json_object_put(line);
    return false;
}

json_object *admin_logs_read(const char *text, size_t len)
{
    json_object *o = json_object_new_object(), *lines = json_object_new_array();
    struct json_tokener *t = json_tokener_new();
    bool good = o && lines && t;

    for (const char *end; good && len > 0; len -= (size_t) (end - text), text = end) {
        const char *newline = memchr(text, '\n', len);
        end = newline ? newline + 1 : text + len;
        json_tokener_reset(t);
        json_object *entry = json_tokener_parse_ex(t, text, (int) (end - text));
        if (json_object_get_type(entry) == json_type_object)
            good = add_line(lines, entry);
        json_object_put(entry);
    }
    if (t)
        json_tokener_free(t);
    if (good && admin_json_add(o, "lines", lines))
        return o;
    if (!good)
        json_object_put(lines);
    json_object_put(o);
    return NULL;
}
