# SPDX-License-Identifier: ISC
"""Either program is restarted or killed while clients keep asking; the sockets are a service manager's."""

import signal
import time

import pytest

from harness import process, wait_for
from harness.load import Load
from harness.machine import GATEWAY, MANAGER

ROUNDS = 4
SLOW = {"path": "/wait/0.05", "method": "POST", "body": "precious"}  # and not to be sent a second time


def goes_on(load, n=40):
    """So many more good answers."""
    good = load.good
    wait_for(lambda: load.good >= good + n, "requests go on being answered", 30)


def again_and_again(machine, load, unit, what):
    for _ in range(ROUNDS):
        goes_on(load)
        what(unit)
        machine.wait_unit_ready(unit)
    goes_on(load)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_restart_of_the_gateway_loses_no_request(site, workers):
    blog = site.app(idleTimeout="never")
    machine = site.machine(blog, workers=workers)
    with Load(machine.address, [blog.host]) as load:
        load.clients[-1].pause = 0.4  # longer than an idle connection has at the end
        again_and_again(machine, load, GATEWAY, machine.restart)
    assert load.failures == []
    assert blog.starts == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_gateway_loses_only_what_was_in_flight_and_nobody_is_refused(site, workers):
    blog = site.app(idleTimeout="never")
    machine = site.machine(blog, workers=workers)
    with Load(machine.address, [blog.host]) as load:
        again_and_again(machine, load, GATEWAY, machine.kill_unit)
    # Each client has one request in flight.
    assert len(load.failures) <= ROUNDS * len(load.clients), load.failures
    assert [f for f in load.failures if not f.startswith(("EOFError", "ConnectionReset", "BrokenPipe"))] == []
    assert blog.starts == 1


def test_a_killed_manager_is_noticed_by_no_request(site):
    """Those for services that are online are served without it, others wait for the next one."""
    warm, cold = site.app(name="warm", idleTimeout="never"), site.app(name="cold", idleTimeout="30ms")
    machine = site.machine(warm, cold)
    with Load(machine.address, [warm.host]) as load, Load(machine.address, [cold.host], 0, 0, 1) as rare:
        rare.clients[0].pause = 0.1
        wait_for(lambda: rare.good > 2, "cold requests are answered")
        again_and_again(machine, load, MANAGER, machine.kill_unit)
        goes_on(rare, 3)
    assert load.failures == [] and rare.failures == []
    assert warm.starts == 1 and cold.starts > 2


@pytest.mark.parametrize("kind", ["exec", "commands", "proxyOnly"])
def test_a_restart_of_the_manager_loses_no_request(site, kind):
    """Services that it runs itself are stopped, but not under a request; those that come meanwhile wait."""
    echo = site.app("echo.py", name="echo", kind=kind, idleTimeout="never" if kind != "proxyOnly" else None)
    if kind == "proxyOnly":
        site.run(echo)
    machine = site.machine(echo)
    with Load(machine.address, [echo.host], **SLOW) as load:
        again_and_again(machine, load, MANAGER, machine.restart)
    assert load.failures == []


@pytest.mark.parametrize("where", ["host", "port"])
def test_a_restart_of_both_at_once_loses_no_request(site, where):
    port = process.free_port()
    route = {"host": None, "port": f"127.0.0.1:{port}"} if where == "port" else {}
    echo = site.app("echo.py", name="echo", idleTimeout="never", **route)
    machine = site.machine(echo, listen=[["127.0.0.1", port]])
    with Load(("127.0.0.1", port), [echo.host], **SLOW) as load:
        for _ in range(ROUNDS):
            goes_on(load)
            before = {name: machine.unit(name)["pid"] for name in (GATEWAY, MANAGER)}
            for pid in before.values():
                machine.signal(pid, signal.SIGTERM)
            wait_for(lambda: all(machine.unit(n)["pid"] not in (0, p) for n, p in before.items()), "both are new")
    assert load.failures == []
    assert not machine.find_log("Cannot listen")


def test_both_killed_at_once_come_back(site):
    blog = site.app(idleTimeout="never")
    machine = site.machine(blog)
    with Load(machine.address, [blog.host]) as load:
        goes_on(load)
        began = time.monotonic()
        machine.kill_unit(MANAGER)
        machine.kill_unit(GATEWAY)
        goes_on(load)
        print(f"answered again after {time.monotonic() - began:.3f} s")
    assert len(load.failures) <= len(load.clients), load.failures
    assert blog.starts == 1
