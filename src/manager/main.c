/* SPDX-License-Identifier: ISC */

/* dynapm-manager: reads the command line and the environment, takes or makes the socket, runs the loop.
 * Signals are blocked before anything else and arrive through the loop; SIGCHLD as well, as Children wants
 * it. */

#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "build-config.h"
#include "manager/manager.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/text.h"

static const char **arg_config_dirs = NULL; /* NULL-terminated */
static size_t arg_n_config_dirs = 0;
static const char *arg_config = NULL;
static const char *arg_runtime_dir = NULL;
static bool arg_user = false;
static bool arg_check = false;
static bool arg_exit_with_parent = false;
static usec_t arg_exit_idle_time = USEC_INFINITY;
static pid_t arg_parent = 0; /* 0: not said */

static int help(void)
{
    printf("%s [OPTIONS...]\n\n"
           "Start and stop services for the dynapm gateway.\n\n"
           "  -h --help             Show this help\n"
           "     --version          Show the version\n"
           "     --check            Check the configuration and exit: 0 if all of it is good\n"
           "     --config-dir=DIR   Read services from DIR/*.json instead of the usual folders;\n"
           "                        may be given several times: a file in an earlier folder\n"
           "                        replaces the one of the same name in a later folder\n"
           "     --config=FILE      Read global settings from FILE\n"
           "     --runtime-dir=DIR  Keep the socket and what is remembered in DIR\n"
           "     --user             Use the folders of the calling user, not the system's\n"
           "     --exit-idle-time=SPAN\n"
           "                        Exit when no gateway was connected and every service was offline\n"
           "                        for so long; the next connection has it started again\n"
           "     --exit-with-parent[=PID]\n"
           "                        Shut down when the parent process (PID) is gone\n"
           "     --exec-variable=NAME\n"
           "                        Execute the shell command line in the environment variable NAME and\n"
           "                        nothing else: what stops a unit\n\n"
           "See dynapm-manager(8).\n",
            program_invocation_short_name);
    return 0;
}

static int bad_usage(void)
{
    fprintf(stderr, "Try '%s --help'.\n", program_invocation_short_name);
    return 2;
}

static int parse_pid(const char *s, pid_t *ret)
{
    char *end;

    errno = 0;
    long v = strtol(s, &end, 10);
    if (errno != 0 || *end || end == s || v <= 0 || v > INT32_MAX)
        return -EINVAL;
    *ret = (pid_t) v;
    return 0;
}

/* What units of ours have as their stop command. Returns the exit status. */
static int exec_variable(const char *name)
{
    const char *value = getenv(name);
    _cleanup_free_ char *command = value ? strdup(value) : NULL;

    if (!command) {
        fprintf(stderr, "%s: there is no variable %s\n", program_invocation_short_name, name);
        return EXIT_FAILURE;
    }
    (void) unsetenv(name);
    execl("/bin/sh", "/bin/sh", "-c", command, NULL);
    fprintf(stderr, "%s: cannot execute /bin/sh: %s\n", program_invocation_short_name, strerror(errno));
    return EXIT_FAILURE;
}

/* Do the options go together, and is there nothing else? As below. */
static int check_usage(int argc, char **argv)
{
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument '%s'\n", program_invocation_short_name, argv[optind]);
        return bad_usage();
    }
    if (arg_exit_idle_time != USEC_INFINITY && arg_exit_with_parent) {
        fprintf(stderr,
                "%s: --exit-idle-time= does not go with --exit-with-parent: nobody would start it again\n",
                program_invocation_short_name);
        return bad_usage();
    }
    return -1;
}

/* Returns < 0 to go on, else the exit status. */
static int parse_argv(int argc, char **argv)
{
    enum {
        ARG_VERSION = 0x100,
        ARG_CHECK,
        ARG_CONFIG_DIR,
        ARG_CONFIG,
        ARG_RUNTIME_DIR,
        ARG_USER,
        ARG_EXIT_IDLE_TIME,
        ARG_PARENT,
        ARG_EXEC_VARIABLE
    };
    static const struct option options[] = {
            {"help", no_argument, NULL, 'h'},
            {"version", no_argument, NULL, ARG_VERSION},
            {"check", no_argument, NULL, ARG_CHECK},
            {"config-dir", required_argument, NULL, ARG_CONFIG_DIR},
            {"config", required_argument, NULL, ARG_CONFIG},
            {"runtime-dir", required_argument, NULL, ARG_RUNTIME_DIR},
            {"user", no_argument, NULL, ARG_USER},
            {"exit-idle-time", required_argument, NULL, ARG_EXIT_IDLE_TIME},
            {"exit-with-parent", optional_argument, NULL, ARG_PARENT},
            {"exec-variable", required_argument, NULL, ARG_EXEC_VARIABLE},
            {},
    };

    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;)
        switch (c) {
        case 'h':
            return help();
        case ARG_VERSION:
            puts("dynapm-manager " DYNAPM_VERSION);
            return 0;
        case ARG_CHECK:
            arg_check = true;
            break;
        case ARG_CONFIG_DIR:
            arg_config_dirs[arg_n_config_dirs++] = optarg;
            break;
        case ARG_CONFIG:
            arg_config = optarg;
            break;
        case ARG_RUNTIME_DIR:
            arg_runtime_dir = optarg;
            break;
        case ARG_USER:
            arg_user = true;
            break;
        case ARG_EXIT_IDLE_TIME:
            if (timespan_parse(optarg, &arg_exit_idle_time) < 0) {
                fprintf(stderr, "%s: --exit-idle-time=%s: expected a time span such as \"10min\"\n",
                        program_invocation_short_name, optarg);
                return bad_usage();
            }
            break;
        case ARG_PARENT:
            arg_exit_with_parent = true;
            if (optarg && parse_pid(optarg, &arg_parent) < 0) {
                fprintf(stderr, "%s: '%s' is no process id\n", program_invocation_short_name, optarg);
                return bad_usage();
            }
            break;
        case ARG_EXEC_VARIABLE:
            return exec_variable(optarg);
        default:
            return bad_usage();
        }
    return check_usage(argc, argv);
}

/* Who names folders of services means just those: the machine's global settings are then not read either. The
 * usual file of these may be missing; one that somebody has named may not. */
static ConfigPaths config_paths(void)
{
    bool own = arg_n_config_dirs > 0;
    return (ConfigPaths){
            .dirs = own ? arg_config_dirs : config_default_dirs(arg_user),
            .global = arg_config ? arg_config
                      : own      ? NULL
                                 : config_default_global(arg_user),
            .global_required = arg_config,
            .check_permissions = geteuid() == 0,
    };
}

static int check(void)
{
    _cleanup_(config_unrefp) Config *config = NULL;
    ConfigPaths paths = config_paths();

    int r = config_load(&paths, &config);
    if (r < 0) {
        fprintf(stderr, "Cannot read the configuration: %s\n", strerror(-r));
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < config->n_problems; i++) {
        _cleanup_free_ char *text = config_problem_format(&config->problems[i]);
        fprintf(stderr, "%s\n", text ? text : strerror(ENOMEM));
    }
    if (config->n_problems > 0)
        return EXIT_FAILURE;
    printf("%zu service%s, no problems\n", config->n_services, config->n_services == 1 ? "" : "s");
    return EXIT_SUCCESS;
}

/* SIGTERM comes when the parent dies from now on; whether it was dead before, only its pid can tell:
 * prctl(2). */
static int follow_parent(void)
{
    pid_t parent = arg_parent > 0 ? arg_parent : getppid();

    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return log_error_errno(errno, "Cannot ask for a signal at the parent's death: %m");
    if (getppid() != parent)
        return log_error_errno(ESRCH, "The parent process is gone already.");
    return 0;
}

/* Returns fresh memory, NULL with the reason logged. */
static char *runtime_dir(void)
{
    const char *base = "/run";
    char *dir;

    if (arg_runtime_dir) {
        _cleanup_free_ char *cwd = getcwd(NULL, 0);
        bool absolute = arg_runtime_dir[0] == '/';
        dir = text_format("%s%s%s", absolute || !cwd ? "" : cwd, absolute ? "" : "/", arg_runtime_dir);
    } else {
        if (arg_user)
            base = getenv("XDG_RUNTIME_DIR");
        if (!base || base[0] != '/') {
            log_error("XDG_RUNTIME_DIR is not set, --runtime-dir= is needed.");
            return NULL;
        }
        dir = text_format("%s/dynapm", base);
    }
    if (!dir)
        log_oom();
    return dir;
}

/* Returns the socket that was passed, -EBADF for none, another -errno with the reason logged. */
static int passed_socket(void)
{
    int n = sd_listen_fds(true);

    if (n < 0)
        return log_error_errno(n, "Cannot read LISTEN_FDS: %m");
    if (n > 1)
        return log_error_errno(E2BIG, "%d sockets were passed, one is needed.", n);
    return n == 1 ? SD_LISTEN_FDS_START : -EBADF;
}

/* The service manager that started us, if one did, is the one that starts services. */
static ServiceManager service_manager(void)
{
    const char *e = getenv("SYSTEMD_EXEC_PID"); /* systemd.exec(5) */
    pid_t pid;

    if (arg_exit_with_parent || !e || parse_pid(e, &pid) < 0 || pid != getpid())
        return SERVICE_MANAGER_NONE;
    if (arg_user)
        return SERVICE_MANAGER_USER;
    return geteuid() == 0 ? SERVICE_MANAGER_SYSTEM : SERVICE_MANAGER_NONE;
}

/* Whom the system's gateway runs as; (uid_t) -1, with the reason logged, where there is no such user. */
static uid_t system_gateway_uid(void)
{
    errno = 0;
    const struct passwd *user = getpwnam("dynapm"); /* before the loop begins: it may block */

    if (user)
        return user->pw_uid;
    if (errno == 0 || errno == ENOENT)
        log_error("There is no user dynapm, whose gateway may attach; systemd-sysusers(8) makes it.");
    else
        (void) log_error_errno(errno, "Cannot look up the user dynapm, whose gateway may attach: %m");
    return (uid_t) -1;
}

static int on_end(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    Manager *m = userdata;

    if (m->stopping) {
        log_warning("Asked to end a second time, leaving what still runs behind.");
        manager_exit(m, EXIT_FAILURE);
        return 0;
    }
    manager_shutdown(m, si->ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    Manager *m = userdata;
    int r = reload_begin(&m->reloads, "SIGHUP", NULL, NULL, NULL);

    if (r == -ESHUTDOWN)
        log_notice("SIGHUP is ignored at the end.");
    return 0;
}

static int run(const char *dir, int listen_fd)
{
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    _cleanup_(manager_freep) Manager *m = NULL;
    ServiceManager manager = service_manager();
    char self[PATH_MAX];

    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) {
        fd_close(listen_fd);
        return log_error_errno(errno, "Cannot find out the path of this program: %m");
    }
    self[n] = 0;
    int r = sd_event_default(&event);
    if (r < 0) {
        fd_close(listen_fd);
        return log_error_errno(r, "Cannot make an event loop: %m");
    }
    r = manager_new(event,
            &(ManagerOptions){
                    .config = config_paths(),
                    .runtime_dir = dir,
                    .self = self,
                    .listen_fd = listen_fd,
                    .service_manager = manager,
                    /* Services that name no user do not run as root. */
                    .default_user = manager == SERVICE_MANAGER_SYSTEM ? "dynapm-app" : NULL,
                    .gateway_uid = manager == SERVICE_MANAGER_SYSTEM ? system_gateway_uid() : (uid_t) -1,
                    .exit_idle_time = MAX(arg_exit_idle_time, (usec_t) 1),
            },
            &m);
    if (r < 0)
        return r;
    if ((r = sd_event_add_signal(event, NULL, SIGTERM, on_end, m)) < 0 ||
            (r = sd_event_add_signal(event, NULL, SIGINT, on_end, m)) < 0 ||
            (r = sd_event_add_signal(event, NULL, SIGHUP, on_hangup, m)) < 0 ||
            (r = sd_event_set_watchdog(event, true)) < 0)
        return log_error_errno(r, "Cannot set up signals and the watchdog: %m");
    _cleanup_free_ char *status = manager_describe(m);
    (void) sd_notifyf(false, "READY=1\nSTATUS=%s", status ? status : "");
    r = sd_event_loop(event);
    return r < 0 ? log_error_errno(r, "The event loop failed: %m") : r;
}

int main(int argc, char **argv)
{
    sigset_t mask;

    log_setup("dynapm-manager");
    arg_config_dirs = new0(const char *, (size_t) argc + 1);
    if (!arg_config_dirs) {
        log_oom();
        return EXIT_FAILURE;
    }
    int r = parse_argv(argc, argv);
    if (r >= 0)
        return r;
    if (arg_check)
        return check();
    /* The gateway's unit is where people look; what happens there begins with us as often as not. */
    ServiceManager manager = service_manager();
    if (manager != SERVICE_MANAGER_NONE)
        log_set_object(manager == SERVICE_MANAGER_USER ? "OBJECT_SYSTEMD_USER_UNIT=dynapm.service"
                                                       : "OBJECT_SYSTEMD_UNIT=dynapm.service");

    (void) umask(0022);
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGCHLD);
    (void) sigprocmask(SIG_BLOCK, &mask, NULL);
    (void) signal(SIGPIPE, SIG_IGN); /* stderr may be a pipe whose reader is gone */
    if (arg_exit_with_parent && follow_parent() < 0)
        return EXIT_FAILURE;

    _cleanup_free_ char *dir = runtime_dir();
    int fd = passed_socket();
    if (!dir || (fd < 0 && fd != -EBADF))
        return EXIT_FAILURE;
    r = run(dir, fd);
    return r < 0 ? EXIT_FAILURE : r;
}
