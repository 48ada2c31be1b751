/* SPDX-License-Identifier: ISC */
#pragma once

#include "ctl/ctl.h"

/* Runs journalctl(1) for what a service prints and what is said about it, without a pager, and waits. Nothing
 * is said where there is no journal. Returns 0 or -errno. */
int journal_show(const CtlOptions *options, const char *name, const char *unit, int lines);
