/* SPDX-License-Identifier: ISC */

/* Owns what is known of protocols that a connection may be switched to: nothing but their names. */

#include "wire/upgrade.h"

#include "wire/octet.h"

/* protocol = token [ "/" token ] */
static bool is_protocol(const char *s, size_t len)
{
    const char *slash = memchr(s, '/', len);
    size_t name = slash ? (size_t) (slash - s) : len;

    return token_is_valid(s, name) && (!slash || token_is_valid(slash + 1, len - name - 1));
}

bool upgrade_next(const char **pos, const char *end, const char **ret, size_t *ret_len)
{
    const char *element;
    size_t n;

    while (list_next(pos, end, &element, &n))
        if (is_protocol(element, n) && !OCTETS_ARE(element, n, "h2c")) {
            *ret = element;
            *ret_len = n;
            return true;
        }
    return false;
}

bool upgrade_offers(const Field *f)
{
    const char *pos = f->value, *protocol;
    size_t n;

    return upgrade_next(&pos, pos + f->value_len, &protocol, &n);
}

static bool is_offered(const Field *request, size_t n_request, const char *protocol, size_t len)
{
    for (size_t i = 0; i < n_request; i++) {
        if (field_identify(&request[i]) != FIELD_UPGRADE)
            continue;
        const char *pos = request[i].value, *end = pos + request[i].value_len, *offer;
        size_t n;
        while (upgrade_next(&pos, end, &offer, &n))
            if (n == len && octets_equal(offer, protocol, n))
                return true;
    }
    return false;
}

bool upgrade_matches(const Field *request, size_t n_request, const Field *answer, size_t n_answer)
{
    bool any = false;

    for (size_t i = 0; i < n_answer; i++) {
        if (field_identify(&answer[i]) != FIELD_UPGRADE)
            continue;
        const char *pos = answer[i].value, *end = pos + answer[i].value_len, *protocol;
        size_t n;
        while (list_next(&pos, end, &protocol, &n)) {
            if (n == 0)
                continue;
            if (!is_offered(request, n_request, protocol, n))
                return false;
            any = true;
        }
    }
    return any;
}
