/* SPDX-License-Identifier: ISC */

#include "manager/slots.h"

#include "ipc/routes-image.h"
#include "ipc/table.h"

void slots_done(Slots *s)
{
    for (size_t i = 0; i < s->names.n; i++)
        free(*AT(char *, &s->names, i));
    array_done(&s->names);
    index_done(&s->index);
}

static uint64_t hash_name(const char *name)
{
    return route_hash_host(name, strlen(name));
}

bool slots_find(const Slots *s, const char *name, uint32_t *ret)
{
    for (uint32_t at = index_first(&s->index, hash_name(name)); at != 0; at = index_next(&s->index, at))
        if (streq(*AT(char *, &s->names, at - 1), name)) {
            *ret = at - 1;
            return true;
        }
    return false;
}

int slots_get(Slots *s, const char *name, uint32_t *ret)
{
    if (slots_find(s, name, ret))
        return 0;
    if (s->names.n >= SLOTS_MAX)
        return -ENOSPC;
    char *copy = strdup(name);
    char **place = copy ? array_extend(&s->names, sizeof(char *), 1) : NULL;
    if (!place) {
        free(copy);
        return -ENOMEM;
    }
    *place = copy;
    *ret = (uint32_t) s->names.n - 1;
    return index_add(&s->index, hash_name(name));
}
