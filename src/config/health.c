/* SPDX-License-Identifier: ISC */

/* When a service is ready: tcp on its base unless something else is said. A key that its type does not use is
 * refused, since somebody expects it to do something; not so in a DynaPM configuration, where it never did.
 */

#include "config/endpoint.h"
#include "config/service.h"

#define TIMEOUT_DEFAULT (5 * USEC_PER_SEC)

typedef struct HealthDraft {
    Value type, port, url, expected_status, command;
    usec_t timeout, interval;
} HealthDraft;

const Key health_check_keys[] = {
        {"type", key_keep, offsetof(HealthDraft, type)},
        {"port", key_keep, offsetof(HealthDraft, port)},
        {"url", key_keep, offsetof(HealthDraft, url)},
        {"expectedStatus", key_keep, offsetof(HealthDraft, expected_status)},
        {"command", key_keep, offsetof(HealthDraft, command)},
        {"timeout", key_timespan, offsetof(HealthDraft, timeout)},
        {"interval", key_timespan, offsetof(HealthDraft, interval)},
        {},
};

static int read_type(Reader *r, const Value *v, HealthCheckType *ret)
{
    static const char what[] = "\"tcp\", \"http\", \"command\" or \"none\"";
    const char *s;

    int k = value_string(r, v, what, &s);
    if (k < 0)
        return k;
    HealthCheckType type = health_check_type_from_string(s);
    if (type < 0)
        return problem_expected(r, v, "%s", what);
    *ret = type;
    return 0;
}

static int refuse_unused(Reader *r, const HealthDraft *d, HealthCheckType type)
{
    const struct {
        const Value *v;
        HealthCheckType a, b; /* who uses it */
    } keys[] = {
            {&d->port, HEALTH_CHECK_TCP, HEALTH_CHECK_HTTP},
            {&d->url, HEALTH_CHECK_HTTP, HEALTH_CHECK_HTTP},
            {&d->expected_status, HEALTH_CHECK_HTTP, HEALTH_CHECK_HTTP},
            {&d->command, HEALTH_CHECK_COMMAND, HEALTH_CHECK_COMMAND},
    };
    int all = 0;

    for (size_t i = 0; i < ELEMENTSOF(keys) && !r->dynapm; i++) {
        if (!value_given(keys[i].v) || keys[i].a == type || keys[i].b == type)
            continue;
        int k = problem_at_key(r, keys[i].v, "expected only with the type \"%s\", got it with \"%s\"",
                health_check_type_to_string(keys[i].b), health_check_type_to_string(type));
        if (is_fatal(&all, k))
            return k;
    }
    return all;
}

/* Where to connect: the URL's or the service's endpoint, at the check's port if it names one. */
static int set_endpoint(Reader *r, const HealthDraft *d, const Endpoint *where, HealthCheckConfig *h)
{
    uint16_t port;

    if (value_given(&d->port)) {
        int k = value_port(r, &d->port, "a port from 1 to 65535", &port);
        return k < 0 || !where ? k : endpoint_with_port(where, port, &h->endpoint);
    }
    return where ? endpoint_copy(where, &h->endpoint) : 0;
}

static int read_http(Reader *r, const HealthDraft *d, const Endpoint *base, HealthCheckConfig *h)
{
    const char *url = NULL;
    Endpoint own = {};
    uint64_t status;
    int all = 0, k = 0;

    if (value_given(&d->url)) {
        static const char what[] = "http://HOST:PORT/PATH or /PATH";
        k = value_string(r, &d->url, what, &url);
        if (k == 0 && *url == '/')
            k = is_request_path(url, true)
                        ? set_string(&h->path, url)
                        : problem_expected_hint(r, &d->url, what,
                                  "; no space, \"#\" or letter beyond ASCII (write it as %XX)");
        else if (k == 0)
            k = endpoint_read(r, &d->url, &own, &h->path);
    } else
        k = set_string(&h->path, "/");
    if (k == 0)
        k = set_endpoint(r, d, own.text ? &own : base, h);
    if (k == 0 && h->endpoint.text) {
        h->host = endpoint_host_field(&h->endpoint);
        k = h->host ? 0 : -ENOMEM;
    }
    endpoint_done(&own);
    if (is_fatal(&all, k))
        return k;
    if (value_given(&d->expected_status)) {
        k = value_uint(r, &d->expected_status, 100, 599, &status);
        if (is_fatal(&all, k))
            return k;
        if (k == 0)
            h->expected_status = (unsigned) status;
    }
    return all;
}

static int read_command(Reader *r, const HealthDraft *d, const Value *object, HealthCheckConfig *h)
{
    static const char what[] = "a command line for /bin/sh";
    const char *s;

    if (!value_given(&d->command))
        return problem_missing(r, object, "command", "expected %s, got nothing", what);
    int k = value_string(r, &d->command, what, &s);
    return k < 0 ? k : set_string(&h->command, s);
}

int health_check_read(Reader *r, const Value *v, const Endpoint *base, HealthCheckConfig *ret)
{
    HealthDraft d = {.timeout = TIMEOUT_DEFAULT};
    int all = 0, k;

    ret->type = HEALTH_CHECK_TCP;
    ret->implied = !value_given(v);
    if (value_given(v)) {
        k = read_object(r, v, health_check_keys, &d);
        if (is_fatal(&all, k))
            return k;
        k = value_given(&d.type) ? read_type(r, &d.type, &ret->type) : 0;
        if (k < 0)
            return k; /* the rest depends on it */
    }
    ret->timeout = d.timeout;
    ret->interval = d.interval;
    k = refuse_unused(r, &d, ret->type);
    if (is_fatal(&all, k))
        return k;
    switch (ret->type) {
    case HEALTH_CHECK_TCP:
        k = set_endpoint(r, &d, base, ret);
        break;
    case HEALTH_CHECK_HTTP:
        k = read_http(r, &d, base, ret);
        break;
    case HEALTH_CHECK_COMMAND:
        k = read_command(r, &d, v, ret);
        break;
    default:
        k = 0;
    }
    if (is_fatal(&all, k))
        return k;
    return all;
}
