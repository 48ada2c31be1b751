/* SPDX-License-Identifier: ISC */

#include "gateway/access-log.h"

#include <inttypes.h>
#include <stdio.h>

#include "gateway/exchange.h"
#include "util/log.h"

#define BEGINNING "%s %s %.*s %.*s %u"
#define BEGINNING_OF(e)                                                                                      \
    (e)->client->peer, (e)->method ?: "-",                                                                   \
            (e)->facts.authority_len > 0 ? (int) MIN((e)->facts.authority_len, (size_t) 255) : 1,            \
            (e)->facts.authority_len > 0 ? (e)->facts.authority : "-",                                       \
            (int) MIN((e)->target_len, (size_t) 1024), (e)->target, (e)->status

void access_log(const Exchange *e, bool ok)
{
    usec_t now = now_monotonic();
    const char *service = e->ticket.gate ? gate_name(e->ticket.gate) : NULL;
    double total = (double) usec_sub(now, e->begun) / 1e3;
    double upstream = e->dispatched && e->answered ? (double) usec_sub(e->answered, e->dispatched) / 1e3 : 0;

    log_service_info(service, BEGINNING " %" PRIu64 " %.1fms %.1fms%s", BEGINNING_OF(e), e->bytes_sent, total,
            upstream, ok ? "" : " (not finished)");
}

char *access_log_beginning(const Exchange *e)
{
    char *line;
    return asprintf(&line, BEGINNING, BEGINNING_OF(e)) < 0 ? NULL : line;
}
