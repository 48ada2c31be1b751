/* SPDX-License-Identifier: ISC */
#pragma once

/* Writes the head that goes upstream: the client's, less what is hop-by-hop, plus what an intermediary must
 * say. */

#include <sys/types.h>

#include "wire/request-rules.h"

typedef struct ForwardedBy {
    const char *
            peer; /* the client's address as text ("192.0.2.1", "2001:db8::1"), "unknown" for a unix socket */
    const char *proto; /* "http" or "https" */
    bool trusted; /* the peer is in trustedProxies: its X-Forwarded-* and Forwarded are kept and appended to
                   */
} ForwardedBy;

/* Writes request line and fields to buf: method and target as in `facts` (with the first `strip` bytes of the
 * path removed, and a '/' in front where none is left), HTTP/1.1; Host from facts->authority (as the client
 * sent it) or `host_override`; the client's fields in their order less hop-by-hop, nominated, Content-Length,
 * Transfer-Encoding, Expect, Host, Forwarded and all of X-Forwarded-*; then our X-Forwarded-For, -Proto,
 * -Host, Forwarded (RFC 7239), Via (RFC 9110 7.6.3, appended as a further field "1.1 dynapm", or "1.0 dynapm"
 * for what an HTTP/1.0 client sent), and the body's framing: Content-Length as the client's, or
 * Transfer-Encoding: chunked; and Expect, where the client waits for 100 (Continue). Connection is sent only
 * with Upgrade, where the client offered to go on with another protocol: the upstream connection is kept
 * alive, as HTTP/1.1 does by default.
 *
 * From a trusted peer, the values of Forwarded and X-Forwarded-For are kept in front of ours, and other
 * X-Forwarded-* as they are, instead of ours: they tell of the first hop, which is what applications read
 * them for. What only looks like X-Forwarded-* to an application that was given CGI's variables
 * (X_Forwarded_For) is dropped from anyone: a trusted proxy hands on what it does not know.
 *
 * Returns the number of bytes, or -ENOBUFS. */
ssize_t request_head_write(char *buf, size_t size, const RequestHead *head, const RequestFacts *facts,
        size_t strip, const char *host_override, const ForwardedBy *by);
