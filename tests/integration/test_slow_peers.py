# SPDX-License-Identifier: ISC
"""Thousands of clients that are as slow as they can: each is closed when its time is up, however busy it seems, and a
normal client is served all the while."""

import socket
import time

import pytest
from harness import process, wait_for
from harness.gateway import sanitized
from slow_peers import Crowd, Fountain

pytestmark = pytest.mark.standalone_only("what limits a connection is the same program")

N = 300 if sanitized() else 2000
LIMIT = 3.0  # seconds
LIMITS = {"requestHeadTimeout": "3s", "requestBodyTimeout": "3s", "requestBodyIdleTimeout": "1min", "clientWriteTimeout": "3s"}
GET = "GET / HTTP/1.1\r\nHost: slow.localhost\r\n\r\n"


@pytest.fixture
def fountain():
    f = Fountain()
    yield f
    f.listener.close()


def make(site, fountain, **limits):
    return site.gateway(files={"slow.json": fountain.config}, config={"limits": {**LIMITS, **limits}}, soft_fd_limit=16384)


def ask(connection):
    connection.send(GET)
    r = connection.reply()
    assert (r.status, r.text) == (200, "ok")


@pytest.mark.parametrize("kind", ["slow head", "slow body", "slow read"])
def test_thousands_of_slow_clients_are_closed_in_time_and_a_normal_one_is_served(site, fountain, kind):
    gw = make(site, fountain)
    crowd = Crowd(gw.address, kind, N, LIMIT / 3)
    try:
        # Both on a connection of its own for each request, and on one: its own time must not run out meanwhile.
        deadline, n = time.monotonic() + 60, 0
        while not crowd.over:
            assert time.monotonic() < deadline, f"{N - len(crowd.lives)} of {N} are still open"
            with gw.raw() as c:
                ask(c)
                ask(c)
            n += 1
            time.sleep(0.01)
        assert crowd.connected == N, "all of them came in"
        assert n > 10, "the normal client was served beside them"
        assert min(crowd.lives) > 0.9 * LIMIT, "none is closed before its time"
    finally:
        crowd.stop()
    # What they have asked for ends with them: a service's connection that is kept for the next one is all that may be left.
    wait_for(lambda: fountain.open <= 1, "the exchanges with the service are over", 30)


def test_a_client_that_has_ended_its_side_and_does_not_read_costs_nothing_until_its_time_is_up(site, fountain):
    gw = make(site, fountain)
    pid = gw.workers()[0]
    with gw.raw(receive_buffer=4096) as c:
        c.send(GET.replace("GET /", "GET /large"))
        wait_for(lambda: process.unsent(gw.port) > 100_000, "its answer waits for it")
        c.socket.shutdown(socket.SHUT_WR)
        with gw.raw() as other:
            ask(other)  # so that the end has been noticed
            before = process.wanted_seconds(pid)
            assert other.silent(1)
            assert process.wanted_seconds(pid) - before < 0.5, "it spins"
        wait_for(lambda: c.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "it is reset at its deadline", 30)


def test_slow_clients_of_one_address_get_no_more_than_their_share(site, fountain):
    gw = make(site, fountain, maxConnectionsPerAddress=50, requestHeadTimeout="1min")
    crowd = Crowd(gw.address, "slow head", 200, LIMIT / 3, sources=lambda i: "127.9.9.9")
    try:
        wait_for(lambda: len(crowd.lives) == 150, "who is over the limit is turned away", 30)
        with gw.raw() as c:
            ask(c)
        assert len(crowd.lives) == 150, "and who is not has its time"
    finally:
        crowd.stop()


def test_when_slow_clients_hold_all_places_others_get_theirs_at_the_deadline(site, fountain):
    gw = make(site, fountain, maxConnections=100)
    with gw.raw() as kept:
        ask(kept)
        crowd = Crowd(gw.address, "slow head", 300, LIMIT / 3)
        try:
            gw.wait_log("limits.maxConnections is reached")
            for _ in range(10):
                ask(kept)
            with gw.raw(timeout=60) as c:  # in the queue behind them
                ask(c)
            wait_for(lambda: crowd.over, "all are served or closed", 60)
        finally:
            crowd.stop()


def test_when_slow_clients_hold_all_descriptors_accepting_pauses_without_a_spin_and_goes_on_by_itself(site, fountain):
    gw = site.gateway(files={"slow.json": fountain.config}, config={"limits": LIMITS}, soft_fd_limit=16384)
    pid = gw.workers()[0]
    with gw.raw() as kept:
        ask(kept)
        process.limit_descriptors(pid, 40)
        crowd = Crowd(gw.address, "slow head", 200, LIMIT / 3)
        try:
            gw.wait_log("Not accepting connections for now")
            began, busy = time.monotonic(), process.cpu_seconds(pid)
            with gw.raw(timeout=60) as c:  # nobody helps: only the deadlines of those before it do
                ask(c)
            share = (process.cpu_seconds(pid) - busy) / (time.monotonic() - began)
            assert share < 0.5, "it spins"
            ask(kept)
            wait_for(lambda: crowd.over, "all are closed", 90)
        finally:
            crowd.stop()
