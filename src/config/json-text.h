/* SPDX-License-Identifier: ISC */
#pragma once

/* A JSON document with the places of its parts. json-c gives the values; what it cannot give (where a value
 * stands, whether a name was written twice, what was expected where the grammar was left) comes from a scan
 * of our own, RFC 8259 to the letter, plus comments. */

#include <json-c/json.h>

#include "util/macro.h"

#define JSON_DEPTH_MAX 32

/* Both from 1; a column is a character (code point), whatever its width. */
typedef struct JsonPosition {
    unsigned line, column;
} JsonPosition;

/* One value. Nodes lie in document order: the first child of a node, if it has any, is the one behind it. */
typedef struct JsonNode {
    JsonPosition key;    /* of the name that it is a member under; where it is no member, as `value` */
    JsonPosition value;  /* of its first character */
    uint32_t key_offset; /* of the name's opening quote in JsonText.text */
    uint32_t key_len;    /* with both quotes; 0 where it is no member */
    uint32_t n_children;
    uint32_t next; /* index of the next sibling, 0 = none */
} JsonNode;

typedef struct JsonText {
    char *text; /* comments blanked out, NUL-terminated */
    JsonNode *nodes;
    size_t n_nodes;
    json_object *root; /* always an object */
} JsonText;

/* Why a text is no JSON. `message` is fresh memory that the caller frees. */
typedef struct JsonError {
    JsonPosition position;
    char *message;
} JsonError;

/* Parses UTF-8 text whose root is an object; a byte order mark at its start is skipped. Returns 0, -EBADMSG
 * with *ret_error filled, or -ENOMEM. */
int json_text_parse(const char *text, size_t len, JsonText **ret, JsonError *ret_error);
JsonText *json_text_free(JsonText *t);
DEFINE_CLEANUP(JsonText *, json_text_free)

/* The scan behind it, on text without comments and in valid UTF-8 that ends in a NUL at text[len]: fills
 * *ret_nodes, which the caller frees. Returns 0, -EBADMSG or -ENOMEM. */
int json_scan(const char *text, size_t len, JsonNode **ret_nodes, size_t *ret_n, JsonError *ret_error);

/* Fills *ret_error with a formatted message. Returns -EBADMSG, or -ENOMEM. */
int json_error(JsonError *ret_error, JsonPosition at, const char *format, ...) _printf_(3, 4);
