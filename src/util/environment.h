/* SPDX-License-Identifier: ISC */
#pragma once

/* The environment that a service's process gets. environ(7), systemd.exec(5) "Environment Variables". */

#include <pwd.h>

#include "util/macro.h"

#define ENVIRONMENT_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Builds "KEY=value" strings: for a process that runs as ourselves (`user` NULL) `inherited`, for another
 * user a clean PATH, HOME, USER, LOGNAME, SHELL and our LANG; then `extra` (may be NULL), which overrides.
 * What the service manager tells one process about itself (LISTEN_FDS, NOTIFY_SOCKET, WATCHDOG_*,
 * JOURNAL_STREAM, …) is never inherited, but may be in `extra`. The vector is NULL-terminated, and one block
 * of memory that the caller frees with one free(); it points into no argument. Returns 0 or -ENOMEM. */
int environment_new(
        char *const *inherited, const struct passwd *user, char *const *extra, char ***ret_environment);

/* Value of `key`, into the vector; NULL when it is not there. */
const char *environment_get(char *const *environment, const char *key);
