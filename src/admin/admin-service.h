/* SPDX-License-Identifier: ISC */
#pragma once

/* A service as JSON: DynaPM's fields and ours, from the properties of BUS_SERVICE_INTERFACE. Times are ms. */

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#include "util/macro.h"

/* Reads a{sv}; the caller puts *ret. Returns 0 or -errno. */
int admin_service_read(sd_bus_message *m, json_object **ret);
/* The reply of org.freedesktop.DBus.ObjectManager.GetManagedObjects: an array of all services. */
int admin_services_read(sd_bus_message *m, json_object **ret);

/* What journalctl(1) has written with --output=json, as {"lines": [{"time", "priority", "identifier",
 * "text"}]}; lines that are none are left out. NULL: out of memory. */
json_object *admin_logs_read(const char *text, size_t len);

/* The reply of Reload: what a client is told of it. */
int admin_reload_read(sd_bus_message *m, json_object **ret);

const char *admin_service_name(json_object *service);

/* Another object or nothing of it, when out of memory; `value` is taken in any case. False: out of memory. */
bool admin_json_add(json_object *object, const char *key, json_object *value);

/* Its text in fresh memory that the caller frees, NULL when out of memory. */
char *admin_json_text(json_object *o, size_t *ret_len);
