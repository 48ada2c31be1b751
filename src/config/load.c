/* SPDX-License-Identifier: ISC */

/* Files and folders: which ones count, in which order, and whether they may be trusted. The parser sees their
 * text only. All that can be wrong with one file is a problem of that file; nothing but memory ends the
 * loading. */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "config/global.h"
#include "util/fd.h"

/* A folder that exists. */
typedef struct Folder {
    const char *path; /* as it was given */
    char *absolute;
    int fd;
} Folder;

/* A file by its name, and the folder that it is in. */
typedef struct DropIn {
    char *name;
    size_t folder;
} DropIn;

typedef struct Loader {
    Config *config;
    bool check_permissions;
    Folder *folders;
    size_t n_folders;
    DropIn *files;
    size_t n_files;
} Loader;

static void loader_done(Loader *l)
{
    for (size_t i = 0; i < l->n_folders; i++) {
        fd_close(l->folders[i].fd);
        free(l->folders[i].absolute);
    }
    free(l->folders);
    for (size_t i = 0; i < l->n_files; i++)
        free(l->files[i].name);
    free(l->files);
}

static int file_problem(Config *c, const char *file, const char *format, ...) _printf_(3, 4);
static int file_problem(Config *c, const char *file, const char *format, ...)
{
    char *message;
    va_list ap;

    va_start(ap, format);
    int r = vasprintf(&message, format, ap);
    va_end(ap);
    return config_add_problem(c, file, 0, 0, NULL, r < 0 ? NULL : message);
}

static int unreadable(Config *c, const char *file, int error)
{
    return file_problem(c, file, "cannot be read: %s", strerror(error));
}

/* May somebody write to it who is neither its owner nor root? */
static bool is_writable_by_others(const struct stat *st)
{
    return (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

static const char permissions[] =
        "others than its owner may write to it (mode %04o), so that it is not used; "
        "chmod go-w would help";

/* An empty file or /dev/null says: pretend that there is none. */
static bool is_mask(const struct stat *st)
{
    return (S_ISREG(st->st_mode) && st->st_size == 0) ||
           (S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3));
}

/* Is there nothing of that name, not even a link that leads nowhere? */
static bool is_gone(int folder_fd, const char *name)
{
    struct stat st;
    return fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

/* Opens and parses one file. One that is not there any more never was. */
static int load_file(
        Loader *l, int folder_fd, const char *name, const char *path, const char *folder, ConfigFileKind kind)
{
    _cleanup_close_ int fd = -EBADF;
    _cleanup_free_ char *text = NULL;
    struct stat st;
    size_t len;

    /* Looked at before it is opened, as opening a device or a FIFO has effects; and again once it is ours. */
    if (fstatat(folder_fd, name, &st, 0) < 0) {
        int error = errno;
        return is_gone(folder_fd, name) ? 0 : unreadable(l->config, path, error);
    }
    if (is_mask(&st))
        return 0;
    if (!S_ISREG(st.st_mode))
        return file_problem(l->config, path, "expected a regular file");
    fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return unreadable(l->config, path, errno);
    if (!S_ISREG(st.st_mode))
        return file_problem(l->config, path, "expected a regular file");
    if (l->check_permissions && is_writable_by_others(&st))
        return file_problem(l->config, path, permissions, st.st_mode & 07777);

    int r = fd_read_file(fd, CONFIG_FILE_MAX, &text, &len);
    if (r == -ENOMEM)
        return r;
    if (r == -EFBIG)
        return file_problem(l->config, path, "expected at most 1 MiB, got more");
    if (r < 0)
        return unreadable(l->config, path, -r);
    return config_parse_file(l->config, kind, path, folder, text, len);
}

/* ── folders ── */

static bool is_drop_in(const char *name)
{
    size_t n = strlen(name);
    return name[0] != '.' && n > STRLEN(".json") && streq(name + n - STRLEN(".json"), ".json");
}

static int list_folder(Loader *l, size_t folder)
{
    int r = 0;

    int fd = fcntl(l->folders[folder].fd, F_DUPFD_CLOEXEC, 3);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        r = -errno;
        fd_close(fd);
        return r == -ENOMEM ? r : unreadable(l->config, l->folders[folder].path, -r);
    }
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e) {
            if (errno != 0)
                r = unreadable(l->config, l->folders[folder].path, errno);
            break;
        }
        if (!is_drop_in(e->d_name))
            continue;
        char *name = strdup(e->d_name);
        if (!name || array_grow((void **) &l->files, l->n_files, sizeof *l->files) < 0) {
            free(name);
            r = -ENOMEM;
            break;
        }
        l->files[l->n_files++] = (DropIn){.name = name, .folder = folder};
    }
    closedir(d);
    return r;
}

/* Returns 1 when the folder is there, 0 when there is none or it was refused. */
static int open_folder(Loader *l, const char *path)
{
    struct stat st;

    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = unreadable(l->config, path, errno);
        return r < 0 ? r : 1;
    }
    if (l->check_permissions && is_writable_by_others(&st)) {
        int r = file_problem(l->config, path, permissions, st.st_mode & 07777);
        return r < 0 ? r : 1;
    }
    if (array_grow((void **) &l->folders, l->n_folders, sizeof *l->folders) < 0)
        return -ENOMEM;
    l->folders[l->n_folders] = (Folder){.path = path, .absolute = realpath(path, NULL), .fd = TAKE_FD(fd)};
    int r = list_folder(l, l->n_folders++);
    return r < 0 ? r : 1;
}

static int compare_files(const void *a, const void *b)
{
    const DropIn *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->folder > y->folder) - (x->folder < y->folder);
}

static int load_folders(Loader *l, const char *const *dirs)
{
    bool any = false;

    for (size_t i = 0; dirs && dirs[i]; i++) {
        int r = open_folder(l, dirs[i]);
        if (r < 0)
            return r;
        any |= r > 0;
    }
    if (!any && dirs && dirs[0])
        return unreadable(l->config, dirs[0], ENOENT);

    if (l->n_files > 0)
        qsort(l->files, l->n_files, sizeof *l->files, compare_files);
    for (size_t i = 0; i < l->n_files; i++) {
        const DropIn *f = &l->files[i];
        const Folder *folder = &l->folders[f->folder];
        _cleanup_free_ char *path = NULL;

        if (i > 0 && streq(f->name, l->files[i - 1].name))
            continue; /* an earlier folder has one of this name */
        const char *slash = folder->path[strlen(folder->path) - 1] == '/' ? "" : "/";
        if (asprintf(&path, "%s%s%s", folder->path, slash, f->name) < 0) {
            path = NULL;
            return -ENOMEM;
        }
        int r = load_file(l, folder->fd, f->name, path, folder->absolute, CONFIG_FILE_DROP_IN);
        if (r < 0)
            return r;
    }
    return 0;
}

static int load_global(Loader *l, const char *path)
{
    _cleanup_free_ char *absolute = realpath(path, NULL);
    char *slash = absolute ? strrchr(absolute, '/') : NULL;

    if (slash)
        slash[slash == absolute] = 0;
    return load_file(l, AT_FDCWD, path, path, absolute, CONFIG_FILE_GLOBAL);
}

int config_load(const ConfigPaths *paths, Config **ret)
{
    _cleanup_(config_unrefp) Config *config = config_new();
    _cleanup_(loader_done) Loader l = {.config = config, .check_permissions = paths->check_permissions};
    int r = 0;

    if (!config)
        return -ENOMEM;
    if (paths->global)
        r = load_global(&l, paths->global);
    if (r == 0)
        r = load_folders(&l, paths->dirs);
    if (r < 0)
        return r;
    claims_done(&config_draft(config)->claims);
    *ret = TAKE_PTR(config);
    return 0;
}

/* ── where things are by default ── */

/* $XDG_CONFIG_HOME, or the folder that stands for it (XDG Base Directory Specification); NULL without a home.
 */
static const char *user_path(const char *name, char *buf, size_t size)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = -1;

    if (base && *base == '/')
        n = snprintf(buf, size, "%s/%s", base, name);
    else if (home && *home == '/')
        n = snprintf(buf, size, "%s/.config/%s", home, name);
    return n > 0 && (size_t) n < size ? buf : NULL;
}

const char *const *config_default_dirs(bool user)
{
    static const char *const system_dirs[] = {
            "/etc/dynapm.d", "/run/dynapm.d", "/usr/local/lib/dynapm.d", "/usr/lib/dynapm.d", NULL};
    static char buf[PATH_MAX];
    static const char *user_dirs[2];

    if (!user)
        return system_dirs;
    user_dirs[0] = user_path("dynapm.d", buf, sizeof buf);
    return user_dirs;
}

const char *config_default_global(bool user)
{
    static char buf[PATH_MAX];
    return user ? user_path("dynapm.json", buf, sizeof buf) : "/etc/dynapm.json";
}
