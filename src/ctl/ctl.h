/* SPDX-License-Identifier: ISC */
#pragma once

/* What the verbs of dynapmctl share: what was asked for, and how to say things to people. A verb returns the
 * program's exit status, and has said what went wrong. */

#include <systemd/sd-bus.h>

#include "util/macro.h"

/* As systemctl(1) has them. */
typedef enum CtlStatus {
    CTL_OK = 0,
    CTL_FAILURE = 1,
    CTL_USAGE = 2,
    CTL_NOT_ONLINE = 3,    /* status: it does not run */
    CTL_UNKNOWN = 4,       /* status, why, cat: there is no such service */
    CTL_NOT_SUPPORTED = 3, /* start, stop, restart, as below */
    CTL_NO_PERMISSION = 4,
    CTL_NOT_INSTALLED = 5, /* there is no such service */
} CtlStatus;

/* What only `new` is told. */
typedef enum NewOption {
    NEW_EXEC,
    NEW_UNIT,
    NEW_DOCKER,
    NEW_COMPOSE,
    NEW_PM2,
    NEW_SYSTEMD_RUN,
    NEW_COMMANDS,
    NEW_STOP,
    NEW_CHECK,
    NEW_HOST,
    NEW_PORT,
    NEW_PATH,
    NEW_BASE,
    NEW_HEALTH,
    NEW_IDLE_TIMEOUT,
    NEW_USER,
    NEW_CWD,
    NEW_FORCE,
    NEW_STDOUT,
    _NEW_OPTION_MAX,
} NewOption;

typedef struct CtlOptions {
    const char *runtime_dir;  /* NULL: the usual one */
    const char **config_dirs; /* NULL-terminated; NULL: the usual ones */
    const char *config;       /* file of global settings; NULL: the usual one */
    bool user;
    bool json;
    bool no_legend;
    bool follow;
    bool openmetrics;
    bool no_pager;
    bool batch, once;                 /* top */
    int lines;                        /* of the journal, or tables of top; < 0: not said */
    const char *new[_NEW_OPTION_MAX]; /* what they were given, "" for none; NULL: not said */
    struct Pager *pager;              /* NULL: none is wanted */
} CtlOptions;

/* ── saying things ── */

/* A line on stderr, "dynapmctl: …". Returns CTL_FAILURE. */
int ctl_error(const char *format, ...) _printf_(1, 2);
int ctl_oom(void);

typedef enum Colour { COLOUR_NONE, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED, COLOUR_GREY, COLOUR_BOLD } Colour;
/* Escape sequences, "" where stdout is no terminal or NO_COLOR is set (no-color.org); SYSTEMD_COLORS says
 * more than either. */
const char *colour_on(Colour c);
const char *colour_off(void);
Colour colour_of_state(const char *state);

/* Columns of the terminal that stdout is, $COLUMNS before that; 0: it is none. */
size_t terminal_width(void);
/* Finds out now what stdout is; else it is found out with the first question about it. */
void terminal_look(void);

/* As systemd reads them: 1, 0, or -EINVAL; NULL is none. */
int ctl_parse_boolean(const char *s);
#define BYTES_STRING_MAX 24
/* "12.3M", as systemctl(1) says it; "-" for UINT64_MAX. */
const char *bytes_format(char buf[static BYTES_STRING_MAX], uint64_t n);

/* ── the manager ── */

/* Connects to the manager's private socket or, where that is closed to us, to the system bus. 0, or -errno
 * and it has said why not. The caller unrefs *ret. */
int ctl_connect(const CtlOptions *options, sd_bus **ret);
/* The same, without a word. */
int ctl_connect_quietly(const CtlOptions *options, sd_bus **ret);

/* The exit status for a call that was refused. */
int ctl_status_of(const sd_bus_error *e);
/* Says how many mistakes the configuration in use has, if any. */
void ctl_say_problems(sd_bus *bus);

/* ── verbs; `names` is NULL-terminated ── */

int ctl_list(const CtlOptions *options, char **names);
int ctl_status(const CtlOptions *options, char **names);
int ctl_why(const CtlOptions *options, char **names);
int ctl_start(const CtlOptions *options, char **names);
int ctl_stop(const CtlOptions *options, char **names);
int ctl_restart(const CtlOptions *options, char **names);
int ctl_check(const CtlOptions *options, char **files);
int ctl_cat(const CtlOptions *options, char **names);
int ctl_reload(const CtlOptions *options, char **none);
int ctl_top(const CtlOptions *options, char **patterns);
int ctl_new(const CtlOptions *options, char **words); /* the name, and what follows */
int ctl_logs(const CtlOptions *options, char **names);
int ctl_metrics(const CtlOptions *options, char **args);
