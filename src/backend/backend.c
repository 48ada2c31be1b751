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
        if (context->systemd && streq(config->name, "manager")) {
            *ret_why = "it would be the unit dynapm-manager.service, which is dynapm's own: give it another "
                       "name";
            return -EOPNOTSUPP;
        }
        r = context->systemd ? backend_managed_new(context, config, &b) : backend_direct_new(context, &b);
        if (r >= 0 && !context->systemd)
            backend_direct_warn_ignored(config);
        break;
    case SERVICE_UNIT:
        if (!context->systemd) {
            *ret_why = "a systemd unit can be started only when dynapm itself is started by systemd, not "
                       "standalone";
            return -EOPNOTSUPP;
        }
        r = backend_managed_new(context, config, &b);
        break;
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
    if (b) {
        free(b->runtime_dir);
        b->vtable->free(b);
    }
    return NULL;
}

ProcessSpec backend_spec(const Backend *b, const char *const *argv)
{
    const ServiceConfig *config = b->config;

    return (ProcessSpec){
            .argv = argv,
            .cwd = config->cwd,
            .env = config->env,
            .user = config->user ?: b->context->default_user,
            .group = config->group,
            .runtime_dir = b->runtime_dir,
            .service = config->name,
    };
}

bool backend_ends_with_us(const Backend *b)
{
    return b->vtable->ends_with_us;
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

const char *backend_unit(const Backend *b)
{
    return b->vtable->unit(b);
}

pid_t backend_main_pid(const Backend *b)
{
    return b->vtable->main_pid(b);
}

void backend_usage(Backend *b, ResourceUsage *ret)
{
    usec_t now = now_monotonic();

    if (b->usage_at == 0 || now - b->usage_at >= USAGE_MAX_AGE) {
        b->usage = RESOURCE_USAGE_UNKNOWN;
        b->vtable->usage(b, &b->usage);
        b->usage_at = now;
    }
    *ret = b->usage;
}

usec_t backend_launched_at(const Backend *b)
{
    return b->vtable->launched_at(b);
}
