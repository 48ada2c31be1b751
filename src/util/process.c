/* SPDX-License-Identifier: ISC */

/* One way to start a process. The child is made with vfork(2), because the manager may be big: the price of
 * fork(2) grows with our memory (2 ms at 100 MB), that of vfork(2) does not. From vfork to exec the child
 * runs in our memory while we are held, so it writes to nothing but its own stack frames, calls only what is
 * async-signal-safe, takes system calls rather than their libc wrappers where those act on all threads, and
 * runs with all signals blocked until no handler of ours is installed any more. Everything it needs is
 * prepared before, in a ChildPlan. What goes wrong in it comes back through a CLOEXEC pipe. */

#include "util/process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/environment.h"
#include "util/fd.h"
#include "util/text.h"

#define PASSWD_BUFFER_SIZE 16384

typedef enum ChildStep {
    STEP_STDIO,
    STEP_GROUPS,
    STEP_USER,
    STEP_CHDIR,
    STEP_EXEC,
} ChildStep;

typedef struct ChildFailure {
    ChildStep step;
    int error;
} ChildFailure;

/* The user to become. */
typedef struct ChildUser {
    bool is_switch;
    struct passwd pw;
    char buffer[PASSWD_BUFFER_SIZE];
    gid_t *groups;
    int n_groups;
} ChildUser;

typedef struct ChildPlan {
    const ProcessSpec *spec;
    const ChildUser *user;
    char *const *environment;
    const char *path; /* where a program without a slash is looked for */
    int report_fd;
} ChildPlan;

static void child_user_done(ChildUser *u)
{
    free(u->groups);
}

static int child_user_groups(ChildUser *u)
{
    int n = 0;

    (void) getgrouplist(u->pw.pw_name, u->pw.pw_gid, NULL, &n);
    for (;;) {
        free(u->groups);
        u->groups = new0(gid_t, (size_t) MAX(n, 1));
        if (!u->groups)
            return -ENOMEM;
        int had = n;
        if (getgrouplist(u->pw.pw_name, u->pw.pw_gid, u->groups, &n) >= 0)
            break;
        if (n <= had) /* it says how many there are; anything else would have us ask forever */
            return -EIO;
    }
    u->n_groups = n;
    return 0;
}

/* Finds out who the child is to be. Naming ourselves is no switch. */
static int child_user_init(ChildUser *u, const char *name, char **ret_why)
{
    struct passwd *found = NULL;
    uid_t self = geteuid();

    if (!name)
        return 0;
    int r = getpwnam_r(name, &u->pw, u->buffer, sizeof u->buffer, &found);
    if (!found) {
        if (r == 0 || r == ENOENT || r == ESRCH) {
            *ret_why = text_format("there is no user %s", name);
            return -ESRCH;
        }
        errno = r;
        *ret_why = text_format("cannot look up the user %s: %m", name);
        return -r;
    }
    if (self != 0 && u->pw.pw_uid != self) {
        *ret_why = text_format("cannot run as the user %s: only root can", name);
        return -EPERM;
    }
    if (self != 0)
        return 0;
    u->is_switch = true;
    return child_user_groups(u);
}

static int child_stdio(bool quiet, int stdout_fd)
{
    int fd = open("/dev/null", O_RDWR | O_NOCTTY); /* not CLOEXEC: it may come out as 0 itself */

    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
        return -errno;
    if (quiet && (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0))
        return -errno;
    if (stdout_fd > 0 && dup2(stdout_fd, STDOUT_FILENO) < 0)
        return -errno;
    return 0;
}

static void child_default_signals(void)
{
    const struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        (void) sigaction(i, &dfl, NULL); /* those of libc and KILL, STOP refuse, and have no handler */
    (void) sigemptyset(&none);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* execvpe(3) with the child's own $PATH, not ours. */
static int child_exec(const ChildPlan *plan)
{
    char *const *argv = (char *const *) plan->spec->argv;
    const char *file = argv[0];
    char candidate[4096];
    int error = ENOENT;

    if (strchr(file, '/')) {
        (void) execve(file, argv, plan->environment);
        return -errno;
    }
    size_t file_len = strlen(file);
    for (const char *p = plan->path, *end; p; p = *end ? end + 1 : NULL) {
        end = strchrnul(p, ':');
        size_t n = (size_t) (end - p);
        if (file_len == 0 || n == 0 || p[0] != '/' || n + 1 + file_len + 1 > sizeof candidate)
            continue;
        memcpy(candidate, p, n);
        candidate[n] = '/';
        memcpy(candidate + n + 1, file, file_len + 1);
        (void) execve(candidate, argv, plan->environment);
        if (errno != ENOENT && errno != ENOTDIR)
            error = errno; /* found, but: say so unless a later one works */
    }
    return -error;
}

static int child_switch_user(const ChildUser *u, ChildStep *step)
{
    *step = STEP_GROUPS;
    if (syscall(SYS_setgroups, u->n_groups, u->groups) < 0 ||
            syscall(SYS_setresgid, u->pw.pw_gid, u->pw.pw_gid, u->pw.pw_gid) < 0)
        return -errno;
    *step = STEP_USER;
    if (syscall(SYS_setresuid, u->pw.pw_uid, u->pw.pw_uid, u->pw.pw_uid) < 0)
        return -errno;
    return 0;
}

static int child_run(const ChildPlan *plan, ChildStep *step)
{
    int r;

    (void) setsid(); /* cannot fail in a process that was just made */
    *step = STEP_STDIO;
    r = child_stdio(plan->spec->quiet, plan->spec->stdout_fd);
    if (r < 0)
        return r;
    /* Ours are CLOEXEC from birth; this is for what whoever started us has left open. */
    (void) syscall(SYS_close_range, 3U, ~0U, (unsigned) CLOSE_RANGE_CLOEXEC);
    if (plan->user->is_switch) {
        r = child_switch_user(plan->user, step);
        if (r < 0)
            return r;
    }
    *step = STEP_CHDIR;
    if (chdir(plan->spec->cwd ? plan->spec->cwd : "/") < 0)
        return -errno;
    child_default_signals();
    *step = STEP_EXEC;
    return child_exec(plan);
}

/* A function of its own: what the child writes to the stack is in frames that the parent does not return
 * into. */
__attribute__((noinline)) static pid_t child_start(const ChildPlan *plan)
{
    pid_t pid = vfork();

    if (pid == 0) {
        ChildFailure failure = {};
        failure.error = -child_run(plan, &failure.step);
        (void) !write(plan->report_fd, &failure, sizeof failure);
        _exit(127);
    }
    return pid < 0 ? -errno : pid;
}

static char *failure_format(const ChildPlan *plan, const ChildFailure *failure)
{
    const ProcessSpec *spec = plan->spec;

    errno = failure->error;
    switch (failure->step) {
    case STEP_STDIO:
        return text_format("cannot open /dev/null: %m");
    case STEP_GROUPS:
        return text_format("cannot take the groups of the user %s: %m", spec->user);
    case STEP_USER:
        return text_format("cannot become the user %s: %m", spec->user);
    case STEP_CHDIR:
        return text_format("cannot enter the folder %s: %m", spec->cwd ? spec->cwd : "/");
    case STEP_EXEC:
        return text_format("cannot execute %s: %m", spec->argv[0]);
    }
    return NULL;
}

/* Waits until the child has executed its program (then the pipe ends without a word) or has said why not. */
static int child_result(int fd, ChildFailure *ret)
{
    ssize_t n;

    do
        n = read(fd, ret, sizeof *ret);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return n == sizeof *ret ? -ret->error : 0;
}

static int spawn(ChildPlan *plan, pid_t *ret_pid, char **ret_why)
{
    _cleanup_close_ int in = -EBADF, out = -EBADF;
    sigset_t all, saved;
    ChildFailure failure;
    int p[2];

    if (pipe2(p, O_CLOEXEC) < 0)
        return -errno;
    in = p[0];
    out = plan->report_fd = p[1];
    (void) sigfillset(&all);
    (void) sigprocmask(SIG_SETMASK, &all, &saved);
    pid_t pid = child_start(plan);
    (void) sigprocmask(SIG_SETMASK, &saved, NULL);
    if (pid < 0)
        return pid;
    out = fd_close(out);
    int r = child_result(in, &failure);
    if (r < 0) {
        *ret_why = failure_format(plan, &failure);
        (void) waitpid(pid, NULL, 0); /* it has called _exit() */
        return r;
    }
    *ret_pid = pid;
    return 0;
}

int process_spawn(const ProcessSpec *spec, pid_t *ret_pid, char **ret_why)
{
    _cleanup_(child_user_done) ChildUser user = {};
    _cleanup_free_ char **environment = NULL, *why = NULL;
    int r;

    assert(spec->argv && spec->argv[0]);
    r = child_user_init(&user, spec->user, &why);
    if (r == 0)
        r = environment_new(environ, user.is_switch ? &user.pw : NULL, spec->env, &environment);
    if (r == 0) {
        ChildPlan plan = {.spec = spec, .user = &user, .environment = environment};
        plan.path = environment_get(environment, "PATH");
        r = spawn(&plan, ret_pid, &why);
    }
    if (r < 0 && ret_why) {
        if (!why) {
            errno = -r;
            why = text_format("cannot start %s: %m", spec->argv[0]);
        }
        *ret_why = TAKE_PTR(why);
    }
    return r;
}

const char *process_end_format(char buf[static PROCESS_END_STRING_MAX], const siginfo_t *si)
{
    const char *name;

    switch (si->si_code) {
    case CLD_EXITED:
        /* What a shell, and what env(1) and the like mean by these. */
        snprintf(buf, PROCESS_END_STRING_MAX, "exited with status %d%s", si->si_status,
                si->si_status == 127   ? " (command not found)"
                : si->si_status == 126 ? " (command not executable)"
                                       : "");
        break;
    case CLD_KILLED:
    case CLD_DUMPED:
        name = sigabbrev_np(si->si_status);
        if (name)
            snprintf(buf, PROCESS_END_STRING_MAX, "killed by SIG%s%s", name,
                    si->si_code == CLD_DUMPED ? " (core dumped)" : "");
        else
            snprintf(buf, PROCESS_END_STRING_MAX, "killed by signal %d", si->si_status);
        break;
    default:
        snprintf(buf, PROCESS_END_STRING_MAX, "ended");
    }
    return buf;
}

bool process_end_is_clean(const siginfo_t *si)
{
    return si->si_code == CLD_EXITED && si->si_status == 0;
}
