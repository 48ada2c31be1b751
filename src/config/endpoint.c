/* SPDX-License-Identifier: ISC */

/* URLs of services. They name places on this machine or its network by address; nothing is ever looked up, so
 * a name is refused here rather than found missing when a request waits for it. An Endpoint's text is its URL
 * without path: what people read, and what port and Host field are taken from. */

#include "config/endpoint.h"

#include <stdio.h>

#include "config/hostname.h"

bool is_request_path(const char *s, bool query)
{
    if (*s != '/')
        return false;
    for (; *s; s++)
        if (*s <= 0x20 || *s >= 0x7f || *s == '#' || (*s == '?' && !query))
            return false;
    return true;
}

static bool is_localhost(const char *host)
{
    const char *dot = strrchr(host, '.');
    return streq(host, "localhost") || (dot && dot > host && streq(dot, ".localhost") && is_hostname(host));
}

/* Both addresses, in the order of ENDPOINT_ADDRESSES_MAX's comment. */
static void set_localhost(Endpoint *e, uint16_t port)
{
    (void) socket_address_from_ip("127.0.0.1", port, &e->addresses[0]);
    (void) socket_address_from_ip("::1", port, &e->addresses[1]);
    e->n_addresses = 2;
}

static int read_unix(Reader *r, const Value *v, const char *url, const char *path, Endpoint *ret)
{
    Endpoint e = {.n_addresses = 1};

    int k = socket_address_from_path(path, &e.addresses[0]);
    if (k == -ENAMETOOLONG)
        return problem_expected(r, v, "a socket path of at most 107 bytes");
    if (k < 0 || !path[1])
        return problem_expected(r, v, "a socket as http+unix:///run/NAME.sock");
    e.text = strdup(url);
    if (!e.text)
        return -ENOMEM;
    *ret = e;
    return 0;
}

static int parse_port(const char *s, uint16_t *ret)
{
    size_t n = strspn(s, "0123456789");
    unsigned long port = n > 0 && n <= 5 && !s[n] && *s != '0' ? strtoul(s, NULL, 10) : 0;

    if (port < 1 || port > UINT16_MAX)
        return -EINVAL;
    *ret = (uint16_t) port;
    return 0;
}

/* "HOST[:PORT]" in place: cuts *host out of `authority` and reads the port; without one *port stays what it
 * is.
 */
static int split_authority(
        Reader *r, const Value *v, const char *form, char *authority, char **host, uint16_t *port)
{
    char *end = authority, *colon;

    if (strchr(authority, '@'))
        return problem_expected_hint(r, v, form, "; a user name or password is not supported");
    if (*authority == '[') {
        end = strchr(authority, ']');
        if (!end)
            return problem_expected(r, v, "\"]\" behind an IPv6 address");
        end++;
    }
    colon = strchr(end, ':');
    if (*authority == '[' ? colon != end && *end : colon && strchr(colon + 1, ':'))
        return problem_expected(r, v, "%s, an IPv6 address in brackets", form);
    if (colon) {
        int k = parse_port(colon + 1, port);
        if (k < 0)
            return problem_expected(r, v, "a port from 1 to 65535 behind the host");
        *colon = 0;
    }
    *host = authority;
    return 0;
}

static int read_host(Reader *r, const Value *v, const char *form, char *host, uint16_t port, Endpoint *ret)
{
    Endpoint e = {.n_addresses = 1};
    int k;

    if (!*host)
        return problem_expected(r, v, "%s", form);
    if (*host == '[') {
        host[strlen(host) - 1] = 0;
        k = strchr(++host, ':') ? socket_address_from_ip(host, port, &e.addresses[0]) : -EINVAL;
        if (k < 0)
            return problem_expected(r, v, "an IPv6 address in the brackets");
    } else if (is_localhost(host))
        set_localhost(&e, port);
    else if (socket_address_from_ip(host, port, &e.addresses[0]) < 0)
        return problem_expected_hint(r, v, "an IP address or localhost as host",
                "; any other name would have to be looked up while requests wait");
    *ret = e;
    return 0;
}

static int read_http(Reader *r, const Value *v, const char *url, char **ret_target, Endpoint *ret)
{
    const char *rest = url + STRLEN("http://");
    size_t n = strcspn(rest, "/?#");
    _cleanup_free_ char *authority = strndup(rest, n), *target = NULL;
    char *host = NULL;
    uint16_t port = 80;
    Endpoint e;

    if (!authority)
        return -ENOMEM;
    if (!ret_target && rest[n] && !streq(rest + n, "/"))
        return problem_expected_hint(r, v, "http://HOST:PORT",
                "; no path may stand behind it, each request brings its own (see path and stripPath)");
    if (ret_target) {
        target = strdup(rest[n] ? rest + n : "/");
        if (!target)
            return -ENOMEM;
        if (!is_request_path(target, true))
            return problem_expected(r, v, "a path of visible ASCII behind the host, without \"#\"");
    }
    int k = split_authority(r, v, "http://HOST:PORT", authority, &host, &port);
    if (k == 0)
        k = read_host(r, v, "http://HOST:PORT", host, port, &e);
    if (k < 0)
        return k;
    e.text = strndup(url, STRLEN("http://") + n);
    if (!e.text)
        return -ENOMEM;
    if (ret_target)
        *ret_target = TAKE_PTR(target);
    *ret = e;
    return 0;
}

/* There is no port that every protocol would have, and nothing that a path could mean. */
static int read_tcp(Reader *r, const Value *v, const char *url, Endpoint *ret)
{
    static const char form[] = "tcp://HOST:PORT";
    const char *rest = url + STRLEN("tcp://");
    size_t n = strcspn(rest, "/?#");
    _cleanup_free_ char *authority = strndup(rest, n);
    char *host = NULL;
    uint16_t port = 0;
    Endpoint e;

    if (!authority)
        return -ENOMEM;
    if (rest[n])
        return problem_expected_hint(
                r, v, form, "; a path means nothing to a service that does not speak HTTP");
    int k = split_authority(r, v, form, authority, &host, &port);
    if (k == 0 && port == 0)
        return problem_expected(r, v, "%s", form);
    if (k == 0)
        k = read_host(r, v, form, host, port, &e);
    if (k < 0)
        return k;
    e.tcp = true;
    e.text = strdup(url);
    if (!e.text)
        return -ENOMEM;
    *ret = e;
    return 0;
}

int endpoint_read(Reader *r, const Value *v, Endpoint *ret, char **ret_target)
{
    const char *url, *path;

    int k = value_string(r, v, ENDPOINT_FORMS, &url);
    if (k < 0)
        return k;
    if (startswith(url, "http://"))
        return read_http(r, v, url, ret_target, ret);
    path = startswith(url, "http+unix://");
    if (path && !ret_target)
        return read_unix(r, v, url, path, ret);
    if (startswith(url, "https://"))
        return problem_expected_hint(
                r, v, ENDPOINT_FORMS, "; https:// is not supported, services are spoken to in plain HTTP");
    if (startswith(url, "tcp://") && !ret_target)
        return read_tcp(r, v, url, ret);
    return problem_expected(r, v, "%s", ret_target ? "http://HOST:PORT/PATH or /PATH" : ENDPOINT_FORMS);
}

int endpoint_copy(const Endpoint *e, Endpoint *ret)
{
    Endpoint copy = *e;

    copy.text = strdup(e->text);
    if (!copy.text)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

/* The "HOST" of an endpoint's text, "localhost" for a unix socket's. */
static const char *host_of(const Endpoint *e, size_t *ret_len)
{
    const char *s = startswith(e->text, e->tcp ? "tcp://" : "http://");
    if (!s) {
        *ret_len = STRLEN("localhost");
        return "localhost";
    }
    *ret_len = *s == '[' ? (size_t) (strchr(s, ']') - s) + 1 : strcspn(s, ":");
    return s;
}

int endpoint_with_port(const Endpoint *e, uint16_t port, Endpoint *ret)
{
    Endpoint changed = *e;
    size_t n;

    const char *host = host_of(e, &n);
    if (asprintf(&changed.text, "%s://%.*s:%u", e->tcp ? "tcp" : "http", (int) n, host, port) < 0)
        return -ENOMEM;
    if (e->addresses[0].sa.sa_family == AF_UNIX)
        set_localhost(&changed, port);
    else
        for (size_t i = 0; i < changed.n_addresses; i++) {
            SocketAddress *a = &changed.addresses[i];
            *(a->sa.sa_family == AF_INET ? &a->in.sin_port : &a->in6.sin6_port) = htons(port);
        }
    *ret = changed;
    return 0;
}

char *endpoint_host_field(const Endpoint *e)
{
    uint16_t port = socket_address_port(&e->addresses[0]);
    char *s;
    size_t n;

    const char *host = host_of(e, &n);
    if (port == 0 || port == 80)
        return strndup(host, n);
    return asprintf(&s, "%.*s:%u", (int) n, host, port) < 0 ? NULL : s;
}
