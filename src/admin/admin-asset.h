/* SPDX-License-Identifier: ISC */
#pragma once

/* The files that are part of the program: the dashboard's, and the description of the API. They are put in by
 * `embed` when it is built. */

#include "util/macro.h"

typedef struct AdminAsset {
    const char *name, *type; /* Content-Type */
    const char *etag;        /* quoted; another one whenever a byte of the file is another */
    const unsigned char *data;
    size_t size;
} AdminAsset;

extern const AdminAsset admin_assets[]; /* one without a name ends it */

/* NULL: there is none. */
const AdminAsset *admin_asset_find(const char *name) _pure_;
