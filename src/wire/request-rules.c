/* SPDX-License-Identifier: ISC */

/* Owns the decision whether a request may pass, and what is derived from its head. The rule behind the rules:
 * where two recipients could read a head differently, about where it ends or whom it is for, it is refused
 * and not repaired. One pass over the fields, each looked at once; nothing the client chooses makes it more.
 * Sentences are for people and repeat nothing of the input. */

#include "wire/request-rules.h"

#include <arpa/inet.h>

#include "wire/octet.h"
#include "wire/upgrade.h"

#define METHOD_MAX 32
#define HOST_MAX 255 /* RFC 3986 3.2.2 */

/* What the fields say, gathered before it is judged as a whole. */
typedef struct Fields {
    const Field *host;
    bool has_content_length, offers_upgrade, expects;
    unsigned n_chunked;
    bool chunked_is_last, other_coding, coding_is_bad;
    uint64_t content_length;
    ConnectionOptions connection;
} Fields;

static int refuse(RequestRefusal *refusal, unsigned status, const char *sentence)
{
    *refusal = (RequestRefusal){.status = status, .sentence = sentence};
    return -EBADMSG;
}

static int check_method(const RequestHead *head, RequestFacts *facts, RequestRefusal *refusal)
{
    const char *m = head->method;
    size_t n = strnlen(m, METHOD_MAX + 1);

    if (!token_is_valid(m, n))
        return refuse(refusal, 400, "The request's method is not a token.");
    if (n > METHOD_MAX)
        return refuse(refusal, 501, "The request's method is longer than any that is known here.");
    if (streq(m, "CONNECT") || streq(m, "TRACE"))
        return refuse(refusal, 405, "This gateway does not offer CONNECT and TRACE.");
    facts->is_head = streq(m, "HEAD");
    facts->idempotent =
            facts->is_head || streq(m, "GET") || streq(m, "OPTIONS") || streq(m, "PUT") || streq(m, "DELETE");
    return 0;
}

static int check_version(const RequestHead *head, RequestFacts *facts, RequestRefusal *refusal)
{
    const char *digits = startswith(head->version, "HTTP/");

    if (!digits || !octet_is_digit(digits[0]) || digits[1] != '.' || !octet_is_digit(digits[2]) || digits[3])
        return refuse(refusal, 400, "The request line does not end in an HTTP version.");
    if (!streq(digits, "1.1") && !streq(digits, "1.0"))
        return refuse(refusal, 505, "This gateway speaks HTTP/1.0 and HTTP/1.1.");
    facts->http_1_0 = digits[2] == '0';
    return 0;
}

/* The length of an IPv6 literal in brackets at the start of s, or 0. RFC 3986 3.2.2; zones and future
 * versions are no host that a service could have. */
static size_t ipv6_literal_length(const char *s, size_t len)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    const char *close = memchr(s, ']', MIN(len, sizeof text + 1));

    if (!close)
        return 0;
    size_t n = (size_t) (close - s - 1);
    if (n >= sizeof text || memchr(s, 0, n + 1))
        return 0;
    memcpy(text, s + 1, n);
    text[n] = 0;
    return inet_pton(AF_INET6, text, &address) == 1 ? n + 2 : 0;
}

/* Decimal, 0 to 65535, at most five digits. */
static bool port_is_valid(const char *s, size_t len)
{
    unsigned v = 0;

    for (size_t i = 0; i < len; i++) {
        if (i == 5 || !octet_is_digit(s[i]))
            return false;
        v = v * 10 + (unsigned) (s[i] - '0');
    }
    return v <= 65535;
}

/* RFC 9110 7.2: uri-host [ ":" port ], less what RFC 3986 would let a registered name hold and no host name
 * does: percent-encoding and delimiters, comma among them. An empty port counts as none. */
static bool read_authority(const char *s, size_t len, RequestFacts *facts)
{
    size_t host_len;

    if (len > 0 && s[0] == '[')
        host_len = ipv6_literal_length(s, len);
    else
        host_len = (size_t) (octet_skip(s, s + len, OCTET_HOST) - s);
    if (host_len == 0 || host_len > HOST_MAX)
        return false;
    if (host_len < len && (s[host_len] != ':' || !port_is_valid(s + host_len + 1, len - host_len - 1)))
        return false;

    facts->host = facts->authority = s;
    facts->host_len = host_len;
    facts->authority_len = len == host_len + 1 ? host_len : len;
    return true;
}

/* RFC 9112 3.2.2. Fills host and authority too: they override Host's. */
static int read_absolute_form(const RequestHead *head, RequestFacts *facts, RequestRefusal *refusal)
{
    const char *s = head->target, *end = s + head->target_len;
    size_t scheme;

    if (OCTETS_START(s, head->target_len, "http://"))
        scheme = STRLEN("http://");
    else if (OCTETS_START(s, head->target_len, "https://"))
        scheme = STRLEN("https://");
    else
        return refuse(refusal, 400, "The request's target is neither a path nor an http URL.");

    const char *path = s + scheme;
    while (path < end && *path != '/' && *path != '?')
        path++;
    if (!read_authority(s + scheme, (size_t) (path - s) - scheme, facts))
        return refuse(refusal, 400, "The URL in the request line names no valid host.");
    facts->target = path;
    facts->target_len = (size_t) (end - path);
    if (path == end) {
        facts->target = streq(head->method, "OPTIONS") ? "*" : "/"; /* RFC 9112 3.2.4 */
        facts->target_len = 1;
    }
    return 0;
}

static int check_target(const RequestHead *head, RequestFacts *facts, RequestRefusal *refusal)
{
    const char *s = head->target, *end = s + head->target_len;

    if (s == end || octet_skip(s, end, OCTET_TARGET) != end)
        return refuse(
                refusal, 400, "The request's target is empty or holds a character that must not be there.");
    facts->target = s;
    facts->target_len = head->target_len;
    if (*s == '/')
        return 0;
    if (*s == '*' && head->target_len == 1) {
        if (!streq(head->method, "OPTIONS"))
            return refuse(refusal, 400, "The target * is for OPTIONS only.");
        return 0;
    }
    return read_absolute_form(head, facts, refusal);
}

/* RFC 9112 6.1: which codings, and is exactly the last one chunked? */
static void read_transfer_encoding(Fields *fields, const Field *f)
{
    const char *pos = f->value, *end = pos + f->value_len, *coding;
    size_t n;

    if (!pos)
        fields->coding_is_bad = true;
    while (list_next(&pos, end, &coding, &n)) {
        fields->chunked_is_last = OCTETS_ARE(coding, n, "chunked");
        if (fields->chunked_is_last)
            fields->n_chunked++;
        else if (n > 0 && octet_is(coding[0], OCTET_TCHAR))
            fields->other_coding = true;
        else
            fields->coding_is_bad = true;
    }
}

static int read_field(Fields *fields, const Field *f, RequestRefusal *refusal)
{
    switch (field_identify(f)) {
    case FIELD_HOST:
        if (fields->host)
            return refuse(refusal, 400, "The request has more than one Host field.");
        fields->host = f;
        return 0;
    case FIELD_CONTENT_LENGTH:
        if (fields->has_content_length)
            return refuse(refusal, 400, "The request has more than one Content-Length field.");
        if (content_length_parse(f->value, f->value_len, &fields->content_length) < 0)
            return refuse(refusal, 400, "The request's Content-Length is not a number of bytes.");
        fields->has_content_length = true;
        return 0;
    case FIELD_TRANSFER_ENCODING:
        read_transfer_encoding(fields, f);
        return 0;
    case FIELD_EXPECT:
        if (!OCTETS_ARE(f->value, f->value_len, "100-continue"))
            return refuse(refusal, 417, "The request expects something other than 100-continue.");
        fields->expects = true;
        return 0;
    case FIELD_CONNECTION:
        if (connection_options_add(&fields->connection, f) < 0)
            return refuse(refusal, 400, "The request's Connection field lists too much.");
        return 0;
    case FIELD_UPGRADE:
        fields->offers_upgrade |= upgrade_offers(f);
        return 0;
    default:
        return 0;
    }
}

/* RFC 9112 6.3, for a server that refuses what it could only guess. */
static int judge_framing(const Fields *fields, RequestFacts *facts, RequestRefusal *refusal)
{
    bool has_coding = fields->n_chunked > 0 || fields->other_coding || fields->coding_is_bad;

    facts->body = fields->has_content_length ? REQUEST_BODY_LENGTH : REQUEST_BODY_NONE;
    facts->content_length = fields->content_length;
    if (!has_coding)
        return 0;
    if (fields->has_content_length)
        return refuse(refusal, 400, "The request has both Transfer-Encoding and Content-Length.");
    if (facts->http_1_0)
        return refuse(refusal, 400, "Transfer-Encoding does not exist in HTTP/1.0.");
    if (fields->coding_is_bad || fields->n_chunked > 1 ||
            (fields->n_chunked == 1 && !fields->chunked_is_last))
        return refuse(refusal, 400, "The request's Transfer-Encoding does not end in exactly one chunked.");
    if (fields->other_coding)
        return refuse(refusal, 501, "The only transfer coding known here is chunked.");
    facts->body = REQUEST_BODY_CHUNKED;
    return 0;
}

/* RFC 9112 3.2: exactly one Host, valid, unless HTTP/1.0 leaves it out; a URL in the request line wins. */
static int judge_host(const Fields *fields, RequestFacts *facts, RequestRefusal *refusal)
{
    RequestFacts named = {};

    if (!fields->host) {
        if (!facts->http_1_0)
            return refuse(refusal, 400, "The request has no Host field.");
        return 0;
    }
    if (!read_authority(fields->host->value, fields->host->value_len, &named))
        return refuse(refusal, 400, "The request's Host field names no valid host.");
    if (facts->host_len == 0) {
        facts->host = named.host;
        facts->host_len = named.host_len;
        facts->authority = named.authority;
        facts->authority_len = named.authority_len;
    }
    return 0;
}

int request_check(const RequestHead *head, RequestFacts *ret, RequestRefusal *refusal)
{
    RequestFacts facts = {.host = "", .authority = ""};
    Fields fields;
    int r;

    memset(&fields, 0, offsetof(Fields, connection));
    connection_options_init(&fields.connection);

    r = check_method(head, &facts, refusal);
    if (r < 0)
        return r;
    r = check_version(head, &facts, refusal);
    if (r < 0)
        return r;
    r = check_target(head, &facts, refusal);
    if (r < 0)
        return r;
    for (size_t i = 0; i < head->n_fields; i++) {
        r = read_field(&fields, &head->fields[i], refusal);
        if (r < 0)
            return r;
    }
    r = judge_host(&fields, &facts, refusal);
    if (r < 0)
        return r;
    r = judge_framing(&fields, &facts, refusal);
    if (r < 0)
        return r;

    /* RFC 9110 10.1.1 and 7.8: HTTP/1.0 has neither 100 nor Upgrade. */
    facts.expects = fields.expects && !facts.http_1_0;
    facts.expect_continue = facts.expects && (facts.body == REQUEST_BODY_CHUNKED || facts.content_length > 0);
    facts.keep_alive = !fields.connection.close && (!facts.http_1_0 || fields.connection.keep_alive);
    facts.upgrade = fields.connection.upgrade && fields.offers_upgrade && !facts.http_1_0;
    *ret = facts;
    return 0;
}
