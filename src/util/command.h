/* SPDX-License-Identifier: ISC */
#pragma once

/* A program that is run for its exit status, within a time limit. */

#include "util/children.h"
#include "util/process.h"
#include "util/time-util.h"

typedef struct Command Command;

/* r: 0 for exit status 0, -ETIMEDOUT (it and its group have been killed), else -ECHILD; `why` is a sentence
 * part: "exited with status 3", "did not end within 5s". Called once, from the loop; may free the command. */
typedef void (*CommandDone)(Command *c, int r, const char *why, void *userdata);

/* Starts it. `spec` is not kept. Returns 0, or -errno and *ret_why as process_spawn() does. */
int command_new(sd_event *event, Children *children, const ProcessSpec *spec, usec_t timeout,
        CommandDone done, void *userdata, Command **ret, char **ret_why);
/* Kills it and its group if it has not ended. */
Command *command_free(Command *c);
DEFINE_CLEANUP(Command *, command_free)
