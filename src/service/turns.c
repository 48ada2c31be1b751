/* SPDX-License-Identifier: ISC */

/* Turns come one a turn of the loop, never out of turns_end(): a thousand starts that fail at once must not
 * be a thousand calls deep, nor keep the loop from everything else. Invariants: n_taken counts who has one;
 * nobody who comes is let in before those who wait; the source is enabled if and only if somebody waits and
 * may come in. */

#include "service/turns.h"

static bool has_room(const Turns *t)
{
    return t->limit == 0 || t->n_taken < t->limit;
}

static void go_on(Turns *t)
{
    (void) sd_event_source_set_enabled(t->source, t->head && has_room(t) ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void leave_queue(Turns *t, Turn *turn)
{
    *(turn->prev ? &turn->prev->next : &t->head) = turn->next;
    *(turn->next ? &turn->next->prev : &t->tail) = turn->prev;
    turn->prev = turn->next = NULL;
}

static void take(Turns *t, Turn *turn)
{
    turn->state = TURN_TAKEN;
    t->n_taken++;
}

static int on_turn(sd_event_source *source, void *userdata)
{
    Turns *t = userdata;
    Turn *turn = t->head;

    if (turn && has_room(t)) {
        leave_queue(t, turn);
        take(t, turn);
        turn->came(turn);
    }
    go_on(t);
    return 0;
}

int turns_init(Turns *t, sd_event *event, unsigned limit)
{
    *t = (Turns){.limit = limit};
    int r = sd_event_add_defer(event, &t->source, on_turn, t);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(t->source, "turns");
    go_on(t);
    return 0;
}

void turns_done(Turns *t)
{
    assert(!t->head && t->n_taken == 0);
    t->source = sd_event_source_disable_unref(t->source);
}

void turns_set_limit(Turns *t, unsigned limit)
{
    t->limit = limit;
    go_on(t);
}

bool turns_ask(Turns *t, Turn *turn)
{
    if (!t)
        return true;
    assert(turn->state == TURN_NONE);
    if (!t->head && has_room(t)) {
        take(t, turn);
        return true;
    }
    turn->state = TURN_AWAITED;
    turn->prev = t->tail;
    *(t->tail ? &t->tail->next : &t->head) = turn;
    t->tail = turn;
    go_on(t);
    return false;
}

void turns_end(Turns *t, Turn *turn)
{
    if (turn->state == TURN_NONE)
        return;
    if (turn->state == TURN_AWAITED)
        leave_queue(t, turn);
    else
        t->n_taken--;
    turn->state = TURN_NONE;
    go_on(t);
}
