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

int slots_get(Slots *s, const char *name, uint32_t *ret)
{
    uint64_t hash = route_hash_host(name, strlen(name));

    for (uint32_t at = index_first(&s->index, hash); at != 0; at = index_next(&s->index, at))
        if (streq(*AT(char *, &s->names, at - 1), name)) {
            *ret = at - 1;
            return 0;
        }
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
    return index_add(&s->index, hash);
}
