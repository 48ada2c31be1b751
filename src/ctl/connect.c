/* SPDX-License-Identifier: ISC */

/* The way to the manager: its own socket for root and the manager's user, who need no bus and no polkit; else
 * the system bus, where polkit decides. */

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ipc/bus.h"
#include "util/address.h"
#include "util/fd.h"
#include "util/text.h"

static int connect_private(const char *path, sd_bus **ret)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    SocketAddress a;
    int r;

    r = socket_address_from_path(path, &a);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &a.sa, a.len) < 0)
        return -errno;
    if ((r = sd_bus_new(&bus)) < 0 || (r = sd_bus_set_fd(bus, fd, fd)) < 0)
        return r;
    TAKE_FD(fd);
    r = sd_bus_start(bus);
    if (r >= 0)
        *ret = TAKE_PTR(bus);
    return r;
}

/* Where the manager's socket is; NULL: nowhere, or out of memory. */
static char *socket_path(const CtlOptions *options)
{
    const char *base = getenv("XDG_RUNTIME_DIR");

    if (options->runtime_dir)
        return text_format("%s/" MANAGER_SOCKET_NAME, options->runtime_dir);
    if (!options->user)
        return strdup("/run/dynapm/" MANAGER_SOCKET_NAME);
    return base ? text_format("%s/dynapm/" MANAGER_SOCKET_NAME, base) : NULL;
}

static int try_connect(const CtlOptions *options, const char *path, sd_bus **ret)
{
    int r = connect_private(path, ret);
    if ((r == -EACCES || r == -EPERM) && !options->runtime_dir && !options->user) {
        int k = sd_bus_open_system(ret);
        if (k < 0)
            return r;
        (void) sd_bus_set_allow_interactive_authorization(*ret, true);
        return 0;
    }
    return r < 0 ? r : 0;
}

int ctl_connect_quietly(const CtlOptions *options, sd_bus **ret)
{
    _cleanup_free_ char *path = socket_path(options);
    return path ? try_connect(options, path, ret) : -ENOENT;
}

int ctl_connect(const CtlOptions *options, sd_bus **ret)
{
    _cleanup_free_ char *path = socket_path(options);

    if (!path) {
        (void) ctl_error("XDG_RUNTIME_DIR is not set: who is the user? --runtime-dir= says it as well.");
        return -ENOENT;
    }
    int r = try_connect(options, path, ret);
    if (r == -EACCES || r == -EPERM)
        (void) ctl_error("You may not use %s. Try it as root%s.", path,
                options->runtime_dir || options->user ? "" : ", or with --user for your own services");
    else if (r == -ENOENT || r == -ECONNREFUSED) {
        (void) ctl_error("The manager is not running: nobody listens on %s.", path);
        if (!options->runtime_dir)
            fprintf(stderr,
                    "Start it with `systemctl %sstart dynapm-manager.socket`, or name another one with %s.\n",
                    options->user ? "--user " : "",
                    options->user ? "--runtime-dir=" : "--user or --runtime-dir=");
    } else if (r < 0)
        (void) ctl_error("Cannot connect to %s: %s", path, strerror(-r));
    return r;
}
