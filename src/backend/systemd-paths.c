/* SPDX-License-Identifier: ISC */

/* Units by the path of their object, which is what signals come with. Several names may mean one unit.
 *
 * Invariant: a unit that has a path is in its node's list, and a node has a unit. */

#include <search.h>

#include "backend/systemd-internal.h"

typedef struct PathNode {
    char *path;
    Unit *units;
} PathNode;

static int compare_nodes(const void *a, const void *b)
{
    return strcmp(((const PathNode *) a)->path, ((const PathNode *) b)->path);
}

Unit *systemd_units_at(const Systemd *s, const char *path)
{
    const PathNode key = {.path = (char *) path};
    PathNode **found = tfind(&key, (void *const *) &s->by_path, compare_nodes);
    return found ? (*found)->units : NULL;
}

void unit_unset_path(Unit *u)
{
    if (!u->path)
        return;
    const PathNode key = {.path = u->path};
    PathNode **found = tfind(&key, &u->systemd->by_path, compare_nodes), *node = *found;
    for (Unit **p = &node->units; *p; p = &(*p)->same_path)
        if (*p == u) {
            *p = u->same_path;
            break;
        }
    if (!node->units) {
        (void) tdelete(&key, &u->systemd->by_path, compare_nodes);
        free(node->path);
        free(node);
    }
    u->same_path = NULL;
    u->path = mfree(u->path);
}

int unit_set_path(Unit *u, const char *path)
{
    _cleanup_free_ char *copy = NULL, *node_path = NULL;
    _cleanup_free_ PathNode *fresh = NULL;

    if (streq_ptr(u->path, path))
        return 0;
    unit_unset_path(u);
    copy = strdup(path);
    node_path = strdup(path);
    fresh = new0(PathNode, 1);
    if (!copy || !node_path || !fresh)
        return -ENOMEM;
    fresh->path = node_path;
    PathNode **found = tsearch(fresh, &u->systemd->by_path, compare_nodes);
    if (!found)
        return -ENOMEM;
    if (*found == fresh) {
        TAKE_PTR(fresh);
        TAKE_PTR(node_path);
    }
    u->path = TAKE_PTR(copy);
    u->same_path = (*found)->units;
    (*found)->units = u;
    return 0;
}
