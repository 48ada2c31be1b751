/* SPDX-License-Identifier: ISC */

/* A request that passes is written such that the next recipient, reading as strictly, finds the same method,
 * target, host and body in it, and nothing that was for us or that a stranger says about whence it came. The
 * byte behind the head chooses how it is written. */

#include <stdio.h>

#include "tests/unit/request.h"
#include "wire/request-head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(expression)                                                                                    \
    do {                                                                                                     \
        if (!(expression)) {                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expression);                                 \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static size_t count(const RequestHead *head, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < head->n_fields; i++)
        n += field_is(&head->fields[i], name);
    return n;
}

static void check_refusal(const RequestRefusal *refusal)
{
    static const unsigned statuses[] = {400, 405, 417, 501, 505};
    for (size_t i = 0; i < ELEMENTSOF(statuses); i++)
        if (refusal->status == statuses[i]) {
            CHECK(refusal->sentence && *refusal->sentence);
            return;
        }
    CHECK(!"a refusal has a known status");
}

static void check_facts(const RequestFacts *f)
{
    CHECK(f->target_len > 0 && strchr("/*?", f->target[0]) && !memchr(f->target, '#', f->target_len));
    CHECK(f->authority_len >= f->host_len && (f->http_1_0 || f->host_len > 0) && f->host_len <= 255);
    CHECK(f->body == REQUEST_BODY_LENGTH || f->content_length == 0);
    CHECK(f->body != REQUEST_BODY_CHUNKED || !f->http_1_0);
    CHECK(f->content_length <= INT64_MAX);
}

static void check_target(const RequestFacts *before, const RequestFacts *after, size_t strip)
{
    const char *query = memchr(before->target, '?', before->target_len);
    size_t path_len = query ? (size_t) (query - before->target) : before->target_len;
    size_t cut = MIN(strip, path_len), left = before->target_len - cut, slash = after->target_len - left;

    CHECK(slash <= 1 && memcmp(after->target + slash, before->target + cut, left) == 0);
    CHECK(after->target[0] == '/' || (before->target[0] == '*' && after->target_len == 1));
}

static void check_written(const TestRequest *in, const RequestFacts *before, const char *text, size_t n,
        size_t strip, bool overridden)
{
    static TestRequest out;
    RequestFacts after;
    RequestRefusal refusal;

    CHECK(test_request_read(&out, text, n) == (int) n);
    CHECK(request_check(&out.head, &after, &refusal) == 0);
    CHECK(streq(out.head.method, in->head.method) && streq(out.head.version, "HTTP/1.1"));
    check_target(before, &after, strip);
    CHECK(after.body == before->body && after.content_length == before->content_length);
    CHECK(after.keep_alive && after.upgrade == before->upgrade);
    CHECK(after.expect_continue == before->expect_continue);
    if (!overridden)
        CHECK(after.authority_len == before->authority_len &&
                memcmp(after.authority, before->authority, after.authority_len) == 0);

    CHECK(count(&out.head, "host") == 1 && count(&out.head, "forwarded") == 1);
    CHECK(count(&out.head, "x-forwarded-for") == 1);
    CHECK(count(&out.head, "via") == count(&in->head, "via") + 1);
    CHECK(out.head.n_fields <= in->head.n_fields + 8);
    for (size_t i = 0; i < out.head.n_fields; i++) {
        const Field *f = &out.head.fields[i];
        bool ours = field_is(f, "transfer-encoding") ||
                    (before->upgrade && (field_is(f, "connection") || field_is(f, "upgrade")));
        CHECK(!field_is_hop_by_hop(f) || ours);
        CHECK(ours || field_is(f, "via") || field_is(f, "expect") ||
                !field_is_nominated(f, in->head.fields, in->head.n_fields));
    }
    test_request_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[256 * 1024];
    static TestRequest in;
    RequestFacts facts;
    RequestRefusal refusal = {};

    int r = size < sizeof text / 2 ? test_request_read(&in, (const char *) data, size) : -EBADMSG;
    if (r > 0 && in.head.n_fields <= TEST_REQUEST_FIELDS_MAX - 8) {
        uint8_t how = (size_t) r < size ? data[r] : 0;
        if (request_check(&in.head, &facts, &refusal) < 0)
            check_refusal(&refusal);
        else {
            ForwardedBy by = {
                    .peer = how & 1 ? "2001:db8::1" : "192.0.2.1", .proto = "http", .trusted = how & 2};
            bool overridden = how & 4 || facts.host_len == 0;
            size_t strip = facts.target[0] == '/' ? how >> 3 : 0;
            check_facts(&facts);
            ssize_t n = request_head_write(
                    text, sizeof text, &in.head, &facts, strip, overridden ? "override" : NULL, &by);
            CHECK(n > 0);
            check_written(&in, &facts, text, (size_t) n, strip, overridden);
            CHECK(request_head_write(text, (size_t) n - 1, &in.head, &facts, strip,
                          overridden ? "override" : NULL, &by) == -ENOBUFS);
        }
    }
    test_request_done(&in);
    return 0;
}
