/* SPDX-License-Identifier: ISC */

/* The grammar of RFC 8259, walked once for two things: a sentence about the first place where a text leaves
 * it, and the position of every value. Recursion ends at JSON_DEPTH_MAX. Every byte is consumed by step(),
 * which keeps line and column; the NUL behind the text is what the look-ahead meets at its end. */

#include <stdio.h>

#include "config/json-text.h"

typedef struct Scanner {
    const char *text, *p, *end;
    JsonPosition at; /* of p */
    JsonNode *nodes;
    size_t n_nodes, n_allocated;
    JsonError *error;
} Scanner;

static void step(Scanner *s)
{
    if (*s->p == '\n') {
        s->at.line++;
        s->at.column = 1;
    } else if (((unsigned char) s->p[1] & 0xc0) != 0x80)
        s->at.column++;
    s->p++;
}

static void skip_space(Scanner *s)
{
    while (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r')
        step(s);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

/* What stands at p, for the end of a sentence: a word, a character, or the end of the file. */
#define TOKEN_MAX 48
static const char *token(const Scanner *s, char buf[static TOKEN_MAX])
{
    const char *p = s->p;
    size_t n = 0;

    if (p >= s->end)
        return "the end of the file";
    if ((unsigned char) *p < 0x20 || *p == 0x7f) {
        snprintf(buf, TOKEN_MAX, "the control character U+%04X", (unsigned char) *p);
        return buf;
    }
    if (*p == '"')
        return "'\"'";
    while (is_word(p[n]) && n < TOKEN_MAX - 8)
        n++;
    if (n == 0)
        for (n = 1; ((unsigned char) p[n] & 0xc0) == 0x80;)
            n++;
    snprintf(buf, TOKEN_MAX, "\"%.*s\"", (int) n, p);
    return buf;
}

static int expected(Scanner *s, const char *what, const char *hint)
{
    char buf[TOKEN_MAX];
    return json_error(s->error, s->at, "expected %s, got %s%s", what, token(s, buf), hint);
}

static int add_node(Scanner *s, size_t *ret)
{
    if (s->n_nodes == s->n_allocated) {
        size_t n = s->n_allocated ? s->n_allocated * 2 : 64;
        JsonNode *grown = reallocarray(s->nodes, n, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        s->nodes = grown;
        s->n_allocated = n;
    }
    s->nodes[s->n_nodes] = (JsonNode){.key = s->at, .value = s->at};
    *ret = s->n_nodes++;
    return 0;
}

/* The four hexadecimal digits behind "\u", at p. */
static int scan_hex4(Scanner *s, unsigned *ret)
{
    unsigned v = 0;

    for (size_t i = 0; i < 4; i++, step(s)) {
        char c = *s->p;
        if (is_digit(c))
            v = v * 16 + (unsigned) (c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v * 16 + 10 + (unsigned) (c - 'a');
        else if (c >= 'A' && c <= 'F')
            v = v * 16 + 10 + (unsigned) (c - 'A');
        else
            return expected(s, "four hexadecimal digits after \"\\u\"", "");
    }
    *ret = v;
    return 0;
}

static int scan_escape(Scanner *s)
{
    JsonPosition start = s->at;
    unsigned high, low;
    int r;

    step(s);
    if (*s->p && strchr("\"\\/bfnrt", *s->p)) {
        step(s);
        return 0;
    }
    if (*s->p != 'u')
        return expected(s, "one of \" \\ / b f n r t u after a backslash",
                *s->p == '\'' || *s->p == '$' || *s->p == '.' ? " (a backslash itself is written \\\\)" : "");
    step(s);
    r = scan_hex4(s, &high);
    if (r < 0)
        return r;
    if (high == 0)
        return json_error(s->error, start, "expected a character, got \\u0000");
    if (high < 0xd800 || high > 0xdfff)
        return 0;
    if (high < 0xdc00 && s->p[0] == '\\' && s->p[1] == 'u') {
        step(s);
        step(s);
        r = scan_hex4(s, &low);
        if (r < 0)
            return r;
        if (low >= 0xdc00 && low <= 0xdfff)
            return 0;
    }
    return json_error(s->error, start, "expected both halves of a surrogate pair, got \\u%04x alone", high);
}

static int scan_string(Scanner *s)
{
    JsonPosition start = s->at;
    int r;

    for (step(s); *s->p != '"';) {
        if (s->p >= s->end || *s->p == '\n' || *s->p == '\r')
            return json_error(s->error, start,
                    "expected a closing quote for this string before the end of the %s",
                    s->p >= s->end ? "file" : "line");
        if ((unsigned char) *s->p < 0x20)
            return expected(
                    s, *s->p == '\t' ? "\\t for a tab inside a string" : "an escape such as \\u001b", "");
        if (*s->p == '\\') {
            r = scan_escape(s);
            if (r < 0)
                return r;
        } else
            step(s);
    }
    step(s);
    return 0;
}

static int scan_digits(Scanner *s, const char *what)
{
    if (!is_digit(*s->p))
        return expected(s, what, "");
    while (is_digit(*s->p))
        step(s);
    return 0;
}

static int scan_number(Scanner *s)
{
    int r;

    if (*s->p == '-')
        step(s);
    if (*s->p == '0' && is_digit(s->p[1]))
        return expected(s, "a number without leading zeros", "");
    r = scan_digits(s, "a digit");
    if (r == 0 && *s->p == '.') {
        step(s);
        r = scan_digits(s, "a digit after the point");
    }
    if (r == 0 && (*s->p == 'e' || *s->p == 'E')) {
        step(s);
        if (*s->p == '+' || *s->p == '-')
            step(s);
        r = scan_digits(s, "a digit in the exponent");
    }
    return r;
}

static int scan_literal(Scanner *s)
{
    static const char *const literals[] = {"true", "false", "null"};

    for (size_t i = 0; i < ELEMENTSOF(literals); i++) {
        size_t n = strlen(literals[i]);
        if (strncmp(s->p, literals[i], n) == 0 && !is_word(s->p[n])) {
            while (n-- > 0)
                step(s);
            return 0;
        }
    }
    return expected(s, "a value", *s->p == '\'' ? " (strings are written in double quotes)" : "");
}

static int scan_value(Scanner *s, size_t node, unsigned depth);

/* A name and its colon; p stands on the value afterwards. */
static int scan_name(Scanner *s, JsonNode *ret)
{
    int r;

    if (*s->p != '"')
        return expected(s, "a name in double quotes", *s->p == '}' ? " (no comma may stand before it)" : "");
    ret->key = s->at;
    ret->key_offset = (uint32_t) (s->p - s->text);
    r = scan_string(s);
    if (r < 0)
        return r;
    ret->key_len = (uint32_t) (s->p - s->text) - ret->key_offset;
    skip_space(s);
    if (*s->p != ':')
        return expected(s, "\":\" after a name", "");
    step(s);
    skip_space(s);
    return 0;
}

/* The inside of an object or array, up to and with its closing bracket. */
static int scan_children(Scanner *s, size_t parent, char close, unsigned depth)
{
    size_t last = 0;
    int r;

    step(s);
    skip_space(s);
    if (*s->p == close) {
        step(s);
        return 0;
    }
    for (;;) {
        JsonNode name = {};
        size_t child;

        if (close == '}') {
            r = scan_name(s, &name);
            if (r < 0)
                return r;
        } else if (*s->p == close)
            return expected(s, "a value", " (no comma may stand before it)");
        r = add_node(s, &child);
        if (r < 0)
            return r;
        if (name.key_len) {
            s->nodes[child].key = name.key;
            s->nodes[child].key_offset = name.key_offset;
            s->nodes[child].key_len = name.key_len;
        }
        if (last)
            s->nodes[last].next = (uint32_t) child;
        last = child;
        s->nodes[parent].n_children++;

        r = scan_value(s, child, depth);
        if (r < 0)
            return r;
        skip_space(s);
        if (*s->p == close) {
            step(s);
            return 0;
        }
        if (*s->p != ',')
            return expected(s, close == '}' ? "\",\" or \"}\"" : "\",\" or \"]\"", "");
        step(s);
        skip_space(s);
    }
}

static int scan_value(Scanner *s, size_t node, unsigned depth)
{
    switch (*s->p) {
    case '{':
    case '[':
        if (depth >= JSON_DEPTH_MAX)
            return json_error(s->error, s->at, "expected at most %d levels of objects and arrays, got more",
                    JSON_DEPTH_MAX);
        return scan_children(s, node, *s->p == '{' ? '}' : ']', depth + 1);
    case '"':
        return scan_string(s);
    case '-':
    case '0' ... '9':
        return scan_number(s);
    default:
        return scan_literal(s);
    }
}

int json_scan(const char *text, size_t len, JsonNode **ret_nodes, size_t *ret_n, JsonError *ret_error)
{
    Scanner s = {.text = text, .p = text, .end = text + len, .at = {1, 1}, .error = ret_error};
    size_t root = 0;
    int r;

    skip_space(&s);
    r = *s.p == '{' ? add_node(&s, &root) : expected(&s, "an object in braces", "");
    if (r == 0)
        r = scan_value(&s, root, 0);
    if (r == 0) {
        skip_space(&s);
        if (s.p < s.end)
            r = expected(&s, "the end of the file", "");
    }
    if (r < 0) {
        free(s.nodes);
        return r;
    }
    *ret_nodes = s.nodes;
    *ret_n = s.n_nodes;
    return 0;
}
