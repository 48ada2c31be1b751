/* SPDX-License-Identifier: ISC */
#pragma once

/* The configuration that the manager has: reading it, at first and again, and what that means for services,
 * listeners and what is published. */

typedef struct Manager Manager;

/* What a load has changed, in services. */
typedef struct ConfigurationChange {
    unsigned added, changed, removed;
} ConfigurationChange;

/* Reads it, logs what it refuses, and makes it the one that holds: services come into being and become what
 * they are now, gateways that come from now on get it. Those that are not in it any more are left as they
 * are. Logs what fails; then nothing has changed. Returns 0 or -errno. */
int configuration_load(Manager *m, ConfigurationChange *ret);

/* No gateway uses an earlier one any more: services that are not in it are removed. */
void configuration_settle(Manager *m);

/* Frees those that were removed and have come to their end. Not to be called by a service. */
void configuration_sweep(Manager *m);
