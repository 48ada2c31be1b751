/* SPDX-License-Identifier: ISC */

/* dynapm(8): options, nothing else. */

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "build-config.h"
#include "gateway/server.h"
#include "gateway/supervisor.h"
#include "util/log.h"

#define LISTEN_MAX 64
#define CONFIG_DIRS_MAX 64
#define WORKERS_MAX 64
#define DRAIN_TIME (10 * USEC_PER_SEC)

static void help(void)
{
    puts("dynapm [OPTIONS...]\n\n"
         "Gateway that starts services at their first request and stops them when they are idle.\n\n"
         "  -h --help               Show this help\n"
         "     --version            Show the version\n"
         "     --listen=ADDRESS     Accept requests on ADDRESS: PORT, IPV4:PORT, [IPV6]:PORT, unix:/PATH;\n"
         "                          may be given several times; sockets passed by a service manager go "
         "first\n"
         "     --workers=N          Serve with N processes (default 1)\n"
         "     --drain-time=SPAN    At the end, give open requests so long to finish (default 10s)\n"
         "     --exit-idle-time=SPAN\n"
         "                          Exit when nothing was open for so long and all services are offline;\n"
         "                          the next connection to a passed socket has it started again\n"
         "     --standalone         Run a service manager of our own: no systemd, no root needed\n"
         "     --config-dir=DIR     Read services from DIR/*.json (with --standalone or --check; several "
         "times:\n"
         "                          the first that has a file name wins)\n"
         "     --config=FILE        Read global settings from FILE (with --standalone or --check)\n"
         "     --check              Check the configuration and exit\n"
         "     --user               Use the user's manager and configuration, not the system's\n"
         "     --runtime-dir=DIR    Where the manager's socket is\n"
         "\nSee dynapm(8) and dynapm.d(5).");
}

enum {
    ARG_VERSION = 0x100,
    ARG_LISTEN,
    ARG_WORKERS,
    ARG_DRAIN_TIME,
    ARG_EXIT_IDLE_TIME,
    ARG_STANDALONE,
    ARG_CONFIG_DIR,
    ARG_CONFIG,
    ARG_CHECK,
    ARG_USER,
    ARG_RUNTIME_DIR,
    ARG_WORKER,
    ARG_OWN_SOCKETS
};

static const struct option long_options[] = {{"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, ARG_VERSION}, {"listen", required_argument, NULL, ARG_LISTEN},
        {"workers", required_argument, NULL, ARG_WORKERS},
        {"drain-time", required_argument, NULL, ARG_DRAIN_TIME},
        {"exit-idle-time", required_argument, NULL, ARG_EXIT_IDLE_TIME},
        {"standalone", no_argument, NULL, ARG_STANDALONE},
        {"config-dir", required_argument, NULL, ARG_CONFIG_DIR},
        {"config", required_argument, NULL, ARG_CONFIG}, {"check", no_argument, NULL, ARG_CHECK},
        {"user", no_argument, NULL, ARG_USER}, {"runtime-dir", required_argument, NULL, ARG_RUNTIME_DIR},
        {"worker", no_argument, NULL, ARG_WORKER}, {"own-sockets", no_argument, NULL, ARG_OWN_SOCKETS}, {}};

static SocketAddress arg_listen[LISTEN_MAX];
static char *arg_config_dirs[CONFIG_DIRS_MAX + 1];
static bool arg_check = false;
static GatewayOptions arg_options = {.n_workers = 1,
        .drain_time = DRAIN_TIME,
        .exit_idle_time = USEC_INFINITY,
        .listen = arg_listen,
        .config_dirs = arg_config_dirs};

static int parse_listen(const char *s)
{
    if (arg_options.n_listen >= LISTEN_MAX)
        return log_error_errno(E2BIG, "--listen: at most %d addresses can be given.", LISTEN_MAX);
    int r = socket_address_parse(s, &arg_listen[arg_options.n_listen]);
    if (r < 0)
        return log_error_errno(r,
                "--listen=%s: expected PORT, IPV4:PORT, [IPV6]:PORT, localhost:PORT or unix:/PATH%s", s,
                r == -ERANGE ? ", with a port from 1 to 65535" : "");
    arg_options.n_listen++;
    return 0;
}

static int parse_workers(const char *s)
{
    char *end;
    unsigned long n = strtoul(s, &end, 10);
    if (*s < '0' || *s > '9' || *end || n < 1 || n > WORKERS_MAX)
        return log_error_errno(EINVAL, "--workers=%s: expected a number from 1 to %d", s, WORKERS_MAX);
    arg_options.n_workers = (unsigned) n;
    return 0;
}

static int parse_span(const char *option, const char *s, usec_t *ret)
{
    int r = timespan_parse(s, ret);
    if (r < 0)
        return log_error_errno(r, "%s=%s: expected a time span such as \"10s\" or \"500ms\"", option, s);
    return 0;
}

/* Do they go together? > 0 or < 0, as below. */
static int check_options(void)
{
    bool has_config = arg_config_dirs[0] || arg_options.config;

    if (has_config && !arg_options.standalone && !arg_check)
        return log_error_errno(EINVAL, "--config-dir= and --config= go with --standalone or --check: else "
                                       "the manager has the configuration.");
    if (arg_options.exit_idle_time != USEC_INFINITY && arg_options.standalone && !arg_options.worker)
        return log_error_errno(EINVAL, "--exit-idle-time= does not go with --standalone: nobody would start "
                                       "dynapm again. It needs sockets that a service manager keeps.");
    return 1;
}

/* > 0: go on, 0: done, < 0: the line is wrong. */
static int parse_argv(int argc, char **argv)
{
    size_t n_dirs = 0;
    int c, r = 1;

    while (r > 0 && (c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
        switch (c) {
        case 'h':
            help();
            return 0;
        case ARG_VERSION:
            printf("dynapm %s (libmicrohttpd %s)\n", DYNAPM_VERSION, server_library_version());
            return 0;
        case ARG_LISTEN:
            r = parse_listen(optarg) < 0 ? -EINVAL : 1;
            break;
        case ARG_WORKERS:
            r = parse_workers(optarg) < 0 ? -EINVAL : 1;
            break;
        case ARG_DRAIN_TIME:
            r = parse_span("--drain-time", optarg, &arg_options.drain_time) < 0 ? -EINVAL : 1;
            break;
        case ARG_EXIT_IDLE_TIME:
            r = parse_span("--exit-idle-time", optarg, &arg_options.exit_idle_time) < 0 ? -EINVAL : 1;
            break;
        case ARG_STANDALONE:
            arg_options.standalone = true;
            break;
        case ARG_CONFIG_DIR:
            if (n_dirs >= CONFIG_DIRS_MAX)
                return log_error_errno(
                        E2BIG, "--config-dir: at most %d folders can be given.", CONFIG_DIRS_MAX);
            arg_config_dirs[n_dirs++] = optarg;
            break;
        case ARG_CONFIG:
            arg_options.config = optarg;
            break;
        case ARG_CHECK:
            arg_check = true;
            break;
        case ARG_USER:
            arg_options.user = true;
            break;
        case ARG_RUNTIME_DIR:
            arg_options.runtime_dir = optarg;
            break;
        case ARG_WORKER:
            arg_options.worker = true;
            break;
        case ARG_OWN_SOCKETS:
            arg_options.own_sockets = true;
            break;
        default:
            return -EINVAL; /* getopt has said what is wrong */
        }
    if (r <= 0)
        return r;
    if (optind < argc)
        return log_error_errno(EINVAL, "Unexpected argument: %s", argv[optind]);
    return check_options();
}

/* The manager knows how to read a configuration; this program does not. */
static int check(void)
{
    char *argv[CONFIG_DIRS_MAX + 8];
    size_t n = 0;

    argv[n++] = manager_program();
    argv[n++] = (char *) "--check";
    if (arg_options.user)
        argv[n++] = (char *) "--user";
    if (arg_options.config && asprintf(&argv[n++], "--config=%s", arg_options.config) < 0)
        return log_oom();
    for (char **d = arg_config_dirs; *d; d++)
        if (asprintf(&argv[n++], "--config-dir=%s", *d) < 0)
            return log_oom();
    argv[n] = NULL;
    if (!argv[0])
        return log_oom();
    execv(argv[0], argv);
    return log_error_errno(errno, "Cannot execute %s: %m", argv[0]);
}

int main(int argc, char **argv)
{
    log_setup("dynapm");
    int r = parse_argv(argc, argv);
    if (r < 0) {
        fputs("See dynapm --help.\n", stderr);
        return 2;
    }
    if (r == 0)
        return EXIT_SUCCESS;
    if (arg_check) {
        (void) check();
        return EXIT_FAILURE;
    }
    return gateway_run(&arg_options);
}
