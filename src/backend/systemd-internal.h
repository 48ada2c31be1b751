/* SPDX-License-Identifier: ISC */
#pragma once

/* Between systemd.c (the connection, and how units stand), systemd-paths.c (whose signal it is),
 * systemd-job.c (what is asked for), systemd-status.c (what is told) and systemd-transient.c (units of our
 * own). */

#include "backend/systemd.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT "org.freedesktop.systemd1.Unit"
#define SYSTEMD_SERVICE "org.freedesktop.systemd1.Service"
#define PROPERTIES "org.freedesktop.DBus.Properties"

typedef enum JobKind { JOB_NONE, JOB_START, JOB_RESTART, JOB_STOP, JOB_START_TRANSIENT } JobKind;

/* What is wanted of a unit, until it has come about. */
typedef struct Job {
    JobKind kind;
    bool anew;           /* JOB_START_TRANSIENT: an active one is not what is wanted */
    bool awaits_removal; /* the unit of the same name before this one is ending */
    unsigned n_retries;
    const TransientSpec *spec;
    char *path;        /* the service manager's object, once it has one */
    sd_bus_slot *call; /* under way */
} Job;

struct Systemd {
    sd_bus *bus; /* NULL: cannot be reached */
    BusLink *link;
    char *owner; /* its unique name on the bus, NULL: not known, or there is no bus */
    sd_bus_slot *properties_match, *removed_match, *job_match, *reload_match, *owner_match;
    sd_bus_slot *subscribe, *list;
    void *by_path; /* tsearch(3) tree of PathNode */
    Unit *units;
};

struct Unit {
    Systemd *systemd;
    Unit *prev, *next; /* of all */
    Unit *same_path;   /* others that follow the same object */
    char *name;
    char *path; /* of the object that the name means; an alias has its target's. NULL: not known */
    UnitKind kind;
    bool listed; /* among those that are loaded; for the length of on_listed() */
    const UnitEvents *events;
    void *userdata;
    UnitStatus status;
    Job job;
    sd_bus_slot *load, *get_unit, *get_service, *get_control_group;
    UnitControlGroup control_group_done;
};

/* systemd.c */

int systemd_call(const Systemd *s, sd_bus_slot **slot, const char *path, const char *interface,
        const char *member, sd_bus_message_handler_t reply, void *userdata, const char *types, ...);
/* Asks for all properties of an interface of the unit's object. */
int systemd_get_all(Unit *u, sd_bus_slot **slot, const char *interface, sd_bus_message_handler_t reply);

/* systemd-paths.c */

/* The first of those that follow the object; the next is its same_path. NULL: none does. */
Unit *systemd_units_at(const Systemd *s, const char *path);
/* Returns 0 or -ENOMEM, and then it has none. */
int unit_set_path(Unit *u, const char *path);
void unit_unset_path(Unit *u);

/* systemd-status.c */

/* Reads a{sv} of a unit's properties into the status; what is not in it stays. Returns < 0 for nonsense. */
int unit_status_read(UnitStatus *s, sd_bus_message *m);
UnitState unit_state_from_string(const char *s);
/* Why a job that ended with this result (JobRemoved) did not do what was asked; NULL: it did. */
const char *job_result_format(char buf[static UNIT_END_STRING_MAX], const char *result, const Unit *u);

/* systemd-job.c */

/* The service manager can be reached (again), and it is known how the unit stands: asks for what is wanted.
 */
void job_send(Unit *u);
/* It cannot be reached any more; what is wanted stays wanted. */
void job_unsend(Unit *u);
void job_on_removed(Unit *u, const char *path, const char *result);
/* The unit is not loaded any more, or has ended: the next of its name may be made. */
void job_on_unit_gone(Unit *u);
void job_clear(Unit *u);

/* systemd-transient.c */

/* Appends a(sv), as StartTransientUnit wants it. */
int transient_spec_append(sd_bus_message *m, const TransientSpec *spec);
