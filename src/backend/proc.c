/* SPDX-License-Identifier: ISC */

/* Reads /proc. Its files are made on the fly and short: one read(2) gets all. */

#include "backend/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/fd.h"

static int read_short(const char *path, char *buf, size_t size)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, buf, size - 1);
    if (n < 0)
        return -errno;
    buf[n] = 0;
    return 0;
}

int proc_stat(pid_t pid, ProcStat *ret)
{
    char path[64], buf[1024];
    uint64_t user, system, children_user, children_system;
    ProcStat s;
    int r;

    snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
    r = read_short(path, buf, sizeof buf);
    if (r < 0)
        return r == -ENOENT ? -ESRCH : r;
    /* The second field is the program's name in parentheses, and may itself hold any character. */
    const char *p = strrchr(buf, ')');
    if (!p)
        return -EBADMSG;
    if (sscanf(p + 1,
                " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                " %*d %*d %*d %*d %" SCNu64 " %*u %" SCNu64,
                &s.state, &s.ppid, &s.pgrp, &s.session, &user, &system, &children_user, &children_system,
                &s.start_time, &s.rss_pages) != 10)
        return -EBADMSG;
    s.cpu_ticks = user + system + children_user + children_system;
    *ret = s;
    return 0;
}

int proc_open_fds(pid_t pid, uint64_t *ret)
{
    char path[64];
    struct stat st;
    uint64_t n = 0;

    snprintf(path, sizeof path, "/proc/%d/fd", (int) pid);
    if (stat(path, &st) < 0)
        return -errno;
    if (st.st_size > 0) {
        *ret = (uint64_t) st.st_size;
        return 0;
    }
    DIR *d = opendir(path);
    if (!d)
        return -errno;
    for (struct dirent *e; (e = readdir(d));)
        n += *e->d_name != '.';
    (void) closedir(d);
    *ret = n - (pid == getpid()); /* without that of the folder itself */
    return 0;
}

int proc_for_each_member(
        pid_t pgid, int (*member)(pid_t pid, const ProcStat *s, void *userdata), void *userdata)
{
    DIR *d = opendir("/proc");
    int n = 0;

    if (!d)
        return -errno;
    for (struct dirent *e; n >= 0 && (e = readdir(d));) {
        ProcStat s;
        pid_t pid = (pid_t) strtol(e->d_name, NULL, 10);
        if (pid <= 0 || getpgid(pid) != pgid || proc_stat(pid, &s) < 0 || s.pgrp != pgid || proc_is_dead(&s))
            continue;
        int r = member(pid, &s, userdata);
        n = r < 0 ? r : n + 1;
    }
    (void) closedir(d);
    return n;
}

int proc_boot_id(char ret[static BOOT_ID_SIZE])
{
    char buf[BOOT_ID_SIZE + 1];
    int r = read_short("/proc/sys/kernel/random/boot_id", buf, sizeof buf);
    if (r < 0)
        return r;
    buf[strcspn(buf, "\n")] = 0;
    if (strlen(buf) != BOOT_ID_SIZE - 1)
        return -EBADMSG;
    memcpy(ret, buf, BOOT_ID_SIZE);
    return 0;
}
