/* SPDX-License-Identifier: ISC */

/* What is accepted is well formed, lies in the input, is found the same when it comes in pieces, and says the
 * same when it is written down again in plain form. */

#include <stdio.h>

#include "wire/response-head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(expression)                                                                                    \
    do {                                                                                                     \
        if (!(expression)) {                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expression);                                 \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static void check_views(const ResponseHead *h, const char *buf, size_t len)
{
    CHECK(h->status >= 100 && h->status <= 999 && h->minor <= 1 && h->n_fields <= RESPONSE_FIELDS_MAX);
    CHECK(h->reason >= buf && h->reason + h->reason_len <= buf + len);
    CHECK(field_value_is_valid(h->reason, h->reason_len));
    for (size_t i = 0; i < h->n_fields; i++) {
        const Field *f = &h->fields[i];
        CHECK(f->name >= buf && f->value > f->name + f->name_len && f->value + f->value_len <= buf + len - 4);
        CHECK(token_is_valid(f->name, f->name_len) && field_value_is_valid(f->value, f->value_len));
        CHECK(f->value_len == 0 ||
                (!strchr(" \t", f->value[0]) && !strchr(" \t", f->value[f->value_len - 1])));
        CHECK(field_is_hop_by_hop(f) || connection_options_nominate(&h->connection, f) ==
                                                field_is_nominated(f, h->fields, h->n_fields));
    }
}

static void check_framing(const ResponseHead *h, bool head_request)
{
    unsigned n_codings = 0, n_lengths = 0;

    for (size_t i = 0; i < h->n_fields; i++) {
        n_codings += field_is(&h->fields[i], "transfer-encoding");
        n_lengths += field_is(&h->fields[i], "content-length");
    }
    CHECK(n_codings <= 1 && !(n_codings && n_lengths) && h->has_content_length == (n_lengths > 0));
    bool none = head_request || h->status < 200 || h->status == 204 || h->status == 304;
    CHECK((h->framing == BODY_NONE) == none);
    CHECK(none || (h->framing == BODY_CHUNKED) == (n_codings == 1));
    CHECK(none || (h->framing == BODY_LENGTH) == (n_lengths > 0));
    CHECK(h->framing != BODY_UNTIL_CLOSE || !h->keep_alive);
}

static void check_rewritten(const ResponseHead *h, bool head_request)
{
    static char text[2 * RESPONSE_HEAD_MAX];
    static ResponseHead again;
    size_t n = (size_t) sprintf(
            text, "HTTP/1.%u %u %.*s\r\n", h->minor, h->status, (int) h->reason_len, h->reason);

    for (size_t i = 0; i < h->n_fields; i++)
        n += (size_t) sprintf(text + n, "%.*s:%.*s\r\n", (int) h->fields[i].name_len, h->fields[i].name,
                (int) h->fields[i].value_len, h->fields[i].value);
    n += (size_t) sprintf(text + n, "\r\n");
    if (n > RESPONSE_HEAD_MAX)
        return; /* "HTTP/1.1 200\r\n" grew by one byte */
    CHECK(response_head_parse(&again, text, n, head_request) == (int) n);
    CHECK(again.n_fields == h->n_fields && again.framing == h->framing && again.keep_alive == h->keep_alive);
    CHECK(again.content_length == h->content_length && again.has_content_length == h->has_content_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ResponseHead h, part;
    const char *buf = (const char *) data;

    for (unsigned head_request = 0; head_request < 2; head_request++) {
        int r = response_head_parse(&h, buf, size, head_request);
        CHECK(r > 0 || r == -EAGAIN || r == -EMSGSIZE || r == -EBADMSG);
        CHECK(r <= (int) size);
        /* A prefix asks for more or knows the end already. */
        for (size_t k = 0, step = size / 64 + 1; k < size; k += step) {
            int p = response_head_parse(&part, buf, k, head_request);
            CHECK(p == r || (p == -EAGAIN && (r <= 0 || k < (size_t) r)));
        }
        if (r <= 0)
            continue;
        check_views(&h, buf, (size_t) r);
        check_framing(&h, head_request);
        check_rewritten(&h, head_request);
    }
    return 0;
}
