# SPDX-License-Identifier: ISC
"""Restarts, kills and ends of dynapm itself while it is being asked."""

import random
import threading
import time

import pytest
from machine import UNITS, run

from harness import Raw
from harness.load import Load
from harness.process import wait_for

GATEWAY, MANAGER = "dynapm.service", "dynapm-manager.service"


@pytest.fixture
def warm(machine):
    """A service that is online and stays."""
    blog = machine.app(kind="exec", idleTimeout="never")
    machine.enable()
    assert machine.curl("blog").status == 200
    return blog


def load(machine, **kwargs):
    return Load(("127.0.0.1", machine.port), ["blog.localhost"], **{"kept": 3, "fresh": 3, "slow": 2, **kwargs})


def goes_on(asking, n=100):
    good = asking.good
    wait_for(lambda: asking.good >= good + n or not asking.running, "requests are served", 60)


@pytest.mark.parametrize("units", [[GATEWAY], [MANAGER], [GATEWAY, MANAGER]], ids=["gateway", "manager", "both"])
def test_a_restart_under_load_fails_no_request(machine, warm, units):
    with load(machine) as asking:
        for _ in range(5):
            goes_on(asking)
            machine.systemctl("restart", *units)
        goes_on(asking)
    assert asking.failures == []
    assert warm.starts == 1


def test_a_restart_lets_a_slow_answer_finish(machine):
    bulk = machine.app("bulk.py", kind="exec", name="bulk")
    machine.enable()
    assert machine.curl("bulk", "/download/1").status == 200
    with Raw(("127.0.0.1", machine.port), timeout=60, receive_buffer=65536) as c:
        c.send("GET /download/30 HTTP/1.1\r\nHost: bulk.localhost\r\n\r\n")
        wait_for(lambda: len(bulk.requests) == 2, "the service answers")
        stopping = threading.Thread(target=lambda: machine.systemctl("restart", GATEWAY))
        stopping.start()
        machine.wait_message("Shutting down: 1 connections open")
        assert machine.property(GATEWAY, "ActiveState") == "deactivating"
        reply = c.reply()
        stopping.join()
    assert reply.complete and len(reply.body) == 30 << 20
    assert machine.curl("bulk", "/download/1").status == 200
    assert bulk.starts == 1
    assert machine.journal("-u", GATEWAY, "-p", "err") == []


def test_a_killed_gateway_loses_only_what_is_in_flight(machine, warm):
    """Each of the clients has one request at a time."""
    kills = 3
    with load(machine) as asking:
        for _ in range(kills):
            goes_on(asking)
            run("systemctl", "kill", "-s", "KILL", GATEWAY)
        goes_on(asking)
    assert len(asking.failures) <= kills * len(asking.clients)
    assert not [f for f in asking.failures if "Refused" in f]
    assert warm.starts == 1


def test_a_killed_manager_is_not_noticed_by_warm_requests_and_cold_ones_are_served(machine, warm):
    wiki = machine.app(name="wiki", kind="exec", idleTimeout="50ms")
    machine.systemctl("restart", MANAGER)
    with load(machine) as asking:
        for _ in range(3):
            goes_on(asking)
            run("systemctl", "kill", "-s", "KILL", MANAGER)
            assert machine.curl("wiki").status == 200
    assert asking.failures == []
    assert warm.starts == 1 and wiki.starts >= 1


def test_when_nobody_asks_everything_ends_and_the_next_connection_starts_it(machine):
    for unit, program in ((GATEWAY, "/usr/bin/dynapm"), (MANAGER, "/usr/libexec/dynapm/dynapm-manager")):
        machine.configure_unit(unit, f"[Service]\nExecStart=\nExecStart={program} --exit-idle-time=300ms\nRestart=on-failure\n")
    blog = machine.app(kind="exec", idleTimeout="100ms")
    machine.enable()
    for starts in range(1, 4):
        assert machine.curl("blog").text == "hello from blog\n"
        assert blog.starts == starts
        for unit in (GATEWAY, MANAGER):
            machine.wait_active(unit, False)
            assert machine.property(unit, "Result") == "success" and machine.property(unit, "MainPID") == "0"
        assert machine.is_active("dynapm.socket") and machine.is_active("dynapm-manager.socket")


def test_a_crashing_program_never_fails_its_socket(machine, warm):
    for _ in range(12):
        run("systemctl", "kill", "-s", "ABRT", GATEWAY, check=False)
        assert wait_for(lambda: machine.curl("blog").status == 200, "it is served")
    assert [machine.is_active(u) for u in UNITS] == [True] * 4


class AtTheDeadline(threading.Thread):
    """Asks at about the moment at which the idle timer fires, again and again, by POST, which nobody repeats."""

    IDLE, JITTER = 0.05, 0.004

    def __init__(self, port, host, rounds, seed):
        super().__init__(daemon=True)
        self.port, self.rounds, self.random, self.bad = port, rounds, random.Random(seed), []
        self.request = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"

    def run(self):
        with Raw(("127.0.0.1", self.port), timeout=30) as c:
            for _ in range(self.rounds):
                c.send(self.request)
                r = c.reply()
                if r.status != 200 or not r.complete:
                    self.bad.append(repr(r))
                time.sleep(self.IDLE + self.random.uniform(-self.JITTER, self.JITTER))


def test_a_request_at_the_very_moment_of_the_idle_stop_is_never_lost(machine):
    names = [f"s{i}" for i in range(5)]
    services = [machine.app(name=n, kind="exec", idleTimeout=f"{AtTheDeadline.IDLE * 1e3:.0f}ms") for n in names]
    machine.enable()
    seed = random.randrange(1 << 32)
    clients = [AtTheDeadline(machine.port, s.host, 200, f"{seed}-{s.name}") for s in services]
    for c in clients:
        c.start()
    for c in clients:
        c.join(300)
        assert not c.is_alive()
    assert [b for c in clients for b in c.bad] == [], f"seed {seed}"
    assert sum(s.starts for s in services) > len(services), "it was never asked late enough"


def test_stopping_the_slice_stops_all_services_of_ours(machine, warm):
    machine.systemctl("stop", "dynapm.slice")
    warm.wait_gone()
    machine.wait_state("blog", "offline")
    assert machine.curl("blog").status == 200
    assert warm.starts == 2
