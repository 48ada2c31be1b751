/* SPDX-License-Identifier: ISC */
#pragma once

/* Environments for units of ours, in files that root alone reads: what a unit has as Environment= everybody
 * on the machine may ask the service manager for. systemd.exec(5), EnvironmentFile=. */

#include "util/macro.h"

typedef struct EnvironmentFiles {
    int dir_fd;       /* a folder of ours, 0700 */
    const char *path; /* its path, as the service manager sees it */
} EnvironmentFiles;

/* Writes the file `name`, whole or not at all: XDG_RUNTIME_DIR= if `runtime_dir` (may be NULL) is a folder,
 * then `env` ("KEY=value", may be NULL), then `more` as one more of the kind (may be NULL); what comes later
 * counts. *ret_path, its path, is the caller's to free. Returns 0 or -errno. */
int environment_file_write(const EnvironmentFiles *files, const char *name, const char *runtime_dir,
        char *const *env, const char *more, char **ret_path);
