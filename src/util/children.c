/* SPDX-License-Identifier: ISC */

/* SIGCHLD. The kernel says that some children have ended, waitid(2) names one after the other without reaping
 * it yet, so that its process group can still be asked for. Two sorted tables tell whom it concerns: by
 * process id the children that someone has started, by process group the owner of strangers. No pidfd is
 * needed for a child of ours: until it is reaped, and that happens here only, its id belongs to nobody else.
 */

#include "util/children.h"

#include <search.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* So many ends are dealt with in one turn of the loop: a service that makes orphans as fast as it can must
 * not keep the others waiting. */
#define REAPED_PER_TURN_MAX 64

typedef struct Entry {
    pid_t id;
    ChildExited exited;
    void *userdata;
} Entry;

struct Children {
    sd_event_source *signal;
    sd_event_source *more; /* deferred: the turn's limit was reached */
    void *by_pid;          /* trees of Entry, tsearch(3) */
    void *by_group;
};

static int entry_compare(const void *a, const void *b)
{
    pid_t x = ((const Entry *) a)->id, y = ((const Entry *) b)->id;
    return (x > y) - (x < y);
}

static int tree_add(void **tree, pid_t id, ChildExited exited, void *userdata)
{
    Entry *e = new0(Entry, 1);
    if (!e)
        return -ENOMEM;
    *e = (Entry){id, exited, userdata};
    Entry **found = tsearch(e, tree, entry_compare);
    if (found && *found == e)
        return 0;
    free(e);
    return found ? -EEXIST : -ENOMEM;
}

static Entry *tree_find(void *const *tree, pid_t id)
{
    const Entry key = {.id = id};
    Entry **found = tfind(&key, tree, entry_compare);
    return found ? *found : NULL;
}

static void tree_remove(void **tree, pid_t id)
{
    Entry *e = tree_find(tree, id);
    if (e) {
        (void) tdelete(e, tree, entry_compare);
        free(e);
    }
}

static void call(const Entry *found, pid_t pid, const siginfo_t *si)
{
    if (found) {
        Entry e = *found; /* the callback may remove it */
        e.exited(pid, si, e.userdata);
    }
}

/* Returns false when no child has ended. */
static bool reap_one(Children *c)
{
    siginfo_t si = {};

    if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0)
        return false;
    pid_t pid = si.si_pid, pgid = getpgid(pid);
    if (waitid(P_PID, (id_t) pid, &si, WEXITED | WNOHANG) < 0 || si.si_pid != pid)
        return false;

    Entry *e = tree_find(&c->by_pid, pid);
    if (e) {
        Entry own = *e;
        tree_remove(&c->by_pid, pid); /* before the callback: the id may be somebody else's now */
        call(&own, pid, &si);
    } else if (pgid > 0)
        call(tree_find(&c->by_group, pgid), pid, &si);
    return true;
}

static void reap(Children *c)
{
    unsigned n = 0;

    while (n < REAPED_PER_TURN_MAX && reap_one(c))
        n++;
    (void) sd_event_source_set_enabled(c->more, n == REAPED_PER_TURN_MAX ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int on_sigchld(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    reap(userdata);
    return 0;
}

static int on_more(sd_event_source *source, void *userdata)
{
    reap(userdata);
    return 0;
}

int children_new(sd_event *event, Children **ret)
{
    _cleanup_(children_freep) Children *c = new0(Children, 1);
    int r;

    if (!c)
        return -ENOMEM;
    r = sd_event_add_signal(event, &c->signal, SIGCHLD, on_sigchld, c);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(c->signal, "children-sigchld");
    r = sd_event_add_defer(event, &c->more, on_more, c);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(c->more, "children-more");
    /* Enabled once at first: children may have ended before the signal had a source. */
    r = sd_event_source_set_enabled(c->more, SD_EVENT_ONESHOT);
    if (r < 0)
        return r;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL) < 0)
        return -errno;
    *ret = TAKE_PTR(c);
    return 0;
}

Children *children_free(Children *c)
{
    if (!c)
        return NULL;
    sd_event_source_disable_unref(c->signal);
    sd_event_source_disable_unref(c->more);
    tdestroy(c->by_pid, free);
    tdestroy(c->by_group, free);
    return mfree(c);
}

int children_add(Children *c, pid_t pid, ChildExited exited, void *userdata)
{
    return tree_add(&c->by_pid, pid, exited, userdata);
}

void children_remove(Children *c, pid_t pid)
{
    tree_remove(&c->by_pid, pid);
}

int children_add_group(Children *c, pid_t pgid, ChildExited exited, void *userdata)
{
    return tree_add(&c->by_group, pgid, exited, userdata);
}

void children_remove_group(Children *c, pid_t pgid)
{
    tree_remove(&c->by_group, pgid);
}
