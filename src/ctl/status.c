/* SPDX-License-Identifier: ISC */

/* All there is to know about a service (status), and what of it explains its state (why). */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "ctl/journal.h"
#include "ctl/pager.h"
#include "ctl/services.h"

#define JOURNAL_LINES 10
#define MOMENT_MAX 160

static const char *span(char buf[static TIMESPAN_STRING_MAX], usec_t t)
{
    return timespan_format(buf, t >= 10 * USEC_PER_SEC && t != USEC_INFINITY ? t - t % USEC_PER_SEC : t);
}

/* "Tue 2026-11-24 05:55:01 UTC; 5min ago" */
static const char *moment(char buf[static MOMENT_MAX], uint64_t t, usec_t now)
{
    char day[64], distance[TIMESPAN_STRING_MAX];
    time_t seconds = (time_t) (t / USEC_PER_SEC);
    struct tm tm;
    usec_t d = t > now ? t - now : now - t;

    if (!localtime_r(&seconds, &tm) || strftime(day, sizeof day, "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
        strcpy(day, "?");
    timespan_format(distance, d >= USEC_PER_SEC ? d - d % USEC_PER_SEC : d - d % USEC_PER_MSEC);
    snprintf(buf, MOMENT_MAX, t > now ? "%s; in %s" : "%s; %s ago", day, distance);
    return buf;
}

static void row(const char *key, const char *format, ...) _printf_(2, 3);
static void row(const char *key, const char *format, ...)
{
    va_list ap;

    printf("%12s%s ", key, *key ? ":" : " ");
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
}

static bool is_state(const ServiceInfo *s, const char *state)
{
    return streq(s->state, state);
}

static bool is_proxied_only(const ServiceInfo *s)
{
    return streq(s->kind, "proxyOnly");
}

/* What will end its being online, or what hinders that. */
static void print_idle(const char *key, const ServiceInfo *s, usec_t now)
{
    char t[TIMESPAN_STRING_MAX], timeout[TIMESPAN_STRING_MAX];

    if (!is_state(s, "online") || is_proxied_only(s))
        return;
    if (s->idle_timeout == USEC_INFINITY)
        row(key, "never, its idleTimeout is \"never\"");
    else if (s->active > 0)
        row(key, "not now, %" PRIu64 " request%s open", s->active, s->active == 1 ? " is" : "s are");
    else
        row(key, "in %s if no request comes (idleTimeout %s)",
                timespan_format(t, usec_sub(s->idle_deadline, now) / USEC_PER_SEC * USEC_PER_SEC),
                span(timeout, s->idle_timeout));
}

static void print_how(const ServiceInfo *s)
{
    char memory[BYTES_STRING_MAX], cpu[TIMESPAN_STRING_MAX];

    if (is_proxied_only(s))
        row("Run", "by somebody else (proxyOnly)");
    else if (streq(s->kind, "unit"))
        row("Run", "as unit %s", s->unit);
    else
        row("Run", "%s, %s%s", s->kind, *s->unit ? "as unit " : "", *s->unit ? s->unit : s->backend);
    if (s->main_pid > 0)
        row("Main PID", "%u", s->main_pid);
    if (s->memory != UINT64_MAX)
        row("Memory", "%s", bytes_format(memory, s->memory));
    if (s->cpu != UINT64_MAX)
        row("CPU", "%s", span(cpu, s->cpu / 1000));
}

static void print_counts(const ServiceInfo *s, usec_t now)
{
    char last[MOMENT_MAX], a[TIMESPAN_STRING_MAX], b[TIMESPAN_STRING_MAX];
    char received[BYTES_STRING_MAX], sent[BYTES_STRING_MAX];

    row("Requests", "%" PRIu64 " open, %" PRIu64 " in all", s->active, s->requests);
    row("Bytes", "%s received, %s sent", bytes_format(received, s->received), bytes_format(sent, s->sent));
    if (s->last_activity > 0)
        row("", "last one ended %s", moment(last, s->last_activity, now));
    if (is_proxied_only(s))
        return;
    if (s->n_starts > 0)
        row("Starts", "%" PRIu64 ", the last one took %s", s->n_starts, span(a, s->last_start));
    else
        row("Starts", "none");
    row("Online", "%s in all, asleep %s", span(b, s->uptime), span(a, s->asleep));
}

static void print_status(const ServiceInfo *s, usec_t now)
{
    char since[MOMENT_MAX], retry[MOMENT_MAX];

    printf("%s●%s %s%s%s\n", colour_on(colour_of_state(s->state)), colour_off(), colour_on(COLOUR_BOLD),
            s->name, colour_off());
    row("State", "%s%s%s since %s", colour_on(colour_of_state(s->state)), s->state, colour_off(),
            moment(since, s->since, now));
    if (*s->state_reason)
        row("Reason", "%s", s->state_reason);
    if (*s->failure && !streq(s->failure, s->state_reason))
        row("Failure", "%s", s->failure);
    if (s->retry_at > now)
        row("Next try", "%s at the earliest", moment(retry, s->retry_at, now));
    print_idle("Stops", s, now);
    if (*s->last_wake_reason)
        row("Woken by", "%s", s->last_wake_reason);
    for (size_t i = 0; i < s->n_routes; i++)
        row(i == 0 ? "Routes" : "", "%s → %s", s->routes[i].where, s->routes[i].target);
    print_how(s);
    print_counts(s, now);
    row("File", "%s", s->file);
}

/* The last lines of the journal, where there is one. */
static void print_journal(const CtlOptions *options, const ServiceInfo *s)
{
    int lines = options->lines < 0 ? JOURNAL_LINES : options->lines;

    if (lines == 0)
        return;
    fflush(stdout);
    (void) journal_show(options, s->name, s->unit, lines);
}

static int show_all(const CtlOptions *options, char **names,
        int (*show)(const CtlOptions *options, const ServiceInfo *s, usec_t now))
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(services_done) Services all = {};
    usec_t now = now_realtime();
    int status = CTL_OK;

    if (ctl_connect(options, &bus) < 0 || services_fetch(bus, &all) < 0)
        return CTL_FAILURE;
    pager_open(options->pager);
    for (size_t i = 0; *names ? !!names[i] : i < all.n; i++) {
        const ServiceInfo *s = *names ? services_find(&all, names[i]) : &all.items[i];
        if (!s)
            services_say_unknown(&all, names[i]);
        else if (i > 0 && !options->json)
            putchar('\n');
        int r = s ? show(options, s, now) : CTL_UNKNOWN;
        status = MAX(status, r);
    }
    if (!*names && !options->json && !options->no_legend) {
        ctl_say_problems(bus);
    }
    return status;
}

static int show_status(const CtlOptions *options, const ServiceInfo *s, usec_t now)
{
    int r = is_state(s, "online") ? CTL_OK : CTL_NOT_ONLINE;

    if (options->json) {
        int k = ctl_print_json(service_to_json(s));
        return k != CTL_OK ? k : r;
    }
    print_status(s, now);
    print_journal(options, s);
    return r;
}

int ctl_status(const CtlOptions *options, char **names)
{
    int r = show_all(options, names, show_status);
    return !*names && r == CTL_NOT_ONLINE ? CTL_OK : r; /* of all of them some may sleep */
}

/* ── why ── */

static void explain_down(const ServiceInfo *s, usec_t now)
{
    char since[MOMENT_MAX], retry[TIMESPAN_STRING_MAX];

    if (is_state(s, "failed")) {
        printf("%s has failed: %s\n", s->name, *s->failure ? s->failure : s->state_reason);
        if (s->retry_at > now)
            printf("A request may start it again in %s; `dynapmctl start %s` does so now.\n",
                    span(retry, s->retry_at - now), s->name);
        return;
    }
    printf("%s is offline since %s%s%s\n", s->name, moment(since, s->since, now),
            *s->state_reason ? ": " : ", when the manager began", s->state_reason);
    if (*s->failure)
        printf("Its last start failed: %s\n", s->failure);
    puts("The next request starts it.");
}

static void explain_up(const ServiceInfo *s, usec_t now)
{
    char since[MOMENT_MAX], t[TIMESPAN_STRING_MAX];

    printf("%s is %s since %s: %s\n", s->name, s->state, moment(since, s->since, now), s->state_reason);
    if (*s->last_wake_reason)
        printf("It was started last for: %s\n", s->last_wake_reason);
    if (!is_state(s, "online"))
        return;
    if (s->idle_timeout == USEC_INFINITY)
        puts("It is never stopped, as its idleTimeout is \"never\".");
    else if (s->active > 0)
        printf("It is not stopped as long as the %" PRIu64 " request%s open now %s.\n", s->active,
                s->active == 1 ? "" : "s", s->active == 1 ? "is" : "are");
    else
        printf("It will be stopped in %s if no request comes.\n",
                timespan_format(t, usec_sub(s->idle_deadline, now) / USEC_PER_SEC * USEC_PER_SEC));
}

static int show_why(const CtlOptions *options, const ServiceInfo *s, usec_t now)
{
    if (options->json)
        return ctl_print_json(service_to_json(s));
    if (is_proxied_only(s))
        printf("%s is proxied only: dynapm neither starts nor stops it, and takes it for online.\n", s->name);
    else if (is_state(s, "offline") || is_state(s, "failed"))
        explain_down(s, now);
    else
        explain_up(s, now);
    return CTL_OK;
}

int ctl_why(const CtlOptions *options, char **names)
{
    return show_all(options, names, show_why);
}
