/* SPDX-License-Identifier: ISC */

/* Looks at everything once, then writes family after family, services in the order of their slots, which is
 * stable. All counters are of the time since the manager began. */

#include "manager/metrics.h"

#include <stdio.h>
#include <unistd.h>

#include "backend/proc.h"
#include "build-config.h"

typedef struct Row {
    char *label;
    ServiceState state;
    ServiceActivity activity;
    ServiceCounts counts;
    ServiceHistory history;
    ResourceUsage usage;
} Row;

typedef struct Rows {
    Row *rows;
    size_t n;
} Rows;

static void rows_done(Rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        free(rows->rows[i].label);
    free(rows->rows);
}

static int rows_read(const Manager *m, Rows *rows)
{
    rows->rows = new0(Row, MAX(m->n_services, (size_t) 1));
    if (!rows->rows)
        return -ENOMEM;
    for (uint32_t slot = 0; slot < m->n_services; slot++) {
        const Service *s = manager_service(m, slot);
        if (!s)
            continue;
        Row *row = &rows->rows[rows->n++];
        row->label = exposition_label("service", service_name(s));
        if (!row->label)
            return -ENOMEM;
        row->state = service_state(s);
        activity_read(&m->activity, slot, &row->activity);
        activity_counts(&m->activity, slot, &row->counts);
        service_history(s, &row->history);
        service_usage(s, &row->usage);
    }
    return 0;
}

/* ── services ── */

typedef const char *(*NameOf)(int kind);

static const char *class_name(int i)
{
    return request_class_to_string(i);
}

static const char *error_name(int i)
{
    return upstream_error_to_string(i);
}

static const char *refusal_name(int i)
{
    return park_refusal_to_string(i);
}

static const char *start_name(int i)
{
    return start_result_to_string(i);
}

static const char *state_name(int i)
{
    return service_state_to_string(i);
}

/* A family of which each service has one number. */
static void plain(Exposition *x, const Rows *rows, const char *name, MetricType type, const char *help,
        size_t offset, bool seconds)
{
    exposition_family(x, name, type, help);
    for (size_t i = 0; i < rows->n; i++) {
        uint64_t value = *(const uint64_t *) ((const char *) &rows->rows[i] + offset);
        if (seconds)
            exposition_seconds(x, rows->rows[i].label, "", value);
        else
            exposition_number(x, rows->rows[i].label, "", value);
    }
}

/* A family of counters by kind. */
static void by_kind(Exposition *x, const Rows *rows, const char *name, const char *help, size_t offset,
        const char *label, int n, NameOf name_of)
{
    char kinds[8][48];

    assert(n <= (int) ELEMENTSOF(kinds));
    for (int k = 0; k < n; k++)
        snprintf(kinds[k], sizeof kinds[k], "%s=\"%s\"", label, name_of(k));
    exposition_family(x, name, METRIC_COUNTER, help);
    for (size_t i = 0; i < rows->n; i++) {
        const uint64_t *counts = (const uint64_t *) ((const char *) &rows->rows[i] + offset);
        for (int k = 0; k < n; k++)
            exposition_number(x, rows->rows[i].label, kinds[k], counts[k]);
    }
}

static void states(Exposition *x, const Rows *rows)
{
    char label[48];

    exposition_family(x, "dynapm_service_state", METRIC_GAUGE, "1 for the state that the service is in.");
    for (size_t i = 0; i < rows->n; i++)
        for (int k = 0; k < _SERVICE_STATE_MAX; k++) {
            snprintf(label, sizeof label, "state=\"%s\"", state_name(k));
            exposition_number(x, rows->rows[i].label, label, (int) rows->rows[i].state == k);
        }
}

static void histograms(Exposition *x, const Rows *rows)
{
    exposition_family(x, "dynapm_service_request_duration_seconds", METRIC_HISTOGRAM,
            "How long requests took, from their first line to the end of their answer or to an upgrade.");
    for (size_t i = 0; i < rows->n; i++) {
        const uint64_t *n = rows->rows[i].counts.n;
        exposition_histogram(x, rows->rows[i].label, n + COUNT_DURATIONS, duration_bounds,
                DURATION_BUCKETS - 1, n[COUNT_DURATION_SUM]);
    }
    exposition_family(x, "dynapm_service_start_duration_seconds", METRIC_HISTOGRAM,
            "How long starts took until the service was ready.");
    for (size_t i = 0; i < rows->n; i++) {
        const ServiceHistory *h = &rows->rows[i].history;
        exposition_histogram(x, rows->rows[i].label, h->start_durations, start_bounds, START_BUCKETS - 1,
                h->start_duration_sum);
    }
}

static void usage(Exposition *x, const Rows *rows)
{
    exposition_family(x, "dynapm_service_memory_bytes", METRIC_GAUGE,
            "Memory of the service, where it runs and that is known.");
    for (size_t i = 0; i < rows->n; i++)
        if (rows->rows[i].usage.memory != UINT64_MAX)
            exposition_number(x, rows->rows[i].label, "", rows->rows[i].usage.memory);
    uint64_t created = TAKE_GENERIC(x->created, 0); /* it is counted from each start on */
    exposition_family(x, "dynapm_service_cpu_seconds", METRIC_COUNTER,
            "CPU time of the service since it was started, where it runs and that is known.");
    for (size_t i = 0; i < rows->n; i++)
        if (rows->rows[i].usage.cpu != UINT64_MAX)
            exposition_seconds(x, rows->rows[i].label, "", rows->rows[i].usage.cpu / 1000);
    x->created = created;
}

#define OF_COUNT(counter) (offsetof(Row, counts) + (counter) * sizeof(uint64_t))

static void services(Exposition *x, const Rows *r)
{
    states(x, r);
    by_kind(x, r, "dynapm_service_requests",
            "Requests that are over, by the class of their status; none: the client left before an answer.",
            OF_COUNT(COUNT_RESPONSES), "code", _REQUEST_CLASS_MAX, class_name);
    histograms(x, r);
    plain(x, r, "dynapm_service_received_bytes", METRIC_COUNTER, "Bytes from clients, in bodies and tunnels.",
            OF_COUNT(COUNT_RECEIVED), false);
    plain(x, r, "dynapm_service_sent_bytes", METRIC_COUNTER, "Bytes to clients, in bodies and tunnels.",
            OF_COUNT(COUNT_SENT), false);
    plain(x, r, "dynapm_service_open_requests", METRIC_GAUGE,
            "Requests, WebSockets and connections that are open, waiting ones among them.",
            offsetof(Row, activity.active), false);
    plain(x, r, "dynapm_service_waiting_requests", METRIC_GAUGE, "Requests that wait for the service.",
            offsetof(Row, activity.waiting), false);
    plain(x, r, "dynapm_service_connections", METRIC_COUNTER,
            "Connections that were passed on to a tcp:// service.", OF_COUNT(COUNT_TUNNELS), false);
    plain(x, r, "dynapm_service_parked_requests", METRIC_COUNTER,
            "Requests that had to wait for the service.", OF_COUNT(COUNT_PARKED), false);
    by_kind(x, r, "dynapm_service_parked_requests_refused",
            "Requests that were refused instead: too many waited (full), or the service did not start "
            "(failed).",
            OF_COUNT(COUNT_PARK_REFUSALS), "reason", _PARK_REFUSAL_MAX, refusal_name);
    by_kind(x, r, "dynapm_service_upstream_errors", "What went wrong between the gateway and the service.",
            OF_COUNT(COUNT_ERRORS), "kind", _UPSTREAM_ERROR_MAX, error_name);
    by_kind(x, r, "dynapm_service_starts", "Starts by how they ended.", offsetof(Row, history.starts),
            "result", _START_RESULT_MAX, start_name);
    plain(x, r, "dynapm_service_idle_stops", METRIC_COUNTER, "Stops because nobody came.",
            offsetof(Row, history.idle_stops), false);
    plain(x, r, "dynapm_service_online_seconds", METRIC_COUNTER, "Time that the service was online.",
            offsetof(Row, history.online), true);
    plain(x, r, "dynapm_service_asleep_seconds", METRIC_COUNTER,
            "Time that the service was offline: what was saved.", offsetof(Row, history.asleep), true);
    usage(x, r);
}

/* ── gateways ── */

static void strays(Exposition *x, const WorkerCounts *c)
{
    char label[32];

    exposition_family(x, "dynapm_stray_requests", METRIC_COUNTER,
            "Requests that were answered before it was known whose they are, or that are nobody's.");
    for (size_t i = 0; i < STRAY_STATUSES; i++) {
        if (i < STRAY_STATUSES - 1)
            snprintf(label, sizeof label, "code=\"%u\"", stray_statuses[i]);
        else
            strcpy(label, "code=\"other\"");
        exposition_number(x, "", label, c->n[COUNT_STRAYS + i]);
    }
}

static void gateways(Exposition *x, const Manager *m)
{
    WorkerCounts c;

    activity_worker_counts(&m->activity, &c);
    exposition_family(x, "dynapm_gateway_workers", METRIC_GAUGE, "Workers of gateways that are attached.");
    exposition_number(x, "", "", m->activity.n_tables);
    exposition_family(x, "dynapm_connections", METRIC_GAUGE, "Client connections that are open.");
    exposition_number(x, "", "", c.n[COUNT_CONNECTIONS]);
    exposition_family(x, "dynapm_connections_accepted", METRIC_COUNTER, "Client connections accepted.");
    exposition_number(x, "", "", c.n[COUNT_ACCEPTED]);
    exposition_family(x, "dynapm_connections_refused", METRIC_COUNTER,
            "Client connections that were one too many of their address.");
    exposition_number(x, "", "", c.n[COUNT_REFUSED]);
    exposition_family(x, "dynapm_accept_pauses", METRIC_COUNTER,
            "Times that connections had to wait to be accepted, as there were too many.");
    exposition_number(x, "", "", c.n[COUNT_PAUSES]);
    strays(x, &c);
}

/* ── processes ── */

typedef struct Process {
    char label[32];
    uint64_t memory, cpu, fds; /* bytes, µs; UINT64_MAX: not known */
} Process;

static bool process_read(pid_t pid, Process *ret)
{
    ProcStat s;

    if (proc_stat(pid, &s) < 0)
        return false;
    snprintf(ret->label, sizeof ret->label, "pid=\"%d\"", (int) pid);
    ret->memory = s.rss_pages * (uint64_t) sysconf(_SC_PAGESIZE);
    ret->cpu = s.cpu_ticks * (USEC_PER_SEC / (uint64_t) sysconf(_SC_CLK_TCK));
    if (proc_open_fds(pid, &ret->fds) < 0)
        ret->fds = UINT64_MAX;
    return true;
}

/* A counter of each process by itself: the sum would go down when a worker ends. */
static void gateway_processes(Exposition *x, const Manager *m)
{
    pid_t pids[GATEWAYS_MAX];
    Process processes[GATEWAYS_MAX];
    size_t n = 0, n_pids = peers_gateways(&m->peers, pids);

    for (size_t i = 0; i < n_pids; i++)
        n += process_read(pids[i], &processes[n]);
    exposition_family(x, "dynapm_gateway_memory_bytes", METRIC_GAUGE, "Resident memory of each worker.");
    for (size_t i = 0; i < n; i++)
        exposition_number(x, processes[i].label, "", processes[i].memory);
    exposition_family(
            x, "dynapm_gateway_open_fds", METRIC_GAUGE, "Descriptors that each worker has open, if known.");
    for (size_t i = 0; i < n; i++)
        if (processes[i].fds != UINT64_MAX)
            exposition_number(x, processes[i].label, "", processes[i].fds);
    uint64_t created = TAKE_GENERIC(x->created, 0); /* it is counted from its process's start on */
    exposition_family(x, "dynapm_gateway_cpu_seconds", METRIC_COUNTER, "CPU time of each worker.");
    for (size_t i = 0; i < n; i++)
        exposition_seconds(x, processes[i].label, "", processes[i].cpu);
    x->created = created;
}

static void manager_process(Exposition *x, const Manager *m)
{
    char version[64];
    ProcStat s;
    uint64_t fds;

    snprintf(version, sizeof version, "version=\"%s\"", DYNAPM_VERSION);
    exposition_family(x, "dynapm_build", METRIC_INFO, "The version of the manager.");
    exposition_number(x, "", version, 1);
    exposition_family(
            x, "dynapm_config_problems", METRIC_GAUGE, "Mistakes in the configuration that is in use.");
    exposition_number(x, "", "", m->config->n_problems);
    if (proc_open_fds(getpid(), &fds) >= 0) {
        exposition_family(x, "process_open_fds", METRIC_GAUGE, "Descriptors that the manager has open.");
        exposition_number(x, "", "", fds);
    }
    exposition_family(x, "process_start_time_seconds", METRIC_GAUGE, "When the manager began.");
    exposition_seconds(x, "", "", x->created);
    if (proc_stat(getpid(), &s) < 0)
        return;
    exposition_family(x, "process_resident_memory_bytes", METRIC_GAUGE, "Memory of the manager.");
    exposition_number(x, "", "", s.rss_pages * (uint64_t) sysconf(_SC_PAGESIZE));
    struct timespec ts;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) < 0)
        return;
    exposition_family(x, "process_cpu_seconds", METRIC_COUNTER, "CPU time of the manager.");
    exposition_seconds(x, "", "", (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000);
}

int metrics_write(const Manager *m, Exposition *x)
{
    _cleanup_(rows_done) Rows rows = {};

    int r = rows_read(m, &rows);
    if (r < 0)
        return r;
    manager_process(x, m);
    gateways(x, m);
    gateway_processes(x, m);
    services(x, &rows);
    exposition_end(x);
    return x->oom ? -ENOMEM : 0;
}
