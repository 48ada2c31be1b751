/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/loop.h"
#include "util/command.h"
#include "util/environment.h"
#include "util/fd.h"
#include "util/process.h"
#include "util/text.h"

static char dir[] = "/tmp/test-process-XXXXXX";

static char *in_dir(const char *name)
{
    char *path = text_format("%s/%s", dir, name);
    assert_non_null(path);
    return path;
}

/* Runs a shell command line to its end; returns its status as waitpid(2) gives it. */
static int run(const ProcessSpec *spec)
{
    int status;
    pid_t pid;
    _cleanup_free_ char *why = NULL;

    assert_int_equal(process_spawn(spec, &pid, &why), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* What a command line, run as `spec` says, writes to the file that it knows as $OUT. */
static char *output_of(ProcessSpec spec, const char *command)
{
    _cleanup_free_ char *path = in_dir("out"), *out = text_format("OUT=%s", path);
    char *env[32] = {out}, *text;
    size_t len;

    for (size_t i = 0; spec.env && spec.env[i]; i++)
        env[i + 1] = spec.env[i];
    spec.argv = SHELL_ARGV(command);
    spec.env = env;
    (void) unlink(path);
    assert_int_equal(run(&spec), 0);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fd_read_file(fd, 1 << 20, &text, &len), 0);
    return text;
}

static void a_process_leads_a_session_of_its_own(void **state)
{
    pid_t pid;
    ProcessSpec spec = {.argv = SHELL_ARGV("read line; kill -STOP $$")};
    assert_int_equal(process_spawn(&spec, &pid, NULL), 0);
    assert_int_equal(getsid(pid), pid);
    assert_int_equal(getpgid(pid), pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void it_inherits_no_descriptor_but_the_log(void **state)
{
    int leak = open("/dev/zero", O_RDONLY); /* not CLOEXEC, as a careless parent of ours would leave it */
    assert_true(leak > 2);
    _cleanup_free_ char *fds = output_of((ProcessSpec){},
            "for i in /proc/$$/fd/*; do echo \"${i##*/} $(readlink $i)\"; done | grep -v pipe: > $OUT || :");
    close(leak);
    assert_non_null(strstr(fds, "0 /dev/null\n"));
    assert_null(strstr(fds, "/dev/zero"));

    _cleanup_free_ char *quiet = output_of((ProcessSpec){.quiet = true},
            "(readlink /proc/$$/fd/0; readlink /proc/$$/fd/1; readlink /proc/$$/fd/2) > $OUT");
    assert_string_equal(quiet, "/dev/null\n/dev/null\n/dev/null\n");
}

static void it_starts_with_default_signals(void **state)
{
    sigset_t mask, saved;

    sigfillset(&mask);
    sigprocmask(SIG_BLOCK, &mask, &saved);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    _cleanup_free_ char *text =
            output_of((ProcessSpec){}, "grep -E '^Sig(Blk|Ign):' /proc/self/status > $OUT");
    signal(SIGPIPE, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    sigprocmask(SIG_SETMASK, &saved, NULL);
    assert_string_equal(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void it_runs_in_its_folder(void **state)
{
    _cleanup_free_ char *root = output_of((ProcessSpec){}, "pwd > $OUT");
    assert_string_equal(root, "/\n");
    _cleanup_free_ char *there = output_of((ProcessSpec){.cwd = "/usr/bin"}, "pwd > $OUT");
    assert_string_equal(there, "/usr/bin\n");
}

static void what_cannot_be_started_is_said_at_once(void **state)
{
    _cleanup_free_ char *text_file = in_dir("text");
    int fd = open(text_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    const struct {
        ProcessSpec spec;
        int r;
        const char *why;
    } table[] = {
            {{.argv = (const char *const[]){"/usr/bin/nod", NULL}}, -ENOENT,
                    "cannot execute /usr/bin/nod: No such file or directory"},
            {{.argv = (const char *const[]){"nod", "x", NULL}}, -ENOENT,
                    "cannot execute nod: No such file or directory"},
            {{.argv = (const char *const[]){"", NULL}}, -ENOENT,
                    "cannot execute : No such file or directory"},
            {{.argv = (const char *const[]){"/etc", NULL}}, -EACCES,
                    "cannot execute /etc: Permission denied"},
            {{.argv = SHELL_ARGV(":"), .cwd = "/nowhere"}, -ENOENT,
                    "cannot enter the folder /nowhere: No such file or directory"},
            {{.argv = SHELL_ARGV(":"), .user = "no-such-user"}, -ESRCH, "there is no user no-such-user"},
    };
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_free_ char *why = NULL;
        pid_t pid = 42;
        assert_int_equal(process_spawn(&table[i].spec, &pid, &why), table[i].r);
        assert_string_equal(why, table[i].why);
        assert_int_equal(pid, 42);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and leaves no child */
    assert_int_equal(errno, ECHILD);
}

static void a_program_is_found_in_its_own_path(void **state)
{
    _cleanup_free_ char *path = in_dir("dynapm-test-program"),
                        *var = text_format("PATH=relative::/nowhere:%s", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_true(fd >= 0);
    assert_true(write(fd, "#!/bin/sh\nexit 7\n", 17) == 17);
    close(fd);
    ProcessSpec spec = {
            .argv = (const char *const[]){"dynapm-test-program", NULL}, .env = (char *[]){var, NULL}};
    assert_int_equal(WEXITSTATUS(run(&spec)), 7);
}

static void root_becomes_another_user(void **state)
{
    if (geteuid() != 0)
        skip();
    _cleanup_free_ char *id = NULL, *env = NULL;
    chmod(dir, 0777);
    setenv("SECRET", "of root", 1);
    id = output_of((ProcessSpec){.user = "nobody"}, "echo $(id -un) $(id -u) $(id -G) > $OUT");
    struct passwd *pw = getpwnam("nobody");
    _cleanup_free_ char *begin = text_format("nobody %u %u", pw->pw_uid, pw->pw_gid);
    assert_non_null(startswith(id, begin));

    env = output_of((ProcessSpec){.user = "nobody"}, "env > $OUT");
    unsetenv("SECRET");
    assert_null(strstr(env, "SECRET"));
    assert_non_null(strstr(env, "USER=nobody\n"));
    assert_non_null(strstr(env, "LOGNAME=nobody\n"));
}

/* In a child that has given up being root: its exit status says what went wrong. */
static int as_nobody(const struct passwd *pw)
{
    ProcessSpec root = {.argv = SHELL_ARGV(":"), .user = "root"},
                self = {.argv = SHELL_ARGV(":"), .user = "nobody"};
    _cleanup_free_ char *why = NULL;
    pid_t child;

    if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
            setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
        return 1;
    if (process_spawn(&root, &child, &why) != -EPERM ||
            !streq(why, "cannot run as the user root: only root can"))
        return 2;
    return process_spawn(&self, &child, NULL) == 0 ? 0 : 3;
}

static void others_can_name_themselves_only(void **state)
{
    struct passwd *pw = getpwnam("nobody");
    int status;

    if (geteuid() != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0)
        _exit(as_nobody(pw));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void the_environment_is_ours_less_what_is_said_to_us_alone(void **state)
{
    char *inherited[] = {"HOME=/root", "LISTEN_FDS=1", "LISTEN_PID=7", "NOTIFY_SOCKET=/x", "WATCHDOG_USEC=1",
            "WATCHDOG_PID=7", "JOURNAL_STREAM=1:2", "LISTEN_FDS_OF_MINE=1", "no assignment", "=x",
            "EMPTY=", NULL};
    char *extra[] = {"HOME=/srv", "PORT=80", "NOTIFY_SOCKET=mine", "PORT=81", NULL};
    _cleanup_free_ char **env = NULL;

    assert_int_equal(environment_new(inherited, NULL, extra, &env), 0);
    assert_string_equal(environment_get(env, "HOME"), "/srv");
    assert_string_equal(environment_get(env, "PORT"), "81");
    assert_string_equal(environment_get(env, "EMPTY"), "");
    assert_string_equal(environment_get(env, "LISTEN_FDS_OF_MINE"), "1");
    assert_string_equal(environment_get(env, "PATH"), ENVIRONMENT_DEFAULT_PATH);
    assert_string_equal(environment_get(env, "NOTIFY_SOCKET"), "mine");
    static const char *const gone[] = {
            "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"};
    for (size_t i = 0; i < ELEMENTSOF(gone); i++)
        assert_null(environment_get(env, gone[i]));
    size_t n = 0;
    while (env[n])
        n++;
    assert_int_equal(n, 6);
}

static void another_user_gets_a_clean_environment(void **state)
{
    char *inherited[] = {"HOME=/root", "SECRET=x", "PATH=/root/bin", "LANG=de_DE.UTF-8", NULL};
    struct passwd pw = {.pw_name = "bob", .pw_dir = "/home/bob", .pw_shell = ""};
    _cleanup_free_ char **env = NULL;

    assert_int_equal(environment_new(inherited, &pw, NULL, &env), 0);
    assert_string_equal(environment_get(env, "HOME"), "/home/bob");
    assert_string_equal(environment_get(env, "USER"), "bob");
    assert_string_equal(environment_get(env, "LOGNAME"), "bob");
    assert_string_equal(environment_get(env, "SHELL"), "/bin/sh");
    assert_string_equal(environment_get(env, "LANG"), "de_DE.UTF-8");
    assert_string_equal(environment_get(env, "PATH"), ENVIRONMENT_DEFAULT_PATH);
    assert_null(environment_get(env, "SECRET"));
}

typedef struct Ends {
    unsigned n;
    pid_t last;
    siginfo_t si;
} Ends;

static void count_end(pid_t pid, const siginfo_t *si, void *userdata)
{
    Ends *e = userdata;
    e->n++;
    e->last = pid;
    e->si = *si;
}

static void the_end_of_a_child_is_told_once_and_how(void **state)
{
    static const struct {
        const char *command, *end;
    } table[] = {
            {"exit 0", "exited with status 0"},
            {"exit 3", "exited with status 3"},
            {"/nowhere/nod 2> /dev/null", "exited with status 127 (command not found)"},
            {"/etc 2> /dev/null", "exited with status 126 (command not executable)"},
            {"kill -KILL $$", "killed by SIGKILL"},
            {"kill -TERM $$", "killed by SIGTERM"},
    };
    Loop l = loop_new();
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        ProcessSpec spec = {.argv = SHELL_ARGV(table[i].command)};
        char buf[PROCESS_END_STRING_MAX];
        Ends ends = {};
        pid_t pid;
        assert_int_equal(process_spawn(&spec, &pid, NULL), 0);
        assert_int_equal(children_add(l.children, pid, count_end, &ends), 0);
        assert_int_equal(children_add(l.children, pid, count_end, &ends), -EEXIST);
        RUN_UNTIL(l.event, ends.n > 0);
        assert_int_equal(ends.last, pid);
        assert_string_equal(process_end_format(buf, &ends.si), table[i].end);
        assert_int_equal(process_end_is_clean(&ends.si), i == 0);
        assert_int_equal(kill(pid, 0), -1); /* reaped */
        assert_int_equal(ends.n, 1);
    }
    loop_done(&l);
}

static void what_a_child_leaves_behind_comes_to_us_by_its_group(void **state)
{
    Loop l = loop_new();
    /* A hundred orphans, more than are reaped in one turn; all of them wait for the leader's end. */
    ProcessSpec spec = {
            .argv = SHELL_ARGV("i=0; while [ $i -lt 100 ]; do (while kill -0 $$ 2>/dev/null; do :; "
                               "done; exit 5) & i=$((i+1)); done; kill -KILL $$")};
    Ends leader = {}, members = {};
    pid_t pid;

    assert_int_equal(process_spawn(&spec, &pid, NULL), 0);
    assert_int_equal(children_add(l.children, pid, count_end, &leader), 0);
    assert_int_equal(children_add_group(l.children, pid, count_end, &members), 0);
    RUN_UNTIL(l.event, members.n == 100);
    assert_int_equal(leader.n, 1);
    assert_int_equal(members.si.si_status, 5);
    assert_int_equal(kill(-pid, 0), -1);
    children_remove_group(l.children, pid);
    loop_done(&l);
}

static void forgotten_children_are_reaped_silently(void **state)
{
    Loop l = loop_new();
    ProcessSpec spec = {.argv = SHELL_ARGV("exit 1")};
    Ends forgotten = {}, other = {};
    pid_t pid, second;

    assert_int_equal(process_spawn(&spec, &pid, NULL), 0);
    assert_int_equal(children_add(l.children, pid, count_end, &forgotten), 0);
    children_remove(l.children, pid);
    children_remove(l.children, pid);
    assert_int_equal(process_spawn(&spec, &second, NULL), 0);
    assert_int_equal(children_add(l.children, second, count_end, &other), 0);
    RUN_UNTIL(l.event, other.n == 1 && kill(pid, 0) < 0);
    assert_int_equal(forgotten.n, 0);
    loop_done(&l);
}

typedef struct Result {
    bool done;
    int r;
    char why[256];
} Result;

static void take_result(Command *c, int r, const char *why, void *userdata)
{
    Result *result = userdata;
    result->done = true;
    result->r = r;
    snprintf(result->why, sizeof result->why, "%s", why);
    command_free(c);
}

static Result run_command(Loop *l, const char *command, usec_t timeout)
{
    ProcessSpec spec = {.argv = SHELL_ARGV(command)};
    Result result = {};
    Command *c;

    assert_int_equal(command_new(&l->commands, &spec, timeout, take_result, &result, &c, NULL), 0);
    RUN_UNTIL(l->event, result.done);
    return result;
}

static void a_command_is_known_by_its_status(void **state)
{
    Loop l = loop_new();
    Result r = run_command(&l, "true", USEC_INFINITY);
    assert_int_equal(r.r, 0);
    r = run_command(&l, "exit 3", PATIENCE);
    assert_int_equal(r.r, -ECHILD);
    assert_string_equal(r.why, "exited with status 3");
    loop_done(&l);
}

/* Waits for a line in a FIFO that processes of a test write to; returns the number in it. */
static int read_number(int fifo)
{
    char line[32];
    size_t n = 0;
    do
        assert_int_equal(read(fifo, line + n, 1), 1);
    while (line[n++] != '\n');
    return atoi(line);
}

static void a_command_that_takes_too_long_is_killed_with_all_it_started(void **state)
{
    Loop l = loop_new();
    _cleanup_free_ char *path = in_dir("fifo"),
                        *command = text_format(
                                "trap '' TERM; (trap '' TERM; sleep 1000 & echo $! > %s; wait) & wait", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    _cleanup_close_ int fifo = open(path, O_RDWR | O_CLOEXEC);
    Result r = run_command(&l, command, USEC_PER_SEC / 2);
    assert_int_equal(r.r, -ETIMEDOUT);
    assert_string_equal(r.why, "did not end within 500ms");
    pid_t sleeper = read_number(fifo);
    RUN_UNTIL(l.event, kill(sleeper, 0) < 0);
    unlink(path);
    loop_done(&l);
}

static void errors_are_lower_case_in_a_sentence(void **state)
{
    char buf[ERROR_TEXT_MAX];
    assert_string_equal(error_text(buf, ECONNREFUSED), "connection refused");
    assert_string_equal(error_text(buf, -ETIMEDOUT), "connection timed out");
    assert_string_equal(error_text(buf, EIO), "input/output error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_process_leads_a_session_of_its_own),
            cmocka_unit_test(it_inherits_no_descriptor_but_the_log),
            cmocka_unit_test(it_starts_with_default_signals),
            cmocka_unit_test(it_runs_in_its_folder),
            cmocka_unit_test(what_cannot_be_started_is_said_at_once),
            cmocka_unit_test(a_program_is_found_in_its_own_path),
            cmocka_unit_test(root_becomes_another_user),
            cmocka_unit_test(others_can_name_themselves_only),
            cmocka_unit_test(the_environment_is_ours_less_what_is_said_to_us_alone),
            cmocka_unit_test(another_user_gets_a_clean_environment),
            cmocka_unit_test(the_end_of_a_child_is_told_once_and_how),
            cmocka_unit_test(what_a_child_leaves_behind_comes_to_us_by_its_group),
            cmocka_unit_test(forgotten_children_are_reaped_silently),
            cmocka_unit_test(a_command_is_known_by_its_status),
            cmocka_unit_test(a_command_that_takes_too_long_is_killed_with_all_it_started),
            cmocka_unit_test(errors_are_lower_case_in_a_sentence),
    };
    if (!mkdtemp(dir))
        return 1;
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    char *rm[] = {"rm", "-rf", dir, NULL};
    pid_t pid = fork();
    if (pid == 0)
        execvp(rm[0], rm);
    (void) waitpid(pid, NULL, 0);
    return r;
}
