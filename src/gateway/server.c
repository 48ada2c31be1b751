/* SPDX-License-Identifier: ISC */

/* Owns the daemon objects, of which each serves up to HALL_SIZE connections: the library walks all of a
 * daemon's suspended connections whenever one is resumed, and with thousands in one daemon that wait for a
 * service, or for the next event of a stream, that would cost more than a request does. Connections go to the
 * first hall of their kind (lodging.h) that has room, so that a few share one.
 *
 * What has to be right here, learnt from the library's source (0.9.75):
 *
 *  - MHD_get_timeout() is 0 as long as any connection is ready, and those that linger (server.h) are always
 * ready. So a 0 says "run again" only if nobody lingers, or if this run got something done. While somebody
 * lingers a timer of SERVER_LINGER_SPAN runs, at which those who wait too long are suspended; it also bounds
 * what a wrong guess could cost.
 *  - A response that was queued in one run is written in the next.
 *  - A connection whose reader has ended with an error is marked as closed, and that is all: its socket is
 * closed when the library looks at it the next time. It may not even be watched yet. Only those that have a
 * limit in time of their own are looked at in each run.
 *  - Its inter-thread channel would cost two system calls a resume; there is one thread, so it is left out.
 *  - Each run asks epoll_wait(2) for news, also where it is made for what we have changed. What the
 * descriptor has to say the loop hears by itself, so only runs that the loop has made for that reason get to
 * ask: the definition of epoll_wait() below is the one that the library finds, as with recv() in tap.c.
 *
 * Invariant: after each turn of the loop either nothing in a daemon is ready but lingering connections, or
 * its `again` is armed. */

#include "gateway/server.h"

#include <microhttpd.h>
#include <sys/epoll.h>

#include "gateway/exchange.h"
#include "gateway/head-audit.h"
#include "gateway/lodging.h"
#include "gateway/proxy.h"
#include "util/event.h"
#include "util/log.h"

#define ROUNDS_MAX 16
#define LINGERING_MAX 64
#define HALL_SIZE 256

struct Hall {
    Server *server;
    struct MHD_Daemon *daemon;
    sd_event_source *ready, *again, *linger;
    Client *accepting;
    unsigned n_clients, n_lingering;
    uint32_t max_head; /* of its connections' requests, whose memory is measured by it */
    bool kicked, progress, running, linger_armed;
    bool small;  /* the connections' memory is SMALL_POOL */
    bool queued; /* in server->kicked */
    Hall *next_kicked;
};

struct Server {
    Proxy *proxy;
    Hall **halls;
    size_t n_halls;
    Hall *kicked;      /* all with `kicked` that do not run, and maybe some that have been run since */
    uint32_t max_head; /* of connections that come from now on */
    int strict;        /* see head_audit_self_test() */
};

static bool no_news; /* the library runs, and has nothing to ask for */

/* In place of the C library's, for all that this program links. */
__attribute__((visibility("default"), used)) int epoll_wait(
        int fd, struct epoll_event *events, int max, int timeout)
{
    return no_news ? 0 : epoll_pwait(fd, events, max, timeout, NULL);
}

/* `news`: of its connections. */
static void hall_run(Hall *h, bool news)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    bool more;
    int rounds = 0;

    if (h->running)
        return;
    h->running = true;
    do {
        h->kicked = h->progress = false;

        no_news = !news;
        if (MHD_run(h->daemon) != MHD_YES)
            log_error("libmicrohttpd failed to run.");
        no_news = news = false;
        more = h->kicked || (MHD_get_timeout(h->daemon, &timeout) == MHD_YES && timeout == 0 &&
                                    (h->progress || h->n_lingering == 0));
    } while (more && ++rounds < ROUNDS_MAX);
    h->running = false;
    /* Others on this loop have waited long enough: go on after them. */
    if (more)
        hall_kick(h);
    else /* a further turn of the loop, for nothing */
        (void) sd_event_source_set_enabled(h->again, SD_EVENT_OFF);
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    hall_run(userdata, true);
    return 0;
}

static int on_again(sd_event_source *source, void *userdata)
{
    Hall *h = userdata;

    if (h->kicked)
        hall_run(h, false);
    return 0;
}

static int on_linger(sd_event_source *source, uint64_t usec, void *userdata);

static void hall_arm_linger(Hall *h)
{
    h->linger_armed = event_arm_timer(h->server->proxy->event, &h->linger, SERVER_LINGER_SPAN, on_linger, h,
                              "linger") >= 0;
}

static int on_linger(sd_event_source *source, uint64_t usec, void *userdata)
{
    Hall *h = userdata;

    h->linger_armed = false;
    hall_run(h, false);
    if (h->n_lingering > 0)
        hall_arm_linger(h);
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
    Hall *h = cls;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        h->accepting->mhd = mhd;
        *context = TAKE_PTR(h->accepting);
        h->n_clients++;
    } else {
        h->n_clients--;
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

static Hall *hall_free(Hall *h)
{
    h->running = true; /* to its end: nothing is to be put off until a later turn of the loop */
    sd_event_source_disable_unref(h->ready);
    sd_event_source_disable_unref(h->again);
    sd_event_source_disable_unref(h->linger);
    if (h->daemon) {
        (void) MHD_run(h->daemon);
        MHD_stop_daemon(h->daemon);
    }
    return mfree(h);
}

/* MHD_USE_NO_THREAD_SAFETY of 0.9.77 and later, which older headers do not have and older libraries ignore:
 * without it, a connection that is added would be looked at only later. */
#define NO_THREAD_SAFETY (1U << 19)

static int hall_new(Server *s, bool small, Hall **ret)
{
    Hall *h = new0(Hall, 1);
    if (!h)
        return -ENOMEM;
    h->server = s;
    h->max_head = s->max_head;
    h->small = small;
    /* Suspending without MHD_USE_ITC: nobody resumes from another thread. */
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
                                         (MHD_ALLOW_SUSPEND_RESUME & ~MHD_USE_ITC) | MHD_ALLOW_UPGRADE |
                                         MHD_USE_SUPPRESS_DATE_NO_CLOCK | MHD_USE_TURBO | MHD_USE_ERROR_LOG |
                                         NO_THREAD_SAFETY,
            0, NULL, NULL, on_access, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, h, MHD_OPTION_URI_LOG_CALLBACK,
            on_uri, h, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, h, MHD_OPTION_NOTIFY_COMPLETED,
            on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, hall_pool_size(h), MHD_OPTION_CONNECTION_MEMORY_INCREMENT,
            (size_t) 4096, MHD_OPTION_CONNECTION_LIMIT, 1000000U, MHD_OPTION_STRICT_FOR_CLIENT, s->strict,
            MHD_OPTION_END);
    if (!h->daemon) {
        hall_free(h);
        return -EIO;
    }
    const union MHD_DaemonInfo *i = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int r = sd_event_add_io(s->proxy->event, &h->ready, i->epoll_fd, EPOLLIN, on_ready, h);
    if (r >= 0)
        r = sd_event_add_defer(s->proxy->event, &h->again, on_again, h);
    if (r >= 0)
        r = sd_event_source_set_enabled(h->again, SD_EVENT_OFF);
    if (r < 0) {
        hall_free(h);
        return r;
    }
    (void) sd_event_source_set_description(h->ready, "clients");
    *ret = h;
    return 0;
}

/* Opens one more. 0 or -errno. */
static int add_hall(Server *s, bool small)
{
    Hall **grown = reallocarray(s->halls, s->n_halls + 1, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    s->halls = grown;
    int r = hall_new(s, small, &s->halls[s->n_halls]);
    if (r >= 0)
        s->n_halls++;
    return r;
}

/* The first of its kind that has room; where there is none and none can be opened, the last is the most
 * likely to, or the first of all, which is large and does for everything. */
static Hall *hall_with_room(Server *s, bool small)
{
    Hall *last = s->halls[0];

    for (size_t i = 0; i < s->n_halls; i++)
        if (s->halls[i]->small == small && (small || s->halls[i]->max_head == s->max_head)) {
            last = s->halls[i];
            if (last->n_clients < HALL_SIZE)
                return last;
        }
    int r = add_hall(s, small);
    if (r < 0) {
        log_warning_errno(r, "Cannot start another libmicrohttpd: %m");
        return last;
    }
    return s->halls[s->n_halls - 1];
}

int server_new(Proxy *p, uint32_t max_head, Server **ret)
{
    int strict;

    int r = head_audit_self_test(&strict);
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
    s->strict = strict;
    r = add_hall(s, false);
    if (r < 0) {
        server_free(s);
        return log_error_errno(r, "Cannot start libmicrohttpd: %m");
    }
    *ret = s;
    return 0;
}

Server *server_free(Server *s)
{
    if (!s)
        return NULL;
    for (size_t i = 0; i < s->n_halls; i++)
        s->halls[i]->running = true; /* to its end: nothing is to be put off until a later turn of the loop */
    clients_drop_waiting(&s->proxy->clients);
    /* Stopping with suspended connections panics. */
    for (Client *c = s->proxy->clients.all; c; c = c->next) { /* none has a tunnel any more */
        client_shutdown(c);
        if (c->exchange)
            exchange_abort(c->exchange);
    }
    for (size_t i = 0; i < s->n_halls; i++)
        hall_free(s->halls[i]);
    free(s->halls);
    return mfree(s);
}

int server_add_connection(Server *s, Client *c, const struct sockaddr *address, socklen_t len)
{
    /* A reload may have made the largest head a small one since it was in a small hall. */
    Hall *h = hall_with_room(s, c->small && server_has_small_halls(s));

    lodging_attend(c);
    c->small = h->small;
    c->hall = h;
    h->accepting = c;
    enum MHD_Result r = MHD_add_connection(h->daemon, c->fd, address, len);
    bool taken = !h->accepting;
    h->accepting = NULL;
    hall_kick(h);
    /* If it took the client and failed afterwards, it has said so and the client is freed. */
    return r == MHD_YES || taken ? 0 : -EIO;
}

void hall_kick(Hall *h)
{
    h->kicked = true;
    if (h->running)
        return;
    if (!h->queued) {
        h->queued = true;
        h->next_kicked = h->server->kicked;
        h->server->kicked = h;
    }
    (void) sd_event_source_set_enabled(h->again, SD_EVENT_ONESHOT);
}

void server_kick(Server *s)
{
    for (size_t i = 0; i < s->n_halls; i++)
        hall_kick(s->halls[i]);
}

void server_run_if_kicked(Server *s)
{
    Hall *h = s->kicked, *next;

    s->kicked = NULL; /* who is kicked again has had its turn */
    for (; h; h = next) {
        next = h->next_kicked;
        h->queued = false;
        if (h->kicked)
            hall_run(h, false);
    }
}

const char *server_library_version(void)
{
    return MHD_get_version();
}

void server_set_max_head(Server *s, uint32_t max_head)
{
    s->max_head = max_head;
}

/* Half of it is for a head. libmicrohttpd 1.0, the strict one, moves what it has received behind a head,
 * where the tap looks for it, if it has less room left there than its MHD_BUF_INC_SIZE. */
static size_t pool_size(const Server *s, uint32_t max_head)
{
    return 2 * ((size_t) max_head + (s->strict ? 1536 : 0));
}

size_t server_pool_size(const Server *s)
{
    return pool_size(s, s->max_head);
}

bool server_has_small_halls(const Server *s)
{
    return server_pool_size(s) > SMALL_POOL;
}

size_t hall_pool_size(const Hall *h)
{
    return h->small ? SMALL_POOL : pool_size(h->server, h->max_head);
}

uint32_t hall_max_head(const Hall *h)
{
    return h->max_head;
}

bool hall_linger_begin(Hall *h)
{
    if (h->n_lingering >= LINGERING_MAX)
        return false;
    h->n_lingering++;
    if (!h->linger_armed)
        hall_arm_linger(h);
    return true;
}

void hall_linger_end(Hall *h)
{
    assert(h->n_lingering > 0);
    h->n_lingering--;
}

void hall_take_down(Hall *h, struct MHD_Connection *mhd)
{
    (void) MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, 3600U);
    hall_kick(h);
}

void hall_let_go(Hall *h, struct MHD_Connection *mhd)
{
    /* What it resumes it takes for readable. It is not running: nothing of ours runs within it but what
     * belongs to a request. */
    MHD_suspend_connection(mhd);
    MHD_resume_connection(mhd);
    hall_kick(h);
}

void hall_note_progress(Hall *h)
{
    h->progress = true;
}
