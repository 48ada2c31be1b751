/* SPDX-License-Identifier: ISC */

#include "util/fd.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int fd_close(int fd)
{
    if (fd >= 0) {
        int saved = errno;
        (void) close(fd);
        errno = saved;
    }
    return -EBADF;
}

int fd_adopt(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    return 0;
}

bool fd_is_same_socket(int a, int b)
{
    uint64_t cookies[2];
    socklen_t len = sizeof cookies[0];

    return getsockopt(a, SOL_SOCKET, SO_COOKIE, &cookies[0], &len) == 0 &&
           getsockopt(b, SOL_SOCKET, SO_COOKIE, &cookies[1], &len) == 0 && cookies[0] == cookies[1];
}

int fd_read_file(int fd, size_t max, char **ret, size_t *ret_len)
{
    _cleanup_free_ char *buf = NULL;
    size_t len = 0, size = 0;

    for (;;) {
        if (len + 1 >= size) {
            size = size ? size * 2 : 4096;
            char *grown = realloc(buf, size);
            if (!grown)
                return -ENOMEM;
            buf = grown;
        }
        ssize_t n = read(fd, buf + len, size - len - 1);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (n == 0)
            break;
        len += (size_t) n;
        if (len > max)
            return -EFBIG;
    }
    buf[len] = 0;
    *ret = TAKE_PTR(buf);
    *ret_len = len;
    return 0;
}

int fd_write_file(int dir_fd, const char *name, const char *text, size_t len)
{
    char temporary[NAME_MAX + 1];
    int r = 0;

    int n = snprintf(temporary, sizeof temporary, "%s~", name);
    if (n < 0 || (size_t) n >= sizeof temporary)
        return -ENAMETOOLONG;
    _cleanup_close_ int fd = openat(
            dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return -errno;
    for (size_t at = 0; r == 0 && at < len;) {
        ssize_t written = write(fd, text + at, len - at);
        if (written > 0)
            at += (size_t) written;
        else if (written == 0 || errno != EINTR)
            r = written == 0 ? -ENOSPC : -errno;
    }
    if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) == 0)
        return 0;
    r = r ?: -errno;
    (void) unlinkat(dir_fd, temporary, 0);
    return r;
}

int memfd_new_sized(const char *name, size_t size)
{
    _cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t) size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        return -errno;
    return TAKE_FD(fd);
}
