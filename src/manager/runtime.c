/* SPDX-License-Identifier: ISC */

/* One manager a runtime folder: the lock on DIR/direct is what decides, since a socket may have been passed
 * to any number of processes. The kernel drops it with the process, however that ends, and it is taken before
 * anything in the folder is touched. The folder of remembered children is read by nobody but us, and what is
 * in it decides which processes are ended, so that one of somebody else's making is refused. */

#include "manager/runtime.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "ipc/bus.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/text.h"

#define BACKLOG 64

/* mkdir -p; existing folders stay as they are. */
static int make_folders(const char *dir)
{
    _cleanup_free_ char *path = strdup(dir);
    if (!path)
        return -ENOMEM;
    for (char *p = path + 1;; p++) {
        char c = *p;
        if (c != '/' && c != 0)
            continue;
        *p = 0;
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -errno;
        *p = c;
        if (c == 0)
            return 0;
    }
}

/* What is in it decides which processes are ended, and may be secret. */
static int open_private_dir(int parent, const char *dir, const char *name, int *ret)
{
    struct stat st;

    if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
        return log_error_errno(errno, "Cannot create %s/%s: %m", dir, name);
    _cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return log_error_errno(errno, "Cannot open %s/%s: %m", dir, name);
    if (st.st_uid != geteuid() || (st.st_mode & 0022) != 0)
        return log_error_errno(EPERM,
                "%s/%s belongs to another user, or others may write to it; refusing to trust it.", dir, name);
    *ret = TAKE_FD(fd);
    return 0;
}

static int open_dirs(Runtime *r, const char *dir)
{
    int e = make_folders(dir);
    if (e < 0)
        return log_error_errno(e, "Cannot create %s: %m", dir);
    _cleanup_close_ int parent = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return log_error_errno(errno, "Cannot open %s: %m", dir);
    e = open_private_dir(parent, dir, "direct", &r->state_dir_fd);
    if (e < 0)
        return e;
    if (flock(r->state_dir_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return log_error_errno(EADDRINUSE, "Another dynapm-manager is already running in %s.", dir);
        return log_error_errno(errno, "Cannot lock %s/direct: %m", dir);
    }
    e = open_private_dir(parent, dir, "environment", &r->environments.dir_fd);
    if (e < 0)
        return e;
    r->environments.path = r->environment_dir = text_format("%s/environment", dir);
    return r->environment_dir ? 0 : log_oom();
}

static int bind_socket(Runtime *r, const char *dir)
{
    _cleanup_free_ char *path = text_format("%s/" MANAGER_SOCKET_NAME, dir);
    SocketAddress a;

    if (!path)
        return log_oom();
    int e = socket_address_from_path(path, &a);
    if (e == -EINVAL)
        return log_error_errno(e, "The runtime folder %s is no absolute path.", dir);
    if (e < 0)
        return log_error_errno(e, "Cannot use %s for a socket: %m", path);
    mode_t old = umask(0117); /* 0660 from birth */
    int fd = socket_address_listen(&a, BACKLOG);
    (void) umask(old);
    if (fd == -EADDRINUSE)
        return log_error_errno(fd, "Somebody else listens on %s.", path);
    if (fd < 0)
        return log_error_errno(fd, "Cannot listen on %s: %m", path);
    r->listen_fd = fd;
    r->own = a;
    return 0;
}

int runtime_open(Runtime *r, const char *dir, int passed_fd)
{
    *r = RUNTIME_NULL;
    if (passed_fd >= 0) {
        r->listen_fd = passed_fd;
        int e = sd_is_socket_unix(passed_fd, SOCK_STREAM, 1, NULL, 0);
        if (e <= 0)
            return log_error_errno(
                    e < 0 ? e : ENOTSOCK, "The descriptor passed is no listening unix socket.");
        e = fd_adopt(passed_fd);
        if (e < 0)
            return log_error_errno(e, "Cannot use the socket passed: %m");
    }
    int e = open_dirs(r, dir);
    return e < 0 || passed_fd >= 0 ? e : bind_socket(r, dir);
}

void runtime_close(Runtime *r)
{
    if (r->own.len > 0 && r->listen_fd >= 0)
        (void) unlink(r->own.un.sun_path);
    r->listen_fd = fd_close(r->listen_fd);
    r->state_dir_fd = fd_close(r->state_dir_fd);
    r->environments.dir_fd = fd_close(r->environments.dir_fd);
    r->environment_dir = mfree(r->environment_dir);
}
