/* SPDX-License-Identifier: ISC */

/* A service's lines are those that its unit prints, those that the service manager says about the unit, and
 * those that dynapm says about the service. */

#include "ctl/journal.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/services.h"
#include "util/text.h"

extern char **environ;

typedef struct JournalArgs {
    const char *argv[16];
    size_t n;
    char *fields[4]; /* fresh memory among them */
    size_t n_fields;
    char lines[16];
} JournalArgs;

static void args_done(JournalArgs *a)
{
    for (size_t i = 0; i < a->n_fields; i++)
        free(a->fields[i]);
}

static int add_field(JournalArgs *a, const char *key, const char *value)
{
    char *field = text_format("%s=%s", key, value);
    if (!field)
        return -ENOMEM;
    a->fields[a->n_fields++] = field;
    a->argv[a->n++] = field;
    return 0;
}

/* `unit` "": the one that exec and commands have. */
static int args_init(JournalArgs *a, const CtlOptions *options, const char *name, const char *unit, int lines)
{
    _cleanup_free_ char *own = *unit ? strdup(unit) : text_format("dynapm-%s.service", name);
    int r;

    *a = (JournalArgs){.argv = {"journalctl"}, .n = 1};
    if (options->user)
        a->argv[a->n++] = "--user";
    if (options->json) {
        a->argv[a->n++] = "-o";
        a->argv[a->n++] = "json";
    }
    if (lines >= 0) {
        snprintf(a->lines, sizeof a->lines, "-n%d", lines);
        a->argv[a->n++] = a->lines;
    }
    if (options->follow)
        a->argv[a->n++] = "-f";
    if (options->no_pager)
        a->argv[a->n++] = "--no-pager";
    if (!own || (r = add_field(a, "DYNAPM_SERVICE", name)) < 0)
        return -ENOMEM;
    a->argv[a->n++] = "+";
    if ((r = add_field(a, options->user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT", own)) < 0)
        return r;
    a->argv[a->n++] = "+";
    return add_field(a, options->user ? "USER_UNIT" : "UNIT", own);
}

int journal_show(const CtlOptions *options, const char *name, const char *unit, int lines)
{
    _cleanup_(args_done) JournalArgs a;
    posix_spawn_file_actions_t actions;
    pid_t pid;

    int r = args_init(&a, options, name, unit, lines);
    if (r < 0)
        return r;
    if (!options->no_pager)
        a.argv[a.n++] = "--no-pager"; /* it writes into ours */
    a.argv[a.n++] = "-q";
    r = -posix_spawn_file_actions_init(&actions);
    if (r < 0)
        return r;
    r = -posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = -posix_spawnp(&pid, "journalctl", &actions, NULL, (char *const *) a.argv, environ);
    (void) posix_spawn_file_actions_destroy(&actions);
    if (r < 0)
        return r;
    while (waitpid(pid, NULL, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* The unit of a service, as far as there is a manager that knows; the journal outlives managers. */
static char *find_unit(const CtlOptions *options, const char *name, bool *ret_unknown)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(services_done) Services all = {};

    *ret_unknown = false;
    if (ctl_connect_quietly(options, &bus) < 0 || services_fetch(bus, &all) < 0)
        return strdup("");
    const ServiceInfo *s = services_find(&all, name);
    if (!s) {
        services_say_unknown(&all, name);
        *ret_unknown = true;
    }
    return strdup(s ? s->unit : "");
}

int ctl_logs(const CtlOptions *options, char **names)
{
    _cleanup_(args_done) JournalArgs a = {};
    bool unknown;
    _cleanup_free_ char *unit = find_unit(options, names[0], &unknown);

    if (unknown)
        return CTL_UNKNOWN;
    if (!unit || args_init(&a, options, names[0], unit, options->lines) < 0)
        return ctl_oom();
    execvp("journalctl", (char *const *) a.argv);
    return ctl_error(
            "Cannot run journalctl: %s. Without a journal, what services print is where dynapm prints.",
            strerror(errno));
}
