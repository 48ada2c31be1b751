/* SPDX-License-Identifier: ISC */

/* Whose word about the client is taken, and who may administer: addresses and networks in CIDR notation
 * (RFC 4632), all of them kept as IPv6, IPv4 in its mapped form (RFC 4291, 2.5.5.2). Bits beyond the prefix
 * are refused: who writes 10.1.2.3/8 means one of two things. */

#include <arpa/inet.h>
#include <stdio.h>

#include "config/global.h"

static void mask(CidrBlock *c)
{
    for (unsigned bit = c->prefix; bit < 128; bit++)
        c->address.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
}

static int parse_prefix(const char *s, unsigned max, unsigned *ret)
{
    size_t n = strspn(s, "0123456789");
    if (n < 1 || n > 3 || s[n] || (*s == '0' && n > 1))
        return -EINVAL;
    unsigned long v = strtoul(s, NULL, 10);
    if (v > max)
        return -EINVAL;
    *ret = (unsigned) v;
    return 0;
}

static int parse_cidr(const char *s, CidrBlock *ret, unsigned *ret_offset)
{
    char host[INET6_ADDRSTRLEN];
    const char *slash = strchr(s, '/');
    size_t n = slash ? (size_t) (slash - s) : strlen(s);
    CidrBlock c = {};
    struct in_addr v4;
    unsigned prefix;

    if (n >= sizeof host)
        return -EINVAL;
    memcpy(host, s, n);
    host[n] = 0;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        c.address.s6_addr[10] = c.address.s6_addr[11] = 0xff;
        memcpy(&c.address.s6_addr[12], &v4, sizeof v4);
        *ret_offset = 96;
    } else if (inet_pton(AF_INET6, host, &c.address) == 1)
        *ret_offset = 0;
    else
        return -EINVAL;
    prefix = 128 - *ret_offset;
    if (slash && parse_prefix(slash + 1, prefix, &prefix) < 0)
        return -EINVAL;
    c.prefix = (uint8_t) (prefix + *ret_offset);
    *ret = c;
    return 0;
}

static int read_block(Reader *r, const Value *v, CidrBlock *ret)
{
    static const char what[] = "an address or a network such as \"10.0.0.0/8\"";
    char text[INET6_ADDRSTRLEN], hint[INET6_ADDRSTRLEN + 32];
    const char *s;
    unsigned offset;

    int k = value_string(r, v, what, &s);
    if (k < 0)
        return k;
    if (parse_cidr(s, ret, &offset) < 0)
        return problem_expected(r, v, "%s", what);

    CidrBlock whole = *ret;
    mask(&whole);
    if (IN6_ARE_ADDR_EQUAL(&whole.address, &ret->address))
        return 0;
    (void) inet_ntop(offset ? AF_INET : AF_INET6, &whole.address.s6_addr[offset ? 12 : 0], text, sizeof text);
    snprintf(hint, sizeof hint, "; that network is \"%s/%u\"", text, ret->prefix - offset);
    return problem_expected_hint(r, v, what, hint);
}

int cidr_blocks_read(Reader *r, const Value *v, CidrBlock **field, size_t *n)
{
    _cleanup_free_ CidrBlock *blocks = NULL;
    ValueIterator it = {};
    int all = 0;

    if (!value_is(v, json_type_array))
        return problem_expected(r, v, "an array of addresses and networks");
    blocks = new0(CidrBlock, v->node->n_children + 1);
    if (!blocks)
        return -ENOMEM;
    for (Value b = {}; value_next(r, v, &it, &b);) {
        int k = read_block(r, &b, &blocks[b.index]);
        if (is_fatal(&all, k))
            return k;
    }
    if (all < 0)
        return all;
    free(*field);
    *field = TAKE_PTR(blocks);
    *n = v->node->n_children;
    return 0;
}
