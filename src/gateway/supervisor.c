/* SPDX-License-Identifier: ISC */

/* The process tree. With one worker this process is it. With several it keeps them, starts again who dies,
 * and speaks for all to the service manager: they report to a socket of ours just as they would to systemd's.
 * With --standalone the manager is one more child, and its socket, which workers connect to, is bound here
 * and outlives it: a miniature of dynapm-manager.socket. */

#include "gateway/supervisor.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "build-config.h"
#include "gateway/child.h"
#include "gateway/notify.h"
#include "gateway/worker.h"
#include "ipc/bus.h"
#include "util/event.h"
#include "util/fd.h"
#include "util/log.h"

#define WORKERS_MAX 64U
#define ARGS_MAX 512
#define STOP_MARGIN (5 * USEC_PER_SEC) /* beside the drain: for the end of processes */

typedef struct Supervisor {
    const GatewayOptions *options;
    sd_event *event;
    char *runtime_dir;
    bool runtime_dir_is_ours;
    SocketAddress manager_address;
    int manager_fd;
    int *listen_fds;
    size_t n_listen_fds;
    char *self, *manager_path;
    char *manager_argv[ARGS_MAX], *worker_argv[ARGS_MAX];
    char *owned_args[ARGS_MAX];
    size_t n_owned_args;
    Child *manager;
    Child *workers[WORKERS_MAX];
    Worker *worker;
    Notify *notify;
    bool own_sockets; /* listen_fds are nobody's but ours */
    bool said_stays;  /* why it will not exit when idle */
    bool stopping, worker_is_done;
    int status;
} Supervisor;

static char *beside_self(const char *self, const char *name)
{
    const char *slash = strrchr(self, '/');
    char *path = NULL;
    return slash && asprintf(&path, "%.*s/%s", (int) (slash - self), self, name) >= 0 ? path : NULL;
}

static char *program_path(void)
{
    char buf[4096];
    ssize_t n = readlink("/proc/self/exe", buf, sizeof buf - 1);
    return n > 0 ? strndup(buf, (size_t) n) : NULL;
}

char *manager_program(void)
{
    const char *e = secure_getenv("DYNAPM_MANAGER");
    if (e)
        return strdup(e);
    _cleanup_free_ char *self = program_path();
    _cleanup_free_ char *beside = self ? beside_self(self, "dynapm-manager") : NULL;
    if (beside && access(beside, X_OK) == 0)
        return TAKE_PTR(beside);
    return strdup(DYNAPM_MANAGER_PATH);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) remove(path);
    return 0;
}

static Supervisor *supervisor_free(Supervisor *s)
{
    if (!s)
        return NULL;
    worker_free(s->worker);
    for (size_t i = 0; i < WORKERS_MAX; i++)
        child_free(s->workers[i]);
    child_free(s->manager);
    notify_free(s->notify);
    for (size_t i = 0; i < s->n_listen_fds; i++)
        fd_close(s->listen_fds[i]);
    free(s->listen_fds);
    fd_close(s->manager_fd);
    if (s->runtime_dir_is_ours)
        (void) nftw(s->runtime_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < s->n_owned_args; i++)
        free(s->owned_args[i]);
    free(s->runtime_dir);
    free(s->self);
    free(s->manager_path);
    sd_event_unref(s->event);
    return mfree(s);
}
DEFINE_CLEANUP(Supervisor *, supervisor_free)

/* Where the manager's socket is, or is to be. */
static int find_runtime_dir(Supervisor *s)
{
    const char *xdg = secure_getenv("XDG_RUNTIME_DIR");

    if (s->options->runtime_dir) {
        s->runtime_dir = strdup(s->options->runtime_dir);
        if (s->runtime_dir && s->options->standalone && mkdir(s->runtime_dir, 0755) < 0 && errno != EEXIST)
            return log_error_errno(errno, "Cannot create %s: %m", s->runtime_dir);
    } else if (s->options->standalone) {
        const char *base = xdg && access(xdg, W_OK) == 0 ? xdg : access("/run", W_OK) == 0 ? "/run" : "/tmp";
        if (asprintf(&s->runtime_dir, "%s/dynapm-XXXXXX", base) < 0)
            s->runtime_dir = NULL;
        else if (!mkdtemp(s->runtime_dir))
            return log_error_errno(errno, "Cannot create a folder in %s: %m", base);
        s->runtime_dir_is_ours = s->runtime_dir;
    } else if (s->options->user) {
        if (!xdg)
            return log_error_errno(ENOENT, "With --user, $XDG_RUNTIME_DIR has to be set.");
        if (asprintf(&s->runtime_dir, "%s/dynapm", xdg) < 0)
            s->runtime_dir = NULL;
    } else
        s->runtime_dir = strdup("/run/dynapm");
    if (!s->runtime_dir)
        return log_oom();

    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%s/" MANAGER_SOCKET_NAME, s->runtime_dir) < 0)
        return log_oom();
    int r = socket_address_from_path(path, &s->manager_address);
    return r < 0 ? log_error_errno(r, "%s cannot be a socket's path: %m", path) : 0;
}

static int open_sockets(Supervisor *s)
{
    int n = sd_listen_fds(true);
    if (n < 0)
        return log_error_errno(n, "Cannot take the passed sockets: %m");
    if (n > 0 && s->options->n_listen > 0)
        log_warning("Sockets were passed: --listen is ignored.");
    s->own_sockets = s->options->worker ? s->options->own_sockets : n == 0;
    size_t total = n > 0 ? (size_t) n : s->options->n_listen;
    s->listen_fds = new0(int, total ? total : 1);
    if (!s->listen_fds)
        return log_oom();
    for (size_t i = 0; i < total; i++) {
        char buf[SOCKET_ADDRESS_STRING_MAX];
        int fd = n > 0 ? SD_LISTEN_FDS_START + (int) i
                       : socket_address_listen(&s->options->listen[i], SOMAXCONN);
        if (fd < 0)
            return log_error_errno(
                    fd, "Cannot listen on %s: %m", socket_address_format(buf, &s->options->listen[i]));
        s->listen_fds[s->n_listen_fds++] = fd;
        if (n > 0) {
            if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
                return log_error_errno(
                        EINVAL, "Descriptor %d, which was passed, is not a listening stream socket.", fd);
            int r = fd_adopt(fd);
            if (r < 0)
                return log_error_errno(r, "Cannot use descriptor %d, which was passed: %m", fd);
        } else
            log_info("Listening on %s", socket_address_format(buf, &s->options->listen[i]));
    }
    return 0;
}

static char *own_arg(Supervisor *s, const char *prefix, const char *value)
{
    char *arg = NULL;
    if (s->n_owned_args >= ARGS_MAX || asprintf(&arg, "%s%s", prefix, value) < 0)
        return NULL;
    return s->owned_args[s->n_owned_args++] = arg;
}

/* Exact, which a span for people is not. */
static char *span_arg(Supervisor *s, const char *prefix, usec_t span)
{
    char value[32] = "infinity";

    if (span != USEC_INFINITY)
        snprintf(value, sizeof value, "%" PRIu64 "us", span);
    return own_arg(s, prefix, value);
}

static void maybe_exit(Supervisor *s)
{
    for (size_t i = 0; i < WORKERS_MAX; i++)
        if (child_is_running(s->workers[i]))
            return;
    if (s->worker && !s->worker_is_done)
        return;
    /* The data path is done with: now the services may go. */
    child_stop(s->manager);
    if (!child_is_running(s->manager))
        (void) sd_event_exit(s->event, s->status);
}

static void on_child_ended(Child *c, bool stopped, void *userdata)
{
    Supervisor *s = userdata;

    if (stopped)
        maybe_exit(s);
    else if (c != s->manager && s->notify)
        notify_worker_gone(s->notify, c);
}

/* Finish what is open and end. */
static void begin_stop(Supervisor *s)
{
    s->stopping = true;
    /* How long it takes is said here and nowhere else; a span without end cannot be said, but a long one. */
    (void) sd_notifyf(false, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
            MIN(usec_add(s->options->drain_time, STOP_MARGIN), (usec_t) INT64_MAX));
    if (s->worker) {
        worker_drain(s->worker);
        return;
    }
    for (size_t i = 0; i < WORKERS_MAX; i++)
        child_stop(s->workers[i]);
    maybe_exit(s);
}

static void on_all_idle(void *userdata)
{
    Supervisor *s = userdata;
    char span[TIMESPAN_STRING_MAX];

    if (s->stopping)
        return;
    log_info("Nothing to do for %s: exiting until the next connection.",
            timespan_format(span, s->options->exit_idle_time));
    begin_stop(s);
}

static void on_stays(size_t n, void *userdata)
{
    Supervisor *s = userdata;

    if (!s->said_stays)
        log_notice(
                "Not exiting when idle: %zu listening socket%s not passed by the service manager, and nobody "
                "would start dynapm for a connection to %s.",
                n, n == 1 ? " was" : "s were", n == 1 ? "it" : "them");
    s->said_stays = true;
}

static const NotifyEvents notify_events = {.all_idle = on_all_idle, .stays = on_stays};

/* One of several workers cannot know of the others. */
static void on_worker_idle(bool idle, void *userdata)
{
    Supervisor *s = userdata;

    if (s->options->worker)
        (void) sd_notifyf(false, NOTIFY_IDLE "=%d", idle);
    else if (idle)
        on_all_idle(s);
}

static void on_worker_stays(size_t n_sockets, void *userdata)
{
    Supervisor *s = userdata;

    if (s->options->worker)
        (void) sd_notifyf(false, NOTIFY_STAYS "=%zu", n_sockets);
    else
        on_stays(n_sockets, s);
}

static int start_manager(Supervisor *s)
{
    size_t n = 0;

    s->manager_fd = socket_address_listen(&s->manager_address, 128);
    if (s->manager_fd < 0)
        return log_error_errno(s->manager_fd, "Cannot bind %s: %m", s->manager_address.un.sun_path);
    if (chmod(s->manager_address.un.sun_path, 0600) < 0)
        return log_error_errno(errno, "Cannot protect %s: %m", s->manager_address.un.sun_path);
    s->manager_path = manager_program();
    if (!s->manager_path)
        return log_oom();
    s->manager_argv[n++] = s->manager_path;
    s->manager_argv[n++] = (char *) "--exit-with-parent";
    s->manager_argv[n++] = own_arg(s, "--runtime-dir=", s->runtime_dir);
    if (s->options->user)
        s->manager_argv[n++] = (char *) "--user";
    if (s->options->config)
        s->manager_argv[n++] = own_arg(s, "--config=", s->options->config);
    for (char **d = s->options->config_dirs; d && *d && n < ARGS_MAX - 2; d++)
        s->manager_argv[n++] = own_arg(s, "--config-dir=", *d);
    for (size_t i = 0; i < n; i++)
        if (!s->manager_argv[i])
            return log_oom();

    ChildOptions o = {.name = "dynapm-manager",
            .argv = s->manager_argv,
            .fds = &s->manager_fd,
            .n_fds = 1,
            .ended = on_child_ended,
            .userdata = s};
    int r = child_new(s->event, &o, &s->manager);
    return r < 0 ? log_error_errno(r, "Cannot start %s: %m", s->manager_path) : 0;
}

static int start_workers(Supervisor *s)
{
    int r = notify_new(s->event, s->options->n_workers, &notify_events, s, &s->notify);
    if (r < 0)
        return log_error_errno(r, "Cannot open a socket for the workers' notifications: %m");
    s->self = program_path();
    size_t n = 0;
    s->worker_argv[n++] = s->self;
    s->worker_argv[n++] = (char *) "--worker";
    s->worker_argv[n++] = own_arg(s, "--runtime-dir=", s->runtime_dir);
    s->worker_argv[n++] = span_arg(s, "--drain-time=", s->options->drain_time);
    s->worker_argv[n++] = span_arg(s, "--exit-idle-time=", s->options->exit_idle_time);
    for (size_t i = 0; i < n; i++)
        if (!s->worker_argv[i])
            return log_oom();
    if (s->own_sockets)
        s->worker_argv[n++] = (char *) "--own-sockets";
    if (s->options->standalone)
        s->worker_argv[n++] = (char *) "--standalone";
    ChildOptions o = {.name = "worker",
            .argv = s->worker_argv,
            .fds = s->listen_fds,
            .n_fds = s->n_listen_fds,
            .notify_socket = notify_address(s->notify),
            .ended = on_child_ended,
            .userdata = s};
    for (unsigned i = 0; i < s->options->n_workers; i++) {
        r = child_new(s->event, &o, &s->workers[i]);
        if (r < 0)
            return log_error_errno(r, "Cannot start a worker: %m");
        notify_worker_add(s->notify, s->workers[i]);
    }
    return 0;
}

static void on_worker_done(int status, void *userdata)
{
    Supervisor *s = userdata;

    s->status = status;
    s->worker_is_done = true;
    maybe_exit(s);
}

static int start_worker(Supervisor *s)
{
    WorkerOptions o = {.manager = s->manager_address,
            .listen_fds = s->listen_fds,
            .n_listen_fds = s->n_listen_fds,
            .shared = s->options->worker,
            .own_sockets = s->own_sockets,
            .own_manager = s->options->standalone && s->own_sockets,
            .drain_time = s->options->drain_time,
            .exit_idle_time = s->options->exit_idle_time,
            .idle = on_worker_idle,
            .stays = on_worker_stays,
            .done = on_worker_done,
            .userdata = s};
    int r = worker_new(s->event, &o, &s->worker);
    s->n_listen_fds = 0; /* the worker's now */
    return r;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    Supervisor *s = userdata;

    if (s->stopping) {
        /* A service manager signals every process of a service, and so do we: that is one signal, not two. */
        if (s->options->worker && si->ssi_signo == SIGTERM)
            return 0;
        for (size_t i = 0; i < WORKERS_MAX; i++)
            if (s->workers[i])
                child_kill(s->workers[i], SIGINT);
        (void) sd_event_exit(s->event, EXIT_SUCCESS);
        return 0;
    }
    begin_stop(s);
    return 0;
}

/* The configuration is read by the manager, which tells us what comes of it. */
static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    Supervisor *s = userdata;

    if (child_is_running(s->manager))
        child_kill(s->manager, SIGHUP);
    else if (!s->options->worker)
        log_notice("SIGHUP: the configuration is the manager's to read, see dynapmctl reload.");
    return 0;
}

static int set_up_loop(Supervisor *s)
{
    sigset_t mask;
    int r;

    sigemptyset(&mask);
    for (size_t i = 0; i < 4; i++)
        sigaddset(&mask, (int[]){SIGTERM, SIGINT, SIGHUP, SIGCHLD}[i]);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
        return -errno;
    (void) signal(SIGPIPE, SIG_IGN);
    if ((r = sd_event_default(&s->event)) < 0 ||
            (r = sd_event_add_signal(s->event, NULL, SIGTERM, on_stop, s)) < 0 ||
            (r = sd_event_add_signal(s->event, NULL, SIGINT, on_stop, s)) < 0 ||
            (r = sd_event_add_signal(s->event, NULL, SIGHUP, on_hangup, s)) < 0 ||
            (r = sd_event_set_watchdog(s->event, true)) < 0)
        return r;
    return 0;
}

int gateway_run(const GatewayOptions *options)
{
    _cleanup_(supervisor_freep) Supervisor *s = new0(Supervisor, 1);
    int r;

    if (!s) {
        log_oom();
        return EXIT_FAILURE;
    }
    s->options = options;
    s->manager_fd = -EBADF;
    assert(options->n_workers <= WORKERS_MAX);
    r = set_up_loop(s);
    if (r < 0) {
        log_error_errno(r, "Cannot set up the loop: %m");
        return EXIT_FAILURE;
    }
    if (find_runtime_dir(s) < 0 || open_sockets(s) < 0 ||
            (options->standalone && !options->worker && start_manager(s) < 0))
        return EXIT_FAILURE;
    if ((options->n_workers > 1 ? start_workers(s) : start_worker(s)) < 0)
        return EXIT_FAILURE;
    int status = sd_event_loop(s->event);
    if (status < 0) {
        log_error_errno(status, "The loop failed: %m");
        status = EXIT_FAILURE;
    }
    return status;
}
