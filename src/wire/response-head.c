/* SPDX-License-Identifier: ISC */

/* Owns the reading of a response's head. One pass, line by line, without look-ahead: each call starts from
 * the first byte, so that a call on a prefix gives -EAGAIN or the error that the whole would give, and
 * nothing is remembered between calls. A head is at most RESPONSE_HEAD_MAX bytes and values are read eight
 * bytes at a time, so that even an upstream that sends single bytes costs less here than in recv(2). Nothing
 * is repaired: a head that two parsers could read differently is refused. */

#include "wire/response-head.h"

#include "wire/octet.h"

/* Where the reading stands, and why it stopped when it did. */
typedef struct Reader {
    const char *p, *end;
    int error; /* what running into `end` means: -EAGAIN, or -EMSGSIZE when no more is allowed */
} Reader;

/* Reads CR LF at r->p. Returns 0, r->error at the end, -EBADMSG for anything else. */
static int read_crlf(Reader *r)
{
    if (r->p == r->end)
        return r->error;
    if (*r->p != '\r')
        return -EBADMSG;
    if (r->p + 1 == r->end)
        return r->error;
    if (r->p[1] != '\n')
        return -EBADMSG;
    r->p += 2;
    return 0;
}

/* RFC 9112 4: HTTP-version SP 3DIGIT [ SP [ reason-phrase ] ] CRLF. The second SP is required by the grammar
 * and left out by enough servers. */
static int read_status_line(Reader *r, ResponseHead *h)
{
    size_t have = (size_t) (r->end - r->p);

    if (memcmp(r->p, "HTTP/1.", MIN(have, STRLEN("HTTP/1."))) != 0)
        return -EBADMSG;
    if (have < STRLEN("HTTP/1.1 200\r"))
        return r->error;
    const char *s = r->p + STRLEN("HTTP/1.");
    if ((s[0] != '0' && s[0] != '1') || s[1] != ' ')
        return -EBADMSG;
    h->minor = (unsigned) (s[0] - '0');
    s += 2;
    if (s[0] < '1' || s[0] > '9' || !octet_is_digit(s[1]) || !octet_is_digit(s[2]))
        return -EBADMSG;
    h->status = (unsigned) ((s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0'));
    s += 3;
    if (*s == ' ')
        s++;
    else if (*s != '\r')
        return -EBADMSG;
    r->p = octet_skip_field(s, r->end);
    h->reason = s;
    h->reason_len = (uint32_t) (r->p - s);
    return read_crlf(r);
}

/* RFC 9112 5: field-name ":" OWS field-value OWS CRLF. A fold, a space before the colon and a missing colon
 * all show as a name that does not end where it should. */
static int read_field(Reader *r, Field *f)
{
    f->name = r->p;
    r->p = octet_skip(r->p, r->end, OCTET_TCHAR);
    if (r->p == r->end)
        return r->error;
    if (*r->p != ':' || r->p == f->name)
        return -EBADMSG;
    f->name_len = (uint32_t) (r->p++ - f->name);

    while (r->p < r->end && octet_is_ows(*r->p))
        r->p++;
    f->value = r->p;
    r->p = octet_skip_field(r->p, r->end);
    const char *last = r->p;
    while (last > f->value && octet_is_ows(last[-1]))
        last--;
    f->value_len = (uint32_t) (last - f->value);
    return read_crlf(r);
}

/* Takes in what one field says of framing and of the connection. */
static int apply_field(ResponseHead *h, const Field *f, bool *chunked)
{
    uint64_t v;
    int r;

    switch (field_identify(f)) {
    case FIELD_CONTENT_LENGTH:
        r = content_length_parse(f->value, f->value_len, &v);
        if (r < 0)
            return r;
        if (h->has_content_length && h->content_length != v)
            return -EBADMSG;
        h->has_content_length = true;
        h->content_length = v;
        return 0;
    case FIELD_TRANSFER_ENCODING:
        /* A coding that an upstream applied and we cannot undo is as bad as no framing. RFC 9112 6.1: in
         * HTTP/1.0 it is faulty framing. */
        if (*chunked || h->minor == 0 || !OCTETS_ARE(f->value, f->value_len, "chunked"))
            return -EBADMSG;
        *chunked = true;
        return 0;
    case FIELD_CONNECTION:
        return connection_options_add(&h->connection, f) < 0 ? -EBADMSG : 0;
    default:
        return 0;
    }
}

/* RFC 9112 6.3 and 9.3. Where a status has no body, yet the fields speak of one (304 excepted, and HEAD,
 * where they describe what is not sent), the upstream may send it all the same: such a connection is not used
 * again. */
static void conclude(ResponseHead *h, bool chunked, bool head_request)
{
    bool body_was_announced = chunked || (h->has_content_length && h->content_length > 0);
    bool bodiless = h->status < 200 || h->status == 204;

    h->keep_alive = !h->connection.close && (h->minor > 0 || h->connection.keep_alive);
    if (bodiless || h->status == 304 || head_request) {
        h->framing = BODY_NONE;
        if (h->status == 101 || (bodiless && body_was_announced))
            h->keep_alive = false;
    } else if (chunked)
        h->framing = BODY_CHUNKED;
    else if (h->has_content_length)
        h->framing = BODY_LENGTH;
    else {
        h->framing = BODY_UNTIL_CLOSE;
        h->keep_alive = false;
    }
}

int response_head_parse(ResponseHead *ret, const char *buf, size_t len, bool head_request)
{
    Reader reader = {.p = buf,
            .end = buf + MIN(len, (size_t) RESPONSE_HEAD_MAX),
            .error = len < RESPONSE_HEAD_MAX ? -EAGAIN : -EMSGSIZE};
    bool chunked = false;

    ret->n_fields = 0;
    ret->has_content_length = false;
    ret->content_length = 0;
    connection_options_init(&ret->connection);

    int r = read_status_line(&reader, ret);
    if (r < 0)
        return r;
    for (;;) {
        if (reader.p == reader.end)
            return reader.error;
        if (*reader.p == '\r')
            break;
        if (ret->n_fields == RESPONSE_FIELDS_MAX)
            return -EMSGSIZE;
        Field *f = &ret->fields[ret->n_fields];
        r = read_field(&reader, f);
        if (r < 0)
            return r;
        r = apply_field(ret, f, &chunked);
        if (r < 0)
            return r;
        ret->n_fields++;
    }
    r = read_crlf(&reader);
    if (r < 0)
        return r;
    if (chunked && ret->has_content_length)
        return -EBADMSG;
    conclude(ret, chunked, head_request);
    return (int) (reader.p - buf);
}
