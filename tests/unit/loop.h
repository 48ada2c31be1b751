/* SPDX-License-Identifier: ISC */
#pragma once

/* A loop for tests, and waiting in it for what must come. */

#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "util/command.h"
#include "util/time-util.h"

/* Nothing that a test waits for takes so long, on the slowest machine under the slowest tool. */
#define PATIENCE (60 * USEC_PER_SEC)

/* Runs the loop until the condition holds; fails when nothing happens any more. */
#define RUN_UNTIL(event, condition)                                                                          \
    do {                                                                                                     \
        usec_t _start = now_monotonic();                                                                     \
        while (!(condition)) {                                                                               \
            assert_true(sd_event_run((event), PATIENCE) > 0);                                                \
            assert_true(now_monotonic() - _start < PATIENCE);                                                \
        }                                                                                                    \
    } while (0)

typedef struct Loop {
    sd_event *event;
    Children *children;
    CommandRunner commands;
} Loop;

static inline Loop loop_new(void)
{
    Loop l = {};
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    assert_int_equal(sd_event_new(&l.event), 0);
    assert_int_equal(children_new(l.event, &l.children), 0);
    l.commands = command_runner_for_children(l.event, l.children);
    return l;
}

static inline void loop_done(Loop *l)
{
    l->children = children_free(l->children);
    l->event = sd_event_unref(l->event);
}
