/* SPDX-License-Identifier: ISC */

/* Writes the drop-in of a new service: made from a template, read by the manager's own parser together with
 * what is there already, and put in its place whole or not at all. */

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/internal.h"
#include "config/service.h"
#include "ctl/load.h"
#include "ctl/template.h"
#include "ipc/bus.h"
#include "util/fd.h"
#include "util/text.h"

static const NewOption kind_options[_TEMPLATE_KIND_MAX] = {
        [TEMPLATE_EXEC] = NEW_EXEC,
        [TEMPLATE_UNIT] = NEW_UNIT,
        [TEMPLATE_DOCKER] = NEW_DOCKER,
        [TEMPLATE_COMPOSE] = NEW_COMPOSE,
        [TEMPLATE_PM2] = NEW_PM2,
        [TEMPLATE_SYSTEMD_RUN] = NEW_SYSTEMD_RUN,
        [TEMPLATE_COMMANDS] = NEW_COMMANDS,
};

/* What is said and what follows from it; owns what is not somebody's argument. */
typedef struct Draft {
    Template template;
    const char **args; /* template.args */
    char *first;       /* args[0] made absolute */
    char cwd[PATH_MAX];
    char *user;
    char *path; /* where it goes */
    char *text;
} Draft;

static void draft_done(Draft *d)
{
    free(d->args);
    free(d->first);
    free(d->user);
    free(d->path);
    free(d->text);
}

static int usage(const char *what)
{
    (void) ctl_error("%s", what);
    fputs("Try 'dynapmctl --help'.\n", stderr);
    return CTL_USAGE;
}

/* ── what is meant ── */

static bool is_program(TemplateKind k)
{
    return k == TEMPLATE_EXEC || k == TEMPLATE_SYSTEMD_RUN;
}

static char *in_path(const char *program)
{
    _cleanup_free_ char *copy = strdup(getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin");
    char *rest = copy, *folder;

    while (copy && (folder = strsep(&rest, ":"))) {
        char *file = *folder == '/' ? text_format("%s/%s", folder, program) : NULL;
        if (file && access(file, X_OK) == 0)
            return file;
        free(file);
    }
    return NULL;
}

/* The shell that calls us knows where a program is; whoever starts the service may not. */
static int find_program(const char *s, char **ret)
{
    char *file = strchr(s, '/') ? (*s == '/' ? strdup(s) : realpath(s, NULL)) : in_path(s);

    if (!file || access(file, X_OK) < 0) {
        free(file);
        if (strpbrk(s, " \t"))
            return ctl_error(
                    "There is no program \"%s\". Its arguments are words of their own: --exec PROGRAM -- "
                    "ARGUMENT...",
                    s);
        return ctl_error("There is no program \"%s\".", s);
    }
    *ret = file;
    return CTL_OK;
}

/* A file, or the folder that it is in. */
static int find_compose_file(const char *s, char **ret)
{
    static const char *const usual[] = {
            "compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"};
    struct stat st;

    if (stat(s, &st) < 0)
        return ctl_error("%s: %s", s, strerror(errno));
    *ret = S_ISDIR(st.st_mode) ? NULL : realpath(s, NULL);
    for (size_t i = 0; i < ELEMENTSOF(usual) && S_ISDIR(st.st_mode) && !*ret; i++) {
        _cleanup_free_ char *file = text_format("%s/%s", s, usual[i]);
        *ret = file ? realpath(file, NULL) : NULL;
    }
    return *ret ? CTL_OK : ctl_error("%s: There is no file for docker compose in it.", s);
}

static int check_pm2_name(const char *s)
{
    if (*s == '-' || streq(s, "all"))
        return ctl_error("pm2 does not take \"%s\" for the name of a process.", s);
    return CTL_OK;
}

/* args[0] in the form in which it can be written down. */
static int settle_first(Draft *d)
{
    const char *s = d->args[0];

    switch (d->template.kind) {
    case TEMPLATE_EXEC:
    case TEMPLATE_SYSTEMD_RUN:
        return find_program(s, &d->first);
    case TEMPLATE_COMPOSE:
        return find_compose_file(s, &d->first);
    case TEMPLATE_PM2:
        return check_pm2_name(s);
    default:
        return CTL_OK;
    }
}

/* Whoever calls, or calls sudo(8). */
static char *caller(void)
{
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *pw = sudo ? NULL : getpwuid(geteuid());

    return strdup(sudo ?: pw ? pw->pw_name : "root");
}

/* Commands that talk to somebody else's daemon need to be allowed to; the usual user of services is not.
 * Where dynapm is not root there is only one. */
static int settle_user(Draft *d, const CtlOptions *options)
{
    TemplateKind k = d->template.kind;
    bool as_root = !options->user && (geteuid() == 0 || !options->config_dirs);

    if (options->new[NEW_USER])
        d->user = strdup(options->new[NEW_USER]);
    else if (as_root && k == TEMPLATE_PM2)
        d->user = caller();
    else if (as_root && (k == TEMPLATE_DOCKER || k == TEMPLATE_COMPOSE || k == TEMPLATE_SYSTEMD_RUN))
        d->user = strdup("root");
    else
        return CTL_OK;
    d->template.user = d->user;
    return d->user ? CTL_OK : ctl_oom();
}

/* Programs and command lines run where they have been seen to work: here. */
static void settle_cwd(Draft *d, const CtlOptions *options)
{
    TemplateKind k = d->template.kind;

    if (options->new[NEW_CWD])
        d->template.cwd = options->new[NEW_CWD];
    else if ((is_program(k) || k == TEMPLATE_COMMANDS) && getcwd(d->cwd, sizeof d->cwd) &&
             !streq(d->cwd, "/"))
        d->template.cwd = d->cwd;
}

static int find_kind(const CtlOptions *options, TemplateKind *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < ELEMENTSOF(kind_options); i++)
        if (options->new[kind_options[i]]) {
            *ret = (TemplateKind) i;
            n++;
        }
    return n == 1 ? CTL_OK
                  : usage("How is it run? Exactly one of --exec, --unit, --docker, --compose, --pm2, "
                          "--systemd-run and "
                          "--commands says it.");
}

static int check_words(const CtlOptions *options, TemplateKind kind, char **words)
{
    if (!is_service_name(words[0]))
        return usage("A service's name is 1 to 64 letters, digits, \".\", \"_\" or \"-\".");
    if (words[1] && !is_program(kind) && kind != TEMPLATE_COMPOSE)
        return usage("Only --exec, --systemd-run and --compose take more words.");
    if (kind != TEMPLATE_COMMANDS && (options->new[NEW_STOP] || options->new[NEW_CHECK]))
        return usage("--stop and --check go with --commands.");
    if (!options->new[NEW_HOST] && !options->new[NEW_PORT])
        return usage("How is it reached? By a name, --host=, or by a port of its own, --port=.");
    if (!options->new[NEW_BASE])
        return usage("Where does it listen? --base= says it, as a port, a path or a URL.");
    return CTL_OK;
}

static int draft_init(Draft *d, const CtlOptions *options, char **words)
{
    const char *const *o = options->new;
    size_t n = 1;
    int r;

    *d = (Draft){.template = {.name = words[0],
                         .stop = o[NEW_STOP],
                         .check = o[NEW_CHECK],
                         .hosts = o[NEW_HOST],
                         .port = o[NEW_PORT],
                         .path = o[NEW_PATH],
                         .base = o[NEW_BASE],
                         .health = o[NEW_HEALTH],
                         .idle_timeout = o[NEW_IDLE_TIMEOUT],
                         .user_instance = options->user}};
    if ((r = find_kind(options, &d->template.kind)) != CTL_OK ||
            (r = check_words(options, d->template.kind, words)) != CTL_OK)
        return r;
    while (words[n])
        n++;
    d->args = new0(const char *, n + 1);
    if (!d->args)
        return ctl_oom();
    memcpy(d->args, words, n * sizeof *d->args);
    d->args[0] = o[kind_options[d->template.kind]];
    if ((r = settle_first(d)) != CTL_OK || (r = settle_user(d, options)) != CTL_OK)
        return r;
    d->args[0] = d->first ?: d->args[0];
    d->template.args = d->args;
    settle_cwd(d, options);
    const char *const *folders = options->config_dirs ?: config_default_dirs(options->user);
    if (!folders[0])
        return ctl_error("Neither XDG_CONFIG_HOME nor HOME is set: whose service is it? --config-dir= says "
                         "it as well.");
    d->path = text_format("%s/%s.json", folders[0], words[0]);
    return d->path && template_format(&d->template, &d->text) == 0 ? CTL_OK : ctl_oom();
}

/* ── is it right? ── */

/* Problems that others have are for dynapmctl check to tell. */
static int check(const Draft *d, const CtlOptions *options)
{
    _cleanup_(config_unrefp) Config *config = config_new();
    const char *const *folders = options->config_dirs ?: config_default_dirs(options->user);
    const char *name = strrchr(d->path, '/') + 1;
    int r = 0, status = CTL_OK;

    if (!config)
        return ctl_oom();
    for (; r >= 0 && *folders; folders++) {
        r = ctl_parse_folder(config, *folders, name);
        if (r != -ENOMEM) /* what may not be read is not compared */
            r = 0;
    }
    if (r >= 0)
        r = config_parse_file(config, CONFIG_FILE_DROP_IN, d->path, NULL, d->text, strlen(d->text));
    if (r < 0)
        return ctl_error("Cannot check it: %s", strerror(-r));
    for (size_t i = 0; i < config->n_problems; i++) {
        const ConfigProblem *p = &config->problems[i];
        if (!streq(p->file, d->path))
            continue;
        status = ctl_error("%s%s%s", p->path ?: "", p->path ? ": " : "", p->message);
    }
    return status;
}

/* ── writing ── */

static int make_folders(const char *file)
{
    _cleanup_free_ char *copy = strdup(file);

    if (!copy)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            text += n;
            len -= (size_t) n;
        }
    }
    return fchmod(fd, 0644) < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* -EEXIST without `force` where there is one. */
static int put(const char *path, const char *text, bool force)
{
    _cleanup_free_ char *draft = text_format("%s~XXXXXX", path);
    int r;

    if (!draft)
        return -ENOMEM;
    _cleanup_close_ int fd = mkostemp(draft, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = write_all(fd, text, strlen(text));
    if (r >= 0 && force)
        r = rename(draft, path) < 0 ? -errno : 0;
    else if (r >= 0)
        r = link(draft, path) < 0 ? -errno : 0;
    (void) unlink(draft); /* gone already if it was renamed */
    return r;
}

static int write_draft(const Draft *d, const CtlOptions *options)
{
    int r = make_folders(d->path);

    if (r >= 0)
        r = put(d->path, d->text, options->new[NEW_FORCE]);
    if (r == -EEXIST)
        return ctl_error("%s is there already. --force replaces it.", d->path);
    if (r < 0)
        return ctl_error("Cannot write %s: %s%s", d->path, strerror(-r),
                r == -EACCES && !options->user && !options->config_dirs
                        ? ". Try it as root, or with --user for a service of your own."
                        : "");
    return CTL_OK;
}

/* ── what comes next ── */

static bool can_reload(sd_bus *bus)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    const char *xml;

    return sd_bus_call_method(bus, sd_bus_is_bus_client(bus) ? BUS_NAME : NULL, BUS_PATH,
                   "org.freedesktop.DBus.Introspectable", "Introspect", NULL, &m, NULL) >= 0 &&
           sd_bus_message_read(m, "s", &xml) >= 0 && strstr(xml, "\"Reload\"");
}

static void say_next(const Draft *d, const CtlOptions *options)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    const char *user = options->user ? " --user" : "";

    printf("Written to %s.\n", d->path);
    if (ctl_connect_quietly(options, &bus) < 0)
        puts("It is served as soon as dynapm runs.");
    else if (can_reload(bus))
        printf("Have it served: dynapmctl%s%s%s reload\n", user,
                options->runtime_dir ? " --runtime-dir=" : "", options->runtime_dir ?: "");
    else if (options->runtime_dir)
        puts("It is served when dynapm has been restarted.");
    else
        printf("Have it served: systemctl%s restart dynapm-manager.service\n", user);
}

int ctl_new(const CtlOptions *options, char **words)
{
    _cleanup_(draft_done) Draft d = {};
    int r;

    if ((r = draft_init(&d, options, words)) != CTL_OK || (r = check(&d, options)) != CTL_OK)
        return r;
    if (options->new[NEW_STDOUT]) {
        fputs(d.text, stdout);
        return CTL_OK;
    }
    if ((r = write_draft(&d, options)) != CTL_OK)
        return r;
    if (!options->no_legend)
        say_next(&d, options);
    return CTL_OK;
}
