/* SPDX-License-Identifier: ISC */

/* Who may change something. On a private connection the kernel has said who is there. On a message bus the
 * bus is asked for the caller's user, and for one who is neither root nor ourselves polkit; both answer when
 * they do, nothing waits for them. Where there is no polkit the answer is no. */

#include <unistd.h>

#include "ipc/bus.h"
#include "manager/control-internal.h"
#include "util/log.h"

/* A user's calls that wait for polkit: nobody can keep everybody else waiting. */
#define CALLS_OF_USER_MAX 32

#define BUS_ANSWER_LIMIT (25 * USEC_PER_SEC)

/* polkit's answer may be as far away as the caller's password. */
#define POLKIT_ANSWER_LIMIT UINT64_MAX
#define POLKIT_ALLOW_INTERACTION 1U

typedef struct Inquiry {
    Control *control;
    struct Inquiry *prev, *next;
    sd_bus_message *call;
    sd_bus_slot *question;
    const char *action; /* polkit's; static */
    AccessThen then;
    bool user_known;
    Caller caller;
} Inquiry;

static bool is_trusted(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

bool control_may_change(const Control *c)
{
    return c->is_private && is_trusted(c->peer.uid);
}

static void inquiry_free(Inquiry *q)
{
    if (q->prev)
        q->prev->next = q->next;
    else
        q->control->inquiries = q->next;
    if (q->next)
        q->next->prev = q->prev;
    q->control->n_inquiries--;
    sd_bus_slot_unref(q->question);
    sd_bus_message_unref(q->call);
    free(q);
}

void access_forget(Control *c)
{
    while (c->inquiries)
        inquiry_free(c->inquiries);
}

static void refuse(Inquiry *q, const char *error, const char *why)
{
    int r = sd_bus_reply_method_errorf(q->call, error, "%s", why);
    if (r < 0)
        log_debug_errno(r, "Cannot refuse a call: %m");
    inquiry_free(q);
}

#define NOT_ALLOWED "this is for root, or for whom polkit lets have %s"

static void refuse_action(Inquiry *q)
{
    int r = sd_bus_reply_method_errorf(q->call, SD_BUS_ERROR_ACCESS_DENIED, NOT_ALLOWED, q->action);
    if (r < 0)
        log_debug_errno(r, "Cannot refuse a call: %m");
    inquiry_free(q);
}

/* As sd-bus does it with what a handler returns. */
static void allow(Inquiry *q)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

    int r = q->then(q->control, q->call, &q->caller, &error);
    if (r < 0)
        r = sd_bus_reply_method_errno(q->call, r, &error);
    if (r < 0)
        log_debug_errno(r, "Cannot answer a call: %m");
    inquiry_free(q);
}

static int on_polkit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    Inquiry *q = userdata;
    int yes = 0, challenge = 0;

    if (e) {
        log_debug("polkit does not answer: %s", e->message ?: e->name);
        refuse_action(q);
        return 0;
    }
    int r = sd_bus_message_enter_container(m, 'r', "bba{ss}");
    if (r >= 0)
        r = sd_bus_message_read(m, "bb", &yes, &challenge);
    if (r < 0)
        refuse(q, SD_BUS_ERROR_ACCESS_DENIED, "polkit's answer makes no sense");
    else if (yes)
        allow(q);
    else if (challenge)
        refuse(q, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, "authentication is needed for this");
    else
        refuse_action(q);
    return 0;
}

/* org.freedesktop.PolicyKit1.Authority.CheckAuthorization */
static int ask_polkit(Inquiry *q)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    bool interactive = sd_bus_message_get_allow_interactive_authorization(q->call) > 0;
    int r;

    if ((r = sd_bus_message_new_method_call(q->control->bus, &m, "org.freedesktop.PolicyKit1",
                 "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority",
                 "CheckAuthorization")) < 0 ||
            (r = sd_bus_message_append(m, "(sa{sv})", "system-bus-name", 1, "name", "s",
                     sd_bus_message_get_sender(q->call))) < 0 ||
            (r = sd_bus_message_append(
                     m, "sa{ss}us", q->action, 0, interactive ? POLKIT_ALLOW_INTERACTION : 0, "")) < 0)
        return r;
    q->question = sd_bus_slot_unref(q->question);
    return sd_bus_call_async(q->control->bus, &q->question, m, on_polkit, q, POLKIT_ANSWER_LIMIT);
}

static unsigned n_of_user(const Control *c, uid_t uid)
{
    unsigned n = 0;

    for (const Inquiry *q = c->inquiries; q; q = q->next)
        n += q->user_known && q->caller.uid == uid;
    return n;
}

static int on_user(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Inquiry *q = userdata;
    uint32_t uid;

    if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "u", &uid) < 0) {
        refuse(q, SD_BUS_ERROR_ACCESS_DENIED, "the message bus does not tell who calls");
        return 0;
    }
    q->caller.uid = uid;
    if (is_trusted(uid)) {
        allow(q);
        return 0;
    }
    if (n_of_user(q->control, uid) >= CALLS_OF_USER_MAX) {
        refuse(q, BUS_ERROR_TOO_MANY, "too many calls of yours wait for their answer");
        return 0;
    }
    q->user_known = true;
    int r = ask_polkit(q);
    if (r < 0) {
        log_warning_errno(r, "Cannot ask polkit: %m");
        refuse_action(q);
    }
    return 0;
}

static int ask_bus(Inquiry *q)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    if ((r = sd_bus_message_new_method_call(q->control->bus, &m, "org.freedesktop.DBus",
                 "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser")) < 0 ||
            (r = sd_bus_message_append(m, "s", sd_bus_message_get_sender(q->call))) < 0)
        return r;
    return sd_bus_call_async(q->control->bus, &q->question, m, on_user, q, BUS_ANSWER_LIMIT);
}

int access_require(Control *c, sd_bus_message *m, const char *action, AccessThen then, sd_bus_error *error)
{
    if (c->is_private) {
        Caller caller = {.uid = c->peer.uid, .pid = c->peer.pid};
        if (!control_may_change(c))
            return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED, NOT_ALLOWED, action);
        return then(c, m, &caller, error);
    }
    if (!sd_bus_message_get_sender(m))
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "the message bus does not tell who calls");
    if (c->n_inquiries >= CALLS_MAX)
        return sd_bus_error_set(error, BUS_ERROR_TOO_MANY, "too many calls wait for their answer");

    Inquiry *q = new0(Inquiry, 1);
    if (!q)
        return -ENOMEM;
    *q = (Inquiry){.control = c,
            .next = c->inquiries,
            .call = sd_bus_message_ref(m),
            .action = action,
            .then = then};
    if (q->next)
        q->next->prev = q;
    c->inquiries = q;
    c->n_inquiries++;
    int r = ask_bus(q);
    if (r < 0) {
        inquiry_free(q);
        return r;
    }
    return 1;
}
