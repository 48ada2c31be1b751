/* SPDX-License-Identifier: ISC */

/* The state machine with the real backend and real shells; only the gateways' activity is made up. */

#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "service/service.h"
#include "tests/unit/loop.h"
#include "util/log.h"

typedef struct Fixture {
    Loop loop;
    ServiceHost host;
    ServiceConfig config;
    Service *service;
    char dir[40], start[256], stop[128], check[128], health[128];
    uint64_t active;
    usec_t last_activity;
    void (*at_stopping)(struct Fixture *f); /* what a gateway does at the very moment */
    unsigned seen[_SERVICE_STATE_MAX];
    bool watched;
} Fixture;

typedef struct Answer {
    unsigned n, order;
    bool online;
    uint32_t epoch;
    unsigned retry_after;
    char why[200];
} Answer;

static unsigned n_answers;

static void on_done(Service *s, const WakeResult *r, void *userdata)
{
    Answer *a = userdata;
    a->n++;
    a->order = ++n_answers;
    a->online = r->online;
    a->epoch = r->epoch;
    a->retry_after = r->retry_after;
    snprintf(a->why, sizeof a->why, "%s", r->why ?: "");
}

static void read_activity(Service *s, ServiceActivity *ret, void *userdata)
{
    Fixture *f = userdata;
    *ret = (ServiceActivity){.active = f->active, .last_activity = f->last_activity};
}

static void watch_activity(Service *s, bool on, void *userdata)
{
    Fixture *f = userdata;
    f->watched = on;
}

static void state_changed(Service *s, ServiceState from, ServiceState to, const char *reason, void *userdata)
{
    Fixture *f = userdata;
    f->seen[to]++;
    if (to == SERVICE_STOPPING && f->at_stopping)
        f->at_stopping(f);
}

static int set_up(void **state)
{
    Fixture *f = new0(Fixture, 1);

    n_answers = 0;
    strcpy(f->dir, "/tmp/test-service-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->loop = loop_new();
    f->host = (ServiceHost){.backend = {.event = f->loop.event,
                                    .children = f->loop.children,
                                    .commands = &f->loop.commands,
                                    .state_dir_fd = -EBADF},
            .read_activity = read_activity,
            .watch_activity = watch_activity,
            .state_changed = state_changed,
            .userdata = f};
    /* A program that counts its starts, and is ready when it says so in a file. */
    snprintf(f->start, sizeof f->start, "echo x >>starts; touch ready; exec sleep 1000");
    snprintf(f->health, sizeof f->health, "test -e ready");
    f->config = (ServiceConfig){.n_ref = 1,
            .name = (char *) "blog",
            .file = (char *) "blog.json",
            .kind = SERVICE_COMMANDS,
            .start_command = f->start,
            .cwd = f->dir,
            .health_check = {.type = HEALTH_CHECK_COMMAND, .command = f->health, .timeout = 5 * USEC_PER_SEC},
            .idle_timeout = USEC_INFINITY,
            .start_timeout = 30 * USEC_PER_SEC,
            .stop_timeout = 30 * USEC_PER_SEC};
    *state = f;
    return 0;
}

static void begin(Fixture *f)
{
    assert_int_equal(service_new(&f->host, &f->config, 0, &f->service), 0);
}

static int tear_down(void **state)
{
    Fixture *f = *state;
    char command[64];

    f->at_stopping = NULL;
    (void) service_stop(f->service, "end of the test");
    RUN_UNTIL(f->loop.event, f->config.kind == SERVICE_PROXY_ONLY ||
                                     service_state(f->service) == SERVICE_OFFLINE ||
                                     service_state(f->service) == SERVICE_FAILED);
    service_free(f->service);
    loop_done(&f->loop);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void wake(Fixture *f, Answer *a, uint32_t dead_epoch)
{
    Waiter *w;
    assert_int_equal(service_wake(f->service, dead_epoch, "GET blog/", on_done, a, &w), 0);
}

static void bring_online(Fixture *f)
{
    Answer a = {};
    begin(f);
    wake(f, &a, 0);
    RUN_UNTIL(f->loop.event, a.n == 1);
    assert_true(a.online);
}

/* What the file in the service's folder holds, counted in lines. */
static unsigned lines(Fixture *f, const char *name)
{
    char path[64];
    unsigned n = 0;

    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *file = fopen(path, "r");
    for (int c; file && (c = fgetc(file)) != EOF;)
        n += c == '\n';
    if (file)
        fclose(file);
    return n;
}

/* The next start has to say again that it is ready. */
static void unready(Fixture *f)
{
    char path[64];

    snprintf(path, sizeof path, "%s/ready", f->dir);
    assert_int_equal(unlink(path), 0);
}

static void a_thousand_who_wait_get_one_start_and_answers_in_their_order(void **state)
{
    Fixture *f = *state;
    static Answer a[1000];

    memset(a, 0, sizeof a);
    begin(f);
    for (size_t i = 0; i < ELEMENTSOF(a); i++)
        wake(f, &a[i], 0);
    RUN_UNTIL(f->loop.event, n_answers == ELEMENTSOF(a));
    for (size_t i = 0; i < ELEMENTSOF(a); i++) {
        assert_true(a[i].online);
        assert_int_equal(a[i].order, i + 1);
    }
    assert_int_equal(lines(f, "starts"), 1);
    assert_int_equal(f->seen[SERVICE_STARTING], 1);
}

static void who_cancelled_hears_nothing(void **state)
{
    Fixture *f = *state;
    Answer stays = {}, leaves = {};
    Waiter *w;

    begin(f);
    wake(f, &stays, 0);
    assert_int_equal(service_wake(f->service, 0, "x", on_done, &leaves, &w), 0);
    service_waiter_cancel(w);
    RUN_UNTIL(f->loop.event, stays.n == 1);
    assert_int_equal(leaves.n, 0);
}

static void a_failed_start_is_told_to_all_and_not_tried_again_at_once(void **state)
{
    Fixture *f = *state;
    Answer first = {}, later = {};

    strcpy(f->start, "echo x >>starts; exit 3");
    strcpy(f->health, "false");
    begin(f);
    wake(f, &first, 0);
    RUN_UNTIL(f->loop.event, first.n == 1);
    assert_false(first.online);
    assert_non_null(strstr(first.why, "blog could not be started: exited with status 3"));
    assert_true(first.retry_after >= 1);
    assert_int_equal(service_state(f->service), SERVICE_FAILED);
    wake(f, &later, 0);
    assert_int_equal(later.n, 1);
    assert_string_equal(later.why, first.why);
    assert_int_equal(lines(f, "starts"), 1);
    /* After the back-off it may be. */
    RUN_UNTIL(f->loop.event, service_state(f->service) == SERVICE_OFFLINE);
    wake(f, &later, 0);
    RUN_UNTIL(f->loop.event, later.n == 2);
    assert_int_equal(lines(f, "starts"), 2);
    assert_true(later.retry_after >= 2); /* and the next pause is longer */
}

static void what_never_gets_ready_is_stopped_and_says_what_it_met(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    f->config.start_timeout = 50 * USEC_PER_MSEC;
    strcpy(f->start, "exec sleep 1000");
    begin(f);
    wake(f, &a, 0);
    RUN_UNTIL(f->loop.event, a.n == 1);
    assert_false(a.online);
    assert_non_null(strstr(a.why, "blog did not become ready within 50ms: "));
    RUN_UNTIL(f->loop.event, service_state(f->service) == SERVICE_FAILED);
}

static void an_idle_service_is_stopped(void **state)
{
    Fixture *f = *state;

    f->config.idle_timeout = 30 * USEC_PER_MSEC;
    bring_online(f);
    usec_t online = now_monotonic();
    RUN_UNTIL(f->loop.event, service_state(f->service) == SERVICE_OFFLINE);
    assert_true(now_monotonic() - online >= 25 * USEC_PER_MSEC);
}

static void an_open_exchange_keeps_it_awake_and_its_end_starts_the_clock(void **state)
{
    Fixture *f = *state;

    f->config.idle_timeout = 20 * USEC_PER_MSEC;
    f->active = 1;
    bring_online(f);
    RUN_UNTIL(f->loop.event, f->watched);
    /* Nothing is asked again and again meanwhile: the loop has nothing to do. */
    assert_int_equal(sd_event_run(f->loop.event, 100 * USEC_PER_MSEC), 0);
    assert_int_equal(service_state(f->service), SERVICE_ONLINE);
    f->active = 0;
    f->last_activity = now_monotonic();
    service_activity_changed(f->service);
    assert_false(f->watched);
    RUN_UNTIL(f->loop.event, service_state(f->service) == SERVICE_OFFLINE);
    assert_true(now_monotonic() - f->last_activity >= 20 * USEC_PER_MSEC);
}

static void come_at_the_last_moment(Fixture *f)
{
    f->at_stopping = NULL;
    f->active = 1;
}

static void a_request_at_the_last_moment_stops_the_stop(void **state)
{
    Fixture *f = *state;

    f->config.idle_timeout = 10 * USEC_PER_MSEC;
    f->at_stopping = come_at_the_last_moment;
    bring_online(f);
    uint32_t epoch = service_epoch(f->service);
    RUN_UNTIL(f->loop.event, f->seen[SERVICE_ONLINE] == 2);
    assert_int_equal(service_state(f->service), SERVICE_ONLINE);
    assert_int_equal(service_epoch(f->service), epoch);
    assert_int_equal(lines(f, "starts"), 1);
    f->active = 0;
    service_activity_changed(f->service);
}

static void a_wake_while_stopping_starts_it_again_afterwards(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    bring_online(f);
    assert_int_equal(service_stop(f->service, "test"), 0);
    assert_int_equal(service_state(f->service), SERVICE_STOPPING);
    unready(f);
    wake(f, &a, 0);
    assert_int_equal(a.n, 0);
    RUN_UNTIL(f->loop.event, a.n == 1);
    assert_true(a.online);
    assert_int_equal(a.epoch, 2);
    assert_int_equal(lines(f, "starts"), 2);
}

static void a_service_that_dies_is_offline_at_once_and_starts_again(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    strcpy(f->start, "echo x >>starts; echo $$ >pid; touch ready; exec sleep 1000");
    bring_online(f);
    char command[64];
    snprintf(command, sizeof command, "kill -9 $(cat %s/pid)", f->dir);
    assert_int_equal(system(command), 0);
    RUN_UNTIL(f->loop.event, service_state(f->service) == SERVICE_OFFLINE);
    unready(f);
    wake(f, &a, 0);
    RUN_UNTIL(f->loop.event, a.n == 1);
    assert_true(a.online);
    assert_int_equal(lines(f, "starts"), 2);
}

static void a_refused_connection_has_it_looked_at_and_only_once(void **state)
{
    Fixture *f = *state;
    Answer dead = {}, stale = {};

    bring_online(f);
    wake(f, &dead, 1);
    assert_int_equal(service_state(f->service), SERVICE_STARTING);
    RUN_UNTIL(f->loop.event, dead.n == 1);
    assert_true(dead.online);
    assert_int_equal(dead.epoch, 2);
    assert_int_equal(lines(f, "starts"), 1); /* it was alive and ready */
    wake(f, &stale, 1);
    assert_int_equal(stale.n, 1); /* of an epoch that is over */
    assert_int_equal(stale.epoch, 2);
}

static void what_check_finds_running_is_adopted(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    strcpy(f->check, "true");
    f->config.check_command = f->check;
    strcpy(f->stop, "echo x >>stops");
    f->config.stop_command = f->stop;
    begin(f);
    assert_int_equal(service_recover(f->service), 0);
    wake(f, &a, 0); /* waits for what is found */
    RUN_UNTIL(f->loop.event, a.n == 1);
    assert_true(a.online);
    assert_int_equal(lines(f, "starts"), 0);
    assert_int_equal(service_stop(f->service, "test"), 0);
    RUN_UNTIL(f->loop.event, service_state(f->service) == SERVICE_OFFLINE);
    assert_int_equal(lines(f, "stops"), 1);
}

static void what_is_only_proxied_is_always_online(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    f->config.kind = SERVICE_PROXY_ONLY;
    begin(f);
    wake(f, &a, 1);
    assert_int_equal(a.n, 1);
    assert_true(a.online);
    assert_int_equal(service_stop(f->service, "test"), 0);
    assert_int_equal(service_state(f->service), SERVICE_ONLINE);
}

static void a_unit_is_refused_with_a_sentence(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    f->config.kind = SERVICE_UNIT;
    f->config.unit = (char *) "blog.service";
    begin(f);
    wake(f, &a, 0);
    assert_int_equal(a.n, 1);
    assert_false(a.online);
    assert_non_null(strstr(a.why, "unit"));
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            TEST(a_thousand_who_wait_get_one_start_and_answers_in_their_order),
            TEST(who_cancelled_hears_nothing),
            TEST(a_failed_start_is_told_to_all_and_not_tried_again_at_once),
            TEST(what_never_gets_ready_is_stopped_and_says_what_it_met),
            TEST(an_idle_service_is_stopped),
            TEST(an_open_exchange_keeps_it_awake_and_its_end_starts_the_clock),
            TEST(a_request_at_the_last_moment_stops_the_stop),
            TEST(a_wake_while_stopping_starts_it_again_afterwards),
            TEST(a_service_that_dies_is_offline_at_once_and_starts_again),
            TEST(a_refused_connection_has_it_looked_at_and_only_once),
            TEST(what_check_finds_running_is_adopted),
            TEST(what_is_only_proxied_is_always_online),
            TEST(a_unit_is_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
