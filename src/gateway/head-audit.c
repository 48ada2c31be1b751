/* SPDX-License-Identifier: ISC */

/* The audit relies on how the library stores a head, which its API does not promise. So it is never trusted
 * blindly: a worker does not start before head_audit_self_test() has seen it accept what is good and refuse
 * what is bad with the very library it runs with.
 *
 * The layout of 0.9.75, bytes as received with NUL for each delimiter:
 *   METHOD\0TARGET\0VERSION\0\0NAME\0[SP HTAB]*VALUE\0\0 … \0\0
 * where the two NULs at a line's end were CR LF. A fold, a bare LF or CR, a space before the colon each
 * change a distance.
 *
 * 1.0 leaves all but the first byte behind a word as it was received, be it that of CR LF or of the spaces
 * before them:
 *   METHOD\0TARGET\0VERSION\0\nNAME\0[SP HTAB]*VALUE\0\n, or VALUE\0[SP HTAB]*\r\n … \r\n
 * It repairs folds in place, which no distance tells, unless it is told to be strict; then it refuses by
 * itself what is refused here. In neither layout the other's line end can be had by what is not one. */

#include "gateway/head-audit.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/tap.h"
#include "util/fd.h"
#include "util/log.h"

typedef struct Walk {
    Field *fields;
    size_t n;
    const char *expect; /* where the next name has to begin */
    AuditResult result;
} Walk;

/* Behind the NUL that ends a value: the next line, NULL where the line's end is none. */
static const char *next_line(const char *end)
{
    const char *p = end + 1;

    if (*p == 0 || *p == '\n')
        return p + 1;
    while (*p == ' ' || *p == '\t')
        p++;
    return p[0] == '\r' && p[1] == '\n' ? p + 2 : NULL;
}

static enum MHD_Result on_value(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
        const char *value, size_t value_len)
{
    Walk *w = cls;

    w->result = AUDIT_BAD;
    if (name != w->expect || !value || !token_is_valid(name, name_len) ||
            !field_value_is_valid(value, value_len))
        return MHD_NO;
    for (const char *p = name + name_len + 1; p != value; p++)
        if (p > value || (*p != ' ' && *p != '\t'))
            return MHD_NO;
    if (!(w->expect = next_line(value + value_len)))
        return MHD_NO;

    if (w->n >= REQUEST_FIELDS_MAX) {
        w->result = AUDIT_TOO_MANY;
        return MHD_NO;
    }
    while (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
        value_len--;
    w->fields[w->n++] = (Field){
            .name = name, .value = value, .name_len = (uint32_t) name_len, .value_len = (uint32_t) value_len};
    w->result = AUDIT_OK;
    return MHD_YES;
}

/* METHOD SP TARGET SP VERSION CR LF, with single spaces and no NUL within: then each word begins where the
 * one before it ends. */
static bool line_is_exact(const RequestLine *l)
{
    return l->target && l->target == l->method + strlen(l->method) + 1 &&
           l->version == l->target + l->target_len + 1 && strlen(l->version) == sizeof "HTTP/1.1" - 1;
}

AuditResult head_audit(struct MHD_Connection *c, const RequestLine *line, Field *fields, size_t *ret_n)
{
    Walk w = {.fields = fields, .result = AUDIT_OK};

    *ret_n = 0;
    if (!line_is_exact(line))
        return AUDIT_BAD;
    w.expect = line->version + strlen(line->version) + 2;

    (void) MHD_get_connection_values_n(c, MHD_HEADER_KIND, on_value, &w);
    *ret_n = w.n;
    if (w.result != AUDIT_OK)
        return w.result;

    const union MHD_ConnectionInfo *size =
            MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (!size || w.expect + 2 != line->method + size->header_size)
        return AUDIT_BAD;
    return AUDIT_OK;
}

typedef struct SelfTest {
    RequestLine line;
    Tap tap;
    bool reached;
    AuditResult result;
    unsigned n_bodies; /* that the tap has seen as they were */
} SelfTest;

static size_t do_not_unescape(void *cls, struct MHD_Connection *c, char *s)
{
    return strlen(s);
}

static void *on_self_test_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
    SelfTest *t = cls;
    t->line.target = uri;
    t->line.target_len = uri ? strlen(uri) : 0;
    return NULL;
}

static enum MHD_Result on_self_test(void *cls, struct MHD_Connection *c, const char *url, const char *method,
        const char *version, const char *upload, size_t *upload_size, void **request)
{
    SelfTest *t = cls;
    Field fields[REQUEST_FIELDS_MAX];
    size_t n;

    t->reached = true;
    t->line.method = method;
    t->line.version = version;
    t->result = head_audit(c, &t->line, fields, &n);
    return MHD_NO;
}

/* Two requests in two pieces, the second of which begins in the middle of a body. */
static const char *const self_test_bodies[] = {
        "\r\nPOST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n"
        "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n",
        "abc\r\n0\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n"};

/* Does the tap know what is behind each head, and where the next message begins? */
static enum MHD_Result on_self_test_body(void *cls, struct MHD_Connection *c, const char *url,
        const char *method, const char *version, const char *upload, size_t *upload_size, void **request)
{
    static const char *const behind[] = {"3\r\nabc\r\n0\r\nT: 1\r\n\r\nPOST /2 ", "3\r\n", ""};
    SelfTest *t = cls;

    if (!*request) {
        const union MHD_ConnectionInfo *size =
                MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
        const char *end = method + size->header_size;
        size_t n = tap_head(&t->tap, end), expected = strlen(behind[t->n_bodies]);
        *request = t;
        if (n < expected || (t->n_bodies > 0 && n != expected) ||
                memcmp(end, behind[t->n_bodies], expected) != 0)
            return MHD_NO;
        tap_scan(&t->tap, end, n);
        t->reached = ++t->n_bodies == ELEMENTSOF(behind);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (t->tap.verdict != 1)
        return MHD_NO;
    tap_next(&t->tap, t->tap.scanned);
    struct MHD_Response *r = MHD_create_response_from_buffer(0, (void *) "", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return queued;
}

static int self_test_run(
        SelfTest *t, int strict, MHD_AccessHandlerCallback handler, const char *const *pieces, size_t n)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    _cleanup_close_ int peer = pair[1];
    struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, handler,
            t, MHD_OPTION_UNESCAPE_CALLBACK, do_not_unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK,
            on_self_test_uri, t, MHD_OPTION_STRICT_FOR_CLIENT, strict, MHD_OPTION_END);
    int r = d ? tap_open(&t->tap, pair[0]) : -ENOMEM;
    if (r < 0) {
        if (d)
            MHD_stop_daemon(d);
        close(pair[0]);
        return r;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (MHD_add_connection(d, pair[0], (struct sockaddr *) &address, sizeof address) != MHD_YES)
        r = -EIO;
    for (size_t k = 0; r == 0 && k < n; k++) {
        if (send(peer, pieces[k], strlen(pieces[k]), MSG_NOSIGNAL) < 0)
            r = errno == EPIPE ? -EOPNOTSUPP : -errno;
        for (int i = 0; r == 0 && i < 12 && !t->reached; i++)
            (void) MHD_run(d);
    }
    tap_close(&t->tap);
    MHD_stop_daemon(d);
    return r;
}

static int self_test_one(int strict, const char *head, bool good)
{
    SelfTest t = {};

    int r = self_test_run(&t, strict, on_self_test, &head, 1);
    if (r < 0)
        return r;
    /* A bad head that the library refuses by itself never reaches the handler: that is as good. */
    return (t.reached && t.result == AUDIT_OK) == good ? 0 : -EOPNOTSUPP;
}

static int self_test(int strict)
{
    static const struct {
        const char *head;
        bool good;
    } table[] = {
            {"GET /a?b=c&d HTTP/1.1\r\nHost: x\r\nA:\r\nB:\t v \r\nCookie: k=v; l=w\r\n\r\n", true},
            {"GET / HTTP/1.0\r\n\r\n", true},
            {"GET / HTTP/1.1\r\nHost: x \t\r\nB: \t\r\nC:\r\n\r\n", true},
            {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", false},
            {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", false},
            {"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", false},
            {"GET / HTTP/1.1\r\nHost: x\r\nContent: 5\r\n -Length: 5\r\n\r\n", false},
            {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", false},
            {"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", false},
            {"GET / HTTP/1.1\nHost: x\r\n\r\n", false},
            {"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", false},
            {"GET / HTTP/1.1\r\n Host: x\r\n\r\n", false},
            {"GET / HTTP/1.1\r\n: x\r\n\r\n", false},
            {"GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n", false},
            {"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", false},
            {"GET / HTTP/1.1\r\nHost: x\r\n\n", false},
    };
    /* They have one soname, and another idea of when a connection begins. */
    if ((MHD_VERSION >= 0x01000000) != (MHD_get_version()[0] != '0'))
        return -EOPNOTSUPP;
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        int r = self_test_one(strict, table[i].head, table[i].good);
        if (r < 0)
            return r;
    }
    SelfTest t = {};
    int r = self_test_run(&t, strict, on_self_test_body, self_test_bodies, ELEMENTSOF(self_test_bodies));
    if (r < 0)
        return r;
    return t.reached ? 0 : -EOPNOTSUPP;
}

int head_audit_self_test(int *ret_strict)
{
    /* As lenient as the library is by itself where that will do: its own refusals are not as good as ours. */
    for (int strict = 0; strict <= 1; strict++) {
        int r = self_test(strict);
        if (r == 0)
            *ret_strict = strict;
        if (r != -EOPNOTSUPP)
            return r;
    }
    return -EOPNOTSUPP;
}
