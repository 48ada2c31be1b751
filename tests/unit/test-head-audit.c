/* SPDX-License-Identifier: ISC */

/* The audit on the real library, each head in one piece and byte by byte. */

#include "tests/unit/test.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/head-audit.h"
#include "util/fd.h"

typedef struct Seen {
    RequestLine line;
    bool reached;
    AuditResult result;
    size_t n;
    char first_value[64];
} Seen;

static size_t raw(void *cls, struct MHD_Connection *c, char *s)
{
    return strlen(s);
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
    Seen *s = cls;
    s->line.target = uri;
    s->line.target_len = uri ? strlen(uri) : 0;
    return NULL;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *c, const char *url, const char *method,
        const char *version, const char *upload, size_t *upload_size, void **request)
{
    Seen *s = cls;
    Field fields[REQUEST_FIELDS_MAX];

    s->reached = true;
    s->line.method = method;
    s->line.version = version;
    s->result = head_audit(c, &s->line, fields, &s->n);
    if (s->result == AUDIT_OK && s->n > 0)
        snprintf(s->first_value, sizeof s->first_value, "%.*s", (int) fields[0].value_len, fields[0].value);
    return MHD_NO;
}

/* What the library has to be told, as the self-test has found out. */
static int strict;

static int find_strictness(void **state)
{
    return head_audit_self_test(&strict);
}

static Seen feed(const char *head, size_t len, size_t step)
{
    Seen s = {};
    int pair[2];
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
            on_access, &s, MHD_OPTION_UNESCAPE_CALLBACK, raw, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, &s,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) 131072, MHD_OPTION_STRICT_FOR_CLIENT, strict,
            MHD_OPTION_END);
    assert_non_null(d);
    assert_int_equal(MHD_add_connection(d, pair[0], (struct sockaddr *) &address, sizeof address), MHD_YES);
    for (size_t at = 0; at < len; at += step) {
        (void) !send(pair[1], head + at, MIN(step, len - at), MSG_NOSIGNAL);
        MHD_run(d);
    }
    for (int i = 0; i < 64 && !s.reached; i++)
        MHD_run(d);
    MHD_stop_daemon(d);
    close(pair[1]);
    return s;
}

static void good_heads_pass(void **state)
{
    static const char *const table[] = {
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a?b&c=d;e=%20f&&=g HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nhOsT:x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: \t x \t\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nEmpty:\r\nBlank: \r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nA: c\r\nA: \xc3\xa4\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nCookie: a=b; c=\"d\"; e\r\nCookie: f=g\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            "BREW / HTTP/1.1\r\nHost: x\r\n!#$%&'*+-.^_`|~9: x\r\n\r\n",
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        for (size_t step = 1; step <= 64; step *= 64) {
            Seen s = feed(table[i], strlen(table[i]), step);
            if (!s.reached || s.result != AUDIT_OK)
                fail_msg("refused: %s", table[i]);
            if (!strstr(table[i], "POST") && !strstr(table[i], "GET / HTTP/1.1\r\nHost: x\r\nA"))
                assert_string_equal(s.first_value, "x");
        }
}

static void bad_heads_do_not(void **state)
{
    static const struct {
        const char *head;
        size_t len;
    } table[] = {
#define HEAD(s) {s, sizeof s - 1}
            HEAD("GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
            HEAD("GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
            HEAD("GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n"),
            HEAD("G\0ET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\n\tfolded: y\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nContent: 5\r\n -Length: 5\r\nHost: x\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\n \r\nA: b\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost\t: x\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"),
            HEAD("GET / HTTP/1.1\nHost: x\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\n\n"),
            HEAD("GET / HTTP/1.1\nHost: x\n\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\nA\0B: c\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\nA(B): c\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\nA: \x7f\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\nA: b\x0b\r\n\r\n"),
            HEAD("GET / HTTP/1.1\r\nHost: x\r\n\xe4: b\r\n\r\n"),
#undef HEAD
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        for (size_t step = 1; step <= 4096; step *= 4096) {
            Seen s = feed(table[i].head, table[i].len, step);
            if (s.reached && s.result == AUDIT_OK)
                fail_msg("accepted: %s", table[i].head);
        }
}

static void too_many_fields_are_told_apart(void **state)
{
    char head[32768] = "GET / HTTP/1.1\r\nHost: x\r\n";

    for (int i = 1; i < REQUEST_FIELDS_MAX; i++)
        strcat(head, "A: b\r\n");
    size_t len = strlen(head);
    strcat(head, "\r\n");
    Seen s = feed(head, strlen(head), 32768);
    assert_true(s.reached);
    assert_int_equal(s.result, AUDIT_OK);
    assert_int_equal(s.n, REQUEST_FIELDS_MAX);

    strcpy(head + len, "A: b\r\n\r\n");
    s = feed(head, strlen(head), 32768);
    assert_int_equal(s.result, AUDIT_TOO_MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(good_heads_pass),
            cmocka_unit_test(bad_heads_do_not),
            cmocka_unit_test(too_many_fields_are_told_apart),
    };
    return cmocka_run_group_tests(tests, find_strictness, NULL);
}
