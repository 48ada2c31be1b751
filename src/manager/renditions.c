/* SPDX-License-Identifier: ISC */

/* With few services a form is written in less than a millisecond and good for some of them: nobody sees that
 * it is not of this very moment. With thousands it takes as long as hundreds of other calls, and lets them
 * have their turn. It is CPU time that counts, so that a machine that is busy with something else does not
 * make it old news. */

#include "manager/renditions.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "manager/metrics.h"
#include "util/fd.h"

static usec_t cpu_time(void)
{
    struct timespec ts;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) < 0)
        return 0;
    return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

static int render(const Manager *m, MetricsFormat format)
{
    _cleanup_(exposition_done) Exposition x = {.format = format, .created = m->began};

    int r = metrics_write(m, &x);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = memfd_create("dynapm-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    for (size_t at = 0; at < x.len;) {
        ssize_t n = pwrite(fd, x.text + at, x.len - at, (off_t) at);
        if (n < 0)
            return -errno;
        at += (size_t) n;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    return TAKE_FD(fd);
}

/* The same file once more: those who read one descriptor move one another's offset. */
static int open_again(int fd)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return again < 0 ? -errno : again;
}

void renditions_done(Renditions *r)
{
    for (size_t i = 0; i < ELEMENTSOF(r->of); i++)
        r->of[i].fd = fd_close(r->of[i].fd);
}

int renditions_get(Renditions *r, const Manager *m, MetricsFormat format, usec_t now)
{
    Rendition *kept = &r->of[format];

    if (kept->fd < 0 || now >= kept->until) {
        usec_t began = cpu_time();
        int fd = render(m, format);
        if (fd < 0)
            return fd;
        fd_close(kept->fd);
        *kept = (Rendition){.fd = fd, .until = now + RENDITION_LIFE * (cpu_time() - began)};
    }
    return open_again(kept->fd);
}
