/* SPDX-License-Identifier: ISC */

/* Tunnels on a real loop. Where nothing breaks they are between unix sockets, on which a byte is either with
 * one side or with the other: what stands still there stands still for good. */

#include "tests/unit/tunnel-fixture.h"

#define SPAN (30 * USEC_PER_MSEC)
#define MUCH (8U * 1024 * 1024)

/* How a test's tunnel differs from a silent one without limits. */
typedef struct Wish {
    const char *to_upstream, *to_client;
    size_t at_to_client;
    usec_t nap; /* 0: never */
} Wish;

typedef struct Sides {
    TunnelFixture *f;
    End client, service;
} Sides;

static void on_ready(void *owner, Upstream *u, uint32_t events)
{
}

static void on_failed(void *owner, Upstream *u, int error)
{
    fail_msg("%s", strerror(error));
}

static const UpstreamOwner connecting = {.ready = on_ready, .failed = on_failed};

/* A client as client_accept() makes one, which nobody else has. */
static Client *client_new(Proxy *p, int fd)
{
    Client *c = slab_alloc(&p->clients.memory);

    assert_non_null(c);
    *c = (Client){.proxy = p, .watch.fd = -EBADF, .tap.fd = -EBADF, .heir = -EBADF, .fd = fd};
    clients_add(&p->clients, c);
    return c;
}

static Sides sides_new(bool network, const Wish *wish)
{
    Sides s = {.f = tunnel_fixture_new(network)};
    Proxy *p = s.f->p;
    SocketAddress address;
    Ticket ticket = {};
    Upstream *u = NULL;
    int fds[2];

    if (network)
        s.client = client_of_network(s.f, &fds[1], &address);
    else {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        s.client = end_of(s.f, fds[0]);
    }
    ticket_open(&ticket, gates_get(p->gates, SERVICE_OPEN), NULL);
    assert_int_equal(upstream_acquire(p->upstreams, 0, true, &connecting, NULL, &u), 0);
    upstream_give(u, &connecting, &s);
    RUN_UNTIL(p->event, upstream_is_connected(u));
    s.service = service_accept(s.f);
    TunnelEnds ends = {.client = client_new(p, fds[1]),
            .fd = fds[1],
            .upstream = u,
            .ticket = &ticket,
            .to_upstream = wish->to_upstream,
            .n_to_upstream = wish->to_upstream ? strlen(wish->to_upstream) : 0,
            .to_client = wish->to_client ? strdup(wish->to_client) : NULL,
            .at_to_client = wish->at_to_client,
            .n_to_client = wish->to_client ? strlen(wish->to_client) : 0,
            .nap = wish->nap ?: USEC_INFINITY};
    assert_int_equal(tunnel_new(p, &ends), 0);
    assert_int_equal(ticket.state, TICKET_NONE);
    return s;
}

static void sides_done(Sides *s)
{
    end_close(&s->client);
    end_close(&s->service);
    tunnel_fixture_free(s->f);
}

static bool is_over(const Sides *s)
{
    return !s->f->p->tunnels.all;
}

/* Runs the loop until nothing is left of the tunnel that somebody might pay for. */
static void expect_end(Sides *s)
{
    RUN_UNTIL(s->f->p->event, is_over(s));
    assert_int_equal(s->f->p->tunnels.n, 0);
    assert_int_equal(s->f->p->clients.n, 0);
    assert_int_equal(service_active(s->f, SERVICE_OPEN), 0);
    assert_int_equal(gates_n_open(s->f->p->gates), 0);
}

/* Bytes on their way, each of which says where it belongs. */
typedef struct Stream {
    const End *from, *to;
    size_t total, sent, received;
} Stream;

static uint8_t byte_at(size_t i)
{
    return (uint8_t) (i ^ (i >> 8) * 31 ^ (i >> 16) * 17);
}

/* Sends as much as is taken. */
static void stream_offer(Stream *s)
{
    uint8_t buf[8192];

    while (s->sent < s->total) {
        size_t n = MIN(sizeof buf, s->total - s->sent);
        for (size_t i = 0; i < n; i++)
            buf[i] = byte_at(s->sent + i);
        ssize_t k = send(s->from->fd, buf, n, MSG_NOSIGNAL);
        if (k < 0) {
            assert_int_equal(errno, EAGAIN);
            return;
        }
        s->sent += (size_t) k;
    }
}

/* Takes what has come. True: that was the last, or nothing more can come. */
static bool stream_take(Stream *s)
{
    uint8_t buf[8192];

    while (s->received < s->total) {
        ssize_t n = recv(s->to->fd, buf, MIN(sizeof buf, s->total - s->received), 0);
        if (n < 0)
            assert_int_equal(errno, EAGAIN);
        if (n <= 0)
            return n == 0;
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] != byte_at(s->received + (size_t) i))
                fail_msg("byte %zu is another", s->received + (size_t) i);
        s->received += (size_t) n;
    }
    return true;
}

static bool stream_pump(Stream *s)
{
    stream_offer(s);
    return stream_take(s);
}

static bool streams_pump(Stream *a, Stream *b)
{
    bool done = stream_pump(a);
    return stream_pump(b) && done;
}

/* Offers until the loop has nothing to do and nothing more is taken. */
static void stream_fill(TunnelFixture *f, Stream *s)
{
    size_t before;

    do {
        before = s->sent;
        stream_offer(s);
        while (sd_event_run(f->p->event, 0) > 0)
            ;
    } while (s->sent > before);
}

static void bytes_go_both_ways_at_once_whole_and_in_order(void **state)
{
    for (int network = 0; network < 2; network++) {
        Sides s = sides_new(network, &(Wish){});
        Stream up = {.from = &s.client, .to = &s.service, .total = MUCH};
        Stream down = {.from = &s.service, .to = &s.client, .total = MUCH + 1};

        RUN_UNTIL(s.f->p->event, streams_pump(&up, &down));
        assert_int_equal(service_count(s.f, SERVICE_OPEN, COUNT_RECEIVED), MUCH);
        assert_int_equal(service_count(s.f, SERVICE_OPEN, COUNT_SENT), MUCH + 1);
        sides_done(&s);
    }
}

static void what_was_said_ahead_comes_first(void **state)
{
    Sides s = sides_new(false,
            &(Wish){.to_upstream = "asked early", .to_client = "HEAD answered early", .at_to_client = 5});

    end_say(&s.client, ", and now");
    end_say(&s.service, ", and now");
    end_expect(s.f, &s.service, "asked early, and now");
    end_expect(s.f, &s.client, "answered early, and now");
    sides_done(&s);
}

static void either_side_may_end_first_and_go_on_listening(void **state)
{
    for (int i = 0; i < 2; i++) {
        Sides s = sides_new(true, &(Wish){});
        End *first = i == 0 ? &s.client : &s.service, *second = i == 0 ? &s.service : &s.client;

        end_say(first, "the last word");
        assert_int_equal(shutdown(first->fd, SHUT_WR), 0);
        end_expect(s.f, second, "the last word");
        assert_false(end_is_reset(s.f, second));
        assert_false(is_over(&s));
        assert_int_equal(service_active(s.f, SERVICE_OPEN), 1);

        end_say(second, "heard");
        end_expect(s.f, first, "heard");
        end_close(second);
        assert_false(end_is_reset(s.f, first));
        expect_end(&s);
        sides_done(&s);
    }
}

static void a_side_that_does_not_read_stops_the_other(void **state)
{
    for (int i = 0; i < 2; i++) {
        Sides s = sides_new(false, &(Wish){});
        End *speaker = i == 0 ? &s.client : &s.service, *deaf = i == 0 ? &s.service : &s.client;
        Stream flood = {.from = speaker, .to = deaf, .total = MUCH};

        stream_fill(s.f, &flood);
        assert_true(flood.sent < MUCH / 4); /* two sockets' buffers, and one piece of ours */
        end_say(deaf, "wait");              /* the other way is not held up by it */
        end_expect(s.f, speaker, "wait");
        RUN_UNTIL(s.f->p->event, stream_pump(&flood));
        sides_done(&s);
    }
}

static void what_is_stuck_when_its_sender_ends_is_delivered_before_the_end(void **state)
{
    Sides s = sides_new(false, &(Wish){});
    Stream flood = {.from = &s.service, .to = &s.client, .total = MUCH};

    stream_fill(s.f, &flood);
    flood.total = flood.sent;
    end_close(&s.service);
    while (sd_event_run(s.f->p->event, 0) > 0)
        ;
    assert_false(is_over(&s));
    RUN_UNTIL(s.f->p->event, stream_take(&flood));
    assert_false(end_is_reset(s.f, &s.client));
    end_close(&s.client);
    expect_end(&s);
    sides_done(&s);
}

static void an_end_that_comes_while_bytes_are_stuck_is_not_forgotten(void **state)
{
    for (int i = 0; i < 2; i++) {
        Sides s = sides_new(false, &(Wish){});
        End *speaker = i == 0 ? &s.client : &s.service, *deaf = i == 0 ? &s.service : &s.client;
        Stream little = {.from = speaker, .to = deaf};

        /* In pieces, each of which the loop sees by itself, until one is left where it is. */
        do {
            little.total += 4096;
            stream_offer(&little);
            while (sd_event_run(s.f->p->event, 0) > 0)
                ;
        } while (little.sent == service_count(s.f, SERVICE_OPEN, i == 0 ? COUNT_RECEIVED : COUNT_SENT));
        little.total += 4096;
        stream_offer(&little);
        assert_int_equal(little.sent, little.total);
        end_close(speaker);
        while (sd_event_run(s.f->p->event, 0) > 0)
            ;
        RUN_UNTIL(s.f->p->event, stream_take(&little));
        assert_false(end_is_reset(s.f, deaf));
        end_close(deaf);
        expect_end(&s);
        sides_done(&s);
    }
}

static void a_side_that_breaks_breaks_the_other(void **state)
{
    for (int i = 0; i < 2; i++) {
        Sides s = sides_new(true, &(Wish){});
        End *broken = i == 0 ? &s.client : &s.service, *other = i == 0 ? &s.service : &s.client;

        end_say(broken, "before");
        end_expect(s.f, other, "before");
        end_break(broken);
        assert_true(end_is_reset(s.f, other));
        expect_end(&s);
        sides_done(&s);
    }
}

static void a_silent_one_may_have_a_limit_and_ends_in_order(void **state)
{
    Sides s = sides_new(true, &(Wish){});

    s.f->p->tunnels.idle.span = SPAN;
    s.f->p->tunnels.closing.span = PATIENCE;
    end_say(&s.client, "x"); /* from here on */
    usec_t began = now_monotonic();
    end_expect(s.f, &s.service, "x");
    assert_false(end_is_reset(s.f, &s.client));
    assert_false(end_is_reset(s.f, &s.service));
    assert_true(now_monotonic() - began >= SPAN);
    assert_false(is_over(&s)); /* they have their time to take note */
    end_close(&s.client);
    end_close(&s.service);
    expect_end(&s);
    sides_done(&s);
}

static void a_client_that_takes_nothing_is_given_up(void **state)
{
    Sides s = sides_new(false, &(Wish){});
    Stream flood = {.from = &s.service, .to = &s.client, .total = MUCH};

    s.f->p->tunnels.stuck.span = SPAN;
    stream_fill(s.f, &flood);
    expect_end(&s);
    assert_int_equal(send(s.service.fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    sides_done(&s);
}

static void a_service_that_takes_nothing_has_all_its_time(void **state)
{
    Sides s = sides_new(false, &(Wish){});
    Stream flood = {.from = &s.client, .to = &s.service, .total = MUCH};

    s.f->p->tunnels.stuck.span = SPAN;
    stream_fill(s.f, &flood);
    while (sd_event_run(s.f->p->event, 3 * SPAN) > 0)
        ;
    assert_false(is_over(&s));
    RUN_UNTIL(s.f->p->event, stream_pump(&flood));
    sides_done(&s);
}

static void one_that_is_ended_delivers_what_it_has(void **state)
{
    Sides s = sides_new(false, &(Wish){});
    Stream flood = {.from = &s.service, .to = &s.client, .total = MUCH};

    stream_fill(s.f, &flood);
    size_t before = service_count(s.f, SERVICE_OPEN, COUNT_SENT);
    s.f->p->tunnels.closing.span = PATIENCE;
    tunnels_end_all(&s.f->p->tunnels);
    assert_false(end_is_reset(s.f, &s.service)); /* which hears of it at once */
    RUN_UNTIL(s.f->p->event, stream_take(&flood));
    assert_true(flood.received > before); /* and then comes the end */
    assert_int_equal(flood.received, service_count(s.f, SERVICE_OPEN, COUNT_SENT));
    end_close(&s.client);
    end_close(&s.service);
    expect_end(&s);
    sides_done(&s);
}

static void one_that_is_ended_waits_for_its_sides_only_so_long(void **state)
{
    Sides s = sides_new(true, &(Wish){});

    s.f->p->tunnels.closing.span = SPAN;
    tunnels_end_all(&s.f->p->tunnels);
    assert_false(end_is_reset(s.f, &s.service));
    assert_false(end_is_reset(s.f, &s.client));
    expect_end(&s); /* though neither has closed */
    sides_done(&s);
}

static void one_that_rests_does_not_keep_its_service_awake_until_it_speaks_again(void **state)
{
    Sides s = sides_new(false, &(Wish){.nap = SPAN});

    assert_int_equal(service_active(s.f, SERVICE_OPEN), 1);
    for (int i = 0; i < 2; i++) {
        RUN_UNTIL(s.f->p->event, service_active(s.f, SERVICE_OPEN) == 0);
        assert_false(is_over(&s));
        end_say(&s.service, "still there");
        usec_t said = now_monotonic();
        end_expect(s.f, &s.client, "still there");
        if (now_monotonic() - said < SPAN) /* else it may rest already */
            assert_int_equal(service_active(s.f, SERVICE_OPEN), 1);
    }
    RUN_UNTIL(s.f->p->event, service_active(s.f, SERVICE_OPEN) == 0);
    end_close(&s.client);
    end_close(&s.service);
    expect_end(&s);
    sides_done(&s);
}

static void those_that_are_open_when_all_is_over_are_closed(void **state)
{
    Sides s = sides_new(false, &(Wish){});
    Stream flood = {.from = &s.service, .to = &s.client, .total = MUCH};

    stream_fill(s.f, &flood);
    tunnels_done(&s.f->p->tunnels);
    expect_end(&s);
    sides_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(bytes_go_both_ways_at_once_whole_and_in_order),
            cmocka_unit_test(what_was_said_ahead_comes_first),
            cmocka_unit_test(either_side_may_end_first_and_go_on_listening),
            cmocka_unit_test(a_side_that_does_not_read_stops_the_other),
            cmocka_unit_test(what_is_stuck_when_its_sender_ends_is_delivered_before_the_end),
            cmocka_unit_test(an_end_that_comes_while_bytes_are_stuck_is_not_forgotten),
            cmocka_unit_test(a_side_that_breaks_breaks_the_other),
            cmocka_unit_test(a_silent_one_may_have_a_limit_and_ends_in_order),
            cmocka_unit_test(a_client_that_takes_nothing_is_given_up),
            cmocka_unit_test(a_service_that_takes_nothing_has_all_its_time),
            cmocka_unit_test(one_that_is_ended_delivers_what_it_has),
            cmocka_unit_test(one_that_is_ended_waits_for_its_sides_only_so_long),
            cmocka_unit_test(one_that_rests_does_not_keep_its_service_awake_until_it_speaks_again),
            cmocka_unit_test(those_that_are_open_when_all_is_over_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
