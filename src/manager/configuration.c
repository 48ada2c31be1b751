/* SPDX-License-Identifier: ISC */

/* From files to services. All that may fail for want of memory is done before anything changes, but for
 * single services, which are left out.
 *
 * A service that is not configured any more lives on until the gateways have gone over to the new
 * configuration: before that they may still send it requests that the new one has another service for. */

#include "manager/configuration.h"

#include <sys/resource.h>

#include "manager/manager.h"
#include "util/log.h"
#include "util/messages.h"
#include "util/text.h"

#define DESCRIPTORS_EXTRA 512 /* beside listening sockets: gateways, probes, … */

/* What is to become the one that holds. */
typedef struct Draft {
    Config *config;
    uint32_t *slots; /* Manager's config_slots */
    size_t n_slots;  /* that are in use by then */
    Listeners *listeners;
    Admin admin;
} Draft;

static void draft_done(Draft *d)
{
    config_unref(d->config);
    free(d->slots);
    listeners_free(d->listeners);
    admin_done(&d->admin);
}

static void log_problem(const ConfigProblem *p)
{
    _cleanup_free_ char *text = config_problem_format(p),
                        *file = text_format("DYNAPM_CONFIG_FILE=%s", p->file);

    if (text && file)
        (void) log_full(
                LOG_ERR, 0, NULL, ((const char *const[]){file, MESSAGE_CONFIG_REFUSED, NULL}), "%s", text);
    else
        (void) log_oom();
}

/* Only where the configuration has so many ports: services inherit the limit, and there are programs whose
 * select(2) breaks with a high one. */
static void allow_descriptors(size_t n)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= n)
        return;
    l.rlim_cur = MIN((rlim_t) n, l.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur < n)
        log_warning("%zu descriptors may be needed, %llu are allowed.", n, (unsigned long long) l.rlim_cur);
}

static int assign_slots(Manager *m, Draft *d)
{
    size_t n = d->config->n_services;

    d->slots = new0(uint32_t, MAX(n, (size_t) 1));
    if (!d->slots)
        return -ENOMEM;
    d->n_slots = m->n_services;
    for (size_t i = 0; i < n; i++) {
        const char *name = d->config->services[i]->name;
        int r = slots_get(&m->slots, name, &d->slots[i]);
        if (r == -ENOSPC) {
            log_service_error(name,
                    "Left out, there are more than %u services, or have been since the manager began.",
                    SLOTS_MAX);
            d->slots[i] = NO_SLOT;
            continue;
        }
        if (r < 0)
            return r;
        d->n_slots = MAX(d->n_slots, (size_t) d->slots[i] + 1);
    }
    return 0;
}

/* Makes room for whatever has a slot. */
static int grow(Manager *m, size_t n_slots)
{
    int r;

    if ((r = activity_grow(&m->activity, n_slots)) < 0 || (r = recovery_grow(&m->recovery, n_slots)) < 0)
        return r;
    if (n_slots <= m->n_services)
        return 0;
    Service **grown = reallocarray(m->services, n_slots, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memset(grown + m->n_services, 0, (n_slots - m->n_services) * sizeof *grown);
    m->services = grown;
    m->n_services = n_slots;
    return 0;
}

static int prepare(Manager *m, Draft *d)
{
    int r;

    d->listeners = listeners_new();
    if (!d->listeners)
        return -ENOMEM;
    if ((r = admin_load(&d->admin, &d->config->global.admin)) < 0 ||
            (r = publication_want_listeners(d->config, d->listeners)) < 0 || (r = assign_slots(m, d)) < 0)
        return r;
    return grow(m, d->n_slots);
}

/* What cannot become a service is logged and left out. */
static void add_service(Manager *m, Draft *d, size_t i)
{
    ServiceConfig *config = d->config->services[i];
    uint32_t slot = d->slots[i];
    Service *s;

    int r = service_new(&m->host, config, slot, &s);
    if (r < 0) {
        log_service_error_errno(config->name, r, "Left out: %m");
        d->slots[i] = NO_SLOT;
        return;
    }
    m->services[slot] = s;
    manager_publish_state(m, s);
    recovery_add(&m->recovery, slot);
    controls_service_new(m, s);
}

static void apply_services(Manager *m, Draft *d, ConfigurationChange *change)
{
    for (size_t i = 0; i < d->config->n_services; i++) {
        ServiceConfig *config = d->config->services[i];
        if (d->slots[i] == NO_SLOT)
            continue;
        Service *s = m->services[d->slots[i]];
        if (s && service_is_gone(s)) { /* it would have been freed in a moment */
            manager_forget(m, d->slots[i]);
            s = NULL;
        }
        if (!s) {
            add_service(m, d, i);
            change->added += d->slots[i] != NO_SLOT;
        } else if (service_config(s) != config || service_is_removed(s)) {
            service_reconfigure(s, config);
            controls_service_changed(m, s);
            change->changed++;
        }
    }
}

static unsigned count_removed(const Manager *m, const Draft *d)
{
    size_t n = 0, there = 0;

    for (size_t i = 0; i < d->config->n_services; i++)
        n += d->slots[i] != NO_SLOT;
    for (size_t slot = 0; slot < m->n_services; slot++)
        there += m->services[slot] && !service_is_removed(m->services[slot]);
    return (unsigned) (there > n ? there - n : 0);
}

/* The one place from which a configuration holds; what has an eye on its settings is to be told here. */
static void publish(Manager *m, Draft *d)
{
    Config *before = m->config;

    m->config = TAKE_PTR(d->config);
    free(m->config_slots);
    m->config_slots = TAKE_PTR(d->slots);
    listeners_replace(d->listeners, m->listeners);
    m->listeners = TAKE_PTR(d->listeners);
    admin_done(&m->admin);
    m->admin = d->admin;
    d->admin = (Admin){};
    turns_set_limit(&m->turns, m->config->global.max_concurrent_starts);
    manager_listeners_changed(m);
    m->generation++;
    config_unref(before);
}

int configuration_load(Manager *m, ConfigurationChange *ret)
{
    _cleanup_(draft_done) Draft d = {};
    usec_t begin = now_monotonic();

    *ret = (ConfigurationChange){};
    int r = config_reload(&m->paths, m->config, &d.config);
    if (r >= 0) {
        for (size_t i = 0; i < d.config->n_problems; i++)
            log_problem(&d.config->problems[i]);
        r = prepare(m, &d);
    }
    if (r < 0)
        return log_error_errno(r, "Cannot read the configuration: %m");
    allow_descriptors(listeners_count(d.listeners) + DESCRIPTORS_EXTRA);
    apply_services(m, &d, ret);
    ret->removed = count_removed(m, &d);
    size_t n = 0;
    for (size_t i = 0; i < d.config->n_services; i++)
        n += d.slots[i] != NO_SLOT;
    publish(m, &d);
    log_info("%zu service%s loaded in %llu ms.", n, n == 1 ? "" : "s",
            (unsigned long long) ((now_monotonic() - begin) / USEC_PER_MSEC));
    return 0;
}

void configuration_settle(Manager *m)
{
    _cleanup_free_ bool *configured = new0(bool, MAX(m->n_services, (size_t) 1));

    if (!configured) {
        (void) log_oom(); /* the next one does it */
        return;
    }
    for (size_t i = 0; i < m->config->n_services; i++)
        if (m->config_slots[i] != NO_SLOT)
            configured[m->config_slots[i]] = true;
    for (uint32_t slot = 0; slot < m->n_services; slot++) {
        Service *s = m->services[slot];
        if (s && !configured[slot] && !service_is_removed(s))
            service_remove(s);
    }
    configuration_sweep(m);
}

void configuration_sweep(Manager *m)
{
    for (uint32_t slot = 0; slot < m->n_services; slot++)
        if (m->services[slot] && service_is_gone(m->services[slot]))
            manager_forget(m, slot);
}
