/* SPDX-License-Identifier: ISC */

/* KEY="value" lines. Within double quotes a backslash takes the meaning from the four characters that have
 * one there, and a line may end: systemd.exec(5). */

#include "backend/environment-file.h"

#include <stdio.h>
#include <unistd.h>

#include "util/fd.h"
#include "util/text.h"

#define NEEDS_BACKSLASH "\"\\$`"

static void write_assignment(FILE *f, const char *assignment)
{
    const char *value = strchr(assignment, '=') + 1;

    fwrite(assignment, 1, (size_t) (value - assignment), f);
    fputc('"', f);
    for (; *value; value++) {
        if (strchr(NEEDS_BACKSLASH, *value))
            fputc('\\', f);
        fputc(*value, f);
    }
    fputs("\"\n", f);
}

int environment_file_write(const EnvironmentFiles *files, const char *name, const char *runtime_dir,
        char *const *env, const char *more, char **ret_path)
{
    _cleanup_free_ char *text = NULL;
    size_t len;

    FILE *f = open_memstream(&text, &len);
    if (!f)
        return -errno;
    if (runtime_dir && access(runtime_dir, F_OK) == 0)
        fprintf(f, "XDG_RUNTIME_DIR=\"%s\"\n", runtime_dir);
    for (; env && *env; env++)
        write_assignment(f, *env);
    if (more)
        write_assignment(f, more);
    if (fclose(f) != 0)
        return -ENOMEM;
    _cleanup_free_ char *path = text_format("%s/%s", files->path, name);
    if (!path)
        return -ENOMEM;
    int r = fd_write_file(files->dir_fd, name, text, len);
    if (r < 0)
        return r;
    *ret_path = TAKE_PTR(path);
    return 0;
}
