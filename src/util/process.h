/* SPDX-License-Identifier: ISC */
#pragma once

/* Starting a program the way every program of a service is started: alone in a new session, with nothing of
 * ours but the log. */

#include <signal.h>
#include <sys/types.h>

#include "util/macro.h"

typedef struct ProcessSpec {
    const char *const *argv; /* NULL-terminated; argv[0] without a slash is looked up in its own $PATH */
    const char *cwd;         /* NULL = "/" */
    char *const *env;        /* "KEY=value" to add to its environment, NULL-terminated; may be NULL */
    const char *user;        /* whose process it is, with a clean environment; NULL = ours */
    const char *group;       /* only where a service manager starts it; NULL = the user's */
    const char
            *runtime_dir; /* only there: the user's XDG_RUNTIME_DIR, if there is such a folder; may be NULL */
    const char *service;  /* for which service, for people; may be NULL */
    bool quiet;           /* stdout and stderr to /dev/null rather than to where ours go */
    int stdout_fd;        /* > 0: that is its stdout, borrowed */
} ProcessSpec;

/* An argv for a /bin/sh command line, for use as a ProcessSpec's. */
#define SHELL_ARGV(command) ((const char *const[]){"/bin/sh", "-c", (command), NULL})

/* Starts it: leader of a new session and process group, stdin /dev/null, no other descriptor, default signal
 * mask and dispositions, user and groups switched when we are root. Looks the user up (NSS, may block) and
 * waits for execve(2), as vfork(2) does, so that a program that cannot be executed is known at once. The
 * caller reaps the child, as a rule through children_add(). Returns 0, or -errno and in *ret_why (fresh
 * memory, the caller frees; may be NULL) a sentence part such as "cannot execute /usr/bin/nod: No such file
 * or directory". */
int process_spawn(const ProcessSpec *spec, pid_t *ret_pid, char **ret_why);

#define PROCESS_END_STRING_MAX 64

/* How a child ended, as waitid(2) says it: "exited with status 1", "killed by SIGKILL". Returns buf. */
const char *process_end_format(char buf[static PROCESS_END_STRING_MAX], const siginfo_t *si);

/* Did it exit with status 0? */
bool process_end_is_clean(const siginfo_t *si) _pure_;
