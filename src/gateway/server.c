/* SPDX-License-Identifier: ISC */

/* Owns the daemon object. What has to be right here, learnt from the library's source (0.9.75):
 *
 *  - MHD_get_timeout() is 0 as long as any connection is ready, and those that linger (server.h) are always
 * ready. So a 0 says "run again" only if nobody lingers, or if this run got something done. While somebody
 * lingers a timer of SERVER_LINGER_SPAN runs, at which those who wait too long are suspended; it also bounds
 * what a wrong guess could cost.
 *  - A response that was queued in one run is written in the next.
 *  - Its inter-thread channel would cost two system calls a resume; there is one thread, so it is left out.
 *
 * Invariant: after each turn of the loop either nothing in the daemon is ready but lingering connections, or
 * `again` is armed. */

#include "gateway/server.h"

#include <microhttpd.h>

#include "gateway/exchange.h"
#include "gateway/head-audit.h"
#include "gateway/proxy.h"
#include "util/event.h"
#include "util/log.h"

#define ROUNDS_MAX 16
#define LINGERING_MAX 64

struct Server {
    Proxy *proxy;
    struct MHD_Daemon *daemon;
    sd_event_source *ready, *again, *linger;
    Client *accepting;
    unsigned n_lingering;
    uint32_t max_head;

    bool kicked, progress, running, linger_armed;
};

static void server_run(Server *s)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    bool more;
    int rounds = 0;

    if (s->running)
        return;
    s->running = true;
    do {
        s->kicked = s->progress = false;

        if (MHD_run(s->daemon) != MHD_YES)
            log_error("libmicrohttpd failed to run.");
        more = s->kicked || (MHD_get_timeout(s->daemon, &timeout) == MHD_YES && timeout == 0 &&
                                    (s->progress || s->n_lingering == 0));
    } while (more && ++rounds < ROUNDS_MAX);
    s->running = false;
    /* Others on this loop have waited long enough: go on after them. */
    if (more)
        server_kick(s);
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    server_run(userdata);
    return 0;
}

static int on_again(sd_event_source *source, void *userdata)
{
    server_run_if_kicked(userdata);
    return 0;
}

static int on_linger(sd_event_source *source, uint64_t usec, void *userdata)
{
    Server *s = userdata;

    s->linger_armed = false;
    server_run(s);
    if (s->n_lingering > 0 &&
            event_arm_timer(s->proxy->event, &s->linger, SERVER_LINGER_SPAN, on_linger, s, "linger") >= 0)
        s->linger_armed = true;
    return 0;
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return exchange_new(i->socket_context, mhd, uri);
}

static size_t on_unescape(void *cls, struct MHD_Connection *mhd, char *s)
{
    return strlen(s); /* the target goes upstream byte for byte */
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
        const char *version, const char *upload, size_t *upload_size, void **request)
{
    return exchange_handle(*request, method, version, upload, upload_size);
}

static void on_completed(
        void *cls, struct MHD_Connection *mhd, void **request, enum MHD_RequestTerminationCode code)
{
    exchange_completed(*request, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    *request = NULL;
}

static void on_connection(
        void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code)
{
    Server *s = cls;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        s->accepting->mhd = mhd;
        *context = TAKE_PTR(s->accepting);
    } else {
        client_closing(*context);
        client_closed(*context);
        *context = NULL;
    }
}

static void __attribute__((format(printf, 2, 0))) on_log(void *cls, const char *format, va_list ap)
{
    char line[512];

    if (log_get_max_level() < LOG_DEBUG)
        return;
    int n = vsnprintf(line, sizeof line, format, ap);
    if (n > 0 && line[MIN((size_t) n, sizeof line - 1) - 1] == '\n')
        line[MIN((size_t) n, sizeof line - 1) - 1] = 0;
    log_debug("libmicrohttpd: %s", line);
}

int server_new(Proxy *p, uint32_t max_head, Server **ret)
{
    int r = head_audit_self_test();
    if (r < 0)
        return log_error_errno(r,
                "This libmicrohttpd (%s) does not receive and keep requests in the form that their audit "
                "needs: "
                "%m",
                MHD_get_version());

    Server *s = new0(Server, 1);
    if (!s)
        return log_oom();
    s->proxy = p;
    s->max_head = max_head;
    /* Suspending without MHD_USE_ITC: nobody resumes from another thread. */
    s->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
                                         (MHD_ALLOW_SUSPEND_RESUME & ~MHD_USE_ITC) | MHD_ALLOW_UPGRADE |
                                         MHD_USE_SUPPRESS_DATE_NO_CLOCK | MHD_USE_TURBO | MHD_USE_ERROR_LOG,
            0, NULL, NULL, on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s, MHD_OPTION_URI_LOG_CALLBACK,
            on_uri, s, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, s, MHD_OPTION_NOTIFY_COMPLETED,
            on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, server_pool_size(s), MHD_OPTION_CONNECTION_MEMORY_INCREMENT,
            (size_t) 4096, MHD_OPTION_CONNECTION_LIMIT, 1000000U, MHD_OPTION_END);
    if (!s->daemon) {
        free(s);
        return log_error_errno(EIO, "Cannot start libmicrohttpd.");
    }
    const union MHD_DaemonInfo *i = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    r = sd_event_add_io(p->event, &s->ready, i->epoll_fd, EPOLLIN, on_ready, s);
    if (r >= 0)
        r = sd_event_add_defer(p->event, &s->again, on_again, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->again, SD_EVENT_OFF);
    if (r < 0) {
        server_free(s);
        return log_error_errno(r, "Cannot watch libmicrohttpd's connections: %m");
    }
    (void) sd_event_source_set_description(s->ready, "clients");
    *ret = s;
    return 0;
}

Server *server_free(Server *s)
{
    if (!s)
        return NULL;
    s->running = true; /* to its end: nothing is to be put off until a later turn of the loop */
    sd_event_source_disable_unref(s->ready);
    sd_event_source_disable_unref(s->again);
    sd_event_source_disable_unref(s->linger);
    if (s->daemon) {
        /* Stopping with suspended connections panics. */
        for (Client *c = s->proxy->clients.all; c; c = c->next) { /* none has a tunnel any more */
            client_shutdown(c);
            if (c->exchange)
                exchange_abort(c->exchange);
        }
        (void) MHD_run(s->daemon);
        MHD_stop_daemon(s->daemon);
    }
    return mfree(s);
}

int server_add_connection(Server *s, Client *c, const struct sockaddr *address, socklen_t len)
{
    s->accepting = c;
    enum MHD_Result r = MHD_add_connection(s->daemon, c->fd, address, len);
    bool taken = !s->accepting;
    s->accepting = NULL;
    server_kick(s);
    /* If it took the client and failed afterwards, it has said so and the client is freed. */
    return r == MHD_YES || taken ? 0 : -EIO;
}

void server_kick(Server *s)
{
    s->kicked = true;
    if (!s->running)
        (void) sd_event_source_set_enabled(s->again, SD_EVENT_ONESHOT);
}

void server_run_if_kicked(Server *s)
{
    if (s->kicked)
        server_run(s);
}

size_t server_pool_size(const Server *s)
{
    return 2 * (size_t) s->max_head;
}

uint32_t server_max_head(const Server *s)
{
    return s->max_head;
}

bool server_linger_begin(Server *s)
{
    if (s->n_lingering >= LINGERING_MAX)
        return false;
    s->n_lingering++;
    if (!s->linger_armed &&
            event_arm_timer(s->proxy->event, &s->linger, SERVER_LINGER_SPAN, on_linger, s, "linger") >= 0)
        s->linger_armed = true;
    return true;
}

void server_linger_end(Server *s)
{
    assert(s->n_lingering > 0);
    s->n_lingering--;
}

void server_note_progress(Server *s)
{
    s->progress = true;
}
