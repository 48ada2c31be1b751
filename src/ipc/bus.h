/* SPDX-License-Identifier: ISC */
#pragma once

/* Names of the API between the programs, spoken over a private AF_UNIX socket as peer-to-peer D-Bus; that of
 * whoever looks after services is offered on the message bus too. */

#define BUS_PATH "/org/dynapm1"
#define BUS_GATEWAY_INTERFACE "org.dynapm1.Gateway"

/* Attach(u version, b main_listeners) → (h status_table, h activity_table, h routes, ah listeners)
 *   Once a connection, one connection a worker. listeners[i] is the socket of the i-th listener of the route
 *   image, bound once by the manager and shared by all workers. main_listeners false: the gateway has sockets
 *   of its own, and the configuration's `listen` is neither bound nor part of the image that it is given: an
 *   image has exactly the listeners that come with it. A port that cannot be bound has none.
 *   A message carries BUS_LISTENERS_MAX sockets at most (the kernel's limit is 253); where the image has
 * more, the rest is fetched with Listeners(u first) → (ah listeners), which begins with the first-th. */
#define BUS_ATTACH "Attach"
#define BUS_ATTACH_VERSION 2U
#define BUS_LISTENERS "Listeners"
#define BUS_LISTENERS_MAX 200U

/* signal Changed(), to a gateway that is attached
 *   There is another configuration. Update() → (t generation, h routes, ah listeners) fetches it; it is told
 * of once until it asks. Listeners whose image had them before come again, and may be the same sockets. What
 * is not among them is not wanted any more: what waits there is for the gateway to accept before it closes
 * it. When everything that comes from then on is treated as the new configuration says, the gateway says
 * Updated(t generation, s problem), without a reply; `problem` is "", or says why it goes on with the one
 * before. */
#define BUS_CHANGED "Changed"
#define BUS_UPDATE "Update"
#define BUS_UPDATED "Updated"

/* Offer(ah listeners), without a reply, before Attach
 *   Listening sockets that this worker still has from a manager that is gone. As long as it has them open, no
 *   new manager can bind their addresses: it takes those over that the configuration wants. At most
 *   BUS_LISTENERS_MAX a call, any number of calls. A worker that begins has nothing to offer. (sd-bus blocks
 * in sending descriptors on a connection that is not up yet: see sd_bus_set_connected_signal(3).) */
#define BUS_OFFER "Offer"

/* Lend(ah listeners), without a reply, before Attach
 *   Listening sockets that belong to whoever started this worker. One whose address the configuration wants
 * is given back by Attach, so that nobody has to bind an address twice; the worker knows it again. The
 * manager keeps it no longer than until the last gateway has left: its owner may want to close it. As Offer
 * else. */
#define BUS_LEND "Lend"

/* Wake(u slot, u dead_epoch, s reason) → (b online, u epoch, s why, u retry_after_seconds)
 *   Answers when the service is online or cannot be: see service_wake(). */
#define BUS_WAKE "Wake"

/* Idle(u slot), without a reply
 *   This worker has no exchange of the slot open any more, but for parked ones, and StatusSlot.watch was set.
 */
#define BUS_IDLE "Idle"

/* AwaitOffline() → ()
 *   Answers as soon as no service is online, on its way, or left alone after a failure, and it is known of
 * all whether they run; at once if that is so now. One call a connection at a time. */
#define BUS_AWAIT_OFFLINE "AwaitOffline"

/* ── looking after services ──
 *
 * On BUS_PATH BUS_MANAGER_INTERFACE and org.freedesktop.DBus.ObjectManager; for each service an object below
 * BUS_SERVICES_PATH, its name escaped as sd_bus_path_encode(3) does it, with BUS_SERVICE_INTERFACE. Times are
 * CLOCK_REALTIME µs, 0 = never, UINT64_MAX = never will be; spans are µs.
 *
 * Looking is for everybody who gets in. What changes something, marked *, is for root and the manager's own
 * user; on a message bus also for whom polkit lets have BUS_ACTION_MANAGE.
 *
 * - ListServices() → a(sssto): name, state, reason, since, object
 * - Sample() → (t realtime, t monotonic, a(ssttttttttttttttatatt)): all that changes all the time, of all
 *   services in one answer, for a client that draws them and asks once a second. Rates are differences over
 *   those of `monotonic`, µs. A service: name, state, since, idle deadline; open exchanges, waiting ones
 * among them, requests; bytes received and sent; memory in bytes and CPU time in ns (UINT64_MAX: not known);
 *   starts that went well and badly; requests that had to wait for a start; spans online and asleep; requests
 *   by RequestClass; their durations by bucket (property DurationBounds), and the sum of them. Counters are
 * of the time since the manager began.
 * - Metrics(s format) → (h text): what Prometheus scrapes, as a sealed memfd: to be read from 0 on, pread(2).
 *   `format`: BUS_METRICS_PROMETHEUS or BUS_METRICS_OPENMETRICS.
 * - GetService(s name) → (o object)
 * - Start(s name) *, Restart(s name) *: answered when it is online, or with BUS_ERROR_START_FAILED and a
 *   sentence that says why it is not. Do not wait for a back-off; a restart keeps the requests that wait.
 * - Stop(s name) *: stops it whatever is open; answered when it is offline. The next request starts it again.
 * - Wake(s name) * → (b online, s why, u retry_after_seconds): as a request would, back-off included.
 * - Check() * → (u services, a(suuss) problems: file, line, column, JSON path, message): looks at the
 *   configuration as it is on disk now, without using it.
 * - Reload() * → (u services, a(suuss) problems: as of Check): uses the configuration as it is on disk now;
 *   what has problems stays as it was. Answered when every gateway uses it. For whom polkit lets have
 *   BUS_ACTION_RELOAD.
 * - Freeze(s name) *, Thaw(s name) *: not supported.
 * - Subscribe(): from now on this private connection gets signals, until Unsubscribe(); on a message bus they
 *   come without.
 * - signal StateChanged(s name, o object, s state, s before, s reason)
 * - signal ServiceNew(s name, o object), ServiceRemoved(s name, o object)
 * - signal Reloaded(u problems) */
#define BUS_NAME "org.dynapm1"
#define BUS_MANAGER_INTERFACE "org.dynapm1.Manager"
#define BUS_SERVICE_INTERFACE "org.dynapm1.Service"
#define BUS_SERVICES_PATH "/org/dynapm1/service"
#define BUS_ACTION_MANAGE "org.dynapm1.manage-services"
#define BUS_ACTION_RELOAD "org.dynapm1.reload"

/* ── the admin API's ──
 *
 * On a private connection only, for a gateway that serves the API over HTTP and holds no secret itself: what
 * a client presents goes along with every call, and counts here. `client`, an address, is for the log.
 *
 * - Authorize(s token) → (s role): BUS_ROLE_*; "" is no token. BUS_ERROR_NO_ADMIN where there is no such API.
 * - Start(s name, s token, s client), Stop, Restart: as those of BUS_MANAGER_INTERFACE, for BUS_ROLE_MANAGE.
 *   BUS_ERROR_WRONG_STATE: it runs, or is stopped, already.
 * - Logs(s name, s token, u lines) → (h): where the last lines about the service can be read, as
 * journalctl(1) writes them with --output=json, for BUS_ROLE_MANAGE. BUS_ERROR_NO_JOURNAL.
 * - Reload(s token, s client) → (u services, a(suuss) problems): as that one, for BUS_ROLE_MANAGE. */
#define BUS_ADMIN_INTERFACE "org.dynapm1.Admin"
#define BUS_AUTHORIZE "Authorize"
#define BUS_ROLE_NONE "none"     /* nobody */
#define BUS_ROLE_READ "read"     /* may look */
#define BUS_ROLE_MANAGE "manage" /* may do everything */
#define BUS_TOKEN_MAX 256        /* bytes; what is longer is nobody's */

#define BUS_ERROR_NO_ADMIN "org.dynapm1.Error.NoAdmin"
#define BUS_ERROR_NO_JOURNAL "org.dynapm1.Error.NoJournal"
#define BUS_ERROR_WRONG_STATE "org.dynapm1.Error.WrongState"

#define BUS_METRICS_PROMETHEUS "prometheus"
#define BUS_METRICS_OPENMETRICS "openmetrics"

#define BUS_ERROR_NO_SUCH_SERVICE "org.dynapm1.Error.NoSuchService"
#define BUS_ERROR_START_FAILED "org.dynapm1.Error.StartFailed"

/* Errors of these methods, beside org.freedesktop.DBus.Error.InvalidArgs. */
#define BUS_ERROR_VERSION "org.dynapm1.Error.Version"          /* Attach: another version is spoken here */
#define BUS_ERROR_NOT_ATTACHED "org.dynapm1.Error.NotAttached" /* Attach comes first, and once */
#define BUS_ERROR_NO_SUCH_SLOT "org.dynapm1.Error.NoSuchSlot"  /* no service has it */
#define BUS_ERROR_TOO_MANY "org.dynapm1.Error.TooMany"         /* of calls that wait */
#define BUS_ERROR_OUTDATED "org.dynapm1.Error.Outdated"        /* Listeners: ask for an Update */
#define BUS_ERROR_SHUTTING_DOWN "org.dynapm1.Error.ShuttingDown"

/* The manager's private socket below its runtime folder (/run/dynapm, $XDG_RUNTIME_DIR/dynapm). */
#define MANAGER_SOCKET_NAME "manager"
