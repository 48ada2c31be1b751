/* SPDX-License-Identifier: ISC */
#pragma once

/* What a request to the admin API is about, and whether it may be looked at: by its line and fields alone. */

#include "admin/admin-asset.h"

typedef enum AdminOperation {
    ADMIN_SERVICES,
    ADMIN_SERVICE,
    ADMIN_START,
    ADMIN_STOP,
    ADMIN_RESTART,
    ADMIN_RELOAD,
    ADMIN_LOGS,
    ADMIN_EVENTS,
    ADMIN_METRICS,
    ADMIN_ASSET,
    ADMIN_HOME, /* a redirection to the page */
    _ADMIN_OPERATION_MAX,
} AdminOperation;

#define ADMIN_NAME_MAX 64
#define ADMIN_TOKEN_MAX 256
#define ADMIN_LINES 100 /* of a log, where nobody says how many */
#define ADMIN_LINES_MAX 1000

typedef struct AdminRequest {
    AdminOperation operation;
    char name[ADMIN_NAME_MAX + 1]; /* of the service, where there is one */
    const AdminAsset *asset;       /* ADMIN_ASSET */
    unsigned lines;                /* ADMIN_LOGS */
} AdminRequest;

/* Why it is refused. Both strings are static, `allow` is NULL but for 405. */
typedef struct AdminRefusal {
    unsigned status;
    const char *sentence, *allow;
} AdminRefusal;

/* `target` is in origin-form. 0, or -EBADMSG with *refusal filled. */
int admin_request_parse(
        const char *method, const char *target, size_t len, AdminRequest *ret, AdminRefusal *refusal);

/* Does it change something, so that looking is not enough of a right? */
bool admin_operation_changes(AdminOperation o) _const_;
/* Is it for those alone who may do everything, though it changes nothing? */
bool admin_operation_is_private(AdminOperation o) _const_;
/* Can only so many have it at a time? A page of others, which is kept from reading the answer, would keep it
 * from those who may. */
bool admin_operation_is_scarce(AdminOperation o) _const_;
/* Is it for everybody who gets here, without a token? */
bool admin_operation_is_public(AdminOperation o) _const_;

/* May a request with this host (without its port) be ours? Names can be made to point here by whoever has
 * their zone (DNS rebinding); so a name has to be `name`, which may be NULL, or localhost. IP addresses are
 * no names. */
bool admin_host_is_ours(const char *host, size_t len, const char *name) _pure_;

/* Was a change asked for by a page of ours, or by no page at all? The values are those of Origin (RFC 6454,
 * 7) and Sec-Fetch-Site (Fetch Metadata), NULL where there is none; `authority` is the Host field's. */
bool admin_origin_is_ours(const char *origin, size_t origin_len, const char *site, size_t site_len,
        const char *authority, size_t authority_len) _pure_;

/* Takes the token out of an Authorization field's value (RFC 6750, 2.1): 0 and "" where there is no field
 * (`value` NULL), -EINVAL for another scheme or what is no token. */
int admin_bearer(const char *value, size_t len, char ret[static ADMIN_TOKEN_MAX + 1]);
