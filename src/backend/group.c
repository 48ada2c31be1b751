/* SPDX-License-Identifier: ISC */

/* Which processes belong to a service is what the kernel says of its process group; nothing is listed here.
 * kill(2) with signal 0 tells whether the group has members at all, and normally that is all that is asked:
 * each member is a child of ours, or comes to us when its parent in the group is gone, and its end is a
 * SIGCHLD.
 *
 * Two kinds of member end without a word to us: those that have a parent outside of the group, and those that
 * a manager before us has left. And a zombie whose parent does not care still counts as a member. So when it
 * matters (a stop, a take-over) the group is watched: its living members are counted, and those that are not
 * our children get a pidfd. `expected` is how many ends are to come before it is worth counting again. */

#include "backend/group.h"

#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "util/fd.h"

/* A member that is not our child. */
typedef struct Foreigner {
    Group *group;
    pid_t pid;
    sd_event_source *source; /* on its pidfd, which it owns */
    struct Foreigner *next;
} Foreigner;

struct Group {
    GroupContext context;
    pid_t pgid;
    pid_t leader;       /* 0: has ended */
    bool leader_reaped; /* by us, so that its id is free for others */
    bool watched;
    unsigned expected;
    Foreigner *foreigners;
};

static void drop_foreigners(Group *g)
{
    while (g->foreigners) {
        Foreigner *f = g->foreigners;
        g->foreigners = f->next;
        sd_event_source_disable_unref(f->source);
        free(f);
    }
}

static void one_ended(Group *g)
{
    if (g->expected > 0)
        g->expected--;
}

static void on_leader(pid_t pid, const siginfo_t *si, void *userdata)
{
    Group *g = userdata;

    one_ended(g);
    g->leader = 0;
    g->leader_reaped = true;
    g->context.events->leader_ended(g, si, g->context.userdata);
}

static void on_stranger(pid_t pid, const siginfo_t *si, void *userdata)
{
    Group *g = userdata;

    one_ended(g);
    g->context.events->member_ended(g, si, g->context.userdata);
}

static int on_pidfd(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Foreigner *f = userdata;
    Group *g = f->group;

    (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
    one_ended(g);
    if (f->pid == g->leader) {
        g->leader = 0;
        g->context.events->leader_ended(g, NULL, g->context.userdata);
    } else
        g->context.events->member_ended(g, NULL, g->context.userdata);
    return 0;
}

static int watch_foreigner(Group *g, pid_t pid)
{
    _cleanup_close_ int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return -errno;
    _cleanup_free_ Foreigner *f = new0(Foreigner, 1);
    if (!f)
        return -ENOMEM;
    *f = (Foreigner){.group = g, .pid = pid, .next = g->foreigners};
    int r = sd_event_add_io(g->context.event, &f->source, fd, EPOLLIN, on_pidfd, f);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(f->source, "group-pidfd");
    (void) sd_event_source_set_io_fd_own(f->source, 1);
    TAKE_FD(fd);
    g->foreigners = TAKE_PTR(f);
    return 0;
}

static int count_member(pid_t pid, const ProcStat *s, void *userdata)
{
    Group *g = userdata;

    if (s->ppid != getpid()) {
        int r = watch_foreigner(g, pid);
        if (r == -ESRCH)
            return 0; /* gone since; another count will follow only if others are left */
        if (r < 0)
            return r;
    }
    g->expected++;
    return 0;
}

static void count_members(Group *g)
{
    drop_foreigners(g);
    g->expected = 0;
    /* On failure (no memory, no descriptors) ends may go unseen: a stop has its time limit. */
    if (proc_for_each_member(g->pgid, count_member, g) < 0)
        g->expected++;
}

/* 1 and more are ids of groups; kill(2) gives -1 and 0 other meanings, which must never be reached. */
static int signal_group(const Group *g, int signal)
{
    assert(g->pgid > 1);
    return kill(-g->pgid, signal) < 0 ? -errno : 0;
}

bool group_is_empty(Group *g)
{
    if (signal_group(g, 0) == -ESRCH)
        return true;
    /* A process has the leader's id again: ids of groups that live are not given away, so ours is gone. */
    if (g->leader_reaped && getpgid(g->pgid) >= 0)
        return true;
    if (!g->watched || g->expected > 0)
        return false;
    count_members(g);
    if (g->expected == 0) /* a fork may have slipped through behind the first look's back */
        count_members(g);
    return g->expected == 0;
}

bool group_recount_is_empty(Group *g)
{
    g->watched = true;
    g->expected = 0;
    return group_is_empty(g);
}

void group_watch(Group *g)
{
    g->watched = true;
    count_members(g);
}

void group_signal(Group *g, int signal)
{
    (void) signal_group(g, signal);
}

pid_t group_leader(const Group *g)
{
    return g->leader;
}

pid_t group_session(const Group *g)
{
    return g->pgid;
}

static int group_alloc(const GroupContext *context, pid_t pgid, Group **ret)
{
    _cleanup_free_ Group *g = new0(Group, 1);
    int r;

    if (!g)
        return -ENOMEM;
    *g = (Group){.context = *context, .pgid = pgid};
    r = children_add_group(context->children, pgid, on_stranger, g);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(g);
    return 0;
}

int group_new(const GroupContext *context, pid_t leader, Group **ret)
{
    _cleanup_(group_freep) Group *g = NULL;
    int r;

    r = group_alloc(context, leader, &g);
    if (r < 0)
        return r;
    r = children_add(context->children, leader, on_leader, g);
    if (r < 0)
        return r;
    g->leader = leader;
    *ret = TAKE_PTR(g);
    return 0;
}

/* Does a process that was started no earlier than the remembered leader still carry on its session? */
typedef struct Survivors {
    const Remembered *remembered;
    unsigned n;
} Survivors;

static int count_survivor(pid_t pid, const ProcStat *s, void *userdata)
{
    Survivors *v = userdata;

    if (s->session == v->remembered->pgid && s->start_time >= v->remembered->start_time)
        v->n++;
    return 0;
}

int group_take_over(const GroupContext *context, const Remembered *m, Group **ret)
{
    _cleanup_(group_freep) Group *g = NULL;
    Survivors survivors = {.remembered = m};
    ProcStat leader;
    int r;

    r = proc_stat(m->pgid, &leader);
    if (r < 0 && r != -ESRCH)
        return r;
    bool found = r == 0;
    /* Another process with this id: it would not have been given away while the group lived. */
    if (found && leader.start_time != m->start_time)
        return -ESRCH;
    bool leads = found && !proc_is_dead(&leader);
    if (!leads) {
        r = proc_for_each_member(m->pgid, count_survivor, &survivors);
        if (r < 0)
            return r;
        if (survivors.n == 0)
            return -ESRCH;
    }

    r = group_alloc(context, m->pgid, &g);
    if (r < 0)
        return r;
    if (leads) {
        g->leader = m->pgid;
        if (leader.ppid == getpid()) {
            r = children_add(context->children, g->leader, on_leader, g);
            if (r < 0)
                return r;
        }
    }
    group_watch(g);
    if (group_is_empty(g)) /* all gone meanwhile */
        return -ESRCH;
    *ret = TAKE_PTR(g);
    return 0;
}

Group *group_free(Group *g)
{
    if (!g)
        return NULL;
    if (g->leader > 0)
        children_remove(g->context.children, g->leader);
    children_remove_group(g->context.children, g->pgid);
    drop_foreigners(g);
    return mfree(g);
}
