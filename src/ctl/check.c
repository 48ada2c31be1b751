/* SPDX-License-Identifier: ISC */

/* What is wrong with configuration: with the files that are named, taken together, or with all that the
 * manager would read. Needs no manager. */

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ctl/load.h"
#include "ctl/pager.h"
#include "ctl/services.h"
#include "util/text.h"

static int is_drop_in(const struct dirent *e)
{
    const char *suffix = strrchr(e->d_name, '.');
    return *e->d_name != '.' && suffix && streq(suffix, ".json");
}

static int check_folder(Config *config, const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_drop_in, alphasort), r = n < 0 ? -errno : 0;

    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *file = text_format("%s/%s", path, entries[i]->d_name);
        struct stat st;
        if (r >= 0 && !file)
            r = -ENOMEM;
        if (r >= 0 && stat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) /* else it is masked */
            r = ctl_parse_file(config, file);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return r;
}

static int check_named(char **files, Config **ret)
{
    _cleanup_(config_unrefp) Config *config = config_new();

    if (!config)
        return ctl_oom();
    for (; *files; files++) {
        struct stat st;
        int r = stat(*files, &st) < 0 ? -errno
                : S_ISDIR(st.st_mode) ? check_folder(config, *files)
                                      : ctl_parse_file(config, *files);
        if (r < 0)
            return ctl_error("%s: %s", *files, strerror(-r));
    }
    *ret = TAKE_PTR(config);
    return CTL_OK;
}

static json_object *problem_to_json(const ConfigProblem *p)
{
    json_object *o = json_object_new_object();

    if (o && json_object_object_add(o, "file", json_object_new_string(p->file)) == 0 &&
            json_object_object_add(o, "line", json_object_new_uint64(p->line)) == 0 &&
            json_object_object_add(o, "column", json_object_new_uint64(p->column)) == 0 &&
            json_object_object_add(o, "path", p->path ? json_object_new_string(p->path) : NULL) == 0 &&
            json_object_object_add(o, "message", json_object_new_string(p->message)) == 0)
        return o;
    json_object_put(o);
    return NULL;
}

static int print_json(const Config *config)
{
    json_object *all = json_object_new_array();

    for (size_t i = 0; all && i < config->n_problems; i++) {
        json_object *o = problem_to_json(&config->problems[i]);
        if (!o || json_object_array_add(all, o) < 0) {
            json_object_put(o);
            json_object_put(all);
            return ctl_oom();
        }
    }
    return ctl_print_json(all);
}

int ctl_print_problems(const CtlOptions *options, const Config *config)
{
    int status = options->json ? print_json(config) : CTL_OK;

    for (size_t i = 0; i < config->n_problems && !options->json; i++) {
        _cleanup_free_ char *line = config_problem_format(&config->problems[i]);
        if (!line)
            return ctl_oom();
        fprintf(stderr, "%s\n", line);
    }
    return config->n_problems > 0 ? CTL_FAILURE : status;
}

int ctl_check(const CtlOptions *options, char **files)
{
    _cleanup_(config_unrefp) Config *config = NULL;

    int status = *files ? check_named(files, &config) : ctl_load_config(options, &config);
    if (status != CTL_OK)
        return status;
    pager_open(options->pager);
    status = ctl_print_problems(options, config);
    if (status != CTL_OK)
        return status;
    if (!options->json && !options->no_legend)
        printf("%zu service%s, no problems\n", config->n_services, config->n_services == 1 ? "" : "s");
    return status;
}
