/* SPDX-License-Identifier: ISC */

/* One run of a check, a probe or a stop command. `pid` is 0 once it has ended: from then on its group's id
 * may be somebody else's. What a command leaves in the background when it ends by itself is its own business;
 * when it is cut short, its whole group is killed. */

#include "util/command.h"

#include <stdio.h>

#include "util/event.h"

typedef struct ChildCommand {
    Command base;
    Children *children;
    pid_t pid;
    usec_t timeout;
    sd_event_source *limit;
    CommandDone done;
    void *userdata;
} ChildCommand;

static void command_kill(ChildCommand *c)
{
    if (c->pid > 0) {
        (void) kill(-c->pid, SIGKILL);
        children_remove(c->children, c->pid);
        c->pid = 0;
    }
}

static void on_exited(pid_t pid, const siginfo_t *si, void *userdata)
{
    ChildCommand *c = userdata;
    char why[PROCESS_END_STRING_MAX];

    c->pid = 0;
    event_disarm(c->limit);
    c->done(&c->base, process_end_is_clean(si) ? 0 : -ECHILD, process_end_format(why, si), c->userdata);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    ChildCommand *c = userdata;
    char span[TIMESPAN_STRING_MAX], why[TIMESPAN_STRING_MAX + 32];

    command_kill(c);
    snprintf(why, sizeof why, "did not end within %s", timespan_format(span, c->timeout));
    c->done(&c->base, -ETIMEDOUT, why, c->userdata);
    return 0;
}

static void child_command_free(Command *command)
{
    ChildCommand *c = container_of(command, ChildCommand, base);

    command_kill(c);
    sd_event_source_disable_unref(c->limit);
    free(c);
}

static int run_child(const CommandRunner *runner, const ProcessSpec *spec, usec_t timeout, CommandDone done,
        void *userdata, Command **ret, char **ret_why)
{
    ChildCommand *c = new0(ChildCommand, 1);
    if (!c)
        return -ENOMEM;
    *c = (ChildCommand){.base.free = child_command_free,
            .children = runner->children,
            .timeout = timeout,
            .done = done,
            .userdata = userdata};
    _cleanup_(command_freep) Command *command = &c->base;
    /* The clock first: nothing may fail once a process runs but for want of memory. */
    int r = event_arm_timer(runner->event, &c->limit, timeout, on_limit, c, "command-limit");
    if (r < 0)
        return r;
    r = process_spawn(spec, &c->pid, ret_why);
    if (r < 0)
        return r;
    r = children_add(runner->children, c->pid, on_exited, c);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(command);
    return 0;
}

CommandRunner command_runner_for_children(sd_event *event, Children *children)
{
    return (CommandRunner){.run = run_child, .event = event, .children = children};
}

int command_new(const CommandRunner *runner, const ProcessSpec *spec, usec_t timeout, CommandDone done,
        void *userdata, Command **ret, char **ret_why)
{
    return runner->run(runner, spec, timeout, done, userdata, ret, ret_why);
}

Command *command_free(Command *c)
{
    if (c)
        c->free(c);
    return NULL;
}
