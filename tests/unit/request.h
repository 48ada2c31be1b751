/* SPDX-License-Identifier: ISC */
#pragma once

/* A request's head as text, cut into the views that the rules work on: what the gateway's HTTP library and
 * the audit do in the program, for tests and fuzzers. */

#include <stdlib.h>

#include "wire/request-rules.h"

#define TEST_REQUEST_FIELDS_MAX 256

typedef struct TestRequest {
    char *copy; /* of the head, exactly its size, the request line's parts NUL-terminated in place */
    Field fields[TEST_REQUEST_FIELDS_MAX];
    RequestHead head;
} TestRequest;

/* Cuts p..end at the first `stop` and puts a NUL there. Returns what follows, NULL without one. */
static inline char *test_request_cut(char *p, char *end, char stop)
{
    char *at = memchr(p, stop, (size_t) (end - p));
    if (!at)
        return NULL;
    *at = 0;
    return at + 1;
}

static inline void test_request_done(TestRequest *r)
{
    free(r->copy);
    r->copy = NULL;
}

/* Returns the head's length in text, or -EBADMSG for what the audit would refuse. Free with
 * test_request_done(), in both cases. */
static inline int test_request_read(TestRequest *r, const char *text, size_t len)
{
    *r = (TestRequest){};
    const char *last = memmem(text, len, "\r\n\r\n", 4);
    if (!last)
        return -EBADMSG;
    size_t n = (size_t) (last - text) + 4;
    r->copy = malloc(n);
    if (!r->copy)
        abort();
    memcpy(r->copy, text, n);

    char *end = r->copy + n, *line = memmem(r->copy, n, "\r\n", 2);
    if (memchr(r->copy, 0, (size_t) (line - r->copy)))
        return -EBADMSG;
    *line = 0;
    char *target = test_request_cut(r->copy, line, ' ');
    char *version = target ? test_request_cut(target, line, ' ') : NULL;
    if (!version)
        return -EBADMSG;
    r->head = (RequestHead){.method = r->copy,
            .target = target,
            .version = version,
            .target_len = strlen(target),
            .fields = r->fields};

    for (char *p = line + 2; *p != '\r';) {
        char *eol = memmem(p, (size_t) (end - p), "\r\n", 2), *colon = memchr(p, ':', (size_t) (eol - p));
        if (!colon || r->head.n_fields == TEST_REQUEST_FIELDS_MAX)
            return -EBADMSG;
        char *value = colon + 1, *value_end = eol;
        while (value < value_end && (*value == ' ' || *value == '\t'))
            value++;
        while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
            value_end--;
        Field f = {.name = p,
                .name_len = (uint32_t) (colon - p),
                .value = value,
                .value_len = (uint32_t) (value_end - value)};
        if (!token_is_valid(f.name, f.name_len) || !field_value_is_valid(f.value, f.value_len))
            return -EBADMSG;
        r->fields[r->head.n_fields++] = f;
        p = eol + 2;
    }
    return (int) n;
}
