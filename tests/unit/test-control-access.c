/* SPDX-License-Identifier: ISC */

/* Who may change something: on a private connection by the kernel's word, on a message bus by the bus's and
 * polkit's, both of which are played here at the other end of the connection. */

#include "tests/unit/control-fixture.h"

#include <sys/wait.h>

#include "manager/peer.h"

#define STRANGER 4242U

typedef enum Polkit { POLKIT_YES, POLKIT_NO, POLKIT_CHALLENGE, POLKIT_ABSENT, POLKIT_SILENT } Polkit;

/* Both ends of a connection on which the manager offers its API. */
typedef struct Site {
    Fixture f;
    sd_bus *managers, *ours;
    Control *control;
    uint32_t uid; /* whom the bus says a caller is */
    Polkit polkit;
    unsigned n_asked;
    bool interactive;
    sd_bus_message *unanswered;
} Site;

static int method_get_user(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Site *s = userdata;
    const char *name;

    assert_true(sd_bus_message_read(m, "s", &name) > 0);
    assert_string_equal(name, ":1.7");
    return sd_bus_reply_method_return(m, "u", s->uid);
}

static int method_check(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *kind, *key, *sender, *action;
    Site *s = userdata;
    uint32_t flags;

    assert_string_equal(sd_bus_message_get_destination(m), "org.freedesktop.PolicyKit1");
    assert_true(sd_bus_message_enter_container(m, 'r', "sa{sv}") > 0);
    assert_true(sd_bus_message_read(m, "s", &kind) > 0);
    assert_string_equal(kind, "system-bus-name");
    assert_true(sd_bus_message_enter_container(m, 'a', "{sv}") > 0);
    assert_true(sd_bus_message_enter_container(m, 'e', "sv") > 0);
    assert_true(sd_bus_message_read(m, "sv", &key, "s", &sender) > 0);
    assert_string_equal(key, "name");
    assert_string_equal(sender, ":1.7");
    for (int i = 0; i < 3; i++)
        assert_true(sd_bus_message_exit_container(m) >= 0);
    assert_true(sd_bus_message_read(m, "s", &action) > 0);
    assert_string_equal(action, BUS_ACTION_MANAGE);
    assert_true(sd_bus_message_skip(m, "a{ss}") > 0);
    assert_true(sd_bus_message_read(m, "u", &flags) > 0);
    s->interactive = flags & 1;
    s->n_asked++;
    if (s->polkit == POLKIT_ABSENT)
        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_SERVICE_UNKNOWN, "nobody has that name");
    if (s->polkit == POLKIT_SILENT) {
        s->unanswered = sd_bus_message_ref(m);
        return 1;
    }
    return sd_bus_reply_method_return(
            m, "(bba{ss})", s->polkit == POLKIT_YES, s->polkit == POLKIT_CHALLENGE, 0);
}

static const sd_bus_vtable bus_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("GetConnectionUnixUser", "s", "u", method_get_user, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
static const sd_bus_vtable polkit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", method_check,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static sd_bus *bus_end(Site *s, int fd, bool server)
{
    sd_id128_t id;
    sd_bus *bus;

    assert_int_equal(sd_bus_new(&bus), 0);
    assert_int_equal(sd_bus_set_fd(bus, fd, fd), 0);
    if (server) {
        assert_int_equal(sd_id128_randomize(&id), 0);
        assert_true(sd_bus_set_server(bus, true, id) >= 0);
        assert_true(sd_bus_set_anonymous(bus, true) >= 0);
    }
    assert_true(sd_bus_start(bus) >= 0);
    assert_true(sd_bus_attach_event(bus, s->f.event, 0) >= 0);
    return bus;
}

/* `peer` NULL: it is a message bus. */
static void site_init(Site *s, const struct ucred *peer)
{
    int pair[2];

    *s = (Site){};
    fixture_init(&s->f);
    fixture_service(&s->f, "blog", "");
    fixture_start(&s->f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    s->managers = bus_end(s, pair[0], true);
    s->ours = bus_end(s, pair[1], false);
    assert_int_equal(control_new(s->f.manager, s->managers, peer, &s->control), 0);
    assert_true(sd_bus_add_object_vtable(
                        s->ours, NULL, "/org/freedesktop/DBus", "org.freedesktop.DBus", bus_vtable, s) >= 0);
    assert_true(sd_bus_add_object_vtable(s->ours, NULL, "/org/freedesktop/PolicyKit1/Authority",
                        "org.freedesktop.PolicyKit1.Authority", polkit_vtable, s) >= 0);
}

static void site_done(Site *s)
{
    s->unanswered = sd_bus_message_unref(s->unanswered);
    control_free(s->control);
    sd_bus_close_unref(s->managers);
    sd_bus_close_unref(s->ours);
    fixture_done(&s->f);
}

/* A call as it comes over a bus, which says who sends it. */
static void bus_call(Site *s, Call *c, const char *method, const char *service, bool interactive)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    *c = (Call){};
    assert_int_equal(
            sd_bus_message_new_method_call(s->ours, &m, NULL, BUS_PATH, BUS_MANAGER_INTERFACE, method), 0);
    assert_int_equal(sd_bus_message_set_sender(m, ":1.7"), 0);
    assert_true(sd_bus_message_set_allow_interactive_authorization(m, interactive) >= 0);
    if (service)
        assert_true(sd_bus_message_append(m, "s", service) >= 0);
    assert_true(sd_bus_call_async(s->ours, &c->slot, m, on_reply, c, UINT64_MAX) >= 0);
}

static ServiceState blog(Site *s)
{
    return service_state(fixture_get(&s->f, "blog"));
}

static void the_gateways_user_may_look_and_not_touch(void **state)
{
    const struct ucred gateway = {.pid = 1, .uid = STRANGER, .gid = STRANGER};
    static const char *const methods[] = {"Start", "Stop", "Restart", "Wake"};
    Site s;
    Call c;

    site_init(&s, &gateway);
    for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
        control_call(s.ours, &c, methods[i], "s", "blog");
        expect_failure(&s.f, &c, SD_BUS_ERROR_ACCESS_DENIED, "root");
    }
    control_call(s.ours, &c, "Check", NULL);
    expect_failure(&s.f, &c, SD_BUS_ERROR_ACCESS_DENIED, "root");
    assert_int_equal(blog(&s), SERVICE_OFFLINE);
    assert_int_equal(s.n_asked, 0);

    assert_text(&s.f, s.ours, "blog", "State", "offline");
    control_do(&s.f, s.ours, "Subscribe", NULL);
    control_call(s.ours, &c, "ListServices", NULL);
    expect_reply(&s.f, &c);
    call_done(&c);
    site_done(&s);
}

static void note_gone(Peer *p, void *userdata)
{
    *(bool *) userdata = true;
}

/* It is given to read for a few at a time, and otherwise like everybody else. */
static void the_gateways_user_cannot_have_all_services_piled_up(void **state)
{
    const struct ucred gateway = {.pid = 1, .uid = STRANGER, .gid = STRANGER};
    bool gone = false;
    sd_bus *bus;
    Peer *peer;
    int pair[2];
    Site s;

    site_init(&s, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(peer_new(s.f.manager, pair[0], &gateway, note_gone, &gone, &peer), 0);
    bus = bus_end(&s, pair[1], false);
    for (int i = 0; i < 100; i++) { /* one after the other, as often as one likes */
        Call c;
        control_call(bus, &c, "ListServices", NULL);
        expect_reply(&s.f, &c);
        call_done(&c);
    }
    assert_false(gone);

    assert_true(sd_bus_detach_event(bus) >= 0);
    for (int i = 0; i < 100000 && !gone; i++) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        assert_int_equal(sd_bus_message_new_method_call(
                                 bus, &m, NULL, BUS_PATH, BUS_MANAGER_INTERFACE, "ListServices"),
                0);
        (void) sd_bus_send(bus, m, &(uint64_t){0}); /* fails once we are cut off */
        if (i % 50 == 0)
            assert_true(sd_event_run(s.f.event, 0) >= 0);
    }
    run_until(&s.f, gone);
    peer_free(peer);
    sd_bus_close_unref(bus);
    site_done(&s);
}

static void a_sender_that_a_private_caller_makes_up_is_nobody(void **state)
{
    const struct ucred gateway = {.pid = 1, .uid = STRANGER, .gid = STRANGER};
    Site s;
    Call c;

    site_init(&s, &gateway);
    bus_call(&s, &c, "Start", "blog", false);
    expect_failure(&s.f, &c, SD_BUS_ERROR_ACCESS_DENIED, "root");
    assert_int_equal(s.n_asked, 0);
    site_done(&s);
}

static void root_and_ourselves_may_without_polkit(void **state)
{
    const uint32_t users[] = {0, geteuid()};

    for (size_t i = 0; i < ELEMENTSOF(users); i++) {
        Site s;
        Call c;

        site_init(&s, NULL);
        s.uid = users[i];
        bus_call(&s, &c, "Start", "blog", false);
        expect_reply(&s.f, &c);
        call_done(&c);
        assert_int_equal(blog(&s), SERVICE_ONLINE);
        assert_int_equal(s.n_asked, 0);
        site_done(&s);
    }
}

static void anybody_else_may_what_polkit_says(void **state)
{
    static const struct {
        Polkit polkit;
        const char *error;
    } table[] = {
            {POLKIT_NO, SD_BUS_ERROR_ACCESS_DENIED},
            {POLKIT_ABSENT, SD_BUS_ERROR_ACCESS_DENIED},
            {POLKIT_CHALLENGE, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED},
            {POLKIT_YES, NULL},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        Site s;
        Call c;

        site_init(&s, NULL);
        s.uid = STRANGER;
        s.polkit = table[i].polkit;
        bus_call(&s, &c, "Start", "blog", i % 2);
        if (table[i].error)
            expect_failure(&s.f, &c, table[i].error, "");
        else {
            expect_reply(&s.f, &c);
            call_done(&c);
        }
        assert_int_equal(s.n_asked, 1);
        assert_int_equal(s.interactive, i % 2);
        assert_int_equal(blog(&s), table[i].error ? SERVICE_OFFLINE : SERVICE_ONLINE);
        /* What needs no permission is not asked for. */
        bus_call(&s, &c, "ListServices", NULL, false);
        expect_reply(&s.f, &c);
        call_done(&c);
        assert_int_equal(s.n_asked, 1);
        site_done(&s);
    }
}

static void an_error_behind_polkits_yes_is_an_error(void **state)
{
    Site s;
    Call c;

    site_init(&s, NULL);
    s.uid = STRANGER;
    bus_call(&s, &c, "Start", "blgo", false);
    expect_failure(&s.f, &c, BUS_ERROR_NO_SUCH_SERVICE, "blgo");
    site_done(&s);
}

static void a_call_without_a_sender_is_nobodys(void **state)
{
    Site s;
    Call c;

    site_init(&s, NULL);
    control_call(s.ours, &c, "Start", "s", "blog");
    expect_failure(&s.f, &c, SD_BUS_ERROR_ACCESS_DENIED, "who calls");
    site_done(&s);
}

/* A message bus of our own; returns its address, which the caller frees, NULL: there is no dbus-daemon. */
static char *start_bus(pid_t *ret_pid)
{
    char address[256];
    int p[2];

    assert_int_equal(pipe(p), 0);
    *ret_pid = fork();
    if (*ret_pid == 0) {
        _cleanup_free_ char *print = text_format("--print-address=%d", p[1]);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(p[0]);
        execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile", print, NULL);
        _exit(127);
    }
    close(p[1]);
    ssize_t n = read(p[0], address, sizeof address - 1);
    close(p[0]);
    if (n <= 0)
        return NULL;
    address[n - 1] = 0; /* a newline */
    return strdup(address);
}

static sd_bus *connect_bus(Site *s, const char *address)
{
    sd_bus *bus;
    assert_int_equal(sd_bus_new(&bus), 0);
    assert_true(sd_bus_set_address(bus, address) >= 0);
    assert_true(sd_bus_set_bus_client(bus, true) >= 0);
    assert_true(sd_bus_start(bus) >= 0);
    assert_true(sd_bus_attach_event(bus, s->f.event, 0) >= 0);
    return bus;
}

static int on_any_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    ++*(unsigned *) userdata;
    return 0;
}

/* Nothing of it is played here, but that polkit is not there and not needed. */
static void a_real_message_bus_will_do(void **state)
{
    unsigned n_signals = 0;
    pid_t daemon;
    Call c = {};
    Site s;

    _cleanup_free_ char *address = start_bus(&daemon);
    if (!address) {
        waitpid(daemon, NULL, 0);
        skip();
    }
    site_init(&s, NULL);
    sd_bus *managers = connect_bus(&s, address), *client = connect_bus(&s, address);
    Control *control;
    assert_int_equal(control_new(s.f.manager, managers, NULL, &control), 0);
    assert_true(sd_bus_request_name(managers, BUS_NAME, 0) >= 0);
    assert_true(sd_bus_match_signal(client, NULL, BUS_NAME, BUS_PATH, BUS_MANAGER_INTERFACE, "StateChanged",
                        on_any_signal, &n_signals) >= 0);

    assert_true(sd_bus_call_method_async(client, &c.slot, BUS_NAME, BUS_PATH, BUS_MANAGER_INTERFACE, "Start",
                        on_reply, &c, "s", "blog") >= 0);
    expect_reply(&s.f, &c);
    call_done(&c);
    assert_int_equal(blog(&s), SERVICE_ONLINE);
    run_until(&s.f, n_signals == 2); /* starting, online */

    control_free(control);
    sd_bus_close_unref(managers);
    sd_bus_close_unref(client);
    kill(daemon, SIGTERM);
    waitpid(daemon, NULL, 0);
    site_done(&s);
}

static void who_waits_for_polkit_is_bounded_and_may_be_forgotten(void **state)
{
    enum { MAX = 32 };
    static Call calls[MAX];
    Site s;
    Call more;

    site_init(&s, NULL);
    s.uid = STRANGER;
    s.polkit = POLKIT_SILENT;
    for (size_t i = 0; i < MAX; i++) {
        bus_call(&s, &calls[i], "Start", "blog", true);
        run_until(&s.f, s.n_asked == i + 1);
        if (i + 1 < MAX)
            s.unanswered = sd_bus_message_unref(s.unanswered);
    }
    bus_call(&s, &more, "Start", "blog", true);
    expect_failure(&s.f, &more, BUS_ERROR_TOO_MANY, "too many calls of yours");
    /* It is one user's own business. */
    s.uid = STRANGER + 1;
    s.polkit = POLKIT_NO;
    bus_call(&s, &more, "Start", "blog", true);
    expect_failure(&s.f, &more, SD_BUS_ERROR_ACCESS_DENIED, "");
    assert_int_equal(blog(&s), SERVICE_OFFLINE);
    s.control = control_free(s.control); /* the bus is gone, say */
    for (size_t i = 0; i < MAX; i++)
        call_done(&calls[i]);
    site_done(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_gateways_user_may_look_and_not_touch),
            cmocka_unit_test(the_gateways_user_cannot_have_all_services_piled_up),
            cmocka_unit_test(a_sender_that_a_private_caller_makes_up_is_nobody),
            cmocka_unit_test(root_and_ourselves_may_without_polkit),
            cmocka_unit_test(anybody_else_may_what_polkit_says),
            cmocka_unit_test(an_error_behind_polkits_yes_is_an_error),
            cmocka_unit_test(a_call_without_a_sender_is_nobodys),
            cmocka_unit_test(a_real_message_bus_will_do),
            cmocka_unit_test(who_waits_for_polkit_is_bounded_and_may_be_forgotten),
    };
    int r = fixture_main(argc, argv);
    return r >= 0 ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
