/* SPDX-License-Identifier: ISC */
#pragma once

/* Names of the API between the programs, spoken over a private AF_UNIX socket as peer-to-peer D-Bus. */

#define BUS_PATH "/org/dynapm1"
#define BUS_GATEWAY_INTERFACE "org.dynapm1.Gateway"

/* Attach(u version) → (h status_table, h activity_table, h routes, ah listeners)
 *   One call a worker and connection. listeners[i] is the socket of the i-th listener of the route image. */
#define BUS_ATTACH "Attach"
#define BUS_ATTACH_VERSION 1U

/* Wake(u slot, u dead_epoch, s reason) → (b online, u epoch, s why, u retry_after_seconds)
 *   Answers when the service is online or cannot be: see service_wake(). */
#define BUS_WAKE "Wake"

/* The manager's private socket below its runtime folder (/run/dynapm, $XDG_RUNTIME_DIR/dynapm). */
#define MANAGER_SOCKET_NAME "manager"
