/* SPDX-License-Identifier: ISC */

/* Invariant: n_running counts the services between service_recover() and their `recovered`; the source is
 * enabled if and only if that is below the limit and some have not begun. */

#include "manager/recovery.h"

#include "manager/manager.h"
#include "util/log.h"

#define AT_ONCE 32U

typedef enum RecoveryTurn { TURN_TO_COME, TURN_RUNNING, TURN_OVER } RecoveryTurn;

static void go_on(Recovery *r)
{
    bool more = r->next < r->manager->n_services && r->n_running < AT_ONCE;
    (void) sd_event_source_set_enabled(r->source, more ? SD_EVENT_ON : SD_EVENT_OFF);
}

void recovery_hurry(Recovery *r, uint32_t slot)
{
    Service *s = manager_service(r->manager, slot);

    if (!s || !r->turns || r->turns[slot] != TURN_TO_COME)
        return;
    r->turns[slot] = TURN_RUNNING;
    r->n_running++;
    int e = service_is_recovering(s) ? 0 : service_recover(s);
    if (e < 0) {
        log_service_warning_errno(service_name(s), e, "Cannot find out whether it runs already: %m");
        recovery_ended(r, slot);
    }
}

bool recovery_is_over(const Recovery *r)
{
    return !r->source || (r->next >= r->manager->n_services && r->n_running == 0);
}

void recovery_ended(Recovery *r, uint32_t slot)
{
    if (!r->source || r->turns[slot] != TURN_RUNNING) /* shutting down, or not asked by us */
        return;
    assert(r->n_running > 0);
    r->turns[slot] = TURN_OVER;
    r->n_running--;
    go_on(r);
}

static int on_turn(sd_event_source *source, void *userdata)
{
    Recovery *r = userdata;

    recovery_hurry(r, r->next++);
    go_on(r);
    return 0;
}

int recovery_grow(Recovery *r, size_t n_slots)
{
    if (!r->source) /* all of them are there before it begins */
        return 0;
    size_t n = r->manager->n_services;
    if (n_slots <= n)
        return 0;
    uint8_t *grown = realloc(r->turns, n_slots);
    if (!grown)
        return -ENOMEM;
    memset(grown + n, TURN_TO_COME, n_slots - n);
    r->turns = grown;
    return 0;
}

void recovery_add(Recovery *r, uint32_t slot)
{
    if (!r->source)
        return;
    assert(r->turns[slot] != TURN_RUNNING);
    r->turns[slot] = TURN_TO_COME;
    r->next = MIN(r->next, slot);
    go_on(r);
}

int recovery_start(Recovery *r, Manager *m)
{
    *r = (Recovery){.manager = m, .turns = new0(uint8_t, MAX(m->n_services, (size_t) 1))};
    if (!r->turns)
        return -ENOMEM;
    int e = sd_event_add_defer(m->event, &r->source, on_turn, r);
    if (e < 0)
        return e;
    (void) sd_event_source_set_description(r->source, "recovery");
    (void) sd_event_source_set_priority(r->source, SD_EVENT_PRIORITY_IDLE);
    go_on(r);
    return 0;
}

void recovery_done(Recovery *r)
{
    r->source = sd_event_source_disable_unref(r->source);
    r->turns = mfree(r->turns);
}
