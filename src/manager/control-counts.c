/* SPDX-License-Identifier: ISC */

/* The part of BUS_SERVICE_INTERFACE that is counted or measured, and Sample(), which has the most of it for
 * all services at once. None of it is told by signals: it changes all the time. What a service uses of the
 * machine is read when it is asked for, and only then. */

#include "ipc/bus.h"
#include "manager/control-internal.h"

typedef struct CountsView {
    const Service *service;
    ServiceActivity activity;
    ServiceCounts counts;
    ServiceHistory history;
} CountsView;

typedef const char *(*NameOf)(int kind);

static void fill(CountsView *v, const Manager *m, const Service *s)
{
    v->service = s;
    activity_read(&m->activity, service_slot(s), &v->activity);
    activity_counts(&m->activity, service_slot(s), &v->counts);
    service_history(s, &v->history);
}

static int append_named(sd_bus_message *reply, const uint64_t *counts, int n, NameOf name)
{
    int r = sd_bus_message_open_container(reply, 'a', "{st}");
    for (int i = 0; r >= 0 && i < n; i++)
        r = sd_bus_message_append(reply, "{st}", name(i), counts[i]);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_histogram(
        sd_bus_message *reply, const uint64_t *counts, const usec_t *bounds, unsigned n_bounds)
{
    int r = sd_bus_message_open_container(reply, 'a', "(tt)");
    for (unsigned i = 0; r >= 0 && i <= n_bounds; i++)
        r = sd_bus_message_append(reply, "(tt)", i < n_bounds ? bounds[i] : UINT64_MAX, counts[i]);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

#define GETTER(name)                                                                                         \
    static int get_##name(sd_bus *bus, const char *path, const char *interface, const char *property,        \
            sd_bus_message *reply, void *userdata, sd_bus_error *error)

#define NAMED(name, counts, n, names)                                                                        \
    static const char *name_of_##name(int kind)                                                              \
    {                                                                                                        \
        return names(kind);                                                                                  \
    }                                                                                                        \
    GETTER(name)                                                                                             \
    {                                                                                                        \
        const CountsView *v = userdata;                                                                      \
        return append_named(reply, v->counts, n, name_of_##name);                                            \
    }
NAMED(responses, counts.n + COUNT_RESPONSES, _REQUEST_CLASS_MAX, request_class_to_string)
NAMED(errors, counts.n + COUNT_ERRORS, _UPSTREAM_ERROR_MAX, upstream_error_to_string)
NAMED(refusals, counts.n + COUNT_PARK_REFUSALS, _PARK_REFUSAL_MAX, park_refusal_to_string)
NAMED(starts, history.starts, _START_RESULT_MAX, start_result_to_string)

GETTER(durations)
{
    const CountsView *v = userdata;
    return append_histogram(reply, v->counts.n + COUNT_DURATIONS, duration_bounds, DURATION_BUCKETS - 1);
}

GETTER(start_durations)
{
    const CountsView *v = userdata;
    return append_histogram(reply, v->history.start_durations, start_bounds, START_BUCKETS - 1);
}

GETTER(memory)
{
    ResourceUsage u;

    service_usage(((const CountsView *) userdata)->service, &u);
    return sd_bus_message_append(reply, "t", u.memory);
}

GETTER(cpu)
{
    ResourceUsage u;

    service_usage(((const CountsView *) userdata)->service, &u);
    return sd_bus_message_append(reply, "t", u.cpu);
}

#define COUNT(name, field) SD_BUS_PROPERTY(name, "t", NULL, offsetof(CountsView, field), 0)
#define COUNTED(name, counter) COUNT(name, counts.n[counter])

static const sd_bus_vtable counts_vtable[] = {
        SD_BUS_VTABLE_START(0),
        COUNT("Waiting", activity.waiting),
        SD_BUS_PROPERTY("RequestsByClass", "a{st}", get_responses, 0, 0),
        SD_BUS_PROPERTY("DurationHistogram", "a(tt)", get_durations, 0, 0),
        COUNTED("DurationSum", COUNT_DURATION_SUM),
        COUNTED("BytesReceived", COUNT_RECEIVED),
        COUNTED("BytesSent", COUNT_SENT),
        COUNTED("Connections", COUNT_TUNNELS),
        COUNTED("Parked", COUNT_PARKED),
        SD_BUS_PROPERTY("ParkedRefused", "a{st}", get_refusals, 0, 0),
        SD_BUS_PROPERTY("UpstreamErrors", "a{st}", get_errors, 0, 0),
        SD_BUS_PROPERTY("Starts", "a{st}", get_starts, 0, 0),
        SD_BUS_PROPERTY("StartDurationHistogram", "a(tt)", get_start_durations, 0, 0),
        COUNT("StartDurationSum", history.start_duration_sum),
        COUNT("IdleStops", history.idle_stops),
        COUNT("TotalSleep", history.asleep),
        SD_BUS_PROPERTY("MemoryCurrent", "t", get_memory, 0, 0),
        SD_BUS_PROPERTY("CPUUsageNSec", "t", get_cpu, 0, 0),
        SD_BUS_VTABLE_END,
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
        sd_bus_error *error)
{
    Control *c = userdata;
    Service *s;

    int r = control_service_find(c, path, &s);
    if (r > 0) {
        fill(c->counts, c->manager, s);
        *ret_found = c->counts;
    }
    return r;
}

/* ── all services at once ── */

#define SAMPLE_TYPES "(ss" SAMPLE_NUMBERS "atatt)"
#define SAMPLE_NUMBERS "tttttttttttttt"

static int append_sample(sd_bus_message *reply, const Manager *m, Service *s)
{
    ServiceStatus status;
    ResourceUsage usage;
    CountsView v;
    int r;

    fill(&v, m, s);
    service_status(s, &status);
    service_usage(s, &usage);
    const uint64_t *n = v.counts.n, *starts = v.history.starts;
    if ((r = sd_bus_message_open_container(reply, 'r', "ss" SAMPLE_NUMBERS "atatt")) < 0 ||
            (r = sd_bus_message_append(reply, "ss" SAMPLE_NUMBERS, service_name(s),
                     service_state_to_string(status.state), control_realtime(status.since),
                     control_realtime(status.idle_deadline), v.activity.active, v.activity.waiting,
                     v.activity.requests, n[COUNT_RECEIVED], n[COUNT_SENT], usage.memory, usage.cpu,
                     starts[START_READY], starts[START_FAILED] + starts[START_TIMEOUT], n[COUNT_PARKED],
                     v.history.online, v.history.asleep)) < 0 ||
            (r = sd_bus_message_append_array(
                     reply, 't', n + COUNT_RESPONSES, _REQUEST_CLASS_MAX * sizeof *n)) < 0 ||
            (r = sd_bus_message_append_array(reply, 't', n + COUNT_DURATIONS, DURATION_BUCKETS * sizeof *n)) <
                    0 ||
            (r = sd_bus_message_append(reply, "t", n[COUNT_DURATION_SUM])) < 0)
        return r;
    return sd_bus_message_close_container(reply);
}

int control_method_sample(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const Manager *manager = ((Control *) userdata)->manager;
    usec_t now = now_monotonic();
    int r;

    if ((r = sd_bus_message_new_method_return(m, &reply)) < 0 ||
            (r = sd_bus_message_append(reply, "tt", control_realtime(now), now)) < 0 ||
            (r = sd_bus_message_open_container(reply, 'a', SAMPLE_TYPES)) < 0)
        return r;
    for (uint32_t slot = 0; slot < manager->n_services; slot++) {
        Service *s = manager_service(manager, slot);
        if (s && (r = append_sample(reply, manager, s)) < 0)
            return r;
    }
    r = sd_bus_message_close_container(reply);
    return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int control_counts_register(Control *c)
{
    c->counts = new0(CountsView, 1);
    if (!c->counts)
        return -ENOMEM;
    return sd_bus_add_fallback_vtable(
            c->bus, &c->counted, BUS_SERVICES_PATH, BUS_SERVICE_INTERFACE, counts_vtable, find, c);
}
