/* SPDX-License-Identifier: ISC */

/* From bytes to a JsonText. In this order, so that each step may rely on the one before: the bytes are UTF-8
 * without NUL; comments become spaces, offsets and lines staying as they were; the scan holds the text
 * against the grammar and notes positions; only then json-c builds the values, from text that it cannot
 * misread (it takes NaN and raw control characters, and cuts names at \u0000, even when strict). */

#include "config/json-text.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/text.h"

int json_error(JsonError *ret_error, JsonPosition at, const char *format, ...)
{
    char *message;
    va_list ap;

    va_start(ap, format);
    int r = vasprintf(&message, format, ap);
    va_end(ap);
    if (r < 0)
        return -ENOMEM;
    *ret_error = (JsonError){.position = at, .message = message};
    return -EBADMSG;
}

static JsonPosition position_of(const char *text, size_t offset)
{
    JsonPosition at = {.line = 1, .column = 1};

    for (size_t i = 0; i < offset; i++)
        if (text[i] == '\n') {
            at.line++;
            at.column = 1;
        } else if (((unsigned char) text[i] & 0xc0) != 0x80)
            at.column++;
    return at;
}

static int check_encoding(const char *text, size_t len, JsonError *ret_error)
{
    for (size_t i = 0; i < len;) {
        size_t n = text_utf8_len(text + i, len - i);
        if (n == 0)
            return json_error(ret_error, position_of(text, i), "expected UTF-8 text, got the byte 0x%02x",
                    (unsigned char) text[i]);
        if (text[i] == 0)
            return json_error(ret_error, position_of(text, i), "expected UTF-8 text, got a NUL byte");
        i += n;
    }
    return 0;
}

/* A string ends with its line at the latest, so that a forgotten quote does not turn the rest of the file
 * around; the scan says what is wrong with it. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"' && *p != '\n'; p++)
        if (*p == '\\' && p + 1 < end && p[1] != '\n')
            p++;
    return p < end ? p + 1 : end;
}

static int blank_comments(char *text, size_t len, JsonError *ret_error)
{
    const char *end = text + len;

    for (char *p = text; p < end;) {
        if (*p == '"') {
            p += skip_string(p, end) - p;
        } else if (*p == '/' && p + 1 < end && p[1] == '/') {
            for (; p < end && *p != '\n'; p++)
                *p = ' ';
        } else if (*p == '/' && p + 1 < end && p[1] == '*') {
            const char *stop = strstr(p + 2, "*/");
            if (!stop)
                return json_error(ret_error, position_of(text, (size_t) (p - text)),
                        "expected \"*/\" to end this comment, got the end of the file");
            for (; p < stop + 2; p++)
                if (*p != '\n')
                    *p = ' ';
        } else
            p++;
    }
    return 0;
}

static int build_values(JsonText *t, size_t len, JsonError *ret_error)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 1);
    if (!tokener)
        return -ENOMEM;
    /* Not JSON_TOKENER_STRICT: the scan has been stricter, and with it json-c 0.18 takes any character beyond
     * ASCII for a control character. */
    t->root = json_tokener_parse_ex(tokener, t->text, (int) len);

    enum json_tokener_error error = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    if (error == json_tokener_success && t->root)
        return 0;
    return json_error(ret_error, position_of(t->text, end), "%s", json_tokener_error_desc(error));
}

int json_text_parse(const char *text, size_t len, JsonText **ret, JsonError *ret_error)
{
    _cleanup_(json_text_freep) JsonText *t = NULL;
    int r;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (len >= INT32_MAX)
        return -ENOMEM; /* what json-c can measure; files are far smaller */
    r = check_encoding(text, len, ret_error);
    if (r < 0)
        return r;

    t = new0(JsonText, 1);
    if (!t)
        return -ENOMEM;
    t->text = strndup(text, len);
    if (!t->text)
        return -ENOMEM;
    r = blank_comments(t->text, len, ret_error);
    if (r < 0)
        return r;
    r = json_scan(t->text, len, &t->nodes, &t->n_nodes, ret_error);
    if (r < 0)
        return r;
    r = build_values(t, len, ret_error);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(t);
    return 0;
}

JsonText *json_text_free(JsonText *t)
{
    if (!t)
        return NULL;
    (void) json_object_put(t->root);
    free(t->nodes);
    free(t->text);
    return mfree(t);
}
