/* SPDX-License-Identifier: ISC */
#pragma once

/* The configuration as everything else sees it: immutable, validated, reference-counted. Built by
 * config_load(), which reports what it refuses as ConfigProblems and never logs. Strings are UTF-8; hosts are
 * lower case.
 *
 * A service's definition has references of its own: it is passed on from one Config to the next as long as
 * nothing of it changes, so that who holds one knows by its address that it is still the same. */

#include "util/address.h"
#include "util/string-table.h"
#include "util/time-util.h"

typedef enum RouteType { ROUTE_HOST, ROUTE_PORT, _ROUTE_TYPE_MAX, _ROUTE_TYPE_INVALID = -EINVAL } RouteType;

typedef enum ServiceKind {
    SERVICE_EXEC,       /* argv of a program that stays in the foreground */
    SERVICE_COMMANDS,   /* start, stop and check, each a /bin/sh command line */
    SERVICE_UNIT,       /* an existing systemd unit */
    SERVICE_PROXY_ONLY, /* never started or stopped */
    _SERVICE_KIND_MAX,
    _SERVICE_KIND_INVALID = -EINVAL,
} ServiceKind;
DECLARE_STRING_TABLE(service_kind, ServiceKind)

typedef enum HealthCheckType {
    HEALTH_CHECK_TCP,
    HEALTH_CHECK_HTTP,
    HEALTH_CHECK_COMMAND,
    HEALTH_CHECK_NONE,
    _HEALTH_CHECK_TYPE_MAX,
    _HEALTH_CHECK_TYPE_INVALID = -EINVAL,
} HealthCheckType;
DECLARE_STRING_TABLE(health_check_type, HealthCheckType)

/* The PROXY protocol, with which one hop tells the next who the client is. */
typedef enum ProxyProtocol { PROXY_PROTOCOL_NONE, PROXY_PROTOCOL_V1, PROXY_PROTOCOL_V2 } ProxyProtocol;

/* Where a service listens. `localhost` has two addresses, tried in this order: 127.0.0.1, ::1. */
#define ENDPOINT_ADDRESSES_MAX 2
typedef struct Endpoint {
    char *text; /* as configured, for people: "http://127.0.0.1:3001" */
    SocketAddress addresses[ENDPOINT_ADDRESSES_MAX];
    size_t n_addresses;
    bool tcp; /* speaks anything, not HTTP: connections are passed on as they are */
} Endpoint;

typedef struct RouteConfig {
    RouteType type;
    char *host;           /* ROUTE_HOST: lower case, no port; "*.example.com" is a wildcard */
    SocketAddress listen; /* ROUTE_PORT: [::] where only a number was given */
    char *path;           /* starts with '/', never ends with one but for "/" itself */
    bool strip_path;      /* remove `path` from the target that goes upstream */
    bool accept_proxy; /* ROUTE_PORT: connections begin with a PROXY header; the same for all of a listener */
    Endpoint target;
} RouteConfig;

typedef struct HealthCheckConfig {
    HealthCheckType type;
    Endpoint endpoint;        /* tcp, http: where to connect */
    char *host;               /* http: value of the Host field, with the port where it is not 80 */
    char *path;               /* http: request target, starts with '/' */
    unsigned expected_status; /* http: exactly this; 0 = any of 200–399 (a redirect is not followed) */
    char *command;            /* command: /bin/sh command line, exit status 0 = ready */
    usec_t timeout;           /* of one attempt */
    usec_t interval; /* ceiling of the pause between attempts; 0 = the default back-off up to 100 ms */
    bool implied;    /* nobody wrote one: it is the default, tcp */
} HealthCheckConfig;

/* A property of a transient unit, as it goes over D-Bus: org.freedesktop.systemd1(5),
 * systemd.resource-control(5). */
typedef struct UnitLimit {
    const char *property; /* static: "MemoryMax", "MemoryMaxScale", … */
    char type;            /* its D-Bus type: 't', or 'u' for a fraction of UINT32_MAX */
    uint64_t value;       /* UINT64_MAX = no limit */
} UnitLimit;

typedef struct ServiceConfig {
    unsigned n_ref;
    struct ServiceConfig *origin; /* NULL, or whose strings these are: a copy without some of its routes */
    char *name;                   /* [A-Za-z0-9._-]{1,64} */
    char *file;                   /* where it was defined, for people */
    ServiceKind kind;
    char **exec;                                        /* SERVICE_EXEC: NULL-terminated argv */
    char *start_command, *stop_command, *check_command; /* SERVICE_COMMANDS; stop and check may be NULL */
    char *unit;                                         /* SERVICE_UNIT: with its suffix */
    char *cwd;                                          /* absolute, or NULL for "/" */
    char **env;                                         /* NULL-terminated "KEY=value", or NULL */
    char *user;                                         /* NULL = the default of config.md */
    char *group;                                        /* NULL = the user's */
    UnitLimit *limits;                                  /* of exec and commands; each property once */
    size_t n_limits;
    bool notify; /* SERVICE_EXEC: it says READY=1 when it is, sd_notify(3), which decides unless a health
                    check is written too */
    RouteConfig *routes;
    size_t n_routes;
    HealthCheckConfig health_check;
    usec_t idle_timeout;    /* USEC_INFINITY = never */
    usec_t web_socket_idle; /* a tunnel silent for so long keeps it no more awake; USEC_INFINITY = never */
    usec_t start_timeout;
    usec_t stop_timeout; /* SERVICE_UNIT: where none is written USEC_INFINITY, as the unit has its own */
    ProxyProtocol send_proxy_protocol; /* to its tcp endpoints */
} ServiceConfig;

/* An address range, "10.0.0.0/8"; IPv4 as ::ffff:a.b.c.d. */
typedef struct CidrBlock {
    struct in6_addr address;
    uint8_t prefix; /* bits of the 128 */
} CidrBlock;

/* Where a token is: in the configuration itself, in a file, or in a credential that the service manager
 * passes (systemd.exec(5)). At most one of the three. */
typedef struct AdminToken {
    char *text;       /* token68 of RFC 9110, 11.2 */
    char *file;       /* absolute path */
    char *credential; /* a file name in $CREDENTIALS_DIRECTORY */
} AdminToken;

/* adminApi: the API of whoever looks after services, over HTTP. With `enabled` it has an address or a
 * hostname; that nobody is let in unawares was checked. */
typedef struct AdminConfig {
    bool enabled;
    SocketAddress listen;  /* of its own; len 0: none, it is `hostname` of the addresses that all share */
    char *hostname;        /* what it is called, lower case; NULL: addresses and localhost */
    char *file;            /* where it was written, for people */
    AdminToken token;      /* for everything */
    AdminToken read_token; /* for looking only */
    CidrBlock *allowed;    /* who may ask at all; n_allowed 0: everybody who gets here */
    size_t n_allowed;
} AdminConfig;

/* Is there one? */
bool admin_token_is_set(const AdminToken *t) _pure_;

/* What /etc/dynapm.json (or a whole DynaPM configuration) says about dynapm itself; 0 or NULL = not said.
 * Every limit has its default applied by the parser. */
typedef struct GlobalConfig {
    SocketAddress *listen; /* DynaPM's "host" and "port"; used where no --listen and no passed socket says
                              otherwise */
    size_t n_listen;
    bool request_log;                   /* logging.enableRequestLog */
    bool accept_proxy;                  /* acceptProxyProtocol: of connections to dynapm's own addresses */
    usec_t request_head_timeout;        /* limits.requestHeadTimeout: whole head, absolute; 10 s */
    usec_t request_body_timeout;        /* limits.requestBodyTimeout: whole body, absolute; USEC_INFINITY */
    usec_t request_body_idle_timeout;   /* limits.requestBodyIdleTimeout: no byte for this long; 60 s */
    usec_t keep_alive_timeout;          /* limits.keepAliveTimeout: idle client connection; 75 s */
    usec_t upstream_connect_timeout;    /* limits.upstreamConnectTimeout; 10 s */
    usec_t upstream_first_byte_timeout; /* limits.upstreamFirstByteTimeout: request sent until head; 5 min */
    usec_t upstream_idle_timeout;       /* limits.upstreamIdleTimeout: no byte of a body for this long;
                                           USEC_INFINITY */
    usec_t client_write_timeout; /* limits.clientWriteTimeout: a reader that takes no byte for this long; 60 s
                                  */
    usec_t tunnel_idle_timeout;  /* limits.tunnelIdleTimeout: a tunnel without a byte; USEC_INFINITY */
    uint32_t max_connections;    /* limits.maxConnections: client connections a worker; 16384 */
    uint32_t max_connections_per_address; /* limits.maxConnectionsPerAddress; 0 = no limit */
    uint32_t max_parked;                  /* limits.maxParkedRequests: waiting requests a worker; 8192 */
    uint32_t max_parked_per_service;      /* limits.maxParkedRequestsPerService; 2048 */
    uint32_t max_concurrent_starts; /* limits.maxConcurrentStarts: services; 0 = no limit; four a CPU, at
                                       least eight */
    uint32_t max_head_size;         /* limits.maxRequestHead: bytes of a request head; 16384, 1024–65536 */
    CidrBlock *trusted_proxies;     /* trustedProxies: peers whose X-Forwarded-* and Forwarded are kept */
    size_t n_trusted_proxies;
    AdminConfig admin; /* adminApi */
} GlobalConfig;

/* One thing that was refused: "FILE:LINE:COLUMN: JSON.PATH: MESSAGE". */
typedef struct ConfigProblem {
    char *file;
    unsigned line, column; /* from 1; 0 where the file as a whole is meant */
    char *path;            /* JSON path such as routes[1].host; NULL where the file as a whole is meant */
    char *message; /* what was expected, what was found, a suggestion where there is one; no full stop */
} ConfigProblem;

typedef struct Config {
    unsigned n_ref;
    GlobalConfig global;
    ServiceConfig **services; /* sorted by file name, then by order in the file; names are unique */
    size_t n_services;
    ConfigProblem *problems;
    size_t n_problems;
} Config;

typedef struct ConfigPaths {
    const char *const *dirs; /* NULL-terminated; the first wins over a later one with the same file name */
    const char *global;      /* the file of global settings; NULL = none */
    bool global_required;    /* that one may not be missing */
    bool check_permissions;  /* refuse files that others than their owner may write (when the manager is root)
                              */
} ConfigPaths;

/* Reads everything below `paths`. Refused services are left out and described in `problems`; only memory and
 * the like fail the whole. Returns 0 or -errno; the caller unrefs *ret. */
int config_load(const ConfigPaths *paths, Config **ret);

/* The same for whoever has an earlier one of the same paths (NULL: has none). A definition that says what it
 * said there is that one. What cannot be read, or was refused, stays as it was there: the services of a file,
 * but for those that it does define; those of all files in a folder; all settings of dynapm itself, where the
 * file with a mistake in them has had, or is the place for, any. A service that stays so is without those
 * routes that others have claimed meanwhile. What is not there any more is gone. */
int config_reload(const ConfigPaths *paths, Config *before, Config **ret);

/* Parses one file's text (not NUL-terminated necessarily) as config_load() would, adding to `config`: the
 * fuzzer's and the tests' way in. `file` is used for names and problems. Returns 0 or -ENOMEM. */
int config_parse(Config *config, const char *file, const char *text, size_t len);

Config *config_new(void); /* empty, with the defaults of GlobalConfig; NULL when out of memory */
Config *config_ref(Config *c);
Config *config_unref(Config *c);
DEFINE_CLEANUP(Config *, config_unref)

ServiceConfig *service_config_ref(ServiceConfig *s);
ServiceConfig *service_config_unref(ServiceConfig *s);
DEFINE_CLEANUP(ServiceConfig *, service_config_unref)

/* Do they say the same? */
bool service_config_equal(const ServiceConfig *a, const ServiceConfig *b) _pure_;
/* Is the service started, found ready and stopped in the same way? */
bool service_config_runs_alike(const ServiceConfig *a, const ServiceConfig *b) _pure_;

/* "FILE:LINE:COLUMN: PATH: MESSAGE", fresh memory that the caller frees; NULL when out of memory. */
char *config_problem_format(const ConfigProblem *p);

/* The drop-in folders of the system instance or, for a user's, of $XDG_CONFIG_HOME; static memory,
 * NULL-terminated. */
const char *const *config_default_dirs(bool user);
const char *config_default_global(bool user);
