/* SPDX-License-Identifier: ISC */

/* One run of a check, a probe or a stop command. `pid` is 0 once it has ended: from then on its group's id
 * may be somebody else's. What a command leaves in the background when it ends by itself is its own business;
 * when it is cut short, its whole group is killed. */

#include "util/command.h"

#include <stdio.h>

#include "util/event.h"

struct Command {
    Children *children;
    pid_t pid;
    usec_t timeout;
    sd_event_source *limit;
    CommandDone done;
    void *userdata;
};

static void command_kill(Command *c)
{
    if (c->pid > 0) {
        (void) kill(-c->pid, SIGKILL);
        children_remove(c->children, c->pid);
        c->pid = 0;
    }
}

static void on_exited(pid_t pid, const siginfo_t *si, void *userdata)
{
    Command *c = userdata;
    char why[PROCESS_END_STRING_MAX];

    c->pid = 0;
    event_disarm(c->limit);
    c->done(c, process_end_is_clean(si) ? 0 : -ECHILD, process_end_format(why, si), c->userdata);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    Command *c = userdata;
    char span[TIMESPAN_STRING_MAX], why[TIMESPAN_STRING_MAX + 32];

    command_kill(c);
    snprintf(why, sizeof why, "did not end within %s", timespan_format(span, c->timeout));
    c->done(c, -ETIMEDOUT, why, c->userdata);
    return 0;
}

int command_new(sd_event *event, Children *children, const ProcessSpec *spec, usec_t timeout,
        CommandDone done, void *userdata, Command **ret, char **ret_why)
{
    _cleanup_(command_freep) Command *c = new0(Command, 1);
    int r;

    if (!c)
        return -ENOMEM;
    *c = (Command){.children = children, .timeout = timeout, .done = done, .userdata = userdata};
    /* The clock first: nothing may fail once a process runs but for want of memory. */
    r = event_arm_timer(event, &c->limit, timeout, on_limit, c, "command-limit");
    if (r < 0)
        return r;
    r = process_spawn(spec, &c->pid, ret_why);
    if (r < 0)
        return r;
    r = children_add(children, c->pid, on_exited, c);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

Command *command_free(Command *c)
{
    if (!c)
        return NULL;
    command_kill(c);
    sd_event_source_disable_unref(c->limit);
    return mfree(c);
}
