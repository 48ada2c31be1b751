/* SPDX-License-Identifier: ISC */
#pragma once

/* The manager: the configuration's services, each with its state machine; the gateways that are attached;
 * what is published to them. Composition root of dynapm-manager: everything else of this folder is a part of
 * it. */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "backend/systemd-command.h"
#include "config/config.h"
#include "manager/activity.h"
#include "manager/admin.h"
#include "manager/control.h"
#include "manager/control-link.h"
#include "manager/idle-exit.h"
#include "manager/listeners.h"
#include "manager/logs.h"
#include "manager/operations.h"
#include "manager/peers.h"
#include "manager/publish.h"
#include "manager/recovery.h"
#include "manager/reload.h"
#include "manager/renditions.h"
#include "manager/runtime.h"
#include "manager/slots.h"
#include "service/service.h"
#include "service/turns.h"

/* Who starts services. */
typedef enum ServiceManager {
    SERVICE_MANAGER_NONE, /* we do: they are our children */
    SERVICE_MANAGER_SYSTEM,
    SERVICE_MANAGER_USER,
} ServiceManager;

typedef struct ManagerOptions {
    ServiceManager service_manager;
    ConfigPaths config;
    const char *runtime_dir;
    const char *self; /* the path of our own program */
    int listen_fd;    /* the socket that gateways connect to, taken over; < 0: bind it in runtime_dir */
    const char *default_user; /* of services that name none; NULL: whoever runs the manager */
    uid_t gateway_uid;        /* may attach beside root and ourselves; (uid_t) -1: nobody */
    usec_t exit_idle_time;    /* 0 or USEC_INFINITY: never */
} ManagerOptions;

typedef struct Manager {
    sd_event *event;
    usec_t began; /* CLOCK_REALTIME */
    Runtime runtime;
    Children *children;
    SessionTable *sessions;
    CommandRunner commands; /* as our children */
    BusLink *bus;           /* NULL: there is no service manager */
    Systemd *systemd;
    SystemdRunner systemd_commands;
    uid_t gateway_uid;
    ServiceHost host;
    ConfigPaths paths; /* the options' */
    Config *config;
    uint64_t generation; /* of the configuration, from 1 */
    Reloads reloads;

    Slots slots;
    uint32_t *config_slots; /* of config->services[i]; NO_SLOT for one that is left out */
    Service **services;     /* by slot; NULL where there is none */
    size_t n_services;      /* slots in use */
    Turns turns;            /* of starts */
    Recovery recovery;

    StatusTable *status;
    int status_fd;
    Activity activity;
    Listeners *listeners;
    Publication *publications[2]; /* without and with the configuration's own listeners; made at first use */
    Peers peers;
    Control *controls;         /* a list, of all connections */
    ControlLink *control_link; /* NULL: there is no bus to offer it on */
    Operations operations;
    Admin admin;
    Logs logs;
    Renditions renditions; /* of the metrics */
    bool user;             /* a user's service manager is the one that we have, if any */

    IdleExit idle_exit;

    sd_event_source *report; /* tells what has changed once a turn of the loop */
    char *reported;          /* what STATUS= said last */
    bool stopping;
    sd_event_source *stop_limit;
} Manager;

/* The caller has blocked SIGCHLD. Opens the runtime folder, reads the configuration, logs what it refuses,
 * and begins to accept gateways: ready when this returns, while what runs already is found out in the loop.
 * Options must outlive it. Logs what fails. Returns 0 or -errno. */
int manager_new(sd_event *event, const ManagerOptions *options, Manager **ret);
/* Processes of services are left alone. */
Manager *manager_free(Manager *m);
DEFINE_CLEANUP(Manager *, manager_free)

/* Lets no gateway in any more, stops every service whose process is a child of ours, all at once and each
 * when what is in flight with it has its answer, and ends the loop when they are gone, with 0. */
void manager_shutdown(Manager *m, const char *reason);

/* Ends the loop at once; what runs is left alone. Not to be called while a gateway's message is dispatched.
 */
void manager_exit(Manager *m, int status);

/* The service of a slot, NULL where there is none. The slot may be anything. */
Service *manager_service(const Manager *m, uint32_t slot);

/* The service of a name, NULL where there is none. */
Service *manager_find(const Manager *m, const char *name);

/* Writes the service's state where gateways read it. */
void manager_publish_state(Manager *m, const Service *s);
/* Frees a service that was removed. Not to be called by it. */
void manager_forget(Manager *m, uint32_t slot);

/* The publication for a gateway, made at first use; ours. Returns 0 or -errno. */
int manager_publication(Manager *m, bool main_listeners, Publication **ret);
/* Other sockets are there than a publication knows of: the next gateway gets one that is made anew. */
void manager_listeners_changed(Manager *m);

/* A gateway has come, has left, has gone over to another configuration, or wants to know. What that changes
 * is seen once this turn of the loop ends.
 */
void manager_gateways_changed(Manager *m);

/* Is every service offline that is ours to start, and is that known? */
bool manager_is_at_rest(const Manager *m);

/* "12 services: 3 online, 1 starting", fresh memory; NULL when out of memory. */
char *manager_describe(const Manager *m);
