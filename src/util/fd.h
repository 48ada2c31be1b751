/* SPDX-License-Identifier: ISC */
#pragma once

#include "util/macro.h"

/* Closes fd if it is one (>= 0), keeps errno. Returns -EBADF, for `fd = fd_close(fd)`. */
int fd_close(int fd);

static inline void fd_closep(int *fd)
{
    fd_close(*fd);
}
#define _cleanup_close_ _cleanup_(fd_closep)

/* Makes an inherited descriptor what all of ours are: CLOEXEC and NONBLOCK. Returns 0 or -errno. */
int fd_adopt(int fd);

/* Reads a whole regular file of at most `max` bytes into a fresh, NUL-terminated buffer that the caller
 * frees. Returns 0, -EFBIG when it is larger, or -errno. */
int fd_read_file(int fd, size_t max, char **ret, size_t *ret_len);

/* Creates a zeroed memfd of `size` bytes, CLOEXEC, sealed against growing and shrinking (so that no peer can
 * make a reader of the mapping die by SIGBUS) and open for further seals. Returns the descriptor or -errno.
 * memfd_create(2). */
int memfd_new_sized(const char *name, size_t size);
