/* SPDX-License-Identifier: ISC */
#pragma once

/* What a connection begins with on a listener that a proxy is in front of: a PROXY header, which says who the
 * client is. Without one it is not served. */

#include "gateway/client.h"
#include "wire/proxy-protocol.h"

/* Does the client's listener want one? */
bool preamble_is_wanted(const Client *c);

/* Takes the header, and nothing behind it, out of the client's socket. Returns 1 with *ret filled, -EAGAIN
 * when more has to come, -EBADMSG for something else, -ECONNRESET when nothing more can come, or another
 * -errno. */
int preamble_take(Client *c, ProxyEnds *ret);
