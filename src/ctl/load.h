/* SPDX-License-Identifier: ISC */
#pragma once

/* Configuration from files, as the manager would read them. */

#include "config/config.h"
#include "ctl/ctl.h"

/* All that the manager would read. Returns CTL_OK, or another status and it has said why; problems are in
 * *ret, which the caller unrefs. */
int ctl_load_config(const CtlOptions *options, Config **ret);

/* Prints its problems, as JSON or for people. Returns CTL_FAILURE if there are any. */
int ctl_print_problems(const CtlOptions *options, const Config *config);

/* One more file into `config`, whatever kind of file it is. 0 or -errno. */
int ctl_parse_file(Config *config, const char *path);
/* All drop-ins of a folder, in the order of their names, but for the one that is called `but` (may be NULL).
 * 0 or -errno. */
int ctl_parse_folder(Config *config, const char *path, const char *but);
