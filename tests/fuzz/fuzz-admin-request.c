/* SPDX-License-Identifier: ISC */

/* A request to the admin API is one of those that there are, with a name that is one, or refused with a
 * status; no token comes out of a field that is not in it. First line: method and target, second:
 * Authorization, third: Host. */

#include <stdio.h>

#include "admin/admin-request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(expression)                                                                                    \
    do {                                                                                                     \
        if (!(expression)) {                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expression);                                 \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* The next line, in memory of its own and not terminated, so that reading past it shows. */
static char *take_line(const uint8_t **data, size_t *size, size_t *ret_len)
{
    const uint8_t *end = *size > 0 ? memchr(*data, '\n', *size) : NULL;
    size_t n = end ? (size_t) (end - *data) : *size;
    char *line = malloc(n + !n);

    if (n > 0)
        memcpy(line, *data, n);
    *ret_len = n;
    n += end != NULL;
    *data += n;
    *size -= n;
    return line;
}

static void check_request(const char *line, size_t len)
{
    const char *space = len > 0 ? memchr(line, ' ', len) : NULL;
    AdminRefusal refusal;
    AdminRequest r;

    if (!space)
        return;
    _cleanup_free_ char *method = strndup(line, (size_t) (space - line));
    size_t n = len - (size_t) (space + 1 - line);
    if (admin_request_parse(method, space + 1, n, &r, &refusal) < 0) {
        CHECK(refusal.status == 400 || refusal.status == 404 || refusal.status == 405);
        CHECK((refusal.status == 405) == (refusal.allow != NULL));
        return;
    }
    CHECK((unsigned) r.operation < _ADMIN_OPERATION_MAX);
    CHECK((r.operation == ADMIN_ASSET) == (r.asset != NULL));
    CHECK(strlen(r.name) <= ADMIN_NAME_MAX);
    CHECK(!*r.name || memmem(space + 1, n, r.name, strlen(r.name)));
    CHECK(!admin_operation_changes(r.operation) || streq(method, "POST"));
    CHECK(r.operation != ADMIN_LOGS || (r.lines >= 1 && r.lines <= ADMIN_LINES_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char token[ADMIN_TOKEN_MAX + 1];
    size_t len;

    char *line = take_line(&data, &size, &len);
    check_request(line, len);
    free(line);

    line = take_line(&data, &size, &len);
    if (admin_bearer(line, len, token) == 0)
        CHECK(*token && len > strlen(token) && memcmp(line + len - strlen(token), token, strlen(token)) == 0);
    free(line);

    line = take_line(&data, &size, &len);
    if (admin_host_is_ours(line, len, "admin.test"))
        CHECK(len > 0 && (line[0] == '[' || line[len - 1] == '.' || len >= STRLEN("0.0.0.0")));
    (void) admin_origin_is_ours(line, len, NULL, 0, "admin.test", STRLEN("admin.test"));
    free(line);
    return 0;
}
