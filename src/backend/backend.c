/* SPDX-License-Identifier: ISC */

/* Chooses the kind of backend, once a service, and passes calls on to it. */

#include "backend/backend-internal.h"

int backend_new(const BackendContext *context, const ServiceConfig *config, const BackendEvents *events,
        void *userdata, Backend **ret, const char **ret_why)
{
    Backend *b;
    int r;

    switch (config->kind) {
    case SERVICE_EXEC:
    case SERVICE_COMMANDS:
        r = backend_direct_new(context, &b);
        if (r >= 0)
            backend_direct_warn_ignored(config);
        break;
    case SERVICE_UNIT:
        *ret_why = "systemd units are not supported by this build: use exec or commands instead of unit";
        return -EOPNOTSUPP;
    case SERVICE_PROXY_ONLY:
        *ret_why = "it is proxied only, never started or stopped";
        return -EOPNOTSUPP;
    default:
        return -EINVAL;
    }
    if (r < 0)
        return r;
    b->context = context;
    b->config = config;
    b->events = events;
    b->userdata = userdata;
    *ret = b;
    return 0;
}

Backend *backend_free(Backend *b)
{
    if (b)
        b->vtable->free(b);
    return NULL;
}

const char *backend_name(const Backend *b)
{
    return b->vtable->name;
}

int backend_start(Backend *b, char **ret_why)
{
    return b->vtable->start(b, ret_why);
}

void backend_set_ready(Backend *b)
{
    b->vtable->set_ready(b);
}

int backend_stop(Backend *b)
{
    return b->vtable->stop(b);
}

int backend_check(Backend *b)
{
    return b->vtable->check(b);
}

bool backend_has_process(const Backend *b)
{
    return b->vtable->has_process(b);
}

pid_t backend_main_pid(const Backend *b)
{
    return b->vtable->main_pid(b);
}

usec_t backend_launched_at(const Backend *b)
{
    return b->vtable->launched_at(b);
}
