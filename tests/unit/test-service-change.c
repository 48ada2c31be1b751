/* SPDX-License-Identifier: ISC */

/* Another definition, in every state that a service can be in when it comes. */

#include "tests/unit/test.h"

#include "tests/unit/service-fakes.h"

/* The definition that it has now with something changed; the references are the test's for good. */
static ServiceConfig configs[8];
static size_t n_configs;

static ServiceConfig *changed(Fixture *f)
{
    ServiceConfig *c = &configs[n_configs++ % ELEMENTSOF(configs)];

    *c = *service_config(f->service);
    c->n_ref = 1;
    return c;
}

static ServiceConfig *started_otherwise(Fixture *f)
{
    ServiceConfig *c = changed(f);
    c->start_command = (char *) "other";
    return c;
}

static void is_checked(bool running)
{
    backend.events->checked(&backend, running, backend.userdata);
}

static void one_that_is_offline_is_the_new_one_at_once(void **state)
{
    Fixture *f = *state;
    ServiceConfig *new = started_otherwise(f);

    service_reconfigure(f->service, new);
    assert_ptr_equal(service_config(f->service), new);
    assert_ptr_equal(backend_config, new);
    assert_int_equal(backend.checks, 1); /* does that run already? */
    assert_true(service_is_recovering(f->service));
    is_checked(false);
    bring_online(f);
}

static void one_that_runs_as_defined_now_is_adopted(void **state)
{
    Fixture *f = *state;

    service_reconfigure(f->service, started_otherwise(f));
    is_checked(true);
    assert_state(f, SERVICE_ONLINE);
}

static void one_that_runs_goes_on_and_is_stopped_as_it_was_started(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    bring_online(f);
    const ServiceConfig *old = backend_config;
    ServiceConfig *new = started_otherwise(f);
    service_reconfigure(f->service, new);
    assert_state(f, SERVICE_ONLINE);
    assert_ptr_equal(backend_config, old);
    assert_int_equal(backend.stops, 0);

    service_stop(f->service, "by hand");
    assert_ptr_equal(backend_config, old);
    assert_int_equal(backend.stops, 1);
    has_stopped();
    assert_ptr_equal(backend_config, new);
    is_checked(false);
    assert_state(f, SERVICE_OFFLINE);
    wake(f, &a, 0);
    assert_int_equal(backend.starts, 1);
    becomes_ready();
    assert_true(a.online);
}

static void times_count_at_once(void **state)
{
    Fixture *f = *state;
    ServiceConfig *new;

    bring_online(f);
    new = changed(f);
    new->idle_timeout = 1000;
    service_reconfigure(f->service, new);
    while (service_state(f->service) == SERVICE_ONLINE)
        assert_true(sd_event_run(f->loop.event, UINT64_MAX) >= 0);
    assert_int_equal(backend.stops, 1);
    has_stopped();
    assert_int_equal(backend.checks, 0); /* it is the same one */

    bring_online(f);
    new = changed(f);
    new->idle_timeout = USEC_INFINITY;
    service_reconfigure(f->service, new);
    for (int i = 0; i < 20; i++)
        assert_true(sd_event_run(f->loop.event, 1000) >= 0);
    assert_state(f, SERVICE_ONLINE);
}

static void one_that_does_not_listen_where_it_is_expected_now_is_exchanged(void **state)
{
    Fixture *f = *state;
    Answer dead = {};

    bring_online(f);
    ServiceConfig *new = started_otherwise(f);
    service_reconfigure(f->service, new);
    wake(f, &dead, 1);
    assert_state(f, SERVICE_STOPPING);
    has_stopped();
    assert_ptr_equal(backend_config, new);
    is_checked(false);
    assert_state(f, SERVICE_STARTING);
    becomes_ready();
    assert_true(dead.online);
    assert_int_equal(dead.epoch, 2);
}

static void a_start_begins_anew_and_who_waits_goes_on_waiting(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    wake(f, &a, 0);
    ServiceConfig *new = started_otherwise(f);
    service_reconfigure(f->service, new);
    assert_state(f, SERVICE_STOPPING);
    has_stopped();
    is_checked(false);
    assert_ptr_equal(backend_config, new);
    becomes_ready();
    assert_true(a.online);
}

static void another_definition_is_another_attempt(void **state)
{
    Fixture *f = *state;
    Answer a = {}, b = {};

    wake(f, &a, 0);
    fails_to_start();
    assert_state(f, SERVICE_FAILED);
    ServiceConfig *routes = changed(f);
    routes->idle_timeout = 1000000;
    service_reconfigure(f->service, routes); /* nothing that could matter */
    assert_state(f, SERVICE_FAILED);
    service_reconfigure(f->service, started_otherwise(f));
    assert_state(f, SERVICE_OFFLINE);
    wake(f, &b, 0);
    is_checked(false);
    becomes_ready();
    assert_true(b.online);
}

static void back_and_forth_is_no_change(void **state)
{
    Fixture *f = *state;

    bring_online(f);
    ServiceConfig *old = changed(f);
    service_reconfigure(f->service, started_otherwise(f));
    service_reconfigure(f->service, old);
    service_stop(f->service, "by hand");
    has_stopped();
    assert_int_equal(backend.checks, 0);
    bring_online(f);
}

static void one_that_is_proxied_only_from_now_on_is_stopped_first(void **state)
{
    Fixture *f = *state;
    ServiceConfig *proxied = changed(f), *again;

    bring_online(f);
    proxied->kind = SERVICE_PROXY_ONLY;
    service_reconfigure(f->service, proxied);
    assert_true(service_is_managed(f->service));
    service_stop(f->service, "by hand");
    assert_int_equal(backend.stops, 1);
    has_stopped();
    assert_state(f, SERVICE_ONLINE);
    assert_false(service_is_managed(f->service));

    again = changed(f);
    again->kind = SERVICE_COMMANDS;
    service_reconfigure(f->service, again);
    assert_state(f, SERVICE_OFFLINE);
    is_checked(false);
    bring_online(f);
}

static void one_that_is_removed_stops_when_nothing_is_in_flight(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    bring_online(f);
    f->activity = (ServiceActivity){.active = 2, .in_flight = 1};
    service_remove(f->service);
    assert_state(f, SERVICE_STOPPING);
    assert_int_equal(backend.stops, 0);
    wake(f, &a, 0);
    assert_int_equal(a.n, 1);
    assert_false(a.online);
    assert_string_equal(a.why, "This service is not configured any more.");
    assert_false(service_is_gone(f->service));
    f->activity.in_flight = 0;
    service_activity_changed(f->service);
    assert_int_equal(backend.stops, 1);
    has_stopped();
    assert_true(service_is_gone(f->service));
}

static void one_that_comes_back_before_its_end_goes_on(void **state)
{
    Fixture *f = *state;
    ServiceConfig *same = changed(f);
    Answer a = {};

    bring_online(f);
    f->activity = (ServiceActivity){.active = 1, .in_flight = 1};
    service_remove(f->service);
    service_reconfigure(f->service, same);
    assert_state(f, SERVICE_ONLINE);
    assert_int_equal(backend.stops, 0);
    wake(f, &a, 0);
    assert_true(a.online);
    assert_int_equal(a.epoch, 1);
}

static void one_that_comes_back_at_its_end_is_started_again(void **state)
{
    Fixture *f = *state;
    ServiceConfig *same = changed(f);
    Answer a = {};

    bring_online(f);
    service_remove(f->service);
    assert_int_equal(backend.stops, 1);
    service_reconfigure(f->service, same);
    wake(f, &a, 0);
    assert_int_equal(a.n, 0);
    has_stopped();
    assert_false(service_is_gone(f->service));
    becomes_ready();
    assert_true(a.online);
}

static void who_waits_for_one_that_is_removed_is_told(void **state)
{
    Fixture *f = *state;
    Answer a = {};

    wake(f, &a, 0);
    service_remove(f->service);
    assert_int_equal(a.n, 1);
    assert_false(a.online);
    assert_string_equal(a.why, "This service is not configured any more.");
    assert_int_equal(backend.stops, 1);
    has_stopped();
    assert_true(service_is_gone(f->service));
}

static void one_that_sleeps_is_gone_at_once(void **state)
{
    Fixture *f = *state;

    service_remove(f->service);
    assert_true(service_is_gone(f->service));
    assert_int_equal(backend.stops, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            T(one_that_is_offline_is_the_new_one_at_once),
            T(one_that_runs_as_defined_now_is_adopted),
            T(one_that_runs_goes_on_and_is_stopped_as_it_was_started),
            T(times_count_at_once),
            T(one_that_does_not_listen_where_it_is_expected_now_is_exchanged),
            T(a_start_begins_anew_and_who_waits_goes_on_waiting),
            T(another_definition_is_another_attempt),
            T(back_and_forth_is_no_change),
            T(one_that_is_proxied_only_from_now_on_is_stopped_first),
            T(one_that_is_removed_stops_when_nothing_is_in_flight),
            T(one_that_comes_back_before_its_end_goes_on),
            T(one_that_comes_back_at_its_end_is_started_again),
            T(who_waits_for_one_that_is_removed_is_told),
            T(one_that_sleeps_is_gone_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
