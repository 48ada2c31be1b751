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
#include "util/text.h"

/* A folder that exists. */
typedef struct Folder {
    const char *path; /* as it was given */
    char *absolute;
    int fd; /* < 0: it cannot be read, its files stay as they were */
} Folder;

/* A file by its name, and the folder that it is in. */
typedef struct DropIn {
    char *name;
    size_t folder;
} DropIn;

typedef struct Loader {
    Config *config;
    Config *before;     /* NULL: there is none */
    bool settings_lost; /* some of that one's settings cannot be read any more */
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

/* Something in that file cannot be used: what it has said before holds. */
static int keep_file(Loader *l, const char *path, ConfigFileKind kind)
{
    const ConfigDraft *d = config_draft(l->config);
    bool good = false;

    if (!l->before)
        return 0;
    for (size_t i = 0; i < d->n_settings_files; i++)
        good |= d->settings_files[i].good && streq(d->settings_files[i].file, path);
    l->settings_lost |= !good && (kind == CONFIG_FILE_GLOBAL || config_has_settings_of(l->before, path));
    return config_keep_file(l->config, l->before, path);
}

/* ── folders ── */

static bool is_drop_in(const char *name)
{
    size_t n = strlen(name);
    return name[0] != '.' && n > STRLEN(".json") && streq(name + n - STRLEN(".json"), ".json");
}

static int add_file(Loader *l, const char *name, size_t folder)
{
    char *copy = strdup(name);

    if (!copy || array_grow((void **) &l->files, l->n_files, sizeof *l->files) < 0) {
        free(copy);
        return -ENOMEM;
    }
    l->files[l->n_files++] = (DropIn){.name = copy, .folder = folder};
    return 0;
}

/* Adds a file of before, if it was in that folder. */
static int remember_file(Loader *l, const char *file, size_t folder)
{
    const char *path = l->folders[folder].path, *name = startswith(file, path);
    size_t n = strlen(path);

    if (!name || n == 0 || (path[n - 1] != '/' && *name++ != '/') || strchr(name, '/'))
        return 0;
    return add_file(l, name, folder);
}

/* What is in it now cannot be known: files that were in it go on being files of it. */
static int remember_folder(Loader *l, const char *path)
{
    const ConfigDraft *before = config_draft(l->before);
    int r = 0;

    if (array_grow((void **) &l->folders, l->n_folders, sizeof *l->folders) < 0)
        return -ENOMEM;
    size_t folder = l->n_folders++;
    l->folders[folder] = (Folder){.path = path, .fd = -EBADF};
    for (size_t i = 0; r == 0 && i < before->config.n_services; i++)
        r = remember_file(l, before->config.services[i]->file, folder);
    for (size_t i = 0; r == 0 && i < before->n_settings_files; i++)
        r = remember_file(l, before->settings_files[i].file, folder);
    return r;
}

static int unreadable_folder(Loader *l, const char *path, int error)
{
    int r = unreadable(l->config, path, error);
    return r < 0 || !l->before ? r : remember_folder(l, path);
}

static int list_folder(Loader *l, size_t folder)
{
    int r = 0;

    int fd = fcntl(l->folders[folder].fd, F_DUPFD_CLOEXEC, 3);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        r = -errno;
        fd_close(fd);
        return r == -ENOMEM ? r : unreadable_folder(l, l->folders[folder].path, -r);
    }
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e) {
            if (errno != 0)
                r = unreadable_folder(l, l->folders[folder].path, errno);
            break;
        }
        if (!is_drop_in(e->d_name))
            continue;
        r = add_file(l, e->d_name, folder);
        if (r < 0)
            break;
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
        int r = unreadable_folder(l, path, errno);
        return r < 0 ? r : 1;
    }
    if (l->check_permissions && is_writable_by_others(&st)) {
        int r = file_problem(l->config, path, permissions, st.st_mode & 07777);
        if (r == 0 && l->before)
            r = remember_folder(l, path);
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

/* One file, or what it was; `folder` as in load_file(). */
static int load_or_keep(
        Loader *l, int folder_fd, const char *name, const char *path, const char *folder, ConfigFileKind kind)
{
    size_t n_problems = l->config->n_problems;

    int r = folder_fd == -EBADF ? 0 : load_file(l, folder_fd, name, path, folder, kind);
    if (r == 0 && (folder_fd == -EBADF || l->config->n_problems > n_problems))
        r = keep_file(l, path, kind);
    return r;
}

static int load_drop_in(Loader *l, const DropIn *f)
{
    const Folder *folder = &l->folders[f->folder];
    const char *slash = folder->path[strlen(folder->path) - 1] == '/' ? "" : "/";
    _cleanup_free_ char *path = NULL;

    if (asprintf(&path, "%s%s%s", folder->path, slash, f->name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    if (!text_is_utf8(f->name)) { /* D-Bus and JSON, which tell of files, carry nothing else */
        _cleanup_free_ char *shown = malloc(strlen(path) + 1);
        return shown ? file_problem(l->config, text_copy_utf8(shown, strlen(path) + 1, path),
                               "its name is not UTF-8, so that it is not used")
                     : -ENOMEM;
    }
    return load_or_keep(l, folder->fd, f->name, path, folder->absolute, CONFIG_FILE_DROP_IN);
}

static int load_folders(Loader *l, const char *const *dirs)
{
    bool any = false;
    int r = 0;

    for (size_t i = 0; dirs && dirs[i]; i++) {
        r = open_folder(l, dirs[i]);
        if (r < 0)
            return r;
        any |= r > 0;
    }
    if (!any && dirs && dirs[0]) {
        r = unreadable(l->config, dirs[0], ENOENT);
        for (size_t i = 0; r == 0 && l->before && dirs[i]; i++)
            r = remember_folder(l, dirs[i]);
        if (r < 0)
            return r;
    }

    if (l->n_files > 0)
        qsort(l->files, l->n_files, sizeof *l->files, compare_files);
    for (size_t i = 0; i < l->n_files; i++) {
        if (i > 0 && streq(l->files[i].name, l->files[i - 1].name))
            continue; /* an earlier folder has one of this name */
        r = load_drop_in(l, &l->files[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int load_global(Loader *l, const char *path, bool required)
{
    _cleanup_free_ char *absolute = realpath(path, NULL);
    char *slash = absolute ? strrchr(absolute, '/') : NULL;

    if (slash)
        slash[slash == absolute] = 0;
    if (required && is_gone(AT_FDCWD, path)) {
        int r = unreadable(l->config, path, ENOENT);
        return r < 0 ? r : keep_file(l, path, CONFIG_FILE_GLOBAL);
    }
    return load_or_keep(l, AT_FDCWD, path, path, absolute, CONFIG_FILE_GLOBAL);
}

/* `keep_settings`: those of `before` hold, whatever is read. */
static int load(
        const ConfigPaths *paths, Config *before, bool keep_settings, bool *ret_settings_lost, Config **ret)
{
    _cleanup_(config_unrefp) Config *config = config_new();
    _cleanup_(loader_done)
            Loader l = {.config = config, .before = before, .check_permissions = paths->check_permissions};
    int r = 0;

    if (!config)
        return -ENOMEM;
    if (keep_settings)
        r = config_keep_settings(config, before);
    if (r == 0 && paths->global)
        r = load_global(&l, paths->global, paths->global_required);
    if (r == 0)
        r = load_folders(&l, paths->dirs);
    if (r == 0 && before)
        r = config_share_unchanged(config, before);
    if (r < 0)
        return r;
    claims_done(&config_draft(config)->claims);
    *ret_settings_lost = l.settings_lost;
    *ret = TAKE_PTR(config);
    return 0;
}

int config_reload(const ConfigPaths *paths, Config *before, Config **ret)
{
    _cleanup_(config_unrefp) Config *config = NULL;
    bool lost;

    int r = load(paths, before, false, &lost, &config);
    if (r == 0 && lost) {
        config = config_unref(config);
        r = load(paths, before, true, &lost, &config);
    }
    if (r < 0)
        return r;
    *ret = TAKE_PTR(config);
    return 0;
}

int config_load(const ConfigPaths *paths, Config **ret)
{
    return config_reload(paths, NULL, ret);
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
