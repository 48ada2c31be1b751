/* SPDX-License-Identifier: ISC */

/* The services as somebody sees and handles them who looks after them, through the manager's private socket.
 */

#include "tests/unit/control-fixture.h"

typedef struct Site {
    Fixture f;
    Gateway me; /* a private connection, whoever it is of */
    uint16_t port;
} Site;

/* A manager with the services blog, and "wiki.1-x", which is only proxied to. */
static void site_init(Site *s, const char *more)
{
    fixture_init(&s->f);
    s->port = fixture_service(&s->f, "blog", more);
    fixture_config(&s->f, "wiki.1-x",
            "{\"hosts\": [\"wiki.test\", \"*.wiki.test\"], \"path\": \"/w\", \"base\": "
            "\"http://127.0.0.1:1\", \"proxyOnly\": true}");
    fixture_start(&s->f);
    gateway_init(&s->me, &s->f);
}

static void site_done(Site *s)
{
    gateway_done(&s->me);
    fixture_done(&s->f);
}

static void services_are_listed_and_found(void **state)
{
    const char *name, *state_name, *reason, *path;
    uint64_t since, now;
    struct timespec ts;
    Site s;
    Call c;

    site_init(&s, "");
    control_call(s.me.bus, &c, "ListServices", NULL);
    expect_reply(&s.f, &c);
    assert_true(sd_bus_message_enter_container(c.reply, 'a', "(sssto)") > 0);
    assert_true(sd_bus_message_read(c.reply, "(sssto)", &name, &state_name, &reason, &since, &path) > 0);
    assert_string_equal(name, "blog");
    assert_string_equal(state_name, "offline");
    assert_string_equal(path, BUS_SERVICES_PATH "/blog");
    clock_gettime(CLOCK_REALTIME, &ts);
    now = (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
    assert_in_range(since, now - 60 * USEC_PER_SEC, now + USEC_PER_SEC);
    assert_true(sd_bus_message_read(c.reply, "(sssto)", &name, &state_name, &reason, &since, &path) > 0);
    assert_string_equal(name, "wiki.1-x");
    assert_string_equal(state_name, "online");
    assert_int_equal(sd_bus_message_at_end(c.reply, false), 1);
    _cleanup_free_ char *wiki = strdup(path);
    call_done(&c);

    control_call(s.me.bus, &c, "GetService", "s", "wiki.1-x");
    expect_reply(&s.f, &c);
    assert_true(sd_bus_message_read(c.reply, "o", &path) > 0);
    assert_string_equal(path, wiki);
    call_done(&c);
    control_call(s.me.bus, &c, "GetService", "s", "blgo");
    expect_failure(&s.f, &c, BUS_ERROR_NO_SUCH_SERVICE, "there is no service \"blgo\"");
    site_done(&s);
}

static void a_start_is_answered_when_it_is_online_and_a_stop_when_it_is_not(void **state)
{
    Site s;

    site_init(&s, "\"idleTimeout\": \"1h\"");
    assert_text(&s.f, s.me.bus, "blog", "State", "offline");
    control_do(&s.f, s.me.bus, "Start", "s", "blog");
    assert_true(somebody_listens(s.port));
    assert_text(&s.f, s.me.bus, "blog", "State", "online");
    assert_text(&s.f, s.me.bus, "blog", "StateReason", "ready");
    assert_text(&s.f, s.me.bus, "blog", "Backend", "direct");
    assert_text(&s.f, s.me.bus, "blog", "Kind", "exec");
    assert_int_equal(get_number(&s.f, s.me.bus, "blog", "StartCount"), 1);
    assert_true(get_number(&s.f, s.me.bus, "blog", "LastStartDuration") > 0);
    assert_int_equal(get_number(&s.f, s.me.bus, "blog", "IdleTimeout"), 3600 * USEC_PER_SEC);
    assert_in_range(get_number(&s.f, s.me.bus, "blog", "IdleDeadline"),
            get_number(&s.f, s.me.bus, "blog", "Since") + 3599 * USEC_PER_SEC,
            get_number(&s.f, s.me.bus, "blog", "Since") + 3601 * USEC_PER_SEC);
    control_do(&s.f, s.me.bus, "Start", "s", "blog"); /* it is already */
    assert_int_equal(get_number(&s.f, s.me.bus, "blog", "StartCount"), 1);

    control_do(&s.f, s.me.bus, "Restart", "s", "blog");
    assert_true(somebody_listens(s.port));
    assert_int_equal(get_number(&s.f, s.me.bus, "blog", "StartCount"), 2);

    control_do(&s.f, s.me.bus, "Stop", "s", "blog");
    assert_false(somebody_listens(s.port));
    assert_text(&s.f, s.me.bus, "blog", "State", "offline");
    assert_true(get_number(&s.f, s.me.bus, "blog", "TotalUptime") > 0);
    assert_true(get_number(&s.f, s.me.bus, "blog", "IdleDeadline") == UINT64_MAX);
    control_do(&s.f, s.me.bus, "Stop", "s", "blog"); /* it is already */
    site_done(&s);
}

static void a_sample_has_the_numbers_of_all_services(void **state)
{
    const char *name, *state_name;
    uint64_t n[14], realtime, monotonic, sum;
    const void *classes, *buckets;
    size_t n_classes, n_buckets;
    Site s;
    Call c;

    site_init(&s, "\"idleTimeout\": \"1h\"");
    control_do(&s.f, s.me.bus, "Start", "s", "blog");
    control_call(s.me.bus, &c, "Sample", NULL);
    expect_reply(&s.f, &c);
    assert_true(sd_bus_message_read(c.reply, "tt", &realtime, &monotonic) > 0);
    assert_true(monotonic <= now_monotonic());
    assert_true(sd_bus_message_enter_container(c.reply, 'a', "(ssttttttttttttttatatt)") > 0);
    assert_true(sd_bus_message_enter_container(c.reply, 'r', "ssttttttttttttttatatt") > 0);
    assert_true(sd_bus_message_read(c.reply, "sstttttttttttttt", &name, &state_name, &n[0], &n[1], &n[2],
                        &n[3], &n[4], &n[5], &n[6], &n[7], &n[8], &n[9], &n[10], &n[11], &n[12], &n[13]) > 0);
    assert_string_equal(name, "blog");
    assert_string_equal(state_name, "online");
    assert_true(n[0] <= realtime);                       /* since */
    assert_in_range(n[7], 4096, UINT64_C(1) << 40);      /* memory */
    assert_int_equal(n[9], 1);                           /* starts */
    assert_true(n[12] > 0 && n[12] < 60 * USEC_PER_SEC); /* online */
    assert_true(sd_bus_message_read_array(c.reply, 't', &classes, &n_classes) > 0);
    assert_int_equal(n_classes, _REQUEST_CLASS_MAX * sizeof(uint64_t));
    assert_true(sd_bus_message_read_array(c.reply, 't', &buckets, &n_buckets) > 0);
    assert_int_equal(n_buckets, DURATION_BUCKETS * sizeof(uint64_t));
    assert_true(sd_bus_message_read(c.reply, "t", &sum) > 0);
    assert_int_equal(sum, 0);
    call_done(&c);
    site_done(&s);
}

static void a_start_that_fails_says_why_and_does_not_wait_for_the_back_off(void **state)
{
    int online;
    const char *why;
    uint32_t retry;
    Site s;
    Call c;

    site_init(&s, "");
    fixture_config(&s.f, "bad",
            "{\"host\": \"bad.test\", \"base\": \"http://127.0.0.1:1\", \"exec\": [\"/nonexistent/nod\"]}");
    gateway_done(&s.me);
    assert_int_equal(fixture_shutdown(&s.f), 0);
    fixture_drop(&s.f);
    fixture_start(&s.f);
    gateway_init(&s.me, &s.f);

    control_call(s.me.bus, &c, "Start", "s", "bad");
    expect_failure(&s.f, &c, BUS_ERROR_START_FAILED,
            "bad could not be started: cannot execute /nonexistent/nod: No such file or directory");
    assert_text(&s.f, s.me.bus, "bad", "State", "failed");
    assert_true(get_number(&s.f, s.me.bus, "bad", "RetryAt") > 0);
    control_call(s.me.bus, &c, "Wake", "s", "bad"); /* this one does */
    expect_reply(&s.f, &c);
    assert_true(sd_bus_message_read(c.reply, "bsu", &online, &why, &retry) > 0);
    assert_false(online);
    assert_non_null(strstr(why, "cannot execute"));
    assert_true(retry > 0);
    call_done(&c);
    uint64_t since = get_number(&s.f, s.me.bus, "bad", "RetryAt");
    control_call(s.me.bus, &c, "Start", "s", "bad");
    expect_failure(&s.f, &c, BUS_ERROR_START_FAILED, "cannot execute");
    assert_true(get_number(&s.f, s.me.bus, "bad", "RetryAt") > since); /* it was tried again */
    control_do(&s.f, s.me.bus, "Stop", "s", "bad");                    /* takes the back-off away */
    assert_text(&s.f, s.me.bus, "bad", "State", "offline");
    site_done(&s);
}

static void what_cannot_be_handled_is_refused(void **state)
{
    static const char *const methods[] = {"Start", "Stop", "Restart", "Wake"};
    Site s;
    Call c;

    site_init(&s, "");
    for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
        control_call(s.me.bus, &c, methods[i], "s", "wiki.1-x");
        expect_failure(&s.f, &c, SD_BUS_ERROR_NOT_SUPPORTED, "wiki.1-x is proxied only");
        control_call(s.me.bus, &c, methods[i], "s", "blgo");
        expect_failure(&s.f, &c, BUS_ERROR_NO_SUCH_SERVICE, "there is no service \"blgo\"");
    }
    site_done(&s);
}

static void a_caller_may_leave_before_the_answer(void **state)
{
    Gateway other;
    Site s;
    Call c;

    site_init(&s, "");
    gateway_init(&other, &s.f);
    control_call(other.bus, &c, "Start", "s", "blog");
    run_until(&s.f, service_state(fixture_get(&s.f, "blog")) == SERVICE_STARTING);
    call_done(&c);
    gateway_done(&other);
    run_until(&s.f, s.f.manager->peers.n == 1 && service_state(fixture_get(&s.f, "blog")) == SERVICE_ONLINE);

    gateway_init(&other, &s.f);
    control_call(other.bus, &c, "Stop", "s", "blog");
    run_until(&s.f, service_state(fixture_get(&s.f, "blog")) == SERVICE_STOPPING);
    call_done(&c);
    gateway_done(&other);
    run_until(&s.f, s.f.manager->peers.n == 1 && service_state(fixture_get(&s.f, "blog")) == SERVICE_OFFLINE);
    site_done(&s);
}

typedef struct Heard {
    char transitions[200];
    unsigned properties;
} Heard;

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *name, *path, *to, *from, *reason;
    Heard *h = userdata;

    if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Properties", "PropertiesChanged")) {
        assert_string_equal(sd_bus_message_get_path(m), BUS_SERVICES_PATH "/blog");
        h->properties++;
    }
    if (sd_bus_message_is_signal(m, BUS_MANAGER_INTERFACE, "StateChanged")) {
        assert_true(sd_bus_message_read(m, "sosss", &name, &path, &to, &from, &reason) > 0);
        assert_string_equal(name, "blog");
        assert_true(strlen(reason) > 0);
        size_t n = strlen(h->transitions);
        snprintf(h->transitions + n, sizeof h->transitions - n, "%s>%s ", from, to);
    }
    return 0;
}

static void who_subscribes_hears_of_every_transition_and_nobody_else(void **state)
{
    Heard mine = {}, others = {};
    Gateway other;
    Site s;

    site_init(&s, "");
    gateway_init(&other, &s.f);
    assert_true(sd_bus_add_filter(s.me.bus, NULL, on_signal, &mine) >= 0);
    assert_true(sd_bus_add_filter(other.bus, NULL, on_signal, &others) >= 0);
    control_do(&s.f, s.me.bus, "Subscribe", NULL);
    control_do(&s.f, other.bus, "Start", "s", "blog");
    control_do(&s.f, other.bus, "Stop", "s", "blog");
    run_until(&s.f, mine.properties == 4);
    assert_string_equal(
            mine.transitions, "offline>starting starting>online online>stopping stopping>offline ");
    assert_string_equal(others.transitions, "");
    assert_int_equal(others.properties, 0);
    gateway_done(&other);
    site_done(&s);
}

static void a_subscriber_that_does_not_read_is_cut_off(void **state)
{
    sd_bus *deaf;
    Site s;

    site_init(&s, "");
    int fd = fixture_connect(&s.f);
    assert_int_equal(sd_bus_new(&deaf), 0);
    assert_int_equal(sd_bus_set_fd(deaf, fd, fd), 0);
    assert_true(sd_bus_start(deaf) >= 0);
    assert_true(sd_bus_attach_event(deaf, s.f.event, 0) >= 0);
    control_do(&s.f, deaf, "Subscribe", NULL);
    assert_true(sd_bus_detach_event(deaf) >= 0);
    run_until(&s.f, s.f.manager->peers.n == 2);
    for (unsigned i = 0; i < 100000 && s.f.manager->peers.n == 2; i++) {
        controls_state_changed(
                s.f.manager, fixture_get(&s.f, "blog"), SERVICE_OFFLINE, SERVICE_STARTING, "a test");
        if (i % 100 == 0)
            assert_true(sd_event_run(s.f.event, 0) >= 0);
    }
    assert_int_equal(s.f.manager->peers.n, 1);
    sd_bus_close_unref(deaf);
    site_done(&s);
}

static void everything_is_had_in_one_call_and_can_be_introspected(void **state)
{
    const char *xml, *path, *interface;
    unsigned n_services = 0;
    Site s;
    Call c = {};

    site_init(&s, "");
    assert_true(sd_bus_call_method_async(s.me.bus, &c.slot, NULL, BUS_PATH,
                        "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", on_reply, &c, NULL) >= 0);
    expect_reply(&s.f, &c);
    assert_true(sd_bus_message_enter_container(c.reply, 'a', "{oa{sa{sv}}}") > 0);
    while (sd_bus_message_enter_container(c.reply, 'e', "oa{sa{sv}}") > 0) {
        assert_true(sd_bus_message_read(c.reply, "o", &path) > 0);
        assert_true(sd_bus_message_enter_container(c.reply, 'a', "{sa{sv}}") > 0);
        while (sd_bus_message_enter_container(c.reply, 'e', "sa{sv}") > 0) {
            assert_true(sd_bus_message_read(c.reply, "s", &interface) > 0);
            n_services += streq(interface, BUS_SERVICE_INTERFACE);
            assert_true(sd_bus_message_skip(c.reply, "a{sv}") > 0);
            assert_true(sd_bus_message_exit_container(c.reply) >= 0);
        }
        assert_true(sd_bus_message_exit_container(c.reply) >= 0);
        assert_true(sd_bus_message_exit_container(c.reply) >= 0);
    }
    assert_int_equal(n_services, 2);
    call_done(&c);

    assert_true(sd_bus_call_method_async(s.me.bus, &c.slot, NULL, BUS_SERVICES_PATH,
                        "org.freedesktop.DBus.Introspectable", "Introspect", on_reply, &c, NULL) >= 0);
    expect_reply(&s.f, &c);
    assert_true(sd_bus_message_read(c.reply, "s", &xml) > 0);
    assert_non_null(strstr(xml, "<node name=\"blog\"/>"));
    call_done(&c);
    site_done(&s);
}

static void routes_are_told_as_people_write_them(void **state)
{
    const char *where, *target;
    Site s;

    site_init(&s, "");
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
            get_property(&s.f, s.me.bus, "wiki.1-x", "Routes", "a(ss)");
    assert_true(sd_bus_message_enter_container(m, 'a', "(ss)") > 0);
    assert_true(sd_bus_message_read(m, "(ss)", &where, &target) > 0);
    assert_string_equal(where, "wiki.test/w");
    assert_string_equal(target, "http://127.0.0.1:1");
    assert_true(sd_bus_message_read(m, "(ss)", &where, &target) > 0);
    assert_string_equal(where, "*.wiki.test/w");
    site_done(&s);
}

static void the_configuration_on_disk_is_checked_without_being_used(void **state)
{
    const char *file, *path, *message;
    uint32_t n, line, column;
    Site s;
    Call c;

    site_init(&s, "");
    fixture_config(&s.f, "new", "{\n\"host\": 5}");
    control_call(s.me.bus, &c, "Check", NULL);
    expect_reply(&s.f, &c);
    assert_true(sd_bus_message_read(c.reply, "u", &n) > 0);
    assert_int_equal(n, 2);
    assert_true(sd_bus_message_enter_container(c.reply, 'a', "(suuss)") > 0);
    bool found = false;
    while (sd_bus_message_read(c.reply, "(suuss)", &file, &line, &column, &path, &message) > 0)
        if (streq(path, "host")) {
            found = true;
            assert_non_null(strstr(file, "/new.json"));
            assert_int_equal(line, 2);
            assert_int_equal(column, 9);
            assert_non_null(strstr(message, "expected"));
        }
    assert_true(found);
    call_done(&c);
    control_call(s.me.bus, &c, "GetService", "s", "new");
    expect_failure(&s.f, &c, BUS_ERROR_NO_SUCH_SERVICE, "new");
    site_done(&s);
}

/* D-Bus carries nothing else. */
static void a_long_reason_stays_text(void **state)
{
    char reason[600], expected[256];
    Gateway g;
    WakeReply w;
    Site s;
    Call c;

    for (size_t i = 0; i < 2 * 127; i += 2)
        memcpy(expected + i, "\xc3\xa4", 3);
    for (size_t i = 0; i < 2 * 298; i += 2)
        memcpy(reason + i, "\xc3\xa4", 3);
    site_init(&s, "\"idleTimeout\": \"1h\"");
    gateway_init(&g, &s.f);
    gateway_attach(&g, false);
    gateway_call(&g, &c, BUS_WAKE, "uus", gateway_slot(&g, "blog.test"), 0, reason);
    read_wake(&g, &c, &w);
    assert_true(w.online);
    assert_text(&s.f, s.me.bus, "blog", "LastWakeReason", expected);
    gateway_done(&g);
    site_done(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(services_are_listed_and_found),
            cmocka_unit_test(a_sample_has_the_numbers_of_all_services),
            cmocka_unit_test(a_start_is_answered_when_it_is_online_and_a_stop_when_it_is_not),
            cmocka_unit_test(a_start_that_fails_says_why_and_does_not_wait_for_the_back_off),
            cmocka_unit_test(what_cannot_be_handled_is_refused),
            cmocka_unit_test(a_caller_may_leave_before_the_answer),
            cmocka_unit_test(who_subscribes_hears_of_every_transition_and_nobody_else),
            cmocka_unit_test(a_subscriber_that_does_not_read_is_cut_off),
            cmocka_unit_test(everything_is_had_in_one_call_and_can_be_introspected),
            cmocka_unit_test(routes_are_told_as_people_write_them),
            cmocka_unit_test(a_long_reason_stays_text),
            cmocka_unit_test(the_configuration_on_disk_is_checked_without_being_used),
    };
    int r = fixture_main(argc, argv);
    return r >= 0 ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
