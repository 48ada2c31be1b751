/* SPDX-License-Identifier: ISC */

/* journalctl(1) knows what a journal is; it runs for a moment, as a child of ours, and whoever asked reads
 * what it writes. Services that are our own children print to where we do, of which there is no journal to
 * speak of. */

#include "manager/logs.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "manager/manager.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/text.h"

#define LOGS_LIMIT (15 * USEC_PER_SEC)

static void on_done(Command *c, int r, const char *why, void *userdata)
{
    Command **place = userdata;

    if (r < 0)
        log_debug("journalctl %s.", why);
    *place = command_free(c);
}

static Command **free_place(Logs *l)
{
    for (size_t i = 0; i < LOGS_MAX; i++)
        if (!l->running[i])
            return &l->running[i];
    return NULL;
}

/* The same lines as dynapmctl's. */
static int run(Manager *m, const Service *s, unsigned lines, bool user, int fd, Command **place)
{
    ServiceStatus status;
    char n[16];

    service_status((Service *) s, &status);
    const char *configured = service_config(s)->unit;
    _cleanup_free_ char *own = *status.unit ? strdup(status.unit)
                               : configured ? strdup(configured)
                                            : text_format("dynapm-%s.service", service_name(s));
    _cleanup_free_ char *service = text_format("DYNAPM_SERVICE=%s", service_name(s));
    _cleanup_free_ char *by =
            own ? text_format("%s=%s", user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT", own) : NULL;
    _cleanup_free_ char *about = own ? text_format("%s=%s", user ? "USER_UNIT" : "UNIT", own) : NULL;
    if (!service || !by || !about)
        return -ENOMEM;
    snprintf(n, sizeof n, "-n%u", lines);
    const char *const argv[] = {"journalctl", "--quiet", "--no-pager", "--output=json",
            "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER", n, service, "+", by, "+", about,
            user ? "--user" : NULL, NULL};
    _cleanup_free_ char *why = NULL;
    int r = command_new(&m->commands, &(ProcessSpec){.argv = argv, .quiet = true, .stdout_fd = fd},
            LOGS_LIMIT, on_done, place, place, &why);
    return r < 0 ? log_warning_errno(r, "Cannot read the journal: %s", why ?: "no memory") : 0;
}

int logs_open(Manager *m, const Service *s, unsigned lines, int *ret)
{
    int p[2];

    if (!m->systemd)
        return -ENODATA;
    Command **place = free_place(&m->logs);
    if (!place)
        return -EBUSY;
    if (pipe2(p, O_CLOEXEC) < 0)
        return -errno;
    _cleanup_close_ int in = p[0], out = p[1];
    int r = run(m, s, MIN(lines, LOGS_LINES_MAX), m->user, out, place);
    if (r >= 0 && fcntl(in, F_SETFL, O_NONBLOCK) < 0) /* not its end: it may wait */
        r = -errno;
    if (r >= 0)
        *ret = TAKE_FD(in);
    return r;
}

void logs_done(Logs *l)
{
    for (size_t i = 0; i < LOGS_MAX; i++)
        l->running[i] = command_free(l->running[i]);
}
