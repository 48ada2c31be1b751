/* SPDX-License-Identifier: ISC */

/* What a configuration takes over from the one before it. What was refused stays as it was; its place among
 * the others is where its file is now, so that which of two is the first is decided as ever, and what others
 * before it have claimed by then is theirs. */

#include "config/internal.h"

/* A copy without the routes that are not `free`. Strings stay the origin's. */
static ServiceConfig *copy_without_routes(ServiceConfig *origin, const bool *free_routes, size_t n_free)
{
    ServiceConfig *s = memdup_bytes(origin, sizeof *origin);
    RouteConfig *routes = new0(RouteConfig, MAX(n_free, (size_t) 1));

    if (!s || !routes) {
        free(s);
        free(routes);
        return NULL;
    }
    s->n_ref = 1;
    s->origin = service_config_ref(origin);
    s->routes = routes;
    s->n_routes = 0;
    for (size_t i = 0; i < origin->n_routes; i++)
        if (free_routes[i])
            s->routes[s->n_routes++] = origin->routes[i];
    return s;
}

static int keep_service(Config *config, ServiceConfig *before)
{
    ServiceConfig *whole = before->origin ?: before, *kept;
    Claims *claims = &config_draft(config)->claims;
    ClaimHolder holder;
    size_t n_free = 0;

    if (claims_name_is_taken(claims, whole->name, &holder))
        return 0;
    _cleanup_free_ bool *free_routes = new0(bool, MAX(whole->n_routes, (size_t) 1));
    if (!free_routes)
        return -ENOMEM;
    for (size_t i = 0; i < whole->n_routes; i++) {
        const RouteConfig *route = &whole->routes[i];
        free_routes[i] = !claims_route_is_taken(claims, route, &holder) &&
                         !claims_listener_disagrees(claims, route, &holder);
        n_free += free_routes[i];
    }
    kept = n_free == whole->n_routes ? service_config_ref(whole)
                                     : copy_without_routes(whole, free_routes, n_free);
    if (!kept)
        return -ENOMEM;
    int r = config_add_service(config, kept);
    if (r == 0)
        r = claims_add_name(claims, kept);
    for (size_t i = 0; r == 0 && i < kept->n_routes; i++)
        r = claims_add_route(claims, kept, &kept->routes[i]);
    return r;
}

int config_keep_file(Config *config, const Config *before, const char *file)
{
    size_t *next = &config_draft(config)->next_kept, n = before->n_services, i = 0;
    int r = 0;

    /* Services of one file lie together, and files come in the same order as before. */
    while (i < n && !streq(before->services[(*next + i) % n]->file, file))
        i++;
    for (; r == 0 && i < n; i++) {
        ServiceConfig *s = before->services[(*next + i) % n];
        if (!streq(s->file, file)) {
            *next = (*next + i) % n;
            break;
        }
        r = keep_service(config, s);
    }
    return r;
}

bool config_has_settings_of(const Config *config, const char *file)
{
    const ConfigDraft *d = config_draft((Config *) config);

    for (size_t i = 0; i < d->n_settings_files; i++)
        if (streq(d->settings_files[i].file, file))
            return true;
    return false;
}

int config_keep_settings(Config *config, Config *before)
{
    ConfigDraft *d = config_draft(config), *b = config_draft(before);
    SettingsFile *f;
    int r = 0;

    /* There are none yet that would have to be freed. */
    config->global = before->global;
    d->settings_owner = config_ref(b->settings_owner ?: before);
    memset(d->said, true, sizeof d->said);
    d->listen_said = true;
    for (size_t i = 0; r == 0 && i < b->n_settings_files; i++)
        r = config_add_settings_file(config, b->settings_files[i].file, &f);
    const char *file = d->n_settings_files > 0 ? d->settings_files[0].file : "the settings of before";
    for (size_t i = 0; r == 0 && i < config->global.n_listen; i++)
        r = claims_add_own_listener(&d->claims, &config->global.listen[i], file);
    const SocketAddress *admin = &config->global.admin.listen;
    if (r == 0 && config->global.admin.enabled && admin->len > 0 && admin->sa.sa_family != AF_UNIX)
        r = claims_add_own_listener(&d->claims, admin, file);
    return r;
}

/* ── what is the same ── */

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(ServiceConfig *const *) a)->name, (*(ServiceConfig *const *) b)->name);
}

int config_share_unchanged(Config *config, const Config *before)
{
    size_t n = before->n_services;
    _cleanup_free_ ServiceConfig **sorted = new0(ServiceConfig *, MAX(n, (size_t) 1));

    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        sorted[i] = before->services[i];
    qsort(sorted, n, sizeof *sorted, compare_names);
    for (size_t i = 0; i < config->n_services; i++) {
        ServiceConfig **mine = &config->services[i];
        ServiceConfig **was = bsearch(mine, sorted, n, sizeof *sorted, compare_names);
        if (!was || *was == *mine || !service_config_equal(*was, *mine))
            continue;
        service_config_unref(*mine);
        *mine = service_config_ref(*was);
    }
    return 0;
}
