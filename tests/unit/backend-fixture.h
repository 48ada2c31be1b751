/* SPDX-License-Identifier: ISC */
#pragma once

/* A direct backend with a folder of its own, a FIFO through which its processes speak, and what it reports.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "backend/backend.h"
#include "backend/remember.h"
#include "tests/unit/loop.h"
#include "util/fd.h"
#include "util/text.h"

static char dir[] = "/tmp/test-backend-XXXXXX";
static int state_dir = -EBADF, fifo = -EBADF;

/* What a backend has reported. */
typedef struct Reports {
    unsigned start_failed, exited, stopped, checked;
    bool running;
    char why[256];
} Reports;

static inline void on_start_failed(Backend *b, const char *why, void *userdata)
{
    Reports *r = userdata;
    r->start_failed++;
    snprintf(r->why, sizeof r->why, "%s", why);
}

static inline void on_exited(Backend *b, const char *why, void *userdata)
{
    Reports *r = userdata;
    r->exited++;
    snprintf(r->why, sizeof r->why, "%s", why);
}

static inline void on_stopped(Backend *b, const char *why, void *userdata)
{
    Reports *r = userdata;
    r->stopped++;
    snprintf(r->why, sizeof r->why, "%s", why);
}

static inline void on_checked(Backend *b, bool running, void *userdata)
{
    Reports *r = userdata;
    r->checked++;
    r->running = running;
}

static const BackendEvents events = {
        .start_failed = on_start_failed, .exited = on_exited, .stopped = on_stopped, .checked = on_checked};

static inline unsigned n_reports(const Reports *r)
{
    return r->start_failed + r->exited + r->stopped + r->checked;
}

/* One backend of a service, and what it hears. Not to be moved. */
typedef struct Fixture {
    Loop loop;
    BackendContext context;
    ServiceConfig config;
    Backend *backend;
    Reports reports;
} Fixture;

static inline void set_up(Fixture *f, const ServiceConfig *config)
{
    const char *why = NULL;

    *f = (Fixture){.loop = loop_new(), .config = *config};
    f->context = (BackendContext){.event = f->loop.event,
            .children = f->loop.children,
            .commands = &f->loop.commands,
            .state_dir_fd = state_dir};
    f->config.name = (char *) "blog";
    f->config.cwd = f->config.cwd ?: dir;
    f->config.stop_timeout = f->config.stop_timeout ?: PATIENCE;
    f->config.health_check.timeout = f->config.health_check.timeout ?: PATIENCE;
    assert_int_equal(backend_new(&f->context, &f->config, &events, &f->reports, &f->backend, &why), 0);
    assert_string_equal(backend_name(f->backend), "direct");
}

static inline void tear_down(Fixture *f)
{
    backend_free(f->backend);
    loop_done(&f->loop);
}

static inline void start(Fixture *f)
{
    _cleanup_free_ char *why = NULL;
    int r = backend_start(f->backend, &why);
    if (r < 0)
        print_error("%s\n", why);
    assert_int_equal(r, 0);
}

#define AWAIT(f, condition) RUN_UNTIL((f)->loop.event, condition)

/* Stops it; it must end as told and leave nothing. */
static inline void stop(Fixture *f, const char *why)
{
    unsigned before = f->reports.stopped;

    assert_int_equal(backend_stop(f->backend), 0);
    assert_int_equal(f->reports.stopped, before); /* from the loop only */
    AWAIT(f, f->reports.stopped > before);
    assert_int_equal(f->reports.stopped, before + 1);
    assert_string_equal(f->reports.why, why);
    assert_false(backend_has_process(f->backend));
}

static inline ServiceConfig exec_config(char *const *argv)
{
    return (ServiceConfig){.kind = SERVICE_EXEC, .exec = (char **) argv};
}

static inline ServiceConfig commands_config(const char *command)
{
    return (ServiceConfig){.kind = SERVICE_COMMANDS, .start_command = (char *) command};
}

#define SHELL_EXEC(command) ((char *const[]){(char *) "/bin/sh", (char *) "-c", (char *) (command), NULL})

/* The next number that a process of the test wrote into the FIFO, `echo $$ > fifo`. */
static inline int number(void)
{
    char line[32];
    size_t n = 0;
    do
        assert_int_equal(read(fifo, line + n, 1), 1);
    while (line[n++] != '\n');
    return atoi(line);
}

static inline bool is_gone(pid_t pid)
{
    ProcStat s;
    return proc_stat(pid, &s) < 0 || proc_is_dead(&s);
}

/* Processes that are not our children need pidfds, which valgrind 3.19 does not know. */
static inline void need_pidfds(void)
{
    _cleanup_close_ int fd = pidfd_open(getpid(), 0);
    if (fd < 0 && errno == ENOSYS)
        skip();
}

static inline int count_one(pid_t pid, const ProcStat *s, void *userdata)
{
    return 0;
}

/* How many live in its process group. */
static inline int n_members(pid_t pgid)
{
    return proc_for_each_member(pgid, count_one, NULL);
}

static inline bool is_remembered(void)
{
    return faccessat(state_dir, "blog", F_OK, 0) == 0;
}

/* Runs a group of tests with all that they need around them. */
static inline int run_backend_tests(int (*run)(void))
{
    if (!mkdtemp(dir))
        return 1;
    _cleanup_free_ char *states = text_format("%s/state", dir), *path = text_format("%s/fifo", dir);
    _cleanup_free_ char *command = text_format("rm -rf %s", dir);
    if (chmod(dir, 0755) < 0 || mkdir(states, 0700) < 0 || mkfifo(path, 0600) < 0 || chmod(path, 0666) < 0)
        return 1;
    state_dir = open(states, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fifo = open(path, O_RDWR | O_CLOEXEC);
    if (state_dir < 0 || fifo < 0)
        return 1;
    int r = run();
    return system(command) == 0 ? r : 1;
}
