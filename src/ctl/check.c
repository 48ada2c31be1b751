/* SPDX-License-Identifier: ISC */

/* What is wrong with configuration: with the files that are named, taken together, or with all that the
 * manager would read. Needs no manager. */

#include <stdio.h>
#include <sys/stat.h>

#include "ctl/load.h"
#include "ctl/pager.h"
#include "ctl/services.h"

static int check_named(char **files, Config **ret)
{
    _cleanup_(config_unrefp) Config *config = config_new();

    if (!config)
        return ctl_oom();
    for (; *files; files++) {
        struct stat st;
        int r = stat(*files, &st) < 0 ? -errno
                : S_ISDIR(st.st_mode) ? ctl_parse_folder(config, *files, NULL)
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
