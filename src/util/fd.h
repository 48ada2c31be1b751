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

/* Are they the same socket, received once and again perhaps? socket(7), SO_COOKIE. */
bool fd_is_same_socket(int a, int b);

/* Reads a whole regular file of at most `max` bytes into a fresh, NUL-terminated buffer that the caller
 * frees. Returns 0, -EFBIG when it is larger, or -errno. */
int fd_read_file(int fd, size_t max, char **ret, size_t *ret_len);

/* Writes a file of mode 0600 into a folder, whole or not at all: under the name NAME~ first, which then takes
 * the place of what was there, so that a name should not end in '~'. Returns 0 or -errno. */
int fd_write_file(int dir_fd, const char *name, const char *text, size_t len);

/* Creates a zeroed memfd of `size` bytes, CLOEXEC, sealed against growing and shrinking (so that no peer can
 * make a reader of the mapping die by SIGBUS) and open for further seals. Returns the descriptor or -errno.
 * memfd_create(2). */
int memfd_new_sized(const char *name, size_t size);
