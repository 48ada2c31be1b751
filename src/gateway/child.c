/* SPDX-License-Identifier: ISC */

/* Invariant: c->source watches the process that c->pid names, and there is none where c->pid is 0. A child
 * that ends within RESTART_LONG of its start is started again after a pause that doubles, so that a broken
 * program does not eat the machine. */

#include "gateway/child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/event.h"
#include "util/log.h"

#define PAUSE_MIN (10 * USEC_PER_MSEC)
#define PAUSE_MAX (5 * USEC_PER_SEC)
#define RESTART_LONG (5 * USEC_PER_SEC)

struct Child {
    sd_event *event;
    ChildOptions options;
    sd_event_source *source, *restart;
    pid_t pid;
    usec_t started, pause;
    struct rlimit descriptors; /* as they were when we began: we raise ours */
    bool stopping;
};

static int child_start(Child *c);

/* In the child, between fork and exec. Descriptors that are passed are moved out of the way of their final
 * places first. */
static void become(const ChildOptions *o, const struct rlimit *descriptors, pid_t parent)
{
    char number[24];
    sigset_t none;
    int moved[64];

    if (o->n_fds > ELEMENTSOF(moved))
        _exit(127);
    for (size_t i = 0; i < o->n_fds; i++)
        if ((moved[i] = fcntl(o->fds[i], F_DUPFD_CLOEXEC, 3 + (int) o->n_fds)) < 0)
            _exit(127);
    for (size_t i = 0; i < o->n_fds; i++)
        if (dup2(moved[i], 3 + (int) i) < 0)
            _exit(127);

    unsetenv("LISTEN_FDNAMES");
    unsetenv("WATCHDOG_PID"); /* WATCHDOG_USEC goes on: the child owes its life signs to us */
    if (o->notify_socket)
        setenv("NOTIFY_SOCKET", o->notify_socket, true);
    else {
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
    }
    if (o->n_fds > 0) {
        snprintf(number, sizeof number, "%zu", o->n_fds);
        setenv("LISTEN_FDS", number, true);
        snprintf(number, sizeof number, "%d", (int) getpid());
        setenv("LISTEN_PID", number, true);
    } else {
        unsetenv("LISTEN_FDS");
        unsetenv("LISTEN_PID");
    }
    (void) setrlimit(RLIMIT_NOFILE, descriptors);
    sigemptyset(&none);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
    /* A Ctrl-C is for us alone: who is to stop first, and who last, is for us to say. */
    (void) setpgid(0, 0);
    /* It ends in good order when we end in none. */
    (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0);
    execv(o->argv[0], o->argv);
    fprintf(stderr, "Cannot execute %s: %s\n", o->argv[0], strerror(errno));
    _exit(127);
}

static int on_restart(sd_event_source *source, uint64_t usec, void *userdata)
{
    Child *c = userdata;
    int r = child_start(c);
    if (r < 0) {
        log_error_errno(r, "Cannot start %s again: %m", c->options.name);
        (void) event_arm_timer(c->event, &c->restart, PAUSE_MAX, on_restart, c, "restart");
    }
    return 0;
}

static int on_ended(sd_event_source *source, const siginfo_t *si, void *userdata)
{
    Child *c = userdata;

    c->source = sd_event_source_disable_unref(c->source);
    c->pid = 0;
    if (c->stopping) {
        if (c->options.ended)
            c->options.ended(c, true, c->options.userdata);
        return 0;
    }
    if (si->si_code == CLD_EXITED)
        log_error("%s ended with status %d; starting it again.", c->options.name, si->si_status);
    else
        log_error("%s was killed by SIG%s; starting it again.", c->options.name,
                sigabbrev_np(si->si_status) ?: "?");
    bool short_lived = now_monotonic() - c->started < RESTART_LONG;
    c->pause = short_lived ? MIN(MAX(c->pause * 2, PAUSE_MIN), PAUSE_MAX) : 0;
    (void) event_arm_timer(c->event, &c->restart, c->pause, on_restart, c, "restart");
    if (c->options.ended)
        c->options.ended(c, false, c->options.userdata);
    return 0;
}

static int child_start(Child *c)
{
    pid_t parent = getpid();
    /* fork() that waits for the exec: until then the child has all our files open, and a connection that we
     * close meanwhile would stay in the epolls that watch it, with a pointer to what is freed. */
    pid_t pid = (pid_t) syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid < 0)
        return -errno;
    if (pid == 0)
        become(&c->options, &c->descriptors, parent);
    int r = sd_event_add_child(c->event, &c->source, pid, WEXITED, on_ended, c);
    if (r < 0) {
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        return r;
    }
    (void) sd_event_source_set_description(c->source, c->options.name);
    c->pid = pid;
    c->started = now_monotonic();
    return 0;
}

int child_new(sd_event *event, const ChildOptions *options, Child **ret)
{
    _cleanup_(child_freep) Child *c = new0(Child, 1);
    if (!c)
        return -ENOMEM;
    c->event = sd_event_ref(event);
    c->options = *options;
    if (getrlimit(RLIMIT_NOFILE, &c->descriptors) < 0)
        return -errno;
    int r = child_start(c);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

void child_stop(Child *c)
{
    if (!c || c->stopping)
        return;
    c->stopping = true;
    event_disarm(c->restart);
    child_kill(c, SIGTERM);
}

bool child_is_running(const Child *c)
{
    return c && c->pid > 0;
}

pid_t child_pid(const Child *c)
{
    return c->pid;
}

void child_kill(Child *c, int signal)
{
    if (c->pid > 0)
        (void) kill(c->pid, signal);
}

Child *child_free(Child *c)
{
    if (!c)
        return NULL;
    sd_event_source_disable_unref(c->source);
    sd_event_source_disable_unref(c->restart);
    sd_event_unref(c->event);
    return mfree(c);
}
