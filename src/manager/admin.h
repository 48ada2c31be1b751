/* SPDX-License-Identifier: ISC */
#pragma once

/* The tokens of the admin API, and who has them. */

#include "config/config.h"

typedef enum AdminRole { ADMIN_NOBODY, ADMIN_READ, ADMIN_MANAGE } AdminRole;

typedef struct Admin {
    bool enabled;
    char *token, *read_token; /* NULL: none is asked for */
    bool unusable;            /* a token is asked for that cannot be had: nobody gets in */
} Admin;

/* Fetches the tokens that the configuration names, anew at each call. One that cannot be had is logged, and
 * keeps everybody out. Returns 0 or -ENOMEM. */
int admin_load(Admin *a, const AdminConfig *config);
void admin_done(Admin *a);

/* Whose is the token, "" being none? Takes the same time for every wrong one. */
AdminRole admin_role(const Admin *a, const char *token);
