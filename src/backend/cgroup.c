/* SPDX-License-Identifier: ISC */

/* The kernel changes cgroup.events when the last process leaves, which inotify(7) tells. */

#include "backend/cgroup.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "util/fd.h"
#include "util/text.h"

struct CgroupWatch {
    char *file;
    CgroupEmpty empty;
    void *userdata;
    sd_event_source *source;
};

/* 1 or 0, or -errno. */
static int is_populated(const char *file)
{
    char buf[256];

    _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;   /* the group itself is gone */
    ssize_t n = read(fd, buf, sizeof buf - 1); /* a file of cgroupfs has no size to read it by */
    if (n < 0)
        return errno == ENODEV ? 0 : -errno;
    buf[n] = 0;
    return !strstr(buf, "populated 0");
}

static int on_inotify(sd_event_source *source, const struct inotify_event *e, void *userdata)
{
    CgroupWatch *w = userdata;

    if (is_populated(w->file) == 0) {
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        w->empty(w, w->userdata);
    }
    return 0;
}

int cgroup_watch_new(sd_event *event, const char *path, CgroupEmpty empty, void *userdata, CgroupWatch **ret)
{
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    const char *root = NULL;

    for (size_t i = 0; i < ELEMENTSOF(roots) && !root; i++) {
        _cleanup_free_ char *marker = text_format("%s/cgroup.procs", roots[i]);
        if (!marker)
            return -ENOMEM;
        if (access(marker, F_OK) == 0)
            root = roots[i];
    }
    if (!root)
        return -EOPNOTSUPP;
    _cleanup_(cgroup_watch_freep) CgroupWatch *w = new0(CgroupWatch, 1);
    if (!w || !(w->file = text_format("%s%s/cgroup.events", root, path)))
        return -ENOMEM;
    w->empty = empty;
    w->userdata = userdata;
    /* Watched first and read then, so that no end falls in between. */
    int r = sd_event_add_inotify(event, &w->source, w->file, IN_MODIFY | IN_DELETE_SELF, on_inotify, w);
    if (r == -ENOENT)
        return -ESRCH;
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(w->source, "cgroup");
    r = is_populated(w->file);
    if (r <= 0)
        return r < 0 ? r : -ESRCH;
    *ret = TAKE_PTR(w);
    return 0;
}

pid_t cgroup_watch_member(const CgroupWatch *w)
{
    char buf[32] = "";

    _cleanup_free_ char *file =
            text_format("%.*scgroup.procs", (int) (strlen(w->file) - STRLEN("cgroup.events")), w->file);
    _cleanup_close_ int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -EBADF;
    if (fd < 0 || read(fd, buf, sizeof buf - 1) <= 0)
        return 0;
    return (pid_t) strtol(buf, NULL, 10);
}

CgroupWatch *cgroup_watch_free(CgroupWatch *w)
{
    if (!w)
        return NULL;
    sd_event_source_disable_unref(w->source);
    free(w->file);
    return mfree(w);
}
