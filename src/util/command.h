/* SPDX-License-Identifier: ISC */
#pragma once

/* A program that is run for its exit status, within a time limit: as a child of ours, or by whoever else the
 * runner asks. */

#include "util/children.h"
#include "util/process.h"
#include "util/time-util.h"

typedef struct Command Command;
typedef struct CommandRunner CommandRunner;

/* r: 0 for exit status 0, -ETIMEDOUT (it and its group have been killed), else -ECHILD; `why` is a sentence
 * part: "exited with status 3", "did not end within 5s". Called once, from the loop; may free the command. */
typedef void (*CommandDone)(Command *c, int r, const char *why, void *userdata);

struct CommandRunner {
    int (*run)(const CommandRunner *runner, const ProcessSpec *spec, usec_t timeout, CommandDone done,
            void *userdata, Command **ret, char **ret_why);
    sd_event *event;
    Children *children; /* of one that makes children */
    void *userdata;     /* of another one, its own */
    usec_t pause;       /* at least so long between two, where one is run again and again: what it costs */
};

/* The first member of each runner's own kind of command. */
struct Command {
    void (*free)(Command *c); /* with the memory */
};

/* One that runs them as children of ours. Both are borrowed. */
CommandRunner command_runner_for_children(sd_event *event, Children *children);

/* Starts it. `spec` is not kept, the runner is borrowed until the command is freed. Returns 0, or -errno and
 * *ret_why as process_spawn() does. */
int command_new(const CommandRunner *runner, const ProcessSpec *spec, usec_t timeout, CommandDone done,
        void *userdata, Command **ret, char **ret_why);
/* Ends it with all its processes if it has not ended by itself. */
Command *command_free(Command *c);
DEFINE_CLEANUP(Command *, command_free)
