/* SPDX-License-Identifier: ISC */
#pragma once

/* The API of control.h under its name on the message bus, as long as there is one. */

#include "manager/control.h"
#include "util/bus-link.h"

typedef struct ControlLink ControlLink;

/* `link` must outlive it. To be called before the loop runs. Returns 0 or -errno. */
int control_link_new(Manager *m, BusLink *link, ControlLink **ret);
ControlLink *control_link_free(ControlLink *l);
DEFINE_CLEANUP(ControlLink *, control_link_free)
