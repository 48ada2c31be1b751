/* SPDX-License-Identifier: ISC */

/* The parser by itself, for tests that are not written in C: prints what it refuses in the given drop-in
 * files and folders, each by itself, and exits 1 if there is anything. With --global=FILE that file is read
 * as dynapm.json, with
 * --keys the keys of all tables are printed, as "FORM PATH". */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "config/internal.h"
#include "util/fd.h"

static void print_key(const char *form, const char *path, void *userdata)
{
    printf("%s %s\n", form, path);
}

static int load(const char *path, bool global, Config **ret)
{
    const char *const dirs[] = {path, NULL};
    struct stat st;

    if (global || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        return config_load(&(ConfigPaths){.dirs = global ? NULL : dirs, .global = global ? path : NULL}, ret);

    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ char *text = NULL;
    size_t len;
    if (fd < 0)
        return -errno;
    int r = fd_read_file(fd, CONFIG_FILE_MAX, &text, &len);
    if (r < 0)
        return r;
    Config *config = config_new();
    if (!config)
        return -ENOMEM;
    r = config_parse(config, path, text, len);
    if (r < 0) {
        config_unref(config);
        return r;
    }
    *ret = config;
    return 0;
}

int main(int argc, char **argv)
{
    size_t n_problems = 0, n_services = 0;

    for (int i = 1; i < argc; i++) {
        _cleanup_(config_unrefp) Config *config = NULL;
        const char *global = startswith(argv[i], "--global=");

        if (streq(argv[i], "--keys")) {
            config_each_key(print_key, NULL);
            return 0;
        }
        int r = load(global ?: argv[i], global != NULL, &config);
        if (r < 0) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
            return 2;
        }
        for (size_t j = 0; j < config->n_problems; j++) {
            _cleanup_free_ char *line = config_problem_format(&config->problems[j]);
            if (!line)
                return 2;
            puts(line);
        }
        n_problems += config->n_problems;
        n_services += config->n_services;
    }
    fprintf(stderr, "%zu services, %zu problems\n", n_services, n_problems);
    return n_problems > 0 ? 1 : 0;
}
