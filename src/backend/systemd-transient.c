/* SPDX-License-Identifier: ISC */

/* Units of our own making, as the properties that StartTransientUnit wants: those of systemd.unit(5),
 * systemd.exec(5) and systemd.service(5), in the types of org.freedesktop.systemd1(5). */

#include <stdio.h>
#include <syslog.h>

#include "backend/systemd-internal.h"

#define FIRST_OF_SERVICE_MANAGER 200 /* systemd.exec(5), "Process Exit Codes" */

static int append_string(sd_bus_message *m, const char *key, const char *value)
{
    return value ? sd_bus_message_append(m, "(sv)", key, "s", value) : 0;
}

/* An argument is what was written, also where it has a dollar in it, which systemd.service(5) wants doubled.
 * (ExecStartEx with "no-env-expand" says the same, but before systemd 255 such a unit has lost its commands
 * after a daemon-reload.) */
static int append_argument(sd_bus_message *m, const char *argument)
{
    size_t n = 0;

    for (const char *c = argument; *c; c++)
        n += *c == '$' ? 2 : 1;
    _cleanup_free_ char *doubled = malloc(n + 1);
    if (!doubled)
        return -ENOMEM;
    char *d = doubled;
    for (const char *c = argument; *c; c++) {
        *d++ = *c;
        if (*c == '$')
            *d++ = '$';
    }
    *d = 0;
    return sd_bus_message_append(m, "s", doubled);
}

static int append_command(sd_bus_message *m, const char *key, const char *const *argv)
{
    int r;

    if ((r = sd_bus_message_open_container(m, 'r', "sv")) < 0 ||
            (r = sd_bus_message_append(m, "s", key)) < 0 ||
            (r = sd_bus_message_open_container(m, 'v', "a(sasb)")) < 0 ||
            (r = sd_bus_message_open_container(m, 'a', "(sasb)")) < 0 ||
            (r = sd_bus_message_open_container(m, 'r', "sasb")) < 0 ||
            (r = sd_bus_message_append(m, "s", argv[0])) < 0 ||
            (r = sd_bus_message_open_container(m, 'a', "s")) < 0)
        return r;
    for (; *argv; argv++)
        if ((r = append_argument(m, *argv)) < 0)
            return r;
    if ((r = sd_bus_message_close_container(m)) < 0 ||
            (r = sd_bus_message_append(m, "b", false)) < 0) /* a failure counts */
        return r;
    for (size_t i = 0; i < 4; i++)
        if ((r = sd_bus_message_close_container(m)) < 0)
            return r;
    return 0;
}

/* DYNAPM_SERVICE= on every line that it writes. */
static int append_log_fields(sd_bus_message *m, const char *service)
{
    char field[128];
    int r;

    int n = snprintf(field, sizeof field, "DYNAPM_SERVICE=%s", service);
    if ((r = sd_bus_message_open_container(m, 'r', "sv")) < 0 ||
            (r = sd_bus_message_append(m, "s", "LogExtraFields")) < 0 ||
            (r = sd_bus_message_open_container(m, 'v', "aay")) < 0 ||
            (r = sd_bus_message_open_container(m, 'a', "ay")) < 0 ||
            (r = sd_bus_message_append_array(m, 'y', field, MIN((size_t) n, sizeof field - 1))) < 0)
        return r;
    for (size_t i = 0; i < 3; i++)
        if ((r = sd_bus_message_close_container(m)) < 0)
            return r;
    return 0;
}

/* An exit status of a command is an answer, and no failure that the log should tell of; but for those by
 * which the service manager says that it could not run it at all. */
static int append_answers(sd_bus_message *m)
{
    int statuses[FIRST_OF_SERVICE_MANAGER - 1], r;

    for (int i = 0; i < FIRST_OF_SERVICE_MANAGER - 1; i++)
        statuses[i] = i + 1;
    if ((r = sd_bus_message_open_container(m, 'r', "sv")) < 0 ||
            (r = sd_bus_message_append(m, "s", "SuccessExitStatus")) < 0 ||
            (r = sd_bus_message_open_container(m, 'v', "(aiai)")) < 0 ||
            (r = sd_bus_message_open_container(m, 'r', "aiai")) < 0 ||
            (r = sd_bus_message_append_array(m, 'i', statuses, sizeof statuses)) < 0 ||
            (r = sd_bus_message_append(m, "ai", 0)) < 0)
        return r;
    for (size_t i = 0; i < 3; i++)
        if ((r = sd_bus_message_close_container(m)) < 0)
            return r;
    /* Nor of its coming and going. */
    return sd_bus_message_append(m, "(sv)(sv)", "LogLevelMax", "i", (int32_t) LOG_NOTICE, "SyslogLevel", "i",
            (int32_t) LOG_NOTICE);
}

static int append_limits(sd_bus_message *m, const TransientSpec *spec)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < spec->n_limits; i++) {
        const UnitLimit *l = &spec->limits[i];
        r = l->type == 'u' ? sd_bus_message_append(m, "(sv)", l->property, "u", (uint32_t) l->value)
                           : sd_bus_message_append(m, "(sv)", l->property, "t", l->value);
    }
    return r;
}

int transient_spec_append(sd_bus_message *m, const TransientSpec *spec)
{
    int r;

    if ((r = sd_bus_message_open_container(m, 'a', "(sv)")) < 0 ||
            (r = append_string(m, "Description", spec->description)) < 0 ||
            (r = append_string(m, "Slice", "dynapm.slice")) < 0 ||
            /* Nobody looks at it once it has ended: what there is to say is said in the log. */
            (r = append_string(m, "CollectMode", "inactive-or-failed")) < 0 ||
            (r = append_string(m, "Type", spec->type)) < 0 ||
            (r = append_string(m, "User", spec->user)) < 0 ||
            (r = append_string(m, "Group", spec->group)) < 0 ||
            (r = append_string(m, "WorkingDirectory", spec->cwd)) < 0 ||
            (r = append_string(m, "SyslogIdentifier", spec->service)) < 0 ||
            (r = append_string(m, "StandardOutput", spec->quiet ? "null" : NULL)) < 0 ||
            (r = append_string(m, "StandardError", spec->quiet ? "null" : NULL)) < 0 ||
            (r = sd_bus_message_append(m, "(sv)(sv)(sv)", "RemainAfterExit", "b",
                     (int) spec->remain_after_exit, "TimeoutStartUSec", "t", spec->start_timeout,
                     "TimeoutStopUSec", "t", spec->stop_timeout)) < 0 ||
            (r = spec->is_command ? append_answers(m) : 0) < 0 ||
            (r = append_command(m, "ExecStart", spec->argv)) < 0 ||
            (r = spec->stop_argv ? append_command(m, "ExecStop", spec->stop_argv) : 0) < 0 ||
            (r = spec->environment_file ? sd_bus_message_append(m, "(sv)", "EnvironmentFiles", "a(sb)", 1,
                                                  spec->environment_file, false)
                                        : 0) < 0 ||
            (r = append_log_fields(m, spec->service)) < 0 || (r = append_limits(m, spec)) < 0)
        return r;
    return sd_bus_message_close_container(m);
}
