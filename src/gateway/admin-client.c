/* SPDX-License-Identifier: ISC */

/* From where a request to the admin API comes. What a header says of that counts only from a proxy that is
 * trusted. */

#include <arpa/inet.h>
#include <strings.h>

#include "gateway/admin-internal.h"
#include "gateway/proxy.h"

#define FORWARDED_MAX 1024

const char *admin_field(const Exchange *e, const char *name, size_t *ret_len)
{
    const char *value = NULL;

    *ret_len = 0;
    if (MHD_lookup_connection_value_n(e->mhd, MHD_HEADER_KIND, name, strlen(name), &value, ret_len) !=
            MHD_YES)
        return NULL;
    return value ?: "";
}

typedef struct Fields {
    char text[FORWARDED_MAX];
    size_t len;
    bool other, too_long; /* a Forwarded field is there, of which we make nothing */
} Fields;

static enum MHD_Result on_field(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
        const char *value, size_t value_len)
{
    Fields *f = cls;

    f->other |= name_len == STRLEN("Forwarded") && strncasecmp(name, "Forwarded", name_len) == 0;
    if (name_len != STRLEN("X-Forwarded-For") || strncasecmp(name, "X-Forwarded-For", name_len) != 0)
        return MHD_YES;
    f->too_long |= f->len + value_len + 2 > sizeof f->text;
    if (f->too_long)
        return MHD_NO;
    f->text[f->len++] = ',';
    if (value_len > 0)
        memcpy(f->text + f->len, value, value_len);
    f->len += value_len;
    f->text[f->len] = 0;
    return MHD_YES;
}

/* An address as X-Forwarded-For has it: perhaps in brackets, perhaps with a port. */
static bool parse_address(char *s, uint8_t ret[static 16])
{
    struct in_addr v4;

    s += strspn(s, " \t");
    s[strcspn(s, " \t")] = 0;
    if (*s == '[') {
        s++;
        s[strcspn(s, "]")] = 0;
    } else if (strchr(s, ':') == strrchr(s, ':'))
        s[strcspn(s, ":")] = 0;
    if (inet_pton(AF_INET6, s, ret) == 1)
        return true;
    if (inet_pton(AF_INET, s, &v4) != 1)
        return false;
    memset(ret, 0, 10);
    memset(ret + 10, 0xff, 2);
    memcpy(ret + 12, &v4, 4);
    return true;
}

/* The client behind the proxies that are trusted: from the last that was added back to the first that is none
 * of them. False: they do not say. */
bool admin_find_client(const Exchange *e, uint8_t address[static 16])
{
    Fields f = {};
    char *comma;

    memcpy(address, e->client->address, 16);
    if (!e->client->trusted)
        return true;
    (void) MHD_get_connection_values_n(e->mhd, MHD_HEADER_KIND, on_field, &f);
    if (f.too_long || (f.len == 0 && f.other))
        return false;
    while (f.len > 0 && (comma = strrchr(f.text, ','))) {
        if (!parse_address(comma + 1, address))
            return false;
        if (!route_image_trusts(e->routes, address))
            return true;
        *comma = 0;
    }
    return true;
}

static bool has_address(const Exchange *e)
{
    static const uint8_t none[16];
    return e->client->ends || memcmp(e->client->address, none, sizeof none) != 0;
}

/* The mode of the API's own socket says who may. That of a socket that all services share says nothing: what
 * comes through it are the clients of a proxy in front. */
bool admin_is_local(const Exchange *e)
{
    return !has_address(e) && e->client->listener != LISTENER_MAIN;
}

void admin_write_client(AdminExchange *x, const uint8_t address[static 16])
{
    struct in6_addr a;

    memcpy(&a, address, sizeof a); /* which may be anywhere */
    bool v4 = IN6_IS_ADDR_V4MAPPED(&a);
    if (!has_address(x->exchange))
        strcpy(x->client, "local");
    else if (!inet_ntop(v4 ? AF_INET : AF_INET6, address + (v4 ? 12 : 0), x->client, sizeof x->client))
        strcpy(x->client, "?");
}
