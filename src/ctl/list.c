/* SPDX-License-Identifier: ISC */

#include <fnmatch.h>
#include <stdio.h>

#include "ctl/pager.h"
#include "ctl/services.h"
#include "ctl/table.h"
#include "util/text.h"

/* "5min", of what lies between now and then. */
static const char *distance(char buf[static TIMESPAN_STRING_MAX], uint64_t from, uint64_t to)
{
    usec_t span = usec_sub(to, from);
    return span < USEC_PER_SEC ? "now" : timespan_format(buf, span - span % USEC_PER_SEC);
}

/* Until it is stopped if nobody comes; "-": that is not known, or will not be. */
static const char *idle_in(char buf[static TIMESPAN_STRING_MAX], const ServiceInfo *s, usec_t now)
{
    if (s->idle_deadline != 0 && s->idle_deadline != USEC_INFINITY)
        return distance(buf, now, s->idle_deadline);
    return streq(s->state, "online") && s->idle_timeout == USEC_INFINITY ? "never" : "-";
}

/* All its routes in a line. */
static char *join_routes(const ServiceInfo *s)
{
    char *all = strdup("");

    for (size_t i = 0; all && i < s->n_routes; i++) {
        char *longer = text_format("%s%s%s", all, i > 0 ? ", " : "", s->routes[i].where);
        free(all);
        all = longer;
    }
    return all;
}

static int add_row(Table *t, const ServiceInfo *s, usec_t now)
{
    char since[TIMESPAN_STRING_MAX], idle[TIMESPAN_STRING_MAX], active[24], memory[BYTES_STRING_MAX];
    _cleanup_free_ char *routes = join_routes(s);
    bool busy = s->active > 0;

    if (!routes)
        return -ENOMEM;
    snprintf(active, sizeof active, "%llu", (unsigned long long) s->active);
    const struct {
        const char *text;
        Colour colour;
    } cells[] = {
            {s->name, COLOUR_NONE},
            {s->state, colour_of_state(s->state)},
            {distance(since, s->since, now), COLOUR_NONE},
            {busy ? active : "-", COLOUR_NONE},
            {idle_in(idle, s, now), COLOUR_NONE},
            {bytes_format(memory, s->memory), COLOUR_NONE},
            {streq(s->kind, "unit") ? s->unit
                    : *s->backend   ? s->backend
                                    : "-",
                    COLOUR_NONE},
            {routes, COLOUR_NONE},
    };
    for (size_t i = 0; i < ELEMENTSOF(cells); i++)
        if (table_add(t, cells[i].text, cells[i].colour) < 0)
            return -ENOMEM;
    return 0;
}

static bool is_wanted(const ServiceInfo *s, char **patterns)
{
    if (!*patterns)
        return true;
    for (; *patterns; patterns++)
        if (fnmatch(*patterns, s->name, 0) == 0)
            return true;
    return false;
}

static int print_json(const Services *all, char **patterns)
{
    json_object *array = json_object_new_array();

    for (size_t i = 0; array && i < all->n; i++) {
        if (!is_wanted(&all->items[i], patterns))
            continue;
        json_object *o = service_to_json(&all->items[i]);
        if (!o || json_object_array_add(array, o) < 0) {
            json_object_put(o);
            json_object_put(array);
            return ctl_oom();
        }
    }
    return ctl_print_json(array);
}

int ctl_list(const CtlOptions *options, char **patterns)
{
    static const char *const header[] = {
            "SERVICE", "STATE", "SINCE", "ACTIVE", "IDLE IN", "MEMORY", "BACKEND", "ROUTES", NULL};
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(services_done) Services all = {};
    _cleanup_(table_freep) Table *t = table_new(header);
    usec_t now = now_realtime();
    size_t n = 0;

    if (!t)
        return ctl_oom();
    if (ctl_connect(options, &bus) < 0 || services_fetch(bus, &all) < 0)
        return CTL_FAILURE;
    pager_open(options->pager);
    if (options->json)
        return print_json(&all, patterns);
    for (size_t i = 0; i < all.n; i++) {
        if (!is_wanted(&all.items[i], patterns))
            continue;
        if (add_row(t, &all.items[i], now) < 0)
            return ctl_oom();
        n++;
    }
    table_print(t, !options->no_legend, terminal_width());
    if (!options->no_legend) {
        printf("\n%zu service%s listed.\n", n, n == 1 ? "" : "s");
        ctl_say_problems(bus);
    }
    return CTL_OK;
}
