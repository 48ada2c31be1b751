/* SPDX-License-Identifier: ISC */

/* A request to the admin API: where it comes from and what it wants is decided by its head; what is done is
 * done when all of it has been read. The token that comes along is for the manager to judge, at each request
 * anew: it is looked up in the request's memory and nowhere kept.
 *
 * Invariant: an exchange in EXCHANGE_ADMIN whose request is done waits for exactly one of call, look and
 * logs. */

#include "gateway/admin.h"

#include <stdio.h>
#include <strings.h>

#include "admin/admin-service.h"
#include "gateway/admin-internal.h"
#include "gateway/proxy.h"
#include "ipc/bus.h"
#include "util/log.h"

#define AUTHORIZE_LIMIT (30 * USEC_PER_SEC)
#define OPERATION_LIMIT (24 * 60 * USEC_PER_MINUTE) /* a start has its own limit, in the manager */
#define WARN_PAUSE USEC_PER_SEC

AdminApi *admin_api_new(struct Proxy *p, Link *link, const Listeners *listeners)
{
    AdminApi *a = new0(AdminApi, 1);
    if (!a)
        return NULL;
    *a = (AdminApi){.proxy = p, .link = link, .listeners = listeners};
    a->looks.api = a->streams.api = a;
    return a;
}

AdminApi *admin_api_free(AdminApi *a)
{
    if (!a)
        return NULL;
    assert(!a->exchanges);
    streams_done(&a->streams);
    sd_bus_slot_unref(a->looks.call);
    return mfree(a);
}

/* ── whose is it? ── */

static bool is_host(const Exchange *e, const char *name)
{
    size_t len = e->facts.host_len;

    if (len > 1 && e->facts.host[len - 1] == '.')
        len--;
    return len == strlen(name) && strncasecmp(e->facts.host, name, len) == 0;
}

static const char *own_name(const Exchange *e)
{
    uint32_t name = route_image_settings(e->routes)->admin_host;
    return name ? route_image_string(e->routes, name) : NULL;
}

bool admin_is_addressed(const Exchange *e)
{
    const RouteSettings *s = route_image_settings(e->routes);
    uint32_t listener = e->client->listener;

    if (!s->admin)
        return false;
    if (listener != LISTENER_MAIN)
        return route_image_listener(e->routes, listener)->admin;
    return s->admin_on_main && own_name(e) && e->facts.host && is_host(e, own_name(e));
}

/* ── the head ── */

static int check_origin(const AdminExchange *x, AdminRefusal *refusal)
{
    const Exchange *e = x->exchange;
    const RequestFacts *f = &e->facts;
    size_t origin_len, site_len;

    if (!admin_is_local(e) && !admin_host_is_ours(f->host ?: "", f->host_len, own_name(e))) {
        *refusal = (AdminRefusal){403, "The admin API is not called so: see adminApi.hostname.", NULL};
        return -EBADMSG;
    }
    if (!admin_operation_changes(x->request.operation) && !admin_operation_is_scarce(x->request.operation))
        return 0;
    const char *origin = admin_field(e, "Origin", &origin_len),
               *site = admin_field(e, "Sec-Fetch-Site", &site_len);
    if (admin_origin_is_ours(origin, origin_len, site, site_len, f->authority ?: "", f->authority_len))
        return 0;
    *refusal = (AdminRefusal){403, "Pages of others may change and hold nothing here.", NULL};
    return -EBADMSG;
}

static int check(AdminExchange *x, AdminRefusal *refusal)
{
    Exchange *e = x->exchange;
    uint8_t address[16];

    bool known = admin_is_local(e) || admin_find_client(e, address);
    admin_write_client(x, known ? address : e->client->address);
    if (!admin_is_local(e) && (!known || !route_image_lets_administer(e->routes, address))) {
        *refusal = (AdminRefusal){403, "The admin API is not for this address.", NULL};
        return -EBADMSG;
    }
    int r = admin_request_parse(e->method, e->facts.target, e->facts.target_len, &x->request, refusal);
    AdminRefusal other;
    if (check_origin(x, &other) < 0) { /* who may not ask is not told what there is */
        *refusal = other;
        return -EBADMSG;
    }
    if (r >= 0 && e->facts.body == REQUEST_BODY_LENGTH && e->facts.content_length > ADMIN_BODY_MAX) {
        e->close = true;
        *refusal = (AdminRefusal){413, "The admin API needs no body.", NULL};
        return -EBADMSG;
    }
    return r;
}

void admin_begin(Exchange *e)
{
    struct Proxy *p = e->client->proxy;
    AdminRefusal refusal;

    AdminExchange *x = new0(AdminExchange, 1);
    if (!x) {
        admin_answer_error(e, 503, "The gateway is out of memory.", NULL);
        return;
    }
    *x = (AdminExchange){.api = p->admin, .exchange = e, .next = p->admin->exchanges};
    if (x->next)
        x->next->prev = x;
    p->admin->exchanges = x;
    e->admin = x;
    if (check(x, &refusal) < 0) {
        admin_answer_error(e, refusal.status, refusal.sentence, refusal.allow);
        return;
    }
    e->state = EXCHANGE_ADMIN;
    if (exchange_has_body(e)) {
        deadline_set(&e->wait, &p->body_idle);
        deadline_set(&e->total, &p->body_total);
    }
}

void admin_exchange_over(Exchange *e)
{
    AdminExchange *x = e->admin;
    if (!x)
        return;
    sd_bus_slot_unref(x->call);
    look_cancel(x->look);
    log_reader_free(x->logs);
    stream_free(x->stream);
    if (x->prev)
        x->prev->next = x->next;
    else
        x->api->exchanges = x->next;
    if (x->next)
        x->next->prev = x->prev;
    e->admin = mfree(x);
}

/* ── what it wants ── */

static void answer_late(AdminExchange *x)
{
    exchange_poke(x->exchange);
}

static bool wants_openmetrics(const Exchange *e)
{
    static const char type[] = "application/openmetrics-text";
    size_t len;
    const char *accept = admin_field(e, "Accept", &len);
    return accept && memmem(accept, len, type, STRLEN("application/openmetrics-text"));
}

static void on_look(const LookAnswer *answer, void *userdata)
{
    AdminExchange *x = userdata;
    json_object *found = answer->found;
    json_object *o = NULL;
    char *text = NULL;
    size_t len = 0;

    x->look = NULL;
    if (answer->status != 0)
        admin_answer_error(x->exchange, answer->status, ADMIN_MANAGER_AWAY, NULL);
    else if (x->request.operation == ADMIN_METRICS)
        admin_answer_metrics(x->exchange, answer->fd, wants_openmetrics(x->exchange));
    else if (!found)
        admin_answer_error(x->exchange, 404, "There is no service of that name.", NULL);
    else {
        if (x->request.operation == ADMIN_SERVICES) {
            o = json_object_new_object();
            if (o && admin_json_add(o, "services", json_object_get(found)))
                text = admin_json_text(o, &len);
            json_object_put(o);
        } else
            text = admin_json_text(found, &len);
        admin_answer_json(x->exchange, 200, text, len);
    }
    answer_late(x);
}

static void look(AdminExchange *x, LookKind kind)
{
    int r = look_new(
            &x->api->looks, kind, kind == LOOK_SERVICE ? x->request.name : NULL, on_look, x, &x->look);
    if (r < 0)
        admin_answer_error(x->exchange, 503,
                r == -EBUSY ? "Too many requests wait for the service manager." : ADMIN_MANAGER_AWAY, NULL);
}

static int on_operated(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    static const char *const done[] = {
            [ADMIN_START] = "started", [ADMIN_STOP] = "stopped", [ADMIN_RESTART] = "restarted"};
    const sd_bus_error *e = sd_bus_message_get_error(m);
    AdminExchange *x = userdata;
    char *text = NULL;

    x->call = sd_bus_slot_unref(x->call);
    if (e)
        admin_answer_failure(x->exchange, e);
    else {
        int n = asprintf(&text, "{\"success\":true,\"message\":\"%s is %s.\"}", x->request.name,
                done[x->request.operation]);
        admin_answer_json(x->exchange, 200, n < 0 ? NULL : text, n < 0 ? 0 : (size_t) n);
    }
    answer_late(x);
    return 0;
}

static int on_reloaded(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    AdminExchange *x = userdata;
    json_object *o = NULL;
    size_t len = 0;

    x->call = sd_bus_slot_unref(x->call);
    if (e || admin_reload_read(m, &o) < 0)
        admin_answer_failure(x->exchange, e);
    else {
        char *text = admin_json_text(o, &len);
        admin_answer_json(x->exchange, 200, text, len);
    }
    json_object_put(o);
    answer_late(x);
    return 0;
}

static int on_logs(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    AdminExchange *x = userdata;
    int fd;

    x->call = sd_bus_slot_unref(x->call);
    if (e || sd_bus_message_read(m, "h", &fd) < 0 || log_reader_new(x, fd, &x->logs) < 0) {
        admin_answer_failure(x->exchange, e);
        answer_late(x);
    }
    return 0;
}

/* A call that has the token in it. 0 or -errno. */
static int call(AdminExchange *x, const char *method, const char *token, uint64_t limit,
        sd_bus_message_handler_t reply)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    bool operates = !streq(method, BUS_AUTHORIZE);
    sd_bus *bus = link_bus(x->api->link);
    int r;

    if (!bus)
        return -ENOTCONN;
    if ((r = sd_bus_message_new_method_call(bus, &m, NULL, BUS_PATH, BUS_ADMIN_INTERFACE, method)) < 0 ||
            (r = sd_bus_message_sensitive(m)) < 0 ||
            (operates && *x->request.name && (r = sd_bus_message_append(m, "s", x->request.name)) < 0) ||
            (r = sd_bus_message_append(m, "s", token)) < 0 ||
            (r = !operates                               ? 0
                    : x->request.operation == ADMIN_LOGS ? sd_bus_message_append(m, "u", x->request.lines)
                                                         : sd_bus_message_append(m, "s", x->client)) < 0)
        return r;
    return sd_bus_call_async(bus, &x->call, m, reply, x, limit);
}

/* The token that the request presents; false: what it presents is none. */
static bool read_token(const Exchange *e, char token[static ADMIN_TOKEN_MAX + 1])
{
    size_t len;
    const char *value = admin_field(e, "Authorization", &len);
    return admin_bearer(value, len, token) >= 0;
}

static void operate(AdminExchange *x, const char *method, sd_bus_message_handler_t reply)
{
    char token[ADMIN_TOKEN_MAX + 1];

    bool good = read_token(x->exchange, token);
    int r = good ? call(x, method, token, OPERATION_LIMIT, reply) : -EINVAL;
    explicit_bzero(token, sizeof token);
    if (r < 0)
        admin_answer_error(x->exchange, 503, ADMIN_MANAGER_AWAY, NULL);
}

static void open_stream(AdminExchange *x, const char *role)
{
    int r = stream_new(&x->api->streams, x->exchange, role, &x->stream);
    if (r < 0)
        admin_answer_error(x->exchange, 503,
                r == -EBUSY ? "Too many listen to events already." : ADMIN_MANAGER_AWAY, NULL);
    else
        admin_answer_stream(x->exchange, x->stream);
}

static void authorized(AdminExchange *x, const char *role)
{
    switch (x->request.operation) {
    case ADMIN_SERVICES:
        look(x, LOOK_SERVICES);
        break;
    case ADMIN_SERVICE:
        look(x, LOOK_SERVICE);
        break;
    case ADMIN_METRICS:
        look(x, wants_openmetrics(x->exchange) ? LOOK_OPENMETRICS : LOOK_METRICS);
        break;
    case ADMIN_START:
        operate(x, "Start", on_operated);
        break;
    case ADMIN_STOP:
        operate(x, "Stop", on_operated);
        break;
    case ADMIN_RESTART:
        operate(x, "Restart", on_operated);
        break;
    case ADMIN_RELOAD:
        operate(x, "Reload", on_reloaded);
        break;
    case ADMIN_LOGS:
        operate(x, "Logs", on_logs);
        break;
    case ADMIN_EVENTS:
        open_stream(x, role);
        break;
    default:
        admin_answer_error(x->exchange, 404, "There is nothing of that name.", NULL);
    }
}

/* Once a second at most: whoever tries tokens does not fill the log. */
static void say_refused(AdminExchange *x, const char *what)
{
    AdminApi *a = x->api;
    char more[48] = "";
    usec_t now = now_monotonic();

    if (a->warned != 0 && now - a->warned < WARN_PAUSE) {
        a->n_unsaid++;
        return;
    }
    if (a->n_unsaid > 0)
        snprintf(more, sizeof more, " (and %u more times)", a->n_unsaid);
    log_warning("Admin API: %s from %s%s.", what, x->client, more);
    a->warned = now;
    a->n_unsaid = 0;
}

static void refuse_token(AdminExchange *x, bool presented)
{
    if (presented)
        say_refused(x, "a wrong token");
    admin_answer_error(x->exchange, 401,
            presented ? "The token is not the right one." : "A token is needed: Authorization: Bearer TOKEN.",
            NULL);
}

static int on_authorized(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    AdminExchange *x = userdata;
    const char *role = BUS_ROLE_NONE;
    size_t ignored;

    x->call = sd_bus_slot_unref(x->call);
    if (e)
        admin_answer_failure(x->exchange, e);
    else if (sd_bus_message_read(m, "s", &role) < 0 || streq(role, BUS_ROLE_NONE))
        refuse_token(x, admin_field(x->exchange, "Authorization", &ignored));
    else if ((admin_operation_changes(x->request.operation) ||
                     admin_operation_is_private(x->request.operation)) &&
             !streq(role, BUS_ROLE_MANAGE)) {
        say_refused(x, "a token for looking, where that is not enough,");
        admin_answer_error(x->exchange, 403, "This token is for looking only.", NULL);
    } else
        authorized(x, role);
    if (x->exchange->state == EXCHANGE_ANSWERED)
        answer_late(x);
    return 0;
}

void admin_request_done(Exchange *e)
{
    AdminExchange *x = e->admin;
    char token[ADMIN_TOKEN_MAX + 1];

    switch (x->request.operation) {
    case ADMIN_HOME:
        admin_answer_redirect(e, "/_dynapm/");
        return;
    case ADMIN_ASSET:
        admin_answer_asset(e, x->request.asset);
        return;
    default:
        break;
    }
    if (!read_token(e, token)) {
        refuse_token(x, true);
        return;
    }
    int r = call(x, BUS_AUTHORIZE, token, AUTHORIZE_LIMIT, on_authorized);
    explicit_bzero(token, sizeof token);
    if (r < 0)
        admin_answer_error(e, 503, ADMIN_MANAGER_AWAY, NULL);
}

/* ── another configuration ── */

static int on_authorized_still(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    AdminExchange *x = userdata;
    const char *role;

    x->call = sd_bus_slot_unref(x->call);
    if (sd_bus_message_get_error(m) || sd_bus_message_read(m, "s", &role) < 0 || streq(role, BUS_ROLE_NONE))
        stream_end(x->stream);
    return 0;
}

/* May it still listen? */
static void look_again(AdminExchange *x)
{
    Exchange *e = x->exchange;
    char token[ADMIN_TOKEN_MAX + 1];
    uint8_t address[16];

    route_image_unref(e->routes);
    e->routes = route_image_ref(e->client->proxy->routes);
    bool may = admin_is_addressed(e) &&
               (admin_is_local(e) ||
                       (admin_find_client(e, address) && route_image_lets_administer(e->routes, address)));
    sd_bus_slot_unref(TAKE_PTR(x->call));
    if (!may || !read_token(e, token) ||
            call(x, BUS_AUTHORIZE, token, AUTHORIZE_LIMIT, on_authorized_still) < 0)
        stream_end(x->stream);
    explicit_bzero(token, sizeof token);
}

void admin_api_updated(AdminApi *a)
{
    for (AdminExchange *x = a->exchanges; x; x = x->next)
        if (x->stream)
            look_again(x);
}

/* ── ends ── */

void admin_api_lost(AdminApi *a)
{
    streams_end(&a->streams);
    looks_lost(&a->looks);
    for (AdminExchange *x = a->exchanges; x; x = x->next) {
        if (!x->call)
            continue;
        x->call = sd_bus_slot_unref(x->call);
        if (x->stream)
            continue;
        admin_answer_error(x->exchange, 503, ADMIN_MANAGER_AWAY, NULL);
        answer_late(x);
    }
}

void admin_api_drain(AdminApi *a)
{
    streams_end(&a->streams);
}
