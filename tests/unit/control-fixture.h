/* SPDX-License-Identifier: ISC */
#pragma once

/* Somebody who looks after the services of manager-fixture.h's manager, on a connection of their own. */

#include "tests/unit/manager-fixture.h"

/* Calls a method of the manager's interface without waiting. */
#define control_call(bus, c, method, ...)                                                                    \
    (*(c) = (Call){}, assert_true(sd_bus_call_method_async(bus, &(c)->slot, NULL, BUS_PATH,                  \
                                          BUS_MANAGER_INTERFACE, method, on_reply, c, __VA_ARGS__) >= 0))

static inline void expect_reply(Fixture *f, Call *c)
{
    run_until(f, c->reply);
    const sd_bus_error *e = sd_bus_message_get_error(c->reply);
    if (e)
        fail_msg("%s: %s", e->name, e->message ?: "");
}

/* Waits for the call's error; its message is to have `part` in it. */
static inline void expect_failure(Fixture *f, Call *c, const char *name, const char *part)
{
    run_until(f, c->reply);
    const sd_bus_error *e = sd_bus_message_get_error(c->reply);
    assert_non_null(e);
    assert_string_equal(e->name, name);
    if (!e->message || !strstr(e->message, part))
        fail_msg("\"%s\" has no \"%s\"", e->message ?: "", part);
    call_done(c);
}

/* Calls it and waits for its answer, which has nothing in it. */
#define control_do(f, bus, method, ...)                                                                      \
    ({                                                                                                       \
        Call _c;                                                                                             \
        control_call(bus, &_c, method, __VA_ARGS__);                                                         \
        expect_reply(f, &_c);                                                                                \
        call_done(&_c);                                                                                      \
    })

/* One property of a service; the caller unrefs what comes back and reads the rest. */
static inline sd_bus_message *get_property(
        Fixture *f, sd_bus *bus, const char *service, const char *property, const char *type)
{
    _cleanup_free_ char *path = NULL;
    Call c = {};

    assert_true(sd_bus_path_encode(BUS_SERVICES_PATH, service, &path) >= 0);
    assert_true(sd_bus_call_method_async(bus, &c.slot, NULL, path, "org.freedesktop.DBus.Properties", "Get",
                        on_reply, &c, "ss", BUS_SERVICE_INTERFACE, property) >= 0);
    expect_reply(f, &c);
    sd_bus_message *m = sd_bus_message_ref(c.reply);
    call_done(&c);
    assert_true(sd_bus_message_enter_container(m, 'v', type) > 0);
    return m;
}

static inline void assert_text(
        Fixture *f, sd_bus *bus, const char *service, const char *property, const char *expected)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = get_property(f, bus, service, property, "s");
    const char *s;
    assert_true(sd_bus_message_read(m, "s", &s) > 0);
    assert_string_equal(s, expected);
}

static inline uint64_t get_number(Fixture *f, sd_bus *bus, const char *service, const char *property)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = get_property(f, bus, service, property, "t");
    uint64_t n;
    assert_true(sd_bus_message_read(m, "t", &n) > 0);
    return n;
}
