/* SPDX-License-Identifier: ISC */

/* Any text is either a configuration that keeps what config.h promises, or refused with at least one problem.
 * The same text is read as a drop-in, as the drop-in after itself (so that all its claims collide) and as
 * dynapm.json. */

#include "config/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define check(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)

static void check_service(const ServiceConfig *s)
{
    check(s->name && *s->name && strlen(s->name) <= 64 && s->file);
    check((s->kind == SERVICE_EXEC) == (s->exec != NULL) && (!s->exec || s->exec[0]));
    check((s->kind == SERVICE_COMMANDS) == (s->start_command != NULL));
    check((s->kind == SERVICE_UNIT) == (s->unit != NULL));
    check(!s->cwd || *s->cwd == '/');
    check(s->n_routes > 0 && s->idle_timeout > 0 && s->start_timeout > 0 && s->stop_timeout > 0);
    for (size_t i = 0; i < s->n_routes; i++) {
        const RouteConfig *r = &s->routes[i];
        size_t n = strlen(r->path);
        check((r->type == ROUTE_HOST) == (r->host != NULL) && (r->host || r->listen.len > 0));
        check(r->path[0] == '/' && (n == 1 || r->path[n - 1] != '/'));
        check(r->target.text && r->target.n_addresses >= 1 &&
                r->target.n_addresses <= ENDPOINT_ADDRESSES_MAX);
    }
    const HealthCheckConfig *h = &s->health_check;
    check(h->timeout > 0 && h->timeout != USEC_INFINITY);
    check((h->type == HEALTH_CHECK_COMMAND) == (h->command != NULL));
    check((h->type == HEALTH_CHECK_TCP || h->type == HEALTH_CHECK_HTTP) == (h->endpoint.n_addresses > 0));
    check((h->type == HEALTH_CHECK_HTTP) == (h->path && *h->path == '/' && h->host && *h->host));
}

static void check_config(const Config *c)
{
    for (size_t i = 0; i < c->n_services; i++)
        check_service(c->services[i]);
    for (size_t i = 0; i < c->n_problems; i++) {
        _cleanup_free_ char *line = config_problem_format(&c->problems[i]);
        check(line && c->problems[i].line > 0 && c->problems[i].column > 0 && *c->problems[i].message);
    }
    check(c->global.max_connections > 0 && c->global.max_head_size >= 1024);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(config_unrefp) Config *drop_in = config_new(), *global = config_new();
    const char *text = (const char *) data;

    check(drop_in && global);
    check(config_parse(drop_in, "/d/fuzz.json", text, size) == 0);
    check_config(drop_in);
    size_t services = drop_in->n_services;
    check(config_parse(drop_in, "/d/again.json", text, size) == 0);
    check(drop_in->n_services == services || services > 0);
    check_config(drop_in);

    check(config_parse_file(global, CONFIG_FILE_GLOBAL, "/etc/dynapm.json", "/etc", text, size) == 0);
    check_config(global);
    return 0;
}
