/* SPDX-License-Identifier: ISC */

/* From the text of one file to the Config: the door behind which the readers are. */

#include "config/global.h"

int config_parse_file(Config *config, ConfigFileKind kind, const char *file, const char *folder,
        const char *text, size_t len)
{
    Reader r = {.config = config, .file = file, .folder = folder};

    int k = reader_run(&r, text, len, kind == CONFIG_FILE_GLOBAL ? global_read : drop_in_read);
    return k == -EBADMSG ? 0 : k; /* which is in the problems */
}

int config_parse(Config *config, const char *file, const char *text, size_t len)
{
    return config_parse_file(config, CONFIG_FILE_DROP_IN, file, NULL, text, len);
}
