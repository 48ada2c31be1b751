/* SPDX-License-Identifier: ISC */

#include "ctl/load.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/internal.h"
#include "util/fd.h"
#include "util/text.h"

/* dynapm.json beside the drop-in folders, rather than in one, has global settings. */
static ConfigFileKind kind_of(const char *path)
{
    const char *base = strrchr(path, '/');
    bool in_folder = base && base - path >= 2 && strncmp(base - 2, ".d", 2) == 0;
    return streq(base ? base + 1 : path, "dynapm.json") && !in_folder ? CONFIG_FILE_GLOBAL
                                                                      : CONFIG_FILE_DROP_IN;
}

int ctl_parse_file(Config *config, const char *path)
{
    _cleanup_free_ char *text = NULL, *real = realpath(path, NULL);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t len;

    if (fd < 0)
        return -errno;
    int r = fd_read_file(fd, CONFIG_FILE_MAX, &text, &len);
    if (r < 0)
        return r;
    char *slash = real ? strrchr(real, '/') : NULL;
    if (slash)
        slash[slash == real] = 0;
    return config_parse_file(config, kind_of(path), path, real, text, len);
}

static int is_drop_in(const struct dirent *e)
{
    const char *suffix = strrchr(e->d_name, '.');
    return *e->d_name != '.' && suffix && streq(suffix, ".json");
}

int ctl_parse_folder(Config *config, const char *path, const char *but)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_drop_in, alphasort), r = n < 0 ? -errno : 0;

    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *file = text_format("%s/%s", path, entries[i]->d_name);
        bool skip = but && streq(entries[i]->d_name, but);
        struct stat st;
        if (r >= 0 && !file)
            r = -ENOMEM;
        if (r >= 0 && !skip && stat(file, &st) == 0 && S_ISREG(st.st_mode) &&
                st.st_size > 0) /* else it is masked */
            r = ctl_parse_file(config, file);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return r;
}

int ctl_load_config(const CtlOptions *options, Config **ret)
{
    bool own = options->config_dirs;
    ConfigPaths paths = {
            .dirs = own ? options->config_dirs : config_default_dirs(options->user),
            .global = options->config ? options->config
                      : own           ? NULL
                                      : config_default_global(options->user),
            .check_permissions = !options->user && geteuid() == 0,
    };
    if (options->config && access(options->config, F_OK) < 0)
        return ctl_error("%s: %s", options->config, strerror(errno));
    int r = config_load(&paths, ret);
    return r < 0 ? ctl_error("Cannot read the configuration: %s", strerror(-r)) : CTL_OK;
}
