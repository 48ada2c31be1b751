/* SPDX-License-Identifier: ISC */

/* The tables of keys as a list of paths, for whoever has to know all that the parser knows. */

#include <stdio.h>

#include "config/global.h"
#include "config/service.h"

static void walk(const Key *keys, const char *form, const char *prefix,
        void (*fn)(const char *form, const char *path, void *userdata), void *userdata)
{
    for (const Key *k = keys; k->name; k++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", k->name);
        fn(form, path, userdata);
        if (!k->keys)
            continue;
        size_t n = strlen(path);
        snprintf(path + n, sizeof path - n, "%s", k->array ? "[]" : "");
        walk(k->keys, form, path, fn, userdata);
    }
}

void config_each_key(void (*fn)(const char *form, const char *path, void *userdata), void *userdata)
{
    walk(service_keys, "service", "", fn, userdata);
    walk(global_keys, "global", "", fn, userdata);
}
