/* SPDX-License-Identifier: ISC */

/* What an exchange adds to the counters in shared memory when it is over. */

#include "gateway/exchange.h"
#include "gateway/proxy.h"

void exchange_count(const Exchange *e, const Gate *g)
{
    const Proxy *p = e->client->proxy;

    if (!g) {
        if (e->status > 0)
            proxy_count(p, COUNT_STRAYS + stray_status_index(e->status), 1);
        return;
    }
    usec_t duration = usec_sub(deadlines_now(&p->deadlines), e->begun);
    unsigned bucket = histogram_bucket(duration_bounds, DURATION_BUCKETS - 1, duration);
    gate_count(g, COUNT_RESPONSES + request_class_of(e->status), 1);
    gate_count(g, COUNT_DURATIONS + bucket, 1);
    gate_count(g, COUNT_DURATION_SUM, duration);
}
