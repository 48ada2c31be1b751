/* SPDX-License-Identifier: ISC */

/* A reload has two ends: the configuration holds, which is at once, and the gateways use it, which they say.
 * Only then may go what only the earlier one had, and only then is it over, for who waits and for the service
 * manager (RELOADING=1 until READY=1, sd_notify(3)). Another one that begins meanwhile makes it longer, and
 * each who waits waits for a configuration that is at least as new as what he asked for.
 *
 * An address that is wanted anew may be in conflict with one that is not wanted any more, and which gateways
 * have open until they have gone over: there is a second round then, in which it can be bound. */

#include "manager/reload.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "manager/configuration.h"
#include "manager/manager.h"
#include "util/event.h"
#include "util/log.h"
#include "util/messages.h"

#define LIMIT (5 * USEC_PER_SEC) /* for a gateway that hangs */

struct Reload {
    Reloads *set;
    Reload *prev, *next;
    uint64_t generation; /* that is enough */
    ReloadDone done;
    void *userdata;
};

void reload_cancel(Reload *r)
{
    if (!r)
        return;
    if (r->prev)
        r->prev->next = r->next;
    else
        r->set->head = r->next;
    if (r->next)
        r->next->prev = r->prev;
    free(r);
}

static void finish(Reload *r, int result)
{
    ReloadDone done = r->done;
    void *userdata = r->userdata;

    reload_cancel(r);
    done(result, userdata);
}

void reloads_check(Reloads *rs)
{
    if (rs->round > 0 && rs->check)
        (void) sd_event_source_set_enabled(rs->check, SD_EVENT_ONESHOT);
}

bool reloads_will_retry(const Reloads *rs)
{
    return rs->round == 1;
}

static bool is_something_missing(const Manager *m)
{
    for (size_t i = 0; i < ELEMENTSOF(m->publications); i++)
        if (m->publications[i] && m->publications[i]->n_missing > 0)
            return true;
    return false;
}

static void begin_second_round(Reloads *rs)
{
    Manager *m = rs->manager;

    rs->round = 2;
    manager_listeners_changed(m);
    m->generation++;
    for (Reload *r = rs->head; r; r = r->next)
        r->generation = m->generation;
    peers_tell_changed(&m->peers);
    reloads_check(rs);
}

static void log_end(const Manager *m)
{
    size_t n = m->config->n_problems;

    if (n == 0)
        (void) log_full(LOG_INFO, 0, NULL, ((const char *const[]){MESSAGE_RELOADED, NULL}),
                "The configuration was reloaded.");
    else
        (void) log_full(LOG_WARNING, 0, NULL, ((const char *const[]){MESSAGE_RELOADED, NULL}),
                "The configuration was reloaded but for %zu mistake%s: what %s concern%s stays as it was.", n,
                n == 1 ? "" : "s", n == 1 ? "it" : "they", n == 1 ? "s" : "");
}

static void end(Reloads *rs)
{
    Manager *m = rs->manager;

    rs->round = 0;
    event_disarm(rs->limit);
    configuration_settle(m);
    log_end(m);
    controls_reloaded(m);
    (void) sd_notify(false, "READY=1");
    while (rs->head)
        finish(rs->head, 0);
}

static int on_check(sd_event_source *source, void *userdata)
{
    Reloads *rs = userdata;
    Manager *m = rs->manager;
    Reload *next;

    if (rs->round == 0)
        return 0;
    uint64_t oldest = peers_oldest_generation(&m->peers);
    if (oldest < m->generation) {
        for (Reload *r = rs->head; r; r = next) {
            next = r->next;
            if (r->generation <= oldest)
                finish(r, 0);
        }
        return 0;
    }
    if (rs->round == 1 && is_something_missing(m))
        begin_second_round(rs);
    else
        end(rs);
    return 0;
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    Reloads *rs = userdata;

    peers_log_laggards(&rs->manager->peers);
    end(rs);
    return 0;
}

int reload_begin(Reloads *rs, const char *who, ReloadDone done, void *userdata, Reload **ret)
{
    Manager *m = rs->manager;
    ConfigurationChange change;
    Reload *mine = NULL;

    if (m->stopping || !rs->check)
        return -ESHUTDOWN;
    if (done && !(mine = new0(Reload, 1)))
        return -ENOMEM;
    log_info("Reloading the configuration (%s).", who);
    (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_monotonic());
    bool under_way = rs->round > 0;
    rs->round = 1;
    int r = configuration_load(m, &change);
    if (r < 0) {
        rs->round = under_way;
        if (!under_way)
            (void) sd_notify(false, "READY=1");
        free(mine);
        return r;
    }
    log_info("Services: %u added, %u changed, %u removed.", change.added, change.changed, change.removed);
    if (!under_way && (r = event_arm_timer(m->event, &rs->limit, LIMIT, on_limit, rs, "reload-limit")) < 0)
        log_warning_errno(r, "Cannot limit the time that gateways have to reload: %m");
    if (mine) {
        *mine = (Reload){
                .set = rs, .next = rs->head, .generation = m->generation, .done = done, .userdata = userdata};
        if (mine->next)
            mine->next->prev = mine;
        rs->head = *ret = mine;
    }
    peers_tell_changed(&m->peers);
    reloads_check(rs);
    return 0;
}

int reloads_init(Reloads *rs, Manager *m)
{
    *rs = (Reloads){.manager = m};
    int r = sd_event_add_defer(m->event, &rs->check, on_check, rs);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(rs->check, "reload");
    return sd_event_source_set_enabled(rs->check, SD_EVENT_OFF);
}

void reloads_done(Reloads *rs)
{
    rs->round = 0;
    rs->check = sd_event_source_disable_unref(rs->check);
    rs->limit = sd_event_source_disable_unref(rs->limit);
    while (rs->head)
        finish(rs->head, -ESHUTDOWN);
}
