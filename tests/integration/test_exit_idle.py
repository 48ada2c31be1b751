# SPDX-License-Identifier: ISC
"""--exit-idle-time: nothing runs while nobody asks, and who asks then notices nothing but the time."""

import json
import subprocess
import time

import pytest

from harness import process, wait_for
from harness.gateway import BUILD, PROGRAM
from harness.load import Load
from harness.machine import GATEWAY, MANAGER

SOON = "--exit-idle-time=100ms"
GET = "GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n"


def ask(machine, host="blog"):
    r = machine.curl(host)
    assert (r.status, r.text) == (200, f"hello from {host}\n")


def exits(machine, starts):
    """Both have ended well after so many starts of the gateway."""
    wait_for(lambda: machine.unit(GATEWAY)["starts"] >= starts, "the gateway is started")
    for unit in (GATEWAY, MANAGER):
        machine.wait_unit_gone(unit)
        assert machine.unit(unit)["exit"] == 0, machine.log
    assert machine.unit(GATEWAY)["starts"] == starts


@pytest.mark.parametrize("workers", [1, 2])
def test_from_nothing_to_an_answer_and_back_again(site, workers):
    blog = site.app(idleTimeout="100ms")
    machine = site.machine(blog, lazy=True, workers=workers, args=[SOON], manager_args=[SOON])
    assert machine.unit(GATEWAY)["starts"] == machine.unit(MANAGER)["starts"] == 0
    for n in range(1, 4):
        ask(machine)
        exits(machine, n)
        blog.wait_gone()
    assert machine.find_log("Nothing to do for 100ms")
    stopping = {pid for _, pid, _ in machine.notify.find("STOPPING=1")}
    assert len(stopping) == 6, "each said so before it ended"


def test_a_connection_that_asks_for_nothing_is_no_reason_to_stay_for_ever(site):
    machine = site.machine(site.app(), lazy=True, args=[SOON], manager_args=[SOON])
    machine.raw().close()
    exits(machine, 1)
    assert machine.curl("nobody.example.com").status == 404
    exits(machine, 2)


def test_who_is_connected_or_online_keeps_it(site):
    blog, shop = site.app(idleTimeout="50ms"), site.app(name="shop", idleTimeout="never")
    machine = site.machine(blog, shop, args=[SOON], manager_args=[SOON])
    pids = machine.unit(GATEWAY)["pid"], machine.unit(MANAGER)["pid"]
    with machine.raw(GET) as c:
        assert c.reply().status == 200
        machine.wait_state("blog", "offline")
        time.sleep(0.5)  # five times what it takes
        c.send(GET)
        assert c.reply().status == 200
    ask(machine, "shop")
    machine.wait_log(r"blog: stopping → offline")
    time.sleep(0.5)
    assert (machine.unit(GATEWAY)["pid"], machine.unit(MANAGER)["pid"]) == pids
    process.kill(shop.pid)
    exits(machine, 1)


def test_with_several_workers_each_has_to_be_idle(site):
    blog = site.app(idleTimeout="50ms")
    machine = site.machine(blog, args=[SOON], workers=3)
    with machine.raw(GET) as c:
        assert c.reply().status == 200
        for _ in range(10):
            ask(machine)
        machine.wait_state("blog", "offline")
        time.sleep(0.5)
        assert machine.unit(GATEWAY)["starts"] == 1 and machine.unit(GATEWAY)["pid"]
    machine.wait_unit_gone(GATEWAY)
    assert machine.unit(GATEWAY)["exit"] == 0


@pytest.mark.parametrize("unit, workers", [(MANAGER, 1), (GATEWAY, 1), (GATEWAY, 2)])
def test_a_port_that_nobody_else_keeps_is_a_reason_to_stay_and_is_named_once(site, unit, workers):
    port = process.free_port()
    blog = site.app(host=None, port=f"127.0.0.1:{port}", idleTimeout="50ms")
    machine = site.machine(blog, workers=workers, args=[SOON], manager_args=[SOON])
    if unit == MANAGER:  # without a gateway it is for the manager to stay
        machine.stop_unit(GATEWAY)
    machine.wait_log(f"{unit}\\[.*Not exiting when idle: 1 ")
    for _ in range(2 if unit == GATEWAY else 0):
        with machine.raw() as c:
            c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert c.reply().status == 404
        time.sleep(0.3)
    assert machine.unit(unit)["pid"] and machine.unit(unit)["starts"] == 1
    assert len(machine.find_log(f"{unit}\\[.*Not exiting when idle")) == 1


def test_a_passed_port_wakes_it_as_well(site):
    port = process.free_port()
    blog = site.app(host=None, port=f"127.0.0.1:{port}", idleTimeout="50ms")
    machine = site.machine(blog, lazy=True, listen=[["127.0.0.1", port]], args=[SOON], manager_args=[SOON])
    main, machine.port = machine.port, port
    for n in (1, 2):
        ask(machine)
        exits(machine, n)
    machine.port = main


def test_the_next_manager_is_asked_when_one_dies_while_the_gateway_waits(site):
    blog = site.app(idleTimeout="never")
    machine = site.machine(blog, args=[SOON])
    ask(machine)
    time.sleep(0.3)  # it has asked by now, probably
    machine.kill_unit(MANAGER)
    machine.wait_log(r"blog: offline → online \(found running\)")
    time.sleep(0.3)
    assert machine.unit(GATEWAY)["pid"]
    process.kill(blog.pid)
    machine.wait_unit_gone(GATEWAY)
    assert machine.unit(GATEWAY)["exit"] == 0 and machine.unit(MANAGER)["pid"]


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_that_come_just_when_it_ends_are_served(site, workers):
    blog = site.app(idleTimeout="1ms")
    # As many ends as there can be, at moments that have nothing to do with the clients'.
    machine = site.machine(blog, lazy=True, workers=workers, args=["--exit-idle-time=1ms"],
                           manager_args=["--exit-idle-time=3ms"])
    with Load(machine.address, [blog.host], kept=0, fresh=2, slow=0, limit=120) as load:
        load.clients[0].pause, load.clients[1].pause = 0.011, 0.017
        load.join()
    assert load.failures == []
    assert load.good == 120
    machine.wait_unit_gone(GATEWAY)
    machine.wait_unit_gone(MANAGER)
    assert machine.unit(GATEWAY)["starts"] > 5
    print(json.dumps({unit: machine.unit(unit) for unit in (GATEWAY, MANAGER)}))


@pytest.mark.parametrize("program, args", [("dynapm", ["--standalone", "--listen=127.0.0.1:1"]),
                                           ("dynapm-manager", ["--exit-with-parent"])])
def test_where_nobody_would_start_it_again_it_is_refused(program, args):
    p = subprocess.run([BUILD / program, SOON, *args], capture_output=True, text=True, timeout=20)
    assert p.returncode == 2
    assert "nobody would start" in p.stderr


@pytest.mark.parametrize("program", [PROGRAM, BUILD / "dynapm-manager"])
def test_a_time_that_is_none_is_refused(program):
    p = subprocess.run([program, "--exit-idle-time=soon"], capture_output=True, text=True, timeout=20)
    assert p.returncode == 2
    assert "--exit-idle-time=soon" in p.stderr and "time span" in p.stderr
