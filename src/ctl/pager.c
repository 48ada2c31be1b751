/* SPDX-License-Identifier: ISC */

/* Follows systemctl(1), "ENVIRONMENT", to the letter, as people have set these variables for it. Invariant: a
 * pager that could start a shell is never run with rights that are not those of whoever sits at the terminal,
 * unless $SYSTEMD_PAGERSECURE says that it may. */

#include "ctl/pager.h"

#include <fcntl.h>
#include <langinfo.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "util/fd.h"

#define PAGER_ARGS_MAX 32
#define BLANKS " \t\n"

extern char **environ;

/* ── which one ── */

static const char *wish(void)
{
    const char *s = getenv("SYSTEMD_PAGER");
    return s ?: getenv("PAGER");
}

/* Whoever is not the owner of the login session is root for somebody by sudo(8) or the like. */
static bool is_elevated(void)
{
    uid_t owner;
    return getenv("SUDO_UID") || sd_pid_get_owner_uid(0, &owner) < 0 || owner != geteuid();
}

static int spawn(char *const *argv, int fd, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;

    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGPIPE);
    int r = -posix_spawn_file_actions_init(&actions);
    if (r < 0)
        return r;
    r = -posix_spawnattr_init(&attributes);
    if (r == 0) {
        r = -posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
        if (r == 0)
            r = -posix_spawnattr_setsigdefault(&attributes, &defaults);
        if (r == 0)
            r = -posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
        if (r == 0)
            r = -posix_spawnp(ret, argv[0], &actions, &attributes, argv, environ);
        (void) posix_spawnattr_destroy(&attributes);
    }
    (void) posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* A program and its arguments, with blanks between. */
static int spawn_line(const char *line, int fd, pid_t *ret)
{
    _cleanup_free_ char *copy = strdup(line);
    char *argv[PAGER_ARGS_MAX + 1] = {}, *rest = copy;

    if (!copy)
        return -ENOMEM;
    for (size_t n = 0; n < PAGER_ARGS_MAX && (argv[n] = strtok_r(rest, BLANKS, &rest)); n++)
        ;
    return argv[0] ? spawn(argv, fd, ret) : -ENOENT;
}

/* What less(1) is told; other pagers do not look at it. */
static void set_less(bool secure)
{
    const char *less = getenv("SYSTEMD_LESS"), *charset = getenv("SYSTEMD_LESSCHARSET");

    (void) setenv("LESS", less ?: "FRSXMK", 1);
    if (!charset && streq(nl_langinfo(CODESET), "UTF-8"))
        charset = "utf-8";
    if (charset)
        (void) setenv("LESSCHARSET", charset, 1);
    (void) (secure ? setenv("LESSSECURE", "1", 1) : unsetenv("LESSSECURE"));
}

static int spawn_any(int fd, pid_t *ret)
{
    static const char *const usual[] = {"pager", "less", "more"};
    const char *secure_said = getenv("SYSTEMD_PAGERSECURE"), *line = wish();
    int said = ctl_parse_boolean(secure_said);
    bool secure = secure_said ? said != 0 : is_elevated();
    int r = -ENOENT;

    set_less(secure);
    if (secure_said && said >= 0 && line)
        r = spawn_line(line, fd, ret);
    for (size_t i = 0; r < 0 && i < ELEMENTSOF(usual); i++)
        if (!secure || streq(usual[i], "less"))
            r = spawn_line(usual[i], fd, ret);
    return r;
}

/* ── in between ── */

/* `to` becomes what `fd` refers to; what it was is kept. */
static int divert(int fd, int to)
{
    int saved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (saved >= 0 && dup2(to, fd) < 0)
        saved = fd_close(saved);
    return saved;
}

static int restore(int saved, int fd)
{
    if (saved >= 0)
        (void) dup2(saved, fd);
    return fd_close(saved);
}

void pager_open(Pager *p)
{
    const char *line = wish(), *term = getenv("TERM");
    _cleanup_close_ int reader = -EBADF, writer = -EBADF;
    int ends[2];

    if (!p || p->pid > 0 || !isatty(STDOUT_FILENO) || !term || streq(term, "dumb") ||
            (line && (streq(line, "") || streq(line, "cat"))))
        return;
    terminal_look(); /* while stdout is one */
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    reader = ends[0];
    writer = ends[1];
    fflush(stdout);
    /* Before the pager is there, which may be interrupted at once, and has them as they were. */
    (void) signal(SIGINT, SIG_IGN);
    (void) signal(SIGPIPE, SIG_IGN);
    if (spawn_any(reader, &p->pid) < 0) {
        (void) signal(SIGINT, SIG_DFL);
        (void) signal(SIGPIPE, SIG_DFL);
        p->pid = 0;
        return;
    }
    p->saved_stdout = divert(STDOUT_FILENO, writer);
    if (isatty(STDERR_FILENO))
        p->saved_stderr = divert(STDERR_FILENO, writer);
}

bool pager_close(Pager *p)
{
    if (p->pid == 0)
        return false;
    (void) fflush(stdout);
    p->saved_stdout = restore(p->saved_stdout, STDOUT_FILENO);
    p->saved_stderr = restore(p->saved_stderr, STDERR_FILENO);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    p->pid = 0;
    return true;
}
