/* SPDX-License-Identifier: ISC */

/* One table of paths. Nothing is decoded: a service's name, a file's name and all that lies between are made
 * of characters that need no escaping, so that what needs it cannot be meant. */

#include "admin/admin-request.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#define API "/_dynapm/api/"
#define PAGE "/_dynapm/"
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define TOKEN_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"

static const char get[] = "GET, HEAD", post[] = "POST", get_only[] = "GET";

typedef struct Path {
    const char *path; /* '*' stands for a service's name */
    AdminOperation operation;
    const char *allow;
} Path;

static const Path paths[] = {
        {"/", ADMIN_HOME, get},
        {"/_dynapm", ADMIN_HOME, get},
        {API "services", ADMIN_SERVICES, get},
        {API "services/*", ADMIN_SERVICE, get},
        {API "services/*/start", ADMIN_START, post},
        {API "services/*/stop", ADMIN_STOP, post},
        {API "services/*/restart", ADMIN_RESTART, post},
        {API "services/*/logs", ADMIN_LOGS, get_only},
        {API "reload", ADMIN_RELOAD, post},
        {"/metrics", ADMIN_METRICS, get},
        {API "events", ADMIN_EVENTS, get_only},
};

bool admin_operation_changes(AdminOperation o)
{
    return o == ADMIN_START || o == ADMIN_STOP || o == ADMIN_RESTART || o == ADMIN_RELOAD;
}

/* What programs print may be anything. */
bool admin_operation_is_private(AdminOperation o)
{
    return o == ADMIN_LOGS;
}

bool admin_operation_is_scarce(AdminOperation o)
{
    return o == ADMIN_LOGS || o == ADMIN_EVENTS;
}

bool admin_operation_is_public(AdminOperation o)
{
    return o == ADMIN_ASSET || o == ADMIN_HOME;
}

/* Does it match, and with which name? */
static bool match(const char *pattern, const char *path, char name[static ADMIN_NAME_MAX + 1])
{
    const char *star = strchr(pattern, '*');
    size_t before = star ? (size_t) (star - pattern) : 0;

    if (!star)
        return streq(pattern, path);
    if (strncmp(path, pattern, before) != 0)
        return false;
    path += before;
    size_t n = strspn(path, NAME_CHARACTERS);
    if (n == 0 || n > ADMIN_NAME_MAX || !streq(path + n, star + 1))
        return false;
    memcpy(name, path, n);
    name[n] = 0;
    return true;
}

static bool is_allowed(const char *allow, const char *method)
{
    return strstr(allow, method) && (streq(method, "GET") || streq(method, "HEAD") || streq(method, "POST"));
}

static int check_method(const char *method, const char *allow, AdminRefusal *refusal)
{
    if (is_allowed(allow, method))
        return 0;
    *refusal = (AdminRefusal){405, "That cannot be done with this.", allow};
    return -EBADMSG;
}

/* lines=N in a query, N being 1 to 1000. */
static int read_lines(const char *query, size_t len, unsigned *ret)
{
    char text[16];

    *ret = ADMIN_LINES;
    if (len == 0)
        return 0;
    if (len <= STRLEN("lines=") || len >= sizeof text || memcmp(query, "lines=", STRLEN("lines=")) != 0)
        return -EINVAL;
    memcpy(text, query, len);
    text[len] = 0;
    const char *digits = text + STRLEN("lines=");
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 4 || digits[n] || *digits == '0')
        return -EINVAL;
    *ret = (unsigned) strtoul(digits, NULL, 10);
    return *ret <= ADMIN_LINES_MAX ? 0 : -EINVAL;
}

int admin_request_parse(
        const char *method, const char *target, size_t len, AdminRequest *ret, AdminRefusal *refusal)
{
    char path[256];
    size_t n = 0;

    *ret = (AdminRequest){};
    while (n < len && target[n] != '?')
        n++;
    *refusal = (AdminRefusal){404, "There is nothing of that name.", NULL};
    if (n >= sizeof path)
        return -EBADMSG;
    memcpy(path, target, n);
    path[n] = 0;
    for (size_t i = 0; i < ELEMENTSOF(paths); i++)
        if (match(paths[i].path, path, ret->name)) {
            ret->operation = paths[i].operation;
            if (ret->operation == ADMIN_LOGS &&
                    read_lines(target + n + (n < len), len - n - (n < len), &ret->lines) < 0) {
                *refusal =
                        (AdminRefusal){400, "The query is expected to be lines=N, N being 1 to 1000.", NULL};
                return -EBADMSG;
            }
            return check_method(method, paths[i].allow, refusal);
        }
    const char *file = streq(path, API "openapi.json") ? "openapi.json" : startswith(path, PAGE);
    ret->asset = file ? admin_asset_find(*file ? file : "index.html") : NULL;
    if (!ret->asset)
        return -EBADMSG;
    ret->operation = ADMIN_ASSET;
    return check_method(method, get, refusal);
}

/* ── who asks ── */

static bool is_address(const char *host, size_t len)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr a;
    bool v6 = len > 2 && host[0] == '[' && host[len - 1] == ']';

    if (v6) {
        host++;
        len -= 2;
    }
    if (len >= sizeof text)
        return false;
    memcpy(text, host, len);
    text[len] = 0;
    return inet_pton(v6 ? AF_INET6 : AF_INET, text, &a) == 1;
}

static bool is_name(const char *host, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(host, name, len) == 0;
}

bool admin_host_is_ours(const char *host, size_t len, const char *name)
{
    if (len > 1 && host[len - 1] == '.')
        len--;
    return (name && is_name(host, len, name)) || is_name(host, len, "localhost") || is_address(host, len);
}

bool admin_origin_is_ours(const char *origin, size_t origin_len, const char *site, size_t site_len,
        const char *authority, size_t authority_len)
{
    static const char *const schemes[] = {"http://", "https://"};

    if (site && !is_name(site, site_len, "same-origin") && !is_name(site, site_len, "none"))
        return false;
    if (!origin)
        return true;
    for (size_t i = 0; i < ELEMENTSOF(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (origin_len == n + authority_len && strncasecmp(origin, schemes[i], n) == 0 &&
                strncasecmp(origin + n, authority, authority_len) == 0)
            return true;
    }
    return false;
}

int admin_bearer(const char *value, size_t len, char ret[static ADMIN_TOKEN_MAX + 1])
{
    static const char scheme[] = "Bearer ";
    size_t n = 0, padding = 0;

    *ret = 0;
    if (!value)
        return 0;
    if (len <= STRLEN("Bearer ") || strncasecmp(value, scheme, STRLEN("Bearer ")) != 0)
        return -EINVAL;
    value += STRLEN("Bearer ");
    len -= STRLEN("Bearer ");
    while (len > 0 && *value == ' ') {
        value++;
        len--;
    }
    while (n < len && value[n] && strchr(TOKEN_CHARACTERS, value[n]))
        n++;
    while (n + padding < len && value[n + padding] == '=')
        padding++;
    if (n == 0 || n + padding != len || len > ADMIN_TOKEN_MAX)
        return -EINVAL;
    memcpy(ret, value, len);
    ret[len] = 0;
    return 0;
}
