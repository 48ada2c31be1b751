/* SPDX-License-Identifier: ISC */
#pragma once

/* What the files of this room share and nobody else sees: a Config while it is being built, and what is put
 * into it. Functions return 0 or -ENOMEM unless they say otherwise; -EBADMSG always means that a problem was
 * recorded. */

#include "config/claims.h"
#include "config/config.h"

#define CONFIG_FILE_MAX (1024 * 1024)

/* DynaPM's defaults, for files that leave them out. */
#define LISTEN_DEFAULT_HOST "127.0.0.1"
#define LISTEN_DEFAULT_PORT 3000

/* A file that has settings of dynapm itself. */
typedef struct SettingsFile {
    char *file;
    bool good; /* none of them was refused */
} SettingsFile;

/* Every Config is the first part of one of these. */
typedef struct ConfigDraft {
    Config config;
    Claims claims;                      /* what the services so far answer to; gone once it is loaded */
    uint8_t said[sizeof(GlobalConfig)]; /* by offset: settings that an earlier file has made */
    bool listen_said;                   /* by the file of global settings, which then has the only word */
    SettingsFile *settings_files;
    size_t n_settings_files;
    size_t next_kept;       /* where config_keep_file() is likely to find the next one */
    Config *settings_owner; /* NULL, or whose GlobalConfig this is a copy of, arrays included */
} ConfigDraft;

static inline ConfigDraft *config_draft(Config *c)
{
    return container_of(c, ConfigDraft, config);
}

/* Makes room for one more element behind the n that there are. */
int array_grow(void **array, size_t n, size_t element);

/* Which of the two kinds of file a text is. */
typedef enum ConfigFileKind {
    CONFIG_FILE_DROP_IN, /* one service, or with `services` a whole DynaPM configuration */
    CONFIG_FILE_GLOBAL,  /* dynapm.json */
} ConfigFileKind;

/* config_parse() with what only the loader knows: `folder`, absolute, is where a DynaPM configuration's
 * relative paths start (may be NULL: nowhere). */
int config_parse_file(Config *config, ConfigFileKind kind, const char *file, const char *folder,
        const char *text, size_t len);

/* Takes ownership of `path` (may be NULL) and `message`, also on failure; NULL for a message is -ENOMEM. */
int config_add_problem(
        Config *config, const char *file, unsigned line, unsigned column, char *path, char *message);
/* Takes ownership of `service`, also on failure. */
int config_add_service(Config *config, ServiceConfig *service);

ServiceConfig *service_config_new(void); /* empty; NULL when out of memory */

/* Remembers that a file has settings. Returns 0 or -ENOMEM; *ret is good until the next one is added, its
 * name as long as the configuration. */
int config_add_settings_file(Config *config, const char *file, SettingsFile **ret);

/* keep.c: what stays from an earlier configuration. */

/* Its services of that file, but for those that are defined by now. */
int config_keep_file(Config *config, const Config *before, const char *file);
/* Its settings: nothing that is read from now on changes them. */
int config_keep_settings(Config *config, Config *before);
/* Had the file settings there? */
bool config_has_settings_of(const Config *config, const char *file) _pure_;
/* Takes its definitions instead of those that say the same. */
int config_share_unchanged(Config *config, const Config *before);

void admin_config_done(AdminConfig *a);
void endpoint_done(Endpoint *e);
void route_config_done(RouteConfig *r);
void health_check_config_done(HealthCheckConfig *h);
void strv_free(char **v);

/* Calls `fn` for every key of a form ("service", "global") with its path, such as routes[].value; for the
 * test that holds the schema against the parser. */
void config_each_key(void (*fn)(const char *form, const char *path, void *userdata), void *userdata);
