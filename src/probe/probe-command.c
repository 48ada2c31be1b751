/* SPDX-License-Identifier: ISC */

/* Ready is when a /bin/sh command line exits with status 0, run as the service's own commands are. What it
 * prints is dropped: it is asked many times a second. */

#include "probe/probe-internal.h"

#include <stdio.h>

static void on_command(Command *c, int r, const char *why, void *userdata)
{
    Probe *p = userdata;
    char text[PROBE_ERROR_MAX];

    snprintf(text, sizeof text, "the health check's command %s", why);
    probe_attempt_done(p, r, text);
}

static void command_attempt(Probe *p)
{
    ProcessSpec spec = p->context.command;
    _cleanup_free_ char *why = NULL;

    spec.argv = SHELL_ARGV(p->config->health_check.command);
    spec.quiet = true;
    spec.argv = SHELL_ARGV(p->config->health_check.command);
    spec.quiet = true;
    /* The probe's own limit comes first; this one is for when we are not there any more. */
    int r = command_new(p->context.commands, &spec, usec_add(p->config->health_check.timeout, USEC_PER_SEC),
            on_command, p, &p->command, &why);
    if (r < 0)
        probe_attempt_done(p, r, why ?: "out of memory");
}

static void command_cancel(Probe *p)
{
    p->command = command_free(p->command);
}

const ProbeVTable probe_command_vtable = {.attempt = command_attempt, .cancel = command_cancel};
