/* SPDX-License-Identifier: ISC */
#pragma once

/* The manager's runtime folder: the socket that gateways connect to, and what is remembered of direct
 * children and, for units of ours, their environments. */

#include "backend/environment-file.h"
#include "util/address.h"

typedef struct Runtime {
    int listen_fd;                 /* gateways come in here */
    EnvironmentFiles environments; /* DIR/environment */
    char *environment_dir;         /* its path */
    int state_dir_fd;              /* DIR/direct, 0700, locked as long as we live */
    SocketAddress own; /* the address that we bound ourselves and remove at the end; len 0: the socket was
                          passed to us */
} Runtime;

#define RUNTIME_NULL ((Runtime){.listen_fd = -EBADF, .state_dir_fd = -EBADF, .environments.dir_fd = -EBADF})

/* Creates `dir` (0755) and what is in it where missing, makes sure that we are the only manager there, and
 * binds DIR/manager (0660) unless `passed_fd` >= 0 is the socket to use; that one is taken over in any case,
 * failure included. Logs what fails. Returns 0 or -errno. */
int runtime_open(Runtime *r, const char *dir, int passed_fd);
void runtime_close(Runtime *r);
