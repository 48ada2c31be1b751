/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include "service/turns.h"
#include "tests/unit/loop.h"

#define N 1000

typedef struct Starter {
    Turn turn;
    unsigned order; /* when its turn came; 0: it has not */
    bool ends_at_once;
} Starter;

static Turns turns;
static unsigned n_came, n_at_once;
static Starter starters[N];

static void came(Turn *t)
{
    Starter *s = container_of(t, Starter, turn);

    assert_int_equal(t->state, TURN_TAKEN);
    assert_true(turns.limit == 0 || turns.n_taken <= turns.limit);
    s->order = ++n_came;
    if (s->ends_at_once)
        turns_end(&turns, t);
}

static Loop begin(unsigned limit)
{
    Loop l = loop_new();

    assert_int_equal(turns_init(&turns, l.event, limit), 0);
    n_came = n_at_once = 0;
    for (size_t i = 0; i < N; i++)
        starters[i] = (Starter){.turn.came = came};
    return l;
}

static void ask(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        n_at_once += turns_ask(&turns, &starters[i].turn);
}

static void finish(Loop *l)
{
    for (size_t i = 0; i < N; i++)
        turns_end(&turns, &starters[i].turn);
    turns_done(&turns);
    loop_done(l);
}

static void run_out(Loop *l)
{
    while (sd_event_run(l->event, 0) > 0)
        continue;
}

static void so_many_have_theirs_at_once_and_the_rest_in_order(void **state)
{
    Loop l = begin(3);

    ask(0, 10);
    assert_int_equal(n_at_once, 3);
    run_out(&l);
    assert_int_equal(n_came, 0);
    for (size_t i = 0; i < 7; i++) {
        turns_end(&turns, &starters[i].turn);
        run_out(&l);
        assert_int_equal(n_came, i + 1);
        assert_int_equal(starters[3 + i].order, i + 1);
    }
    assert_int_equal(turns.n_taken, 3);
    finish(&l);
}

static void nobody_overtakes_who_waits(void **state)
{
    Loop l = begin(1);

    ask(0, 2);
    turns_end(&turns, &starters[0].turn);
    ask(2, 3); /* there is room, and it is somebody else's */
    assert_int_equal(n_at_once, 1);
    run_out(&l);
    assert_int_equal(starters[1].order, 1);
    assert_int_equal(starters[2].order, 0);
    finish(&l);
}

static void who_gives_up_waiting_holds_nobody_up(void **state)
{
    Loop l = begin(1);

    ask(0, 4);
    turns_end(&turns, &starters[1].turn); /* the first, and the last */
    turns_end(&turns, &starters[3].turn);
    turns_end(&turns, &starters[0].turn);
    run_out(&l);
    assert_int_equal(n_came, 1);
    assert_int_equal(starters[2].order, 1);
    turns_end(&turns, &starters[2].turn);
    turns_end(&turns, &starters[2].turn); /* once more is nothing */
    assert_int_equal(turns.n_taken, 0);
    ask(1, 2);
    assert_int_equal(n_at_once, 2);
    finish(&l);
}

static void a_thousand_that_end_at_once_are_let_in_one_a_turn_of_the_loop(void **state)
{
    Loop l = begin(1);

    ask(0, N);
    for (size_t i = 0; i < N; i++)
        starters[i].ends_at_once = true;
    turns_end(&turns, &starters[0].turn);
    assert_int_equal(n_came, 0);
    for (size_t i = 1; i < N; i++) {
        RUN_UNTIL(l.event, n_came >= i);
        assert_int_equal(n_came, i);
    }
    assert_int_equal(sd_event_run(l.event, 0), 0); /* and then there is peace */
    finish(&l);
}

static void without_a_limit_nobody_waits(void **state)
{
    Turn alone = {.came = came};
    Loop l = begin(0);

    ask(0, N);
    assert_int_equal(n_at_once, N);
    assert_true(turns_ask(NULL, &alone));
    turns_end(NULL, &alone);
    finish(&l);
}

static void another_limit_counts_from_then_on(void **state)
{
    Loop l = begin(2);

    ask(0, 10);
    turns_set_limit(&turns, 1);
    turns_end(&turns, &starters[0].turn);
    run_out(&l);
    assert_int_equal(n_came, 0);
    turns_set_limit(&turns, 5);
    run_out(&l);
    assert_int_equal(n_came, 4);
    turns_set_limit(&turns, 0);
    run_out(&l);
    assert_int_equal(n_came, 8);
    finish(&l);
}

int main(void)
{
#define TEST(t) cmocka_unit_test(t)
    const struct CMUnitTest tests[] = {
            TEST(so_many_have_theirs_at_once_and_the_rest_in_order),
            TEST(nobody_overtakes_who_waits),
            TEST(who_gives_up_waiting_holds_nobody_up),
            TEST(a_thousand_that_end_at_once_are_let_in_one_a_turn_of_the_loop),
            TEST(without_a_limit_nobody_waits),
            TEST(another_limit_counts_from_then_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
