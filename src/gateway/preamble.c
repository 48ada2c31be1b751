/* SPDX-License-Identifier: ISC */

/* The header is looked at where it is (MSG_PEEK) and taken out when it is there as a whole: so it need not be
 * kept, and what follows it is whole for whoever reads it. */

#include "gateway/preamble.h"

#include <sys/socket.h>
#include <unistd.h>

#include "gateway/proxy.h"

bool preamble_is_wanted(const Client *c)
{
    const RouteImage *routes = c->proxy->routes;

    if (c->listener == LISTENER_MAIN)
        return route_image_settings(routes)->accept_proxy;
    return route_image_listener(routes, c->listener)->accept_proxy;
}

int preamble_take(Client *c, ProxyEnds *ret)
{
    char header[PROXY_HEADER_READ_MAX];

    ssize_t n = recv(c->fd, header, sizeof header, MSG_PEEK);
    if (n <= 0)
        return n < 0 ? -errno : -ECONNRESET;
    int r = proxy_header_read(header, (size_t) n, ret);
    if (r < 0)
        return r == -EAGAIN && n == sizeof header ? -EBADMSG : r;
    return read(c->fd, header, (size_t) r) == r ? 1 : -EIO;
}
