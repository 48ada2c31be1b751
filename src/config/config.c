/* SPDX-License-Identifier: ISC */

/* The life of a Config and of what it owns. While it is built it is the head of a ConfigDraft; from the
 * moment the caller has it nothing of it changes but the reference count. */

#include <sched.h>
#include <stdio.h>

#include "config/internal.h"

static const char *const service_kind_table[] = {
        [SERVICE_EXEC] = "exec",
        [SERVICE_COMMANDS] = "commands",
        [SERVICE_UNIT] = "unit",
        [SERVICE_PROXY_ONLY] = "proxyOnly",
};
DEFINE_STRING_TABLE(service_kind, ServiceKind)

static const char *const health_check_type_table[] = {
        [HEALTH_CHECK_TCP] = "tcp",
        [HEALTH_CHECK_HTTP] = "http",
        [HEALTH_CHECK_COMMAND] = "command",
        [HEALTH_CHECK_NONE] = "none",
};
DEFINE_STRING_TABLE(health_check_type, HealthCheckType)

void strv_free(char **v)
{
    for (size_t i = 0; v && v[i]; i++)
        free(v[i]);
    free(v);
}

void endpoint_done(Endpoint *e)
{
    free(e->text);
    *e = (Endpoint){};
}

void route_config_done(RouteConfig *r)
{
    free(r->host);
    free(r->path);
    endpoint_done(&r->target);
}

void health_check_config_done(HealthCheckConfig *h)
{
    endpoint_done(&h->endpoint);
    free(h->host);
    free(h->path);
    free(h->command);
}

ServiceConfig *service_config_new(void)
{
    ServiceConfig *s = new0(ServiceConfig, 1);
    if (s)
        s->n_ref = 1;
    return s;
}

ServiceConfig *service_config_ref(ServiceConfig *s)
{
    assert(s->n_ref > 0);
    s->n_ref++;
    return s;
}

ServiceConfig *service_config_unref(ServiceConfig *s)
{
    if (!s)
        return NULL;
    assert(s->n_ref > 0);
    if (--s->n_ref > 0)
        return NULL;
    if (s->origin) {
        service_config_unref(s->origin);
        free(s->routes);
        return mfree(s);
    }
    free(s->name);
    free(s->file);
    strv_free(s->exec);
    free(s->start_command);
    free(s->stop_command);
    free(s->check_command);
    free(s->unit);
    free(s->cwd);
    strv_free(s->env);
    free(s->user);
    free(s->group);
    free(s->limits);
    for (size_t i = 0; i < s->n_routes; i++)
        route_config_done(&s->routes[i]);
    free(s->routes);
    health_check_config_done(&s->health_check);
    return mfree(s);
}

/* Starts mostly wait: for disks, for others, for what they have asked. */
static uint32_t default_concurrent_starts(void)
{
    cpu_set_t cpus;
    int n = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;

    return MAX((uint32_t) n * 4, UINT32_C(8));
}

Config *config_new(void)
{
    ConfigDraft *d = new0(ConfigDraft, 1);
    if (!d)
        return NULL;
    d->config.n_ref = 1;
    d->config.global = (GlobalConfig){
            .request_head_timeout = 10 * USEC_PER_SEC,
            .request_body_timeout = USEC_INFINITY,
            .request_body_idle_timeout = 60 * USEC_PER_SEC,
            .keep_alive_timeout = 75 * USEC_PER_SEC,
            .upstream_connect_timeout = 10 * USEC_PER_SEC,
            .upstream_first_byte_timeout = 5 * USEC_PER_MINUTE,
            .upstream_idle_timeout = USEC_INFINITY,
            .tunnel_idle_timeout = USEC_INFINITY,
            .client_write_timeout = 60 * USEC_PER_SEC,
            .max_connections = 16384,
            .max_parked = 8192,
            .max_parked_per_service = 2048,
            .max_concurrent_starts = default_concurrent_starts(),
            .max_head_size = 16384,
    };
    return &d->config;
}

Config *config_ref(Config *c)
{
    if (c) {
        assert(c->n_ref > 0);
        c->n_ref++;
    }
    return c;
}

Config *config_unref(Config *c)
{
    if (!c)
        return NULL;
    assert(c->n_ref > 0);
    if (--c->n_ref > 0)
        return NULL;
    for (size_t i = 0; i < c->n_services; i++)
        service_config_unref(c->services[i]);
    free(c->services);
    for (size_t i = 0; i < c->n_problems; i++) {
        free(c->problems[i].file);
        free(c->problems[i].path);
        free(c->problems[i].message);
    }
    free(c->problems);
    ConfigDraft *d = config_draft(c);
    if (d->settings_owner)
        config_unref(d->settings_owner);
    else {
        free(c->global.listen);
        free(c->global.trusted_proxies);
        admin_config_done(&c->global.admin);
    }
    for (size_t i = 0; i < d->n_settings_files; i++)
        free(d->settings_files[i].file);
    free(d->settings_files);
    claims_done(&d->claims);
    free(d);
    return NULL;
}

/* The room doubles whenever it is full, which is exactly when n is a power of two: nothing to remember. */
int array_grow(void **array, size_t n, size_t element)
{
    if ((n & (n - 1)) != 0)
        return 0;
    void *grown = reallocarray(*array, n ? n * 2 : 1, element);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    return 0;
}

int config_add_service(Config *config, ServiceConfig *service)
{
    int r = array_grow((void **) &config->services, config->n_services, sizeof *config->services);
    if (r < 0) {
        service_config_unref(service);
        return r;
    }
    config->services[config->n_services++] = service;
    return 0;
}

int config_add_settings_file(Config *config, const char *file, SettingsFile **ret)
{
    ConfigDraft *d = config_draft(config);
    char *copy = strdup(file);

    if (!copy || array_grow((void **) &d->settings_files, d->n_settings_files, sizeof(SettingsFile)) < 0) {
        free(copy);
        return -ENOMEM;
    }
    *ret = &d->settings_files[d->n_settings_files++];
    **ret = (SettingsFile){.file = copy};
    return 0;
}

int config_add_problem(
        Config *config, const char *file, unsigned line, unsigned column, char *path, char *message)
{
    _cleanup_free_ char *f = strdup(file), *p = path, *m = message;

    if (!f || !m || array_grow((void **) &config->problems, config->n_problems, sizeof *config->problems) < 0)
        return -ENOMEM;
    config->problems[config->n_problems++] = (ConfigProblem){
            .file = TAKE_PTR(f),
            .line = line,
            .column = column,
            .path = TAKE_PTR(p),
            .message = TAKE_PTR(m),
    };
    return 0;
}

char *config_problem_format(const ConfigProblem *p)
{
    char place[32] = "", *s;

    if (p->line > 0)
        snprintf(place, sizeof place, ":%u:%u", p->line, p->column);
    if (asprintf(&s, "%s%s: %s%s%s", p->file, place, p->path ?: "", p->path ? ": " : "", p->message) < 0)
        return NULL;
    return s;
}
