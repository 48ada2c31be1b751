/* SPDX-License-Identifier: ISC */

#include "admin/admin-asset.h"

const AdminAsset *admin_asset_find(const char *name)
{
    for (const AdminAsset *a = admin_assets; a->name; a++)
        if (streq(a->name, name))
            return a;
    return NULL;
}
