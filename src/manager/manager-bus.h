/* SPDX-License-Identifier: ISC */
#pragma once

#include <systemd/sd-bus.h>

#include "manager/peer.h"

/* Answers BUS_GATEWAY_INTERFACE on BUS_PATH of a peer's connection. Returns 0 or -errno. */
int manager_bus_register(sd_bus *bus, Peer *peer, sd_bus_slot **ret);
