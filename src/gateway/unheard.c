/* SPDX-License-Identifier: ISC */

/* Who is not in a backlog yet is known to nothing that a socket can be asked for, but to sock_diag(7). The
 * kernel walks all connections of the system for that: it is for the end of a program, not for its life. */

#include "gateway/unheard.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "util/address.h"
#include "util/fd.h"
#include "util/log.h"

#define ANSWER_MAX 8192 /* of which the first message matters */

/* Are there any of this family? -errno where that is not told. */
static int ask(int netlink, int family, uint16_t port)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 what;
    } question = {.head = {.nlmsg_len = sizeof question,
                          .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
            .what = {.sdiag_family = (uint8_t) family,
                    .sdiag_protocol = IPPROTO_TCP,
                    .idiag_states = 1U << TCP_SYN_RECV,
                    .id.idiag_sport = htons(port)}};
    union {
        struct nlmsghdr head;
        char bytes[ANSWER_MAX];
    } answer;

    if (send(netlink, &question, sizeof question, 0) < 0)
        return -errno;
    ssize_t n =
            recv(netlink, &answer, sizeof answer, MSG_DONTWAIT); /* a dump is there when send(2) is over */
    if (n < 0)
        return -errno;
    if ((size_t) n < sizeof answer.head || answer.head.nlmsg_type == NLMSG_ERROR)
        return -EOPNOTSUPP;
    return answer.head.nlmsg_type != NLMSG_DONE;
}

bool unheard_are_there(int fd)
{
    static const int families[] = {AF_INET, AF_INET6};
    SocketAddress a = {.len = sizeof a.un};

    if (getsockname(fd, &a.sa, &a.len) < 0 || (a.sa.sa_family != AF_INET && a.sa.sa_family != AF_INET6))
        return false;
    /* One of IPv6 may have those of IPv4, too. One socket a family, as what is left of a dump is not read. */
    for (size_t i = 0; i < (a.sa.sa_family == AF_INET ? 1U : 2U); i++) {
        _cleanup_close_ int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        int r = netlink < 0 ? -errno : ask(netlink, families[i], socket_address_port(&a));
        if (r < 0)
            log_debug_errno(r, "Cannot ask for connections that are not accepted yet: %m");
        if (r != 0)
            return true;
    }
    return false;
}
