/* SPDX-License-Identifier: ISC */

/* dynapmctl: reads the command line and calls a verb. */

#include <getopt.h>
#include <locale.h>
#include <stdio.h>

#include "build-config.h"
#include "ctl/ctl.h"
#include "ctl/pager.h"

typedef struct Verb {
    const char *name;
    int min, max; /* of its arguments; max < 0: any number */
    int (*run)(const CtlOptions *options, char **args);
} Verb;

static const Verb verbs[] = {
        {"list", 0, -1, ctl_list},
        {"status", 0, -1, ctl_status},
        {"top", 0, -1, ctl_top},
        {"why", 1, -1, ctl_why},
        {"start", 1, -1, ctl_start},
        {"stop", 1, -1, ctl_stop},
        {"restart", 1, -1, ctl_restart},
        {"logs", 1, 1, ctl_logs},
        {"cat", 1, -1, ctl_cat},
        {"check", 0, -1, ctl_check},
        {"reload", 0, 0, ctl_reload},
        {"new", 1, -1, ctl_new},
        {"metrics", 0, 0, ctl_metrics},
};

static CtlOptions arg_options = {.lines = -1};
static const char **arg_config_dirs = NULL;
static size_t arg_n_config_dirs = 0;

static int help(void)
{
    printf("%s [OPTIONS...] COMMAND ...\n\n"
           "Look after the services of dynapm.\n\n"
           "Commands:\n"
           "  list [PATTERN...]     List services (the default)\n"
           "  status [SERVICE...]   Show all about services, and the end of their log\n"
           "  top [PATTERN...]      Show how services are, live\n"
           "  why SERVICE...        Say why a service is in its state, and when that ends\n"
           "  start SERVICE...      Start services, and wait until they are online\n"
           "  stop SERVICE...       Stop services, whatever is open\n"
           "  restart SERVICE...    Stop services, and start them again\n"
           "  logs SERVICE          Show what the journal has of a service\n"
           "  cat SERVICE...        Show a service's configuration with all defaults\n"
           "  check [FILE...]       Look for mistakes in the configuration, or in files\n"
           "  reload                Use the configuration as it is now, and say what is wrong with it\n"
           "  new NAME [ARG...]     Write the file of a new service\n"
           "  metrics               Print what Prometheus is told\n\n"
           "Options:\n"
           "  -h --help             Show this help\n"
           "     --version          Show the version\n"
           "     --user             Ask the calling user's manager\n"
           "     --runtime-dir=DIR  Ask the manager whose runtime folder this is\n"
           "     --config-dir=DIR   check, cat, new: have services in DIR/*.json\n"
           "     --config=FILE      check, cat: read global settings from FILE\n"
           "     --json             Print JSON\n"
           "     --no-legend        Print neither header nor footer\n"
           "     --openmetrics      metrics: in the format of OpenMetrics 1.0\n"
           "     --no-pager         Print to the terminal, without a pager\n"
           "  -f --follow           logs: go on with what comes\n"
           "  -n --lines=LINES      logs, status: so many lines of the journal\n"
           "  -b --batch            top: print a table each second, -n of them\n"
           "     --once             top: print one table\n\n"
           "Options of new, one of the first seven and where it is reached and listens:\n"
           "     --exec=PROGRAM     A program in the foreground, with the ARGs\n"
           "     --unit=UNIT        A systemd unit\n"
           "     --docker=CONTAINER A container\n"
           "     --compose=FILE     A project of docker compose, or its services ARG...\n"
           "     --pm2=PROCESS      A process of PM2\n"
           "     --systemd-run=PROGRAM  A program with the ARGs, as a unit by systemd-run\n"
           "     --commands=COMMAND A command line, with --stop=COMMAND and --check=COMMAND\n"
           "     --host=HOST[,...]  Its names, and --path=PREFIX below them\n"
           "     --port=PORT        A port of its own that dynapm listens on\n"
           "     --base=URL         Where it listens: a URL, a port, or a socket's path; also --target=\n"
           "     --health=PATH      It is ready when this answers well\n"
           "     --idle-timeout=SPAN  Stop it when it is not used for so long\n"
           "     --service-user=USER  Whose processes they are\n"
           "     --cwd=DIR          Where it runs; here by default\n"
           "     --force            Replace a file that is there\n"
           "     --stdout           Print it instead\n\n"
           "See dynapmctl(1).\n",
            program_invocation_short_name);
    return CTL_OK;
}

static int bad_usage(void)
{
    fprintf(stderr, "Try '%s --help'.\n", program_invocation_short_name);
    return CTL_USAGE;
}

static int parse_lines(const char *s, int *ret)
{
    char *end;

    errno = 0;
    long v = strtol(s, &end, 10);
    if (errno != 0 || *end || end == s || v < 0 || v > 1000000)
        return -EINVAL;
    *ret = (int) v;
    return 0;
}

enum {
    ARG_VERSION = 0x100,
    ARG_USER,
    ARG_RUNTIME_DIR,
    ARG_CONFIG_DIR,
    ARG_CONFIG,
    ARG_JSON,
    ARG_NO_LEGEND,
    ARG_OPENMETRICS,
    ARG_NO_PAGER,
    ARG_ONCE,
    ARG_NEW = 0x200, /* NewOption is added */
};

static const struct option long_options[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, ARG_VERSION},
        {"user", no_argument, NULL, ARG_USER},
        {"runtime-dir", required_argument, NULL, ARG_RUNTIME_DIR},
        {"config-dir", required_argument, NULL, ARG_CONFIG_DIR},
        {"config", required_argument, NULL, ARG_CONFIG},
        {"json", no_argument, NULL, ARG_JSON},
        {"no-legend", no_argument, NULL, ARG_NO_LEGEND},
        {"openmetrics", no_argument, NULL, ARG_OPENMETRICS},
        {"no-pager", no_argument, NULL, ARG_NO_PAGER},
        {"follow", no_argument, NULL, 'f'},
        {"batch", no_argument, NULL, 'b'},
        {"once", no_argument, NULL, ARG_ONCE},
        {"lines", required_argument, NULL, 'n'},
        {"exec", required_argument, NULL, ARG_NEW + NEW_EXEC},
        {"unit", required_argument, NULL, ARG_NEW + NEW_UNIT},
        {"docker", required_argument, NULL, ARG_NEW + NEW_DOCKER},
        {"compose", required_argument, NULL, ARG_NEW + NEW_COMPOSE},
        {"pm2", required_argument, NULL, ARG_NEW + NEW_PM2},
        {"systemd-run", required_argument, NULL, ARG_NEW + NEW_SYSTEMD_RUN},
        {"commands", required_argument, NULL, ARG_NEW + NEW_COMMANDS},
        {"stop", required_argument, NULL, ARG_NEW + NEW_STOP},
        {"check", required_argument, NULL, ARG_NEW + NEW_CHECK},
        {"host", required_argument, NULL, ARG_NEW + NEW_HOST},
        {"port", required_argument, NULL, ARG_NEW + NEW_PORT},
        {"path", required_argument, NULL, ARG_NEW + NEW_PATH},
        {"base", required_argument, NULL, ARG_NEW + NEW_BASE},
        {"health", required_argument, NULL, ARG_NEW + NEW_HEALTH},
        {"idle-timeout", required_argument, NULL, ARG_NEW + NEW_IDLE_TIMEOUT},
        {"service-user", required_argument, NULL, ARG_NEW + NEW_USER},
        {"cwd", required_argument, NULL, ARG_NEW + NEW_CWD},
        {"target", required_argument, NULL, ARG_NEW + NEW_BASE},
        {"force", no_argument, NULL, ARG_NEW + NEW_FORCE},
        {"stdout", no_argument, NULL, ARG_NEW + NEW_STDOUT},
        {},
};

/* Returns < 0 to go on, else the exit status. */
static int parse_argv(int argc, char **argv)
{
    for (int c; (c = getopt_long(argc, argv, "hfn:b", long_options, NULL)) >= 0;)
        switch (c) {
        case 'h':
            return help();
        case ARG_VERSION:
            puts("dynapmctl " DYNAPM_VERSION);
            return CTL_OK;
        case ARG_USER:
            arg_options.user = true;
            break;
        case ARG_RUNTIME_DIR:
            arg_options.runtime_dir = optarg;
            break;
        case ARG_CONFIG_DIR:
            arg_config_dirs[arg_n_config_dirs++] = optarg;
            arg_options.config_dirs = arg_config_dirs;
            break;
        case ARG_CONFIG:
            arg_options.config = optarg;
            break;
        case ARG_JSON:
            arg_options.json = true;
            break;
        case ARG_NO_LEGEND:
            arg_options.no_legend = true;
            break;
        case ARG_OPENMETRICS:
            arg_options.openmetrics = true;
            break;
        case ARG_NO_PAGER:
            arg_options.no_pager = true;
            break;
        case ARG_ONCE:
            arg_options.once = true;
            break;
        case 'b':
            arg_options.batch = true;
            break;
        case 'f':
            arg_options.follow = true;
            break;
        case 'n':
            if (parse_lines(optarg, &arg_options.lines) < 0) {
                (void) ctl_error("'%s' is no number of lines.", optarg);
                return bad_usage();
            }
            break;
        default:
            if (c < ARG_NEW)
                return bad_usage();
            arg_options.new[c - ARG_NEW] = optarg ?: "";
        }
    return -1;
}

static int run(char **args)
{
    const char *name = *args ? *args++ : "list";
    int n = 0;

    while (args[n])
        n++;
    for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
        const Verb *v = &verbs[i];
        if (!streq(v->name, name))
            continue;
        if (n < v->min || (v->max >= 0 && n > v->max)) {
            (void) ctl_error(n < v->min    ? "%s: of which service?"
                             : v->max == 0 ? "%s: of all, it takes no argument."
                                           : "%s: of one service only.",
                    name);
            return bad_usage();
        }
        return v->run(&arg_options, args);
    }
    (void) ctl_error("There is no command '%s'.", name);
    return bad_usage();
}

int main(int argc, char **argv)
{
    Pager pager = PAGER_NULL;

    (void) setlocale(LC_ALL, "");
    arg_config_dirs = new0(const char *, (size_t) argc + 1);
    if (!arg_config_dirs)
        return ctl_oom();
    int r = parse_argv(argc, argv);
    if (r < 0) {
        arg_options.pager = arg_options.no_pager ? NULL : &pager;
        r = run(argv + optind);
    }
    if (!pager_close(&pager) && (fflush(stdout) != 0 || ferror(stdout)))
        r = ctl_error("Cannot write: %s", strerror(errno));
    free(arg_config_dirs);
    return r;
}
