/* SPDX-License-Identifier: ISC */
#pragma once

/* The text of a drop-in for a service of one of the usual kinds, with comments, to be gone on with by hand.
 */

#include "util/macro.h"

typedef enum TemplateKind {
    TEMPLATE_EXEC,        /* args: program and arguments */
    TEMPLATE_UNIT,        /* args: the unit */
    TEMPLATE_DOCKER,      /* args: the container */
    TEMPLATE_COMPOSE,     /* args: its file, and some of its services; none: all of them */
    TEMPLATE_PM2,         /* args: the process */
    TEMPLATE_SYSTEMD_RUN, /* args: program and arguments */
    TEMPLATE_COMMANDS,    /* args: command line of the start */
    _TEMPLATE_KIND_MAX,
    _TEMPLATE_KIND_INVALID = -EINVAL,
} TemplateKind;

/* NULL where nothing is said. */
typedef struct Template {
    TemplateKind kind;
    const char *name;
    const char *const *args;  /* NULL-terminated */
    const char *stop, *check; /* command lines, of TEMPLATE_COMMANDS */
    const char *hosts;        /* with commas between */
    const char *port, *path;
    const char *base; /* also "3001", ":3001", "/run/app.sock" */
    const char *idle_timeout;
    const char *user, *cwd;
    const char *health; /* the target of an http health check */
    bool user_instance; /* it is for a user's own dynapm */
} Template;

/* Returns 0 and fresh memory that the caller frees, or -ENOMEM. Whatever is said ends up as a string of JSON
 * and, in a command line, as a word of sh(1); whether it makes sense is for the parser to say. */
int template_format(const Template *t, char **ret);

/* `s` as one word of a shell's command line, fresh memory; NULL: out of memory. */
char *shell_quote(const char *s);
