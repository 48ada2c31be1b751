/* SPDX-License-Identifier: ISC */

/* The shared tables' memory. Who may write is decided by seals, not by agreement: the status table's
 * F_SEAL_FUTURE_WRITE is set after the manager's own writable mapping exists and before the descriptor is
 * given away, so that this mapping stays the only writable one there will ever be. Neither kind can change
 * its size, so that no reader ever meets SIGBUS; and F_SEAL_SEAL keeps a peer from sealing writes away from
 * us. */

#include "ipc/table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "util/fd.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SEALS_SIZE (F_SEAL_SHRINK | F_SEAL_GROW)

static int map(int fd, size_t size, int prot, void **ret)
{
    void *p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *ret = p;
    return 0;
}

/* Maps what a peer sent, after looking that it is what we expect to have been sent. */
static int map_received(int fd, size_t size, int seals, int prot, void **ret)
{
    struct stat st;

    int have = fcntl(fd, F_GET_SEALS);
    if (have < 0 || (have & seals) != seals) /* EINVAL: not a memfd at all */
        return -EINVAL;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size != (off_t) size)
        return -EINVAL;
    return map(fd, size, prot, ret);
}

static void unmap(const void *p, size_t size)
{
    if (p)
        (void) munmap((void *) p, size);
}

int status_table_new(StatusTable **ret, int *ret_fd)
{
    _cleanup_close_ int fd = memfd_new_sized("dynapm-status", sizeof(StatusTable));
    void *p = NULL;

    if (fd < 0)
        return fd;
    int r = map(fd, sizeof(StatusTable), PROT_READ | PROT_WRITE, &p);
    if (r < 0)
        return r;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0) {
        r = -errno;
        unmap(p, sizeof(StatusTable));
        return r;
    }
    *ret = p;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int status_table_map(int fd, const StatusTable **ret)
{
    void *p = NULL;
    int r = map_received(
            fd, sizeof(StatusTable), SEALS_SIZE | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL, PROT_READ, &p);
    if (r < 0)
        return r;
    *ret = p;
    return 0;
}

void status_table_unmap(const StatusTable *t)
{
    unmap(t, sizeof *t);
}

int activity_table_new(const ActivityTable **ret, int *ret_fd)
{
    _cleanup_close_ int fd = memfd_new_sized("dynapm-activity", sizeof(ActivityTable));
    void *p = NULL;

    if (fd < 0)
        return fd;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) < 0)
        return -errno;
    int r = map(fd, sizeof(ActivityTable), PROT_READ, &p);
    if (r < 0)
        return r;
    *ret = p;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int activity_table_map(int fd, ActivityTable **ret)
{
    void *p = NULL;
    int r = map_received(fd, sizeof(ActivityTable), SEALS_SIZE | F_SEAL_SEAL, PROT_READ | PROT_WRITE, &p);
    if (r < 0)
        return r;
    *ret = p;
    return 0;
}

void activity_table_unmap(const ActivityTable *t)
{
    unmap(t, sizeof *t);
}
