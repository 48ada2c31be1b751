/* SPDX-License-Identifier: ISC */

/* A live view. One sample a second, and one soon after something has changed its state; never more than one
 * question open. The manager may go and come: what was known last stays on the screen until then. */

#include <signal.h>
#include <stdio.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/keys.h"
#include "ctl/screen.h"
#include "ctl/services.h"
#include "ctl/top-view.h"
#include "ipc/bus.h"
#include "util/event.h"
#include "util/text.h"

#define TICK USEC_PER_SEC
#define SOON (50 * USEC_PER_MSEC)   /* changes come in groups */
#define ESCAPE (50 * USEC_PER_MSEC) /* the bytes of a key come together */
#define CALL_LIMIT (5 * USEC_PER_SEC)

typedef struct Top {
    const CtlOptions *options;
    bool live;
    sd_event *event;
    sd_bus *bus; /* NULL: there is no manager */
    bool plain;  /* one without Sample() */
    TopView view;
    char *message; /* in place of the keys; NULL: none */
    unsigned left; /* how many tables are to be printed; 0: no end */
    sd_bus_slot *question, *changes;
    bool question_is_tick;
    sd_event_source *tick, *soon, *escape;
    KeyDecoder keys;
    int end_by; /* a signal; 0: none */
    int status;
} Top;

static void say(Top *t, char *message)
{
    free(t->message);
    t->message = message;
}

static void finish(Top *t, int status)
{
    t->status = status;
    (void) sd_event_exit(t->event, 0);
}

/* ── showing ── */

static void draw(Top *t)
{
    _cleanup_free_ char *text = NULL;
    size_t rows, width, len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return;
    screen_size(&rows, &width);
    int r = top_view_format(&t->view, rows, width, t->message, f);
    if (fclose(f) == 0 && r >= 0)
        screen_show(text, len);
}

static void print(Top *t)
{
    if (t->options->json) {
        json_object *o = top_view_to_json(&t->view);
        if (o)
            puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(o);
    } else {
        if (t->view.tick.services)
            putchar('\n');
        (void) top_view_print(&t->view, !t->options->no_legend, stdout);
    }
    if (fflush(stdout) != 0)
        finish(t, ctl_error("Cannot write: %s", strerror(errno)));
    else if (t->left > 0 && --t->left == 0)
        finish(t, CTL_OK);
}

/* ── the manager ── */

static void disconnect(Top *t)
{
    t->question = sd_bus_slot_unref(t->question);
    t->changes = sd_bus_slot_unref(t->changes);
    if (t->bus)
        (void) sd_bus_detach_event(t->bus);
    t->bus = sd_bus_flush_close_unref(t->bus);
}

static void lost(Top *t, const char *why)
{
    disconnect(t);
    if (!t->live) {
        finish(t, ctl_error("The manager does not answer: %s", why));
        return;
    }
    say(t, text_format("The manager does not answer (%s). This is what was known last.", why));
    draw(t);
}

static void ask(Top *t, bool tick);

static int on_sample(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    _cleanup_(sample_done) Sample s = {};
    Top *t = userdata;

    t->question = sd_bus_slot_unref(t->question);
    if (sd_bus_error_has_names(e, SD_BUS_ERROR_UNKNOWN_METHOD, SD_BUS_ERROR_UNKNOWN_INTERFACE) && !t->plain) {
        t->plain = true;
        ask(t, t->question_is_tick);
        return 0;
    }
    int r = e ? -sd_bus_error_get_errno(e) : sample_read(m, t->plain, &s);
    if (r < 0) {
        lost(t, e && e->message ? e->message : strerror(-r));
        return 0;
    }
    (void) top_view_take(&t->view, &s, t->question_is_tick);
    if (t->live)
        draw(t);
    else
        print(t);
    return 0;
}

static void ask(Top *t, bool tick)
{
    if (t->question) {
        t->question_is_tick |= tick;
        return;
    }
    t->question_is_tick = tick;
    int r = sample_request(t->bus, t->plain, on_sample, t, &t->question);
    if (r < 0)
        lost(t, strerror(-r));
}

static int on_soon(sd_event_source *source, uint64_t usec, void *userdata)
{
    Top *t = userdata;

    if (t->bus)
        ask(t, false);
    return 0;
}

static int on_state_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Top *t = userdata;
    int armed = 0;

    if (t->soon)
        (void) sd_event_source_get_enabled(t->soon, &armed);
    if (armed == SD_EVENT_OFF)
        (void) event_arm_timer(t->event, &t->soon, SOON, on_soon, t, "soon");
    return 0;
}

static int begin(Top *t)
{
    const char *name = sd_bus_is_bus_client(t->bus) ? BUS_NAME : NULL;
    int r;

    t->plain = false;
    t->view.bounds = mfree(t->view.bounds);
    t->view.n_bounds = 0;
    if ((r = sd_bus_set_method_call_timeout(t->bus, CALL_LIMIT)) < 0)
        return r;
    (void) sample_fetch_bounds(t->bus, &t->view.bounds, &t->view.n_bounds); /* what has none shows none */
    if (t->live && ((r = sd_bus_match_signal(t->bus, &t->changes, name, BUS_PATH, BUS_MANAGER_INTERFACE,
                             "StateChanged", on_state_changed, t)) < 0 ||
                           (r = sd_bus_call_method_async(t->bus, NULL, name, BUS_PATH, BUS_MANAGER_INTERFACE,
                                    "Subscribe", NULL, NULL, NULL)) < 0))
        return r;
    return sd_bus_attach_event(t->bus, t->event, SD_EVENT_PRIORITY_NORMAL);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
    Top *t = userdata;

    (void) event_arm_timer(t->event, &t->tick, TICK, on_tick, t, "tick");
    if (t->bus) {
        ask(t, true);
        return 0;
    }
    if (ctl_connect_quietly(t->options, &t->bus) < 0)
        return 0;
    say(t, NULL);
    int r = begin(t);
    if (r < 0)
        lost(t, strerror(-r));
    else
        ask(t, true);
    return 0;
}

/* ── start and stop ── */

typedef struct Order {
    Top *top;
    const char *method;
    char name[];
} Order;

static int on_order_done(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    const Order *o = userdata;

    say(o->top, e ? text_format("%s %s: %s", o->method, o->name, e->message ?: e->name) : NULL);
    draw(o->top);
    return 0;
}

static void order(Top *t, const char *method)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    const char *name = top_view_selected(&t->view);
    sd_bus_slot *slot;

    if (!name || !t->bus)
        return;
    Order *o = malloc(sizeof *o + strlen(name) + 1);
    if (!o)
        return;
    *o = (Order){t, method};
    strcpy(o->name, name);
    int r = sd_bus_message_new_method_call(t->bus, &m, sd_bus_is_bus_client(t->bus) ? BUS_NAME : NULL,
            BUS_PATH, BUS_MANAGER_INTERFACE, method);
    if (r >= 0)
        r = sd_bus_message_append(m, "s", name);
    if (r >= 0) /* how long it may take is the manager's business */
        r = sd_bus_call_async(t->bus, &slot, m, on_order_done, o, UINT64_MAX);
    if (r < 0) {
        free(o);
        say(t, text_format("%s: %s", method, strerror(-r)));
        return;
    }
    (void) sd_bus_slot_set_destroy_callback(slot, free);
    (void) sd_bus_slot_set_floating(slot, true);
    sd_bus_slot_unref(slot);
    say(t, text_format("%s %s …", method, o->name));
}

/* ── keys ── */

static void on_key(Top *t, int key)
{
    size_t rows, width;

    screen_size(&rows, &width);
    long page = rows > 4 ? (long) rows - 4 : 1;
    switch (key) {
    case 'q':
    case KEY_ESCAPE:
        finish(t, CTL_OK);
        return;
    case 's':
        top_view_sort(&t->view, TOP_BY_SERVICE);
        break;
    case 'm':
        top_view_sort(&t->view, TOP_BY_MEMORY);
        break;
    case 'r':
        top_view_sort(&t->view, TOP_BY_RATE);
        break;
    case 'a':
        top_view_sort(&t->view, TOP_BY_ACTIVE);
        break;
    case 'S':
        order(t, "Start");
        break;
    case 'X':
        order(t, "Stop");
        break;
    case KEY_UP:
    case 'k':
        top_view_move(&t->view, -1);
        break;
    case KEY_DOWN:
    case 'j':
        top_view_move(&t->view, 1);
        break;
    case KEY_PAGE_UP:
        top_view_move(&t->view, -page);
        break;
    case KEY_PAGE_DOWN:
        top_view_move(&t->view, page);
        break;
    case KEY_HOME:
        top_view_move(&t->view, -INT32_MAX);
        break;
    case KEY_END:
        top_view_move(&t->view, INT32_MAX);
        break;
    default:
        return;
    }
    draw(t);
}

static int on_escape(sd_event_source *source, uint64_t usec, void *userdata)
{
    Top *t = userdata;

    on_key(t, key_decode_pause(&t->keys));
    return 0;
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Top *t = userdata;
    char buf[64];

    ssize_t n = read(fd, buf, sizeof buf);
    if (n <= 0) {
        if (n == 0 || errno != EINTR)
            finish(t, CTL_OK);
        return 0;
    }
    for (ssize_t i = 0; i < n; i++)
        on_key(t, key_decode(&t->keys, buf[i]));
    if (key_is_pending(&t->keys))
        (void) event_arm_timer(t->event, &t->escape, ESCAPE, on_escape, t, "escape");
    else
        event_disarm(t->escape);
    return 0;
}

/* ── signals ── */

static int on_end(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    Top *t = userdata;

    t->end_by = (int) si->ssi_signo;
    finish(t, CTL_OK);
    return 0;
}

static int on_resize(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    draw(userdata);
    return 0;
}

static int on_suspend(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    screen_end();
    (void) raise(SIGSTOP);
    if (screen_begin() < 0) /* it is nobody's terminal any more */
        finish(userdata, CTL_FAILURE);
    else
        draw(userdata);
    return 0;
}

static int watch_terminal(Top *t)
{
    static const struct {
        int number;
        sd_event_signal_handler_t handler;
    } signals[] = {{SIGINT, on_end}, {SIGTERM, on_end}, {SIGHUP, on_end}, {SIGQUIT, on_end},
            {SIGWINCH, on_resize}, {SIGTSTP, on_suspend}};
    sigset_t mask;
    int r = 0;

    sigemptyset(&mask);
    for (size_t i = 0; i < ELEMENTSOF(signals); i++)
        sigaddset(&mask, signals[i].number);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
        return -errno;
    for (size_t i = 0; r >= 0 && i < ELEMENTSOF(signals); i++)
        r = sd_event_add_signal(t->event, NULL, signals[i].number, signals[i].handler, t);
    if (r >= 0)
        r = sd_event_add_io(t->event, NULL, STDIN_FILENO, EPOLLIN, on_input, t);
    return r;
}

/* ── the whole ── */

static int run(Top *t)
{
    if (t->live && screen_begin() < 0)
        return ctl_error("This is no terminal that it could be shown on. --batch and --once do without.");
    int r = begin(t);
    if (r >= 0 && t->live)
        r = watch_terminal(t);
    if (r >= 0)
        r = event_arm_timer(t->event, &t->tick, 0, on_tick, t, "tick");
    if (r < 0) {
        screen_end();
        return ctl_error("Cannot begin: %s", strerror(-r));
    }
    r = sd_event_loop(t->event);
    screen_end();
    return r < 0 ? ctl_error("Cannot go on: %s", strerror(-r)) : t->status;
}

int ctl_top(const CtlOptions *options, char **patterns)
{
    bool batch = options->batch || options->once;
    Top t = {.options = options,
            .live = !batch,
            .view.patterns = patterns,
            .left = options->once        ? 1
                    : options->lines > 0 ? (unsigned) options->lines
                                         : 0};

    if (!batch && (options->json || options->lines >= 0))
        return ctl_error("--json and -n go with --batch or --once.");
    int r = sd_event_new(&t.event);
    if (r < 0)
        return ctl_error("Cannot begin: %s", strerror(-r));
    r = ctl_connect(options, &t.bus) < 0 ? CTL_FAILURE : run(&t);
    disconnect(&t);
    top_view_done(&t.view);
    free(t.message);
    sd_event_source_disable_unref(t.tick);
    sd_event_source_disable_unref(t.soon);
    sd_event_source_disable_unref(t.escape);
    sd_event_unref(t.event);
    if (t.end_by != 0 && t.end_by != SIGINT) { /* as it would have ended without the terminal */
        sigset_t mask;
        sigemptyset(&mask);
        sigaddset(&mask, t.end_by);
        (void) raise(t.end_by);
        (void) sigprocmask(SIG_UNBLOCK, &mask, NULL);
    }
    return r;
}
