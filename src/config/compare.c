/* SPDX-License-Identifier: ISC */

/* Whether two definitions of a service say the same. Every field of a ServiceConfig is looked at here, by one
 * of the two functions at the end: one that is forgotten is a change that nobody ever notices. */

#include "config/internal.h"

static bool strv_equal(char *const *a, char *const *b)
{
    if (!a || !b)
        return !a && !b;
    for (; *a && *b; a++, b++)
        if (!streq(*a, *b))
            return false;
    return !*a && !*b;
}

static bool endpoint_equal(const Endpoint *a, const Endpoint *b)
{
    if (!streq_ptr(a->text, b->text) || a->n_addresses != b->n_addresses || a->tcp != b->tcp)
        return false;
    for (size_t i = 0; i < a->n_addresses; i++)
        if (!socket_address_equal(&a->addresses[i], &b->addresses[i]))
            return false;
    return true;
}

static bool route_equal(const RouteConfig *a, const RouteConfig *b)
{
    return a->type == b->type && streq_ptr(a->host, b->host) && streq(a->path, b->path) &&
           (a->type != ROUTE_PORT || socket_address_equal(&a->listen, &b->listen)) &&
           a->strip_path == b->strip_path && a->accept_proxy == b->accept_proxy &&
           endpoint_equal(&a->target, &b->target);
}

static bool routes_equal(const ServiceConfig *a, const ServiceConfig *b)
{
    if (a->n_routes != b->n_routes)
        return false;
    for (size_t i = 0; i < a->n_routes; i++)
        if (!route_equal(&a->routes[i], &b->routes[i]))
            return false;
    return true;
}

static bool health_check_equal(const HealthCheckConfig *a, const HealthCheckConfig *b)
{
    return a->type == b->type && endpoint_equal(&a->endpoint, &b->endpoint) && streq_ptr(a->host, b->host) &&
           streq_ptr(a->path, b->path) && a->expected_status == b->expected_status &&
           streq_ptr(a->command, b->command) && a->timeout == b->timeout && a->interval == b->interval &&
           a->implied == b->implied;
}

static bool limits_equal(const ServiceConfig *a, const ServiceConfig *b)
{
    if (a->n_limits != b->n_limits)
        return false;
    for (size_t i = 0; i < a->n_limits; i++) {
        const UnitLimit *x = &a->limits[i], *y = &b->limits[i];
        if (!streq(x->property, y->property) || x->type != y->type || x->value != y->value)
            return false;
    }
    return true;
}

bool service_config_runs_alike(const ServiceConfig *a, const ServiceConfig *b)
{
    return a->kind == b->kind && streq(a->name, b->name) && strv_equal(a->exec, b->exec) &&
           streq_ptr(a->start_command, b->start_command) && streq_ptr(a->stop_command, b->stop_command) &&
           streq_ptr(a->check_command, b->check_command) && streq_ptr(a->unit, b->unit) &&
           streq_ptr(a->cwd, b->cwd) && strv_equal(a->env, b->env) && streq_ptr(a->user, b->user) &&
           streq_ptr(a->group, b->group) && limits_equal(a, b) && a->notify == b->notify &&
           health_check_equal(&a->health_check, &b->health_check) && a->stop_timeout == b->stop_timeout;
}

bool service_config_equal(const ServiceConfig *a, const ServiceConfig *b)
{
    return service_config_runs_alike(a, b) && streq(a->file, b->file) && routes_equal(a, b) &&
           a->idle_timeout == b->idle_timeout && a->web_socket_idle == b->web_socket_idle &&
           a->start_timeout == b->start_timeout && a->send_proxy_protocol == b->send_proxy_protocol;
}
