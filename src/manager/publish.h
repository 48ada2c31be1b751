/* SPDX-License-Identifier: ISC */
#pragma once

/* From the configuration to what a gateway is given: a route image, and the sockets that belong to it. */

#include "config/config.h"
#include "manager/listeners.h"

#define NO_SLOT UINT32_MAX

typedef struct Publication {
    unsigned n_ref;
    int routes_fd;
    int *listeners; /* by the image's listener index; owned by Listeners */
    size_t n_listeners;
    size_t n_missing; /* addresses, each as often as it is named, that could not be bound */
} Publication;

/* `slots`: each of config->services' slot, NO_SLOT for one that is left out. An address that cannot be bound
 * is left out, with the routes that it has, and logged unless `tried_again`: gateways may still have open
 * what is in its way. main_listeners: with the configuration's `listen`? Returns 0 or -errno; logs only
 * single routes. */
int publication_new(const Config *config, const uint32_t *slots, Listeners *listeners, bool main_listeners,
        bool tried_again, Publication **ret);
Publication *publication_ref(Publication *p);
Publication *publication_unref(Publication *p);
DEFINE_CLEANUP(Publication *, publication_unref)

/* Says to `listeners` all addresses that the configuration listens on. 0 or -ENOMEM. */
int publication_want_listeners(const Config *config, Listeners *listeners);
