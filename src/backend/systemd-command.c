/* SPDX-License-Identifier: ISC */

/* A command's unit is named dynapm-SERVICE:PID-N.service: a service's name has no colon, so that none can be
 * meant, and another manager after us has another process id. Its limit in time is the service manager's, so
 * that a crash of ours leaves nothing behind. Its lines in the journal are those of its own; what the service
 * manager has to say of it, many times a second perhaps, is not kept. */

#include "backend/systemd-command.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "util/text.h"

#define STOP_LIMIT_USEC (2 * USEC_PER_SEC)
#define PAUSE_USEC (50 * USEC_PER_MSEC)

typedef struct SystemdCommand {
    Command base;
    Unit *unit;
    TransientSpec spec;
    CommandDone done;
    void *userdata;
    char *description, *service, *cwd, *user, *group, *environment_file;
    char **argv;
} SystemdCommand;

static void strings_free(char **v)
{
    for (char **s = v; s && *s; s++)
        free(*s);
    free(v);
}

/* Returns 0 or -ENOMEM, with what can be freed. */
static int strings_copy(const char *const *v, char ***ret)
{
    size_t n = 0;

    if (!v)
        return 0;
    while (v[n])
        n++;
    *ret = new0(char *, n + 1);
    for (size_t i = 0; *ret && i < n; i++)
        if (!((*ret)[i] = strdup(v[i])))
            return -ENOMEM;
    return *ret ? 0 : -ENOMEM;
}

static int string_copy(const char *s, char **ret)
{
    *ret = s ? strdup(s) : NULL;
    return s && !*ret ? -ENOMEM : 0;
}

static void systemd_command_free(Command *command)
{
    SystemdCommand *c = container_of(command, SystemdCommand, base);

    if (c->unit && unit_has_job(c->unit))
        unit_discard(c->unit);
    unit_free(c->unit);
    free(c->description);
    free(c->service);
    free(c->cwd);
    free(c->user);
    free(c->group);
    strings_free(c->argv);
    free(c->environment_file);
    free(c);
}

static void on_changed(Unit *u, void *userdata)
{
}

static void on_job_begun(Unit *u, void *userdata)
{
}

static void on_job_done(Unit *u, int r, const char *why, void *userdata)
{
    SystemdCommand *c = userdata;
    const UnitStatus *s = unit_status(u);
    char span[TIMESPAN_STRING_MAX], text[UNIT_END_STRING_MAX];

    if (r < 0 && s->result == UNIT_TIMEOUT) {
        r = -ETIMEDOUT;
        snprintf(text, sizeof text, "did not end within %s", timespan_format(span, c->spec.start_timeout));
        why = text;
    } else if (r < 0)
        r = -ECHILD;
    else {
        r = s->exit_code == CLD_EXITED && s->exit_status == 0 ? 0 : -ECHILD;
        why = unit_end_format(text, s);
    }
    c->done(&c->base, r, why, c->userdata);
}

static const UnitEvents unit_events = {
        .changed = on_changed, .job_begun = on_job_begun, .job_done = on_job_done};

/* One file a service: all its commands have the same environment. */
static int write_environment(const SystemdRunner *r, const ProcessSpec *spec, char **ret)
{
    if (!spec->env && !spec->runtime_dir)
        return 0;
    _cleanup_free_ char *name = text_format("%s:command", spec->service);
    return name ? environment_file_write(r->environments, name, spec->runtime_dir, spec->env, NULL, ret)
                : -ENOMEM;
}

static int run(const CommandRunner *runner, const ProcessSpec *spec, usec_t timeout, CommandDone done,
        void *userdata, Command **ret, char **ret_why)
{
    SystemdRunner *r = container_of((CommandRunner *) runner, SystemdRunner, runner);
    SystemdCommand *c = new0(SystemdCommand, 1);
    int e = -ENOMEM;

    if (!c)
        return e;
    c->base.free = systemd_command_free;
    c->done = done;
    c->userdata = userdata;
    _cleanup_(command_freep) Command *command = &c->base;
    _cleanup_free_ char *name =
            text_format("dynapm-%s:%d-%" PRIu64 ".service", spec->service, (int) getpid(), ++r->n);
    c->description = text_format("Command of %s, run by dynapm", spec->service);
    if (!name || !c->description || (e = string_copy(spec->service, &c->service)) < 0 ||
            (e = string_copy(spec->cwd ?: "/", &c->cwd)) < 0 || (e = string_copy(spec->user, &c->user)) < 0 ||
            (e = string_copy(spec->group, &c->group)) < 0 || (e = strings_copy(spec->argv, &c->argv)) < 0 ||
            (e = write_environment(r, spec, &c->environment_file)) < 0 ||
            (e = unit_new(r->systemd, name, UNIT_FRESH, &unit_events, c, &c->unit)) < 0)
        return e;
    c->spec = (TransientSpec){
            .description = c->description,
            .service = c->service,
            .type = "oneshot",
            .argv = (const char *const *) c->argv,
            .is_command = true,
            .quiet = spec->quiet,
            .cwd = c->cwd,
            .user = c->user,
            .group = c->group,
            .environment_file = c->environment_file,
            .start_timeout = timeout,
            .stop_timeout = STOP_LIMIT_USEC,
    };
    unit_start_transient(c->unit, &c->spec, false);
    *ret = TAKE_PTR(command);
    return 0;
}

void systemd_runner_init(SystemdRunner *r, Systemd *systemd, const EnvironmentFiles *environments)
{
    *r = (SystemdRunner){
            .runner = {.run = run, .pause = PAUSE_USEC}, .systemd = systemd, .environments = environments};
}
