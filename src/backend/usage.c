/* SPDX-License-Identifier: ISC */

/* Reads /proc and cgroupfs, whose files are made on the fly: no disk is waited for. What a read costs is
 * bounded by the number of processes, and how often it is done by USAGE_MAX_AGE.
 *
 * A machine has one of three kinds of hierarchy, cgroups(7): the unified one; those of version 1, a folder a
 * controller; or both, where the unified one has no controllers. /proc/PID/cgroup has a line for each, and a
 * line counts only where the unit's own name is in its path: elsewhere a controller accounts for more than
 * the unit. */

#include "backend/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "backend/proc.h"
#include "util/fd.h"
#include "util/text.h"

#define ROOT "/sys/fs/cgroup"
#define PROCS_MAX 65536 /* bytes of a list of processes that are looked at */

static int read_file(const char *path, char *buf, size_t size)
{
    size_t n = 0;
    ssize_t k;

    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    while (n < size - 1 && (k = read(fd, buf + n, size - 1 - n)) != 0) {
        if (k < 0)
            return -errno;
        n += (size_t) k;
    }
    buf[n] = 0;
    return 0;
}

static void add_process(ResourceUsage *sum, const ProcStat *s)
{
    static const uint64_t nsec_per_sec = 1000000000;

    sum->memory += s->rss_pages * (uint64_t) sysconf(_SC_PAGESIZE);
    sum->cpu += s->cpu_ticks * (nsec_per_sec / (uint64_t) sysconf(_SC_CLK_TCK));
}

/* ── sessions ── */

typedef struct Session {
    pid_t id;
    ResourceUsage usage;
} Session;

struct SessionTable {
    Session *sessions; /* sorted */
    size_t n, n_allocated;
    usec_t at; /* 0: never */
};

SessionTable *session_table_new(void)
{
    return new0(SessionTable, 1);
}

SessionTable *session_table_free(SessionTable *t)
{
    if (t)
        free(t->sessions);
    return mfree(t);
}

static int by_id(const void *a, const void *b)
{
    pid_t x = ((const Session *) a)->id, y = ((const Session *) b)->id;
    return (x > y) - (x < y);
}

static int add_session(SessionTable *t, const ProcStat *s)
{
    if (t->n == t->n_allocated) {
        size_t n = MAX(t->n_allocated * 2, (size_t) 64);
        Session *grown = reallocarray(t->sessions, n, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        t->sessions = grown;
        t->n_allocated = n;
    }
    t->sessions[t->n] = (Session){.id = s->session};
    add_process(&t->sessions[t->n++].usage, s);
    return 0;
}

/* One entry a session. */
static void merge(SessionTable *t)
{
    size_t n = 0;

    if (t->n == 0)
        return;
    qsort(t->sessions, t->n, sizeof *t->sessions, by_id);
    for (size_t i = 1; i < t->n; i++) {
        const Session *s = &t->sessions[i];
        if (s->id == t->sessions[n].id) {
            t->sessions[n].usage.memory += s->usage.memory;
            t->sessions[n].usage.cpu += s->usage.cpu;
        } else
            t->sessions[++n] = *s;
    }
    t->n = n + 1;
}

static void refresh(SessionTable *t)
{
    DIR *d = opendir("/proc");

    t->n = 0;
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        ProcStat s;
        pid_t pid = (pid_t) strtol(e->d_name, NULL, 10);
        /* Kernel threads have no session. */
        if (pid <= 0 || proc_stat(pid, &s) < 0 || s.session == 0 || proc_is_dead(&s))
            continue;
        if (add_session(t, &s) < 0)
            break;
    }
    (void) closedir(d);
    merge(t);
}

void session_table_read(SessionTable *t, pid_t session, ResourceUsage *ret)
{
    const Session key = {.id = session};
    usec_t now = now_monotonic();

    if (t->at == 0 || now - t->at >= USAGE_MAX_AGE) {
        t->at = now;
        refresh(t);
    }
    const Session *s = t->n > 0 ? bsearch(&key, t->sessions, t->n, sizeof key, by_id) : NULL;
    *ret = s ? s->usage : RESOURCE_USAGE_UNKNOWN;
}

/* ── control groups ── */

void cgroup_files_done(CgroupFiles *f)
{
    free(f->memory);
    free(f->cpu);
    free(f->procs);
    *f = (CgroupFiles){};
}

/* Up to where the path is the unit's own group, 0: nowhere. Its processes may be in groups below. */
static size_t own_length(const char *path, const char *unit)
{
    size_t n = strlen(unit);

    for (const char *p = path; (p = strstr(p, unit)); p++)
        if (p > path && p[-1] == '/' && (p[n] == '/' || p[n] == 0))
            return (size_t) (p - path) + n;
    return 0;
}

static bool has_controller(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = list; (p = strstr(p, name)); p++)
        if ((p == list || p[-1] == ',') && (p[n] == ',' || p[n] == 0))
            return true;
    return false;
}

static void set_file(char **file, const char *root, const char *path, size_t len, const char *name)
{
    if (!*file)
        *file = text_format("%s%.*s/%s", root, (int) len, path, name);
}

/* "4:memory:/system.slice/wiki.service", or "0::/system.slice/wiki.service" */
static void read_line(CgroupFiles *f, const char *unit, char *line)
{
    char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

    if (!path)
        return;
    *path++ = 0;
    list++;
    size_t n = own_length(path, unit);
    if (n == 0)
        return;
    if (*list == 0) {
        bool alone = access(ROOT "/cgroup.procs", F_OK) == 0;
        const char *root = alone ? ROOT : ROOT "/unified";
        set_file(&f->procs, root, path, n, "cgroup.procs");
        if (alone) {
            set_file(&f->memory, root, path, n, "memory.current");
            set_file(&f->cpu, root, path, n, "cpu.stat");
            f->cpu_unit = 1000;
        }
    } else if (has_controller(list, "memory"))
        set_file(&f->memory, ROOT "/memory", path, n, "memory.usage_in_bytes");
    else if (has_controller(list, "cpuacct")) {
        set_file(&f->cpu, ROOT "/cpuacct", path, n, "cpuacct.usage");
        f->cpu_unit = 1;
    } else if (streq(list, "name=systemd"))
        set_file(&f->procs, ROOT "/systemd", path, n, "cgroup.procs");
}

static void find_files(CgroupFiles *f, const char *unit, pid_t pid)
{
    char path[64], buf[4096], *rest = buf;

    cgroup_files_done(f);
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int) pid);
    if (read_file(path, buf, sizeof buf) < 0)
        return;
    f->pid = pid;
    for (char *line; (line = strsep(&rest, "\n"));)
        read_line(f, unit, line);
}

/* "usage_usec 1234\n…", or the number alone. */
static bool read_number(const char *file, uint64_t *ret)
{
    char buf[512];

    if (!file || read_file(file, buf, sizeof buf) < 0)
        return false;
    const char *digits = startswith(buf, "usage_usec ") ?: buf;
    return sscanf(digits, "%" SCNu64, ret) == 1;
}

static bool add_up_processes(const char *file, ResourceUsage *ret)
{
    _cleanup_free_ char *buf = malloc(PROCS_MAX);
    ResourceUsage sum = {};
    bool any = false;

    if (!file || !buf || read_file(file, buf, PROCS_MAX) < 0)
        return false;
    char *rest = buf;
    for (char *line; (line = strsep(&rest, "\n"));) {
        pid_t pid = (pid_t) strtol(line, NULL, 10);
        ProcStat s;
        if (pid <= 0 || proc_stat(pid, &s) < 0)
            continue;
        add_process(&sum, &s);
        any = true;
    }
    *ret = sum;
    return any;
}

void cgroup_files_read(CgroupFiles *f, const char *unit, pid_t pid, ResourceUsage *ret)
{
    ResourceUsage u = RESOURCE_USAGE_UNKNOWN, sum;

    if (f->pid != pid)
        find_files(f, unit, pid);
    if (read_number(f->cpu, &u.cpu))
        u.cpu = u.cpu > UINT64_MAX / f->cpu_unit ? UINT64_MAX : u.cpu * f->cpu_unit;
    else
        u.cpu = UINT64_MAX;
    if (!read_number(f->memory, &u.memory))
        u.memory = UINT64_MAX;
    if ((u.cpu == UINT64_MAX || u.memory == UINT64_MAX) && add_up_processes(f->procs, &sum)) {
        u.cpu = u.cpu == UINT64_MAX ? sum.cpu : u.cpu;
        u.memory = u.memory == UINT64_MAX ? sum.memory : u.memory;
    }
    *ret = u;
}
