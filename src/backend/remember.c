/* SPDX-License-Identifier: ISC */

/* A remembered group is one line, "PGID START_TIME BOOT_ID". The files lie below /run or a folder like it and
 * need survive us, not the machine: nothing is synced, and another boot's files mean nothing. */

#include "backend/remember.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "util/fd.h"

#define FILE_MAX 128

int remember_write(int dir_fd, const char *name, const Remembered *m)
{
    char boot_id[BOOT_ID_SIZE], line[FILE_MAX];

    int r = proc_boot_id(boot_id);
    if (r < 0)
        return r;
    int n = snprintf(line, sizeof line, "%d %" PRIu64 " %s\n", (int) m->pgid, m->start_time, boot_id);
    return fd_write_file(dir_fd, name, line, (size_t) n);
}

int remember_read(int dir_fd, const char *name, Remembered *ret)
{
    _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char boot_id[BOOT_ID_SIZE], file_boot_id[BOOT_ID_SIZE];
    _cleanup_free_ char *line = NULL;
    Remembered m;
    size_t len;
    int r;

    if (fd < 0)
        return -errno;
    r = fd_read_file(fd, FILE_MAX, &line, &len);
    if (r < 0)
        return r;
    if (sscanf(line, "%d %" SCNu64 " %36s", &m.pgid, &m.start_time, file_boot_id) != 3 || m.pgid <= 1)
        return -EBADMSG;
    r = proc_boot_id(boot_id);
    if (r < 0)
        return r;
    if (!streq(boot_id, file_boot_id))
        return -ESTALE;
    *ret = m;
    return 0;
}

void remember_forget(int dir_fd, const char *name)
{
    if (dir_fd >= 0)
        (void) unlinkat(dir_fd, name, 0);
}
