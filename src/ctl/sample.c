/* SPDX-License-Identifier: ISC */

/* Two ways to the same: Sample() of BUS_MANAGER_INTERFACE, made for asking once a second, and the properties
 * of all objects. */

#include "ctl/sample.h"

#include "ctl/services.h"
#include "ipc/bus.h"

static void service_done(ServiceSample *s)
{
    free(s->name);
    free(s->state);
    free(s->durations);
}

void sample_done(Sample *s)
{
    for (size_t i = 0; i < s->n; i++)
        service_done(&s->services[i]);
    free(s->services);
    *s = (Sample){};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ServiceSample *) a)->name, ((const ServiceSample *) b)->name);
}

const ServiceSample *sample_find(const Sample *s, const char *name)
{
    ServiceSample key = {.name = (char *) name};
    return s->n > 0 ? bsearch(&key, s->services, s->n, sizeof key, by_name) : NULL;
}

int sample_request(
        sd_bus *bus, bool plain, sd_bus_message_handler_t callback, void *userdata, sd_bus_slot **ret)
{
    return sd_bus_call_method_async(bus, ret, sd_bus_is_bus_client(bus) ? BUS_NAME : NULL, BUS_PATH,
            plain ? "org.freedesktop.DBus.ObjectManager" : BUS_MANAGER_INTERFACE,
            plain ? "GetManagedObjects" : "Sample", callback, userdata, NULL);
}

/* ── Sample() ── */

static int read_service(sd_bus_message *m, ServiceSample *s)
{
    const char *name, *state;
    uint64_t skipped;
    const void *buckets;
    size_t size;
    int r;

    r = sd_bus_message_read(m,
            "ss"
            "tttttt"
            "tttttttt",
            &name, &state, &s->since, &s->idle_deadline, &s->active, &s->waiting, &s->requests, &skipped,
            &skipped, &s->memory, &skipped, &skipped, &skipped, &skipped, &skipped, &skipped);
    if (r < 0 || (r = sd_bus_message_skip(m, "at")) < 0 ||
            (r = sd_bus_message_read_array(m, 't', &buckets, &size)) < 0 ||
            (r = sd_bus_message_skip(m, "t")) < 0)
        return r;
    s->name = strdup(name);
    s->state = strdup(state);
    s->durations = size > 0 ? memdup_bytes(buckets, size) : NULL;
    s->n_durations = size / sizeof(uint64_t);
    return s->name && s->state && (s->durations || size == 0) ? 0 : -ENOMEM;
}

static int read_sample(sd_bus_message *m, Sample *s)
{
    int r;

    if ((r = sd_bus_message_read(m, "tt", &s->realtime, &s->monotonic)) < 0 ||
            (r = sd_bus_message_enter_container(m, 'a', "(ssttttttttttttttatatt)")) < 0)
        return r;
    while ((r = sd_bus_message_enter_container(m, 'r', "ssttttttttttttttatatt")) > 0) {
        ServiceSample *grown = reallocarray(s->services, s->n + 1, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        s->services = grown;
        s->services[s->n] = (ServiceSample){};
        if ((r = read_service(m, &s->services[s->n++])) < 0 || (r = sd_bus_message_exit_container(m)) < 0)
            return r;
    }
    return r;
}

/* ── the properties ── */

static int from_properties(sd_bus_message *m, Sample *s)
{
    _cleanup_(services_done) Services all = {};

    int r = services_read(m, &all);
    if (r < 0)
        return r;
    s->realtime = now_realtime();
    s->monotonic = now_monotonic();
    s->services = new0(ServiceSample, MAX(all.n, (size_t) 1));
    if (!s->services)
        return -ENOMEM;
    for (size_t i = 0; i < all.n; i++) {
        ServiceInfo *info = &all.items[i];
        s->services[s->n++] = (ServiceSample){.name = TAKE_PTR(info->name),
                .state = TAKE_PTR(info->state),
                .since = info->since,
                .idle_deadline = info->idle_deadline,
                .active = info->active,
                .requests = info->requests,
                .waiting = UINT64_MAX,
                .memory = UINT64_MAX};
    }
    return 0;
}

int sample_read(sd_bus_message *m, bool plain, Sample *ret)
{
    _cleanup_(sample_done) Sample s = {};

    int r = plain ? from_properties(m, &s) : read_sample(m, &s);
    if (r < 0)
        return r;
    if (s.n > 1)
        qsort(s.services, s.n, sizeof *s.services, by_name);
    *ret = s;
    s = (Sample){};
    return 0;
}

/* ── durations ── */

int sample_fetch_bounds(sd_bus *bus, uint64_t **ret, size_t *ret_n)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    const void *bounds;
    size_t size;
    int r;

    if ((r = sd_bus_get_property(bus, sd_bus_is_bus_client(bus) ? BUS_NAME : NULL, BUS_PATH,
                 BUS_MANAGER_INTERFACE, "DurationBounds", NULL, &m, "at")) < 0 ||
            (r = sd_bus_message_read_array(m, 't', &bounds, &size)) < 0)
        return r;
    uint64_t *copy = size > 0 ? memdup_bytes(bounds, size) : NULL;
    if (!copy)
        return size > 0 ? -ENOMEM : -ENODATA;
    *ret = copy;
    *ret_n = size / sizeof *copy;
    return 0;
}

usec_t sample_p95(
        const ServiceSample *before, const ServiceSample *now, const uint64_t *bounds, size_t n_bounds)
{
    uint64_t all = 0, seen = 0;

    if (!before || n_bounds == 0 || now->n_durations != n_bounds + 1 || before->n_durations != n_bounds + 1)
        return USEC_INFINITY;
    for (size_t i = 0; i <= n_bounds; i++) {
        if (now->durations[i] < before->durations[i]) /* another manager, which has begun anew */
            return USEC_INFINITY;
        all += now->durations[i] - before->durations[i];
    }
    if (all == 0)
        return USEC_INFINITY;
    double rank = (double) all * 0.95;
    for (size_t i = 0; i < n_bounds; i++) {
        uint64_t n = now->durations[i] - before->durations[i], low = i > 0 ? bounds[i - 1] : 0;
        if (n > 0 && (double) (seen + n) >= rank)
            return low + (usec_t) ((double) (bounds[i] - low) * (rank - (double) seen) / (double) n);
        seen += n;
    }
    return bounds[n_bounds - 1];
}
