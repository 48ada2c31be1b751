/* SPDX-License-Identifier: ISC */

/* Switching protocols, RFC 9110 7.8: from an exchange that a service has answered with 101 to a tunnel.
 *
 * libmicrohttpd keeps a connection that was upgraded among its suspended ones, all of which it walks whenever
 * one is resumed; thousands of silent WebSockets would make every request pay for them. So it is told at once
 * that this one is over, and closes its descriptor; the connection lives on in a duplicate. */

#include <fcntl.h>

#include "gateway/access-log.h"
#include "gateway/exchange.h"
#include "gateway/head-audit.h"
#include "gateway/proxy.h"
#include "util/fd.h"
#include "util/log.h"
#include "wire/upgrade.h"

bool upgrade_was_offered(const Exchange *e, const ResponseHead *head)
{
    Field fields[REQUEST_FIELDS_MAX];
    size_t n;

    RequestLine line = {e->method, e->raw_target, e->version, e->target_len};
    return e->facts.upgrade && head_audit(e->mhd, &line, fields, &n) == AUDIT_OK &&
           upgrade_matches(fields, n, head->fields, head->n_fields);
}

static int make_tunnel(Exchange *e, int fd, const char *ahead, size_t n_ahead)
{
    Proxy *p = e->client->proxy;
    _cleanup_free_ char *log = NULL;

    if (route_image_settings(e->routes)->request_log && !(log = access_log_beginning(e)))
        return -ENOMEM;
    TunnelEnds ends = {.client = e->client,
            .fd = fd,
            .upstream = e->upstream,
            .ticket = &e->ticket,
            .to_upstream = ahead,
            .n_to_upstream = n_ahead,
            .to_client = e->in,
            .at_to_client = e->in_at,
            .n_to_client = e->in_len,
            .nap = route_image_service(e->routes, e->route->service)->web_socket_idle,
            .log = log,
            .begun = e->begun};
    const Gate *g = e->ticket.gate;
    int r = tunnel_new(p, &ends);
    if (r < 0)
        return r;
    exchange_count(e, g); /* here, as the ticket is the tunnel's now */
    TAKE_PTR(log);
    TAKE_PTR(e->in);
    TAKE_PTR(e->upstream);
    e->state = EXCHANGE_SWITCHED;
    deadline_clear(&e->wait);
    return 0;
}

/* The 101 has gone out. `ahead` is what the client has sent behind its request. */
static void on_upgraded(void *cls, struct MHD_Connection *mhd, void *request, const char *ahead,
        size_t n_ahead, MHD_socket fd, struct MHD_UpgradeResponseHandle *urh)
{
    Exchange *e = cls;
    Hall *hall = e->client->hall;

    client_unwatch(e->client);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int r = copy < 0 ? -errno : make_tunnel(e, copy, ahead, n_ahead);
    if (r < 0) {
        log_service_error_errno(gate_name(e->ticket.gate), r, "Cannot switch protocols: %m");
        fd_close(copy);
        client_shutdown(e->client);
    }
    (void) MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
    hall_kick(hall);
}

struct MHD_Response *upgrade_response(Exchange *e, const ResponseHead *head)
{
    struct MHD_Response *r = MHD_create_response_for_upgrade(on_upgraded, e);

    for (uint32_t i = 0; r && i < head->n_fields; i++) {
        const Field *f = &head->fields[i];
        if (f->value_len == 0 || field_identify(f) != FIELD_UPGRADE)
            continue;
        ((char *) f->value)[f->value_len] = 0;
        if (MHD_add_response_header(r, "Upgrade", f->value) != MHD_YES) {
            MHD_destroy_response(r);
            return NULL;
        }
    }
    return r;
}
