/* SPDX-License-Identifier: ISC */

/* The hostnames that a route may match. Refused is what no Host field can ever equal (a port, a URL, letters
 * beyond ASCII), because such a route would be dead without anybody being told. */

#include "config/hostname.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define LABEL_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

bool is_hostname(const char *s)
{
    if (strlen(s) > 253)
        return false;
    for (;;) {
        size_t n = strspn(s, LABEL_CHARACTERS);
        if (n < 1 || n > 63 || s[0] == '-' || s[n - 1] == '-')
            return false;
        s += n;
        if (!*s)
            return true;
        if (*s++ != '.')
            return false;
    }
}

static int normalize_ipv6(const char *s, char **ret, const char **ret_why)
{
    char text[INET6_ADDRSTRLEN + 2], shortest[INET6_ADDRSTRLEN];
    struct in6_addr a;
    size_t n = strlen(s);

    *ret_why = "; in brackets stands an IPv6 address, nothing behind it";
    if (s[n - 1] != ']' || n - 2 >= sizeof text)
        return -EINVAL;
    memcpy(text, s + 1, n - 2);
    text[n - 2] = 0;
    if (inet_pton(AF_INET6, text, &a) != 1)
        return -EINVAL;
    if (!inet_ntop(AF_INET6, &a, shortest, sizeof shortest))
        return -EINVAL;
    return asprintf(ret, "[%s]", shortest) < 0 ? -ENOMEM : 0;
}

static const char *why_not(const char *s)
{
    struct in6_addr ignored;

    for (const char *p = s; *p; p++)
        if ((unsigned char) *p >= 0x80)
            return "; write it as browsers send it, in its xn--… form";
    if (strstr(s, "://"))
        return ", a URL";
    if (inet_pton(AF_INET6, s, &ignored) == 1)
        return "; an IPv6 address is written in brackets";
    if (strchr(s, ':'))
        return "; a port is no part of a hostname, see port";
    if (strchr(s, '/'))
        return "; a path is no part of a hostname, see path";
    if (strchr(s, '*'))
        return "; a wildcard is the whole first label and has a name behind it, such as \"*.example.com\"";
    if (*s && s[strlen(s) - 1] == '.')
        return "; write it without the dot at its end";
    return "";
}

int hostname_normalize(const char *s, char **ret, const char **ret_why)
{
    if (*s == '[')
        return normalize_ipv6(s, ret, ret_why);
    if (!is_hostname(startswith(s, "*.") ?: s)) {
        *ret_why = why_not(s);
        return -EINVAL;
    }

    char *lower = strdup(s);
    if (!lower)
        return -ENOMEM;
    for (char *p = lower; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char) (*p - 'A' + 'a');
    *ret = lower;
    return 0;
}
