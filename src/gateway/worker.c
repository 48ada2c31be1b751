/* SPDX-License-Identifier: ISC */

/* Puts the data path together. The order of things: the link attaches and brings tables, routes and sockets;
 * the server is made with the settings that came with them; then, and only then, connections are accepted and
 * READY=1 is said. When a later manager brings new ones, all that is open goes on with what it began with. */

#include "gateway/worker.h"

#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "gateway/admin.h"
#include "gateway/drain.h"
#include "gateway/exchange.h"
#include "gateway/idleness.h"
#include "gateway/listener.h"
#include "gateway/notify.h"
#include "gateway/proxy.h"
#include "util/event.h"
#include "util/fd.h"
#include "util/log.h"

#define STATUS_PAUSE USEC_PER_SEC
#define RESERVED_FDS 32 /* loop, manager, tables, listeners */

struct Worker {
    Proxy proxy;
    Link *link;
    Listeners *listeners;
    WorkerOptions options;
    const StatusTable *status;
    ActivityTable *activity;
    Drain drain;
    Idleness idleness;
    sd_event_source *status_timer;
    bool ready, status_armed, is_done;
};

static void worker_done(Worker *w, int status)
{
    if (w->is_done)
        return;
    w->is_done = true;
    w->proxy.draining = true;
    drain_done(&w->drain);
    idleness_done(&w->idleness);
    w->options.done(status, w->options.userdata);
}

static void say_status(Worker *w)
{
    const Proxy *p = &w->proxy;
    size_t services = route_image_n_services(p->routes), connections = p->clients.n;
    size_t open = gates_n_open(p->gates), parked = gates_n_parked(p->gates);

    /* The second field is for a supervisor, which adds up those of its workers; a service manager ignores it.
     */
    (void) sd_notifyf(false,
            "STATUS=%s%zu services, %zu connections, %zu requests open, %zu of them waiting for a "
            "start\n" NOTIFY_COUNTS "=%zu %zu %zu %zu",
            p->draining ? "Shutting down: " : "", services, connections, open, parked, services, connections,
            open, parked);
}

static int on_status_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Worker *w = userdata;

    w->status_armed = false;
    say_status(w);
    return 0;
}

static void publish_connections(const Proxy *p)
{
    if (p->counters)
        atomic_store_explicit(&p->counters->n[COUNT_CONNECTIONS], p->clients.n, memory_order_relaxed);
}

/* Counts that STATUS= shows have changed: they are told, once a second at most. */
static void on_change(void *userdata)
{
    Worker *w = userdata;

    publish_connections(&w->proxy);
    idleness_count(&w->idleness, w->proxy.clients.n, deadlines_now(&w->proxy.deadlines));
    if (!w->status_armed && w->ready)
        w->status_armed = event_arm_timer(w->proxy.event, &w->status_timer, STATUS_PAUSE, on_status_timer, w,
                                  "status") >= 0;
}

static void on_batch(void *userdata)
{
    Proxy *p = userdata;
    if (p->server)
        server_run_if_kicked(p->server);
}

/* Raises the limit of descriptors to what is allowed, and finds out for how many clients it does. */
static size_t clients_by_descriptors(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return SIZE_MAX;
    if (l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &l);
        (void) getrlimit(RLIMIT_NOFILE, &l);
    }
    if (l.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    /* Two each, and two more for every hall of theirs (server.c). */
    return l.rlim_cur > RESERVED_FDS + 2 ? (size_t) (l.rlim_cur - RESERVED_FDS) * 128 / 257 : 1;
}

/* Requests that come in on a connection to a `port` are the port's of today: where has its listener gone? */
static void move_clients(Proxy *p, const RouteImage *from, const RouteImage *to)
{
    for (Client *c = p->clients.all, *next; c; c = next) {
        next = c->next;
        if (c->listener == LISTENER_MAIN)
            continue;
        uint32_t i = 0, n = (uint32_t) route_image_n_listeners(to);
        const RouteListener *was = route_image_listener(from, c->listener);
        while (i < n && !socket_address_equal(&route_image_listener(to, i)->address, &was->address))
            i++;
        if (i < n && route_image_listener(to, i)->tcp == was->tcp && !route_image_listener(to, i)->main)
            c->listener = i;
        else {
            c->listener = LISTENER_MAIN; /* it has none: the host decides, until the connection ends */
            if (!c->exchange && !c->relay && !c->tunnel)
                client_drain(c);
        }
    }
}

static void apply_settings(Proxy *p)
{
    const RouteSettings *s = route_image_settings(p->routes);

    clients_set_limits(&p->clients, s->request_head_timeout, s->keep_alive_timeout);
    p->body_total.span = s->request_body_timeout;
    p->body_idle.span = s->request_body_idle_timeout;
    p->first_byte.span = s->upstream_first_byte_timeout;
    p->upstream_idle.span = s->upstream_idle_timeout;
    p->client_write.span = s->client_write_timeout;
    p->tunnels.stuck.span = s->client_write_timeout;
    p->tunnels.idle.span = s->tunnel_idle_timeout;
    if (p->server)
        server_set_max_head(p->server, s->max_head_size);
}

/* Sockets that came with the routes: those of `port` routes, which may be our own come back, and, if we have
 * none of our own, the configuration's main ones. */
static int take_listeners(Worker *w, LinkAttachment *a)
{
    Proxy *p = &w->proxy;

    for (size_t i = 0; i < a->n_listeners && i < route_image_n_listeners(p->routes); i++) {
        const RouteListener *l = route_image_listener(p->routes, (uint32_t) i);
        uint32_t index = l->main ? LISTENER_MAIN : (uint32_t) i;
        if ((!l->main && listeners_claim(w->listeners, a->listeners[i], index)) ||
                listeners_keep(w->listeners, a->listeners[i], index))
            continue;
        int r = fd_adopt(a->listeners[i]);
        if (r >= 0)
            r = listeners_add(w->listeners, TAKE_FD(a->listeners[i]), index, true);
        if (r < 0)
            return r;
    }
    listeners_end_update(w->listeners);
    return 0;
}

static int open_for_business(Worker *w)
{
    Proxy *p = &w->proxy;
    int r = server_new(p, route_image_settings(p->routes)->max_head_size, &p->server);
    if (r < 0)
        return r;
    for (size_t i = 0; i < w->options.n_listen_fds; i++) {
        r = listeners_add(w->listeners, w->options.listen_fds[i], LISTENER_MAIN, false);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Could we end, and would the next connection have us started again? Sockets that only the manager or we
 * ourselves have would refuse it. */
static bool may_end(Worker *w)
{
    size_t n = listeners_n_given(w->listeners) + (w->options.own_sockets ? w->options.n_listen_fds : 0);

    if (n == 0 || w->options.exit_idle_time == USEC_INFINITY)
        return true;
    w->options.stays(n, w->options.userdata);
    return false;
}

/* From one image to another, which the gates know already; nothing of the old one is looked up from here on.
 */
static int switch_routes(Worker *w, LinkAttachment *a, RouteImage *routes)
{
    Proxy *p = &w->proxy;
    RouteImage *old = p->routes;
    int r;

    listeners_begin_update(w->listeners);
    p->routes = routes;
    r = upstreams_set_routes(p->upstreams, routes);
    if (old) {
        move_clients(p, old, routes);
        route_image_unref(old);
    }
    apply_settings(p);
    if (r >= 0 && !w->ready)
        r = open_for_business(w);
    return r < 0 ? r : take_listeners(w, a);
}

/* From the tables of the last manager to those of this one. */
static void switch_tables(Worker *w, const StatusTable *status, ActivityTable *activity)
{
    const StatusTable *old_status = w->status;
    ActivityTable *old_activity = w->activity;
    w->status = status;
    w->activity = activity;
    w->proxy.counters = &activity->worker;
    publish_connections(&w->proxy);
    if (old_status)
        status_table_unmap(old_status);
    if (old_activity)
        activity_table_unmap(old_activity);
}

static bool has_listener(Worker *w)
{
    if (listeners_count(w->listeners) > 0 || w->proxy.draining)
        return true;
    log_error("There is no address to listen on: give --listen=ADDRESS, pass sockets, or configure "
              "`listen` or a `port`.");
    return false;
}

static int on_attached(LinkAttachment *a, void *userdata)
{
    Worker *w = userdata;
    Proxy *p = &w->proxy;
    RouteImage *routes = NULL;
    const StatusTable *status = NULL;
    ActivityTable *activity = NULL;
    int r;

    if ((r = status_table_map(a->status_fd, &status)) < 0 ||
            (r = activity_table_map(a->activity_fd, &activity)) < 0 ||
            (r = route_image_map(a->routes_fd, &routes)) < 0 ||
            (r = gates_attach(p->gates, w->link, status, activity, routes)) < 0) {
        if (routes)
            route_image_unref(routes);
        if (activity)
            activity_table_unmap(activity);
        if (status)
            status_table_unmap(status);
        return r;
    }
    switch_tables(w, status, activity);
    if (switch_routes(w, a, routes) < 0 || !has_listener(w)) {
        worker_done(w, EXIT_FAILURE);
        return 0;
    }
    gates_attached(p->gates);
    if (!w->ready) {
        w->ready = true;
        say_status(w);
        (void) sd_notify(false, "READY=1");
        log_info("Ready: %zu services.", route_image_n_services(routes));
    } else
        log_info("Attached to a new manager: %zu services.", route_image_n_services(routes));
    if (!p->draining)
        idleness_attached(&w->idleness, may_end(w));
    return 0;
}

/* Another configuration of the same manager. */
static int on_updated(LinkAttachment *a, void *userdata)
{
    Worker *w = userdata;
    Proxy *p = &w->proxy;
    RouteImage *routes;
    int r;

    if (w->is_done)
        return 0;
    if ((r = route_image_map(a->routes_fd, &routes)) < 0)
        return r;
    if ((r = gates_update(p->gates, routes)) < 0) {
        route_image_unref(routes);
        return r;
    }
    if ((r = switch_routes(w, a, routes)) < 0) {
        log_error_errno(r, "Cannot go over to the new configuration: %m");
        worker_done(w, EXIT_FAILURE); /* half of it is worse than a fresh start */
        return 0;
    }
    gates_updated(p->gates);
    admin_api_updated(p->admin);
    log_info("Using the new configuration: %zu services.", route_image_n_services(routes));
    (void) has_listener(w); /* the next one may have some again */
    say_status(w);
    if (!p->draining)
        idleness_attached(&w->idleness, may_end(w));
    return 0;
}

static int on_offer(size_t at, void *userdata)
{
    Worker *w = userdata;
    return w->listeners ? listeners_given(w->listeners, at) : -EBADF;
}

static int on_lend(size_t at, void *userdata)
{
    Worker *w = userdata;
    return at < w->options.n_listen_fds ? w->options.listen_fds[at] : -EBADF;
}

static void on_lost(void *userdata)
{
    Worker *w = userdata;

    if (!w->proxy.draining)
        log_warning("The connection to the manager is lost; services that are online go on.");
    gates_detach(w->proxy.gates);
    admin_api_lost(w->proxy.admin);
}

static void on_refused(int error, const char *why, void *userdata)
{
    Worker *w = userdata;

    log_error_errno(error, "The manager does not accept this gateway: %s", why ?: "no reason given");
    worker_done(w, EXIT_FAILURE);
}

static const LinkEvents link_events = {.offer = on_offer,
        .lend = on_lend,
        .attached = on_attached,
        .updated = on_updated,
        .lost = on_lost,
        .refused = on_refused};

int worker_new(sd_event *event, const WorkerOptions *options, Worker **ret)
{
    int r;

    _cleanup_(worker_freep) Worker *w = new0(Worker, 1);
    if (!w)
        return log_oom();
    w->options = *options;
    Proxy *p = &w->proxy;
    p->event = sd_event_ref(event);
    p->poller.fd = -EBADF;
    deadlines_init(&p->deadlines, event);
    exchange_init_deadlines(p);
    tunnels_init(&p->tunnels, p);
    if ((r = poller_init(&p->poller, event, on_batch, p)) < 0 ||
            (r = clients_init(&p->clients, &p->deadlines)) < 0)
        return log_error_errno(r, "Cannot set up the data path: %m");
    p->clients.on_change = on_change;
    p->clients.change_userdata = w;
    p->max_clients = clients_by_descriptors();
    p->gates = gates_new(event);
    p->upstreams = upstreams_new(&p->poller, &p->deadlines, USEC_INFINITY);
    if (!p->gates || !p->upstreams)
        return log_oom();
    if ((r = listeners_new(p, options->shared, &w->listeners)) < 0 ||
            (r = link_new(event, &options->manager, options->n_listen_fds == 0, &link_events, w, &w->link)) <
                    0)
        return log_error_errno(r, "Cannot set up the data path: %m");
    p->admin = admin_api_new(p, w->link, w->listeners);
    if (!p->admin)
        return log_oom();
    idleness_init(&w->idleness, event, w->link, options->exit_idle_time, options->idle, options->userdata);
    *ret = TAKE_PTR(w);
    return 0;
}

Worker *worker_free(Worker *w)
{
    if (!w)
        return NULL;
    Proxy *p = &w->proxy;

    w->ready = false; /* no more status from here on */
    sd_event_source_disable_unref(w->status_timer);
    drain_done(&w->drain);
    idleness_done(&w->idleness);
    listeners_free(w->listeners);
    clients_drop_waiting(&p->clients);
    tunnels_done(&p->tunnels);
    if (p->server)
        server_free(p->server);
    admin_api_free(p->admin);
    link_free(w->link);
    if (p->upstreams)
        upstreams_free(p->upstreams);
    gates_free(p->gates);
    if (p->routes)
        route_image_unref(p->routes);
    if (w->status)
        status_table_unmap(w->status);
    p->counters = NULL;
    if (w->activity)
        activity_table_unmap(w->activity);
    clients_done(&p->clients);
    poller_done(&p->poller);
    deadlines_done(&p->deadlines);
    sd_event_unref(p->event);
    return mfree(w);
}

static void on_drained(void *userdata)
{
    Worker *w = userdata;

    link_close(w->link); /* what is cut off now keeps no service */
    worker_done(w, EXIT_SUCCESS);
}

static void on_stop_accepting(void *userdata)
{
    Worker *w = userdata;
    listeners_stop(w->listeners, w->options.own_sockets, w->options.own_manager);
}

static bool on_are_unheard(void *userdata)
{
    Worker *w = userdata;
    return listeners_are_unheard(w->listeners, w->options.own_sockets, w->options.own_manager);
}

static const DrainEvents drain_events = {
        .are_unheard = on_are_unheard, .stop_accepting = on_stop_accepting, .done = on_drained};

void worker_drain(Worker *w)
{
    Proxy *p = &w->proxy;

    if (p->draining || !w->ready) {
        worker_done(w, EXIT_SUCCESS);
        return;
    }
    idleness_done(&w->idleness);
    admin_api_drain(p->admin);
    drain_begin(&w->drain, p, w->options.drain_time, &drain_events, w);
    say_status(w);
}
