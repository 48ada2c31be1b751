/* SPDX-License-Identifier: ISC */

/* Environments are put together once per start of a process, in two passes over the same sources: the first
 * collects pointers, each key once and the last one winning, the second copies all of it into one block. */

#include "util/environment.h"

#include <stdio.h>

/* What is said to one process about itself, and would be a lie in another. */
static const char *const not_inherited[] = {"CACHE_DIRECTORY", "CONFIGURATION_DIRECTORY",
        "CREDENTIALS_DIRECTORY", "FDSTORE", "INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_FDNAMES", "LISTEN_FDS",
        "LISTEN_PID", "LISTEN_PIDFDID", "LOGS_DIRECTORY", "MAINPID", "MANAGERPID", "MEMORY_PRESSURE_WATCH",
        "MEMORY_PRESSURE_WRITE", "NOTIFY_SOCKET", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "SYSTEMD_EXEC_PID",
        "WATCHDOG_PID", "WATCHDOG_USEC"};

typedef struct Collection {
    const char **strings;
    size_t n;
} Collection;

/* Length of the key with its '='; 0 for what is no assignment. */
static size_t key_length(const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    return equals && equals != assignment ? (size_t) (equals - assignment) + 1 : 0;
}

static void collect(Collection *c, const char *assignment)
{
    size_t k = key_length(assignment);

    if (k == 0)
        return;
    for (size_t i = 0; i < c->n; i++)
        if (strncmp(c->strings[i], assignment, k) == 0) {
            c->strings[i] = assignment;
            return;
        }
    c->strings[c->n++] = assignment;
}

static bool may_inherit(const char *assignment)
{
    size_t k = key_length(assignment);

    for (size_t i = 0; i < ELEMENTSOF(not_inherited); i++)
        if (strlen(not_inherited[i]) + 1 == k && strncmp(not_inherited[i], assignment, k - 1) == 0)
            return false;
    return true;
}

static size_t count(char *const *strings)
{
    size_t n = 0;
    while (strings && strings[n])
        n++;
    return n;
}

/* The vector and its strings in one block. */
static int flatten(const Collection *c, char ***ret)
{
    size_t size = (c->n + 1) * sizeof(char *);

    for (size_t i = 0; i < c->n; i++)
        size += strlen(c->strings[i]) + 1;
    char **block = malloc(size);
    if (!block)
        return -ENOMEM;
    char *p = (char *) (block + c->n + 1);
    for (size_t i = 0; i < c->n; i++) {
        block[i] = p;
        p = stpcpy(p, c->strings[i]) + 1;
    }
    block[c->n] = NULL;
    *ret = block;
    return 0;
}

/* HOME and the like of another user: four strings, one after the other in fresh memory. */
static char *user_strings(const struct passwd *user)
{
    const char *home = user->pw_dir && *user->pw_dir ? user->pw_dir : "/";
    const char *shell = user->pw_shell && *user->pw_shell ? user->pw_shell : "/bin/sh";
    char *strings;

    return asprintf(&strings, "HOME=%s%cUSER=%s%cLOGNAME=%s%cSHELL=%s", home, 0, user->pw_name, 0,
                   user->pw_name, 0, shell) < 0
                   ? NULL
                   : strings;
}

int environment_new(
        char *const *inherited, const struct passwd *user, char *const *extra, char ***ret_environment)
{
    enum { OF_USER = 4, DEFAULTS = 2 };
    _cleanup_free_ const char **strings = NULL;
    _cleanup_free_ char *of_user = NULL;
    Collection c = {};

    strings = c.strings = new0(const char *, count(inherited) + count(extra) + OF_USER + DEFAULTS);
    if (!c.strings)
        return -ENOMEM;
    collect(&c, "PATH=" ENVIRONMENT_DEFAULT_PATH);
    if (user) {
        of_user = user_strings(user);
        if (!of_user)
            return -ENOMEM;
        collect(&c, "LANG=C.UTF-8");
        for (const char *p = of_user; c.n < OF_USER + DEFAULTS; p += strlen(p) + 1)
            collect(&c, p);
    }
    for (; inherited && *inherited; inherited++)
        if (user ? startswith(*inherited, "LANG=") != NULL : may_inherit(*inherited))
            collect(&c, *inherited);
    for (; extra && *extra; extra++)
        collect(&c, *extra);
    return flatten(&c, ret_environment);
}

const char *environment_get(char *const *environment, const char *key)
{
    size_t n = strlen(key);

    for (; environment && *environment; environment++)
        if (strncmp(*environment, key, n) == 0 && (*environment)[n] == '=')
            return *environment + n + 1;
    return NULL;
}
