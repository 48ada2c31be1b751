# SPDX-License-Identifier: ISC
"""Many services woken at once: they take turns (limits.maxConcurrentStarts). And what waiting for a start costs."""

import contextlib
import json
import re

import pytest
from test_ctl import ctl, info

from harness import wait_for
from harness.gateway import sanitized


@pytest.fixture
def gate(site):
    """What services wait for before they listen; opened by touch()."""
    return site.folder / "gate"


def ask(gw, service):
    return gw.raw(f"GET / HTTP/1.1\r\nHost: {service.host}\r\n\r\n")


def started(apps):
    return [a.name for a in apps if a.starts]


def test_no_more_services_start_at_a_time_than_allowed_and_all_are_answered(site, gate):
    apps = [site.app(name=f"s{i}", env={"START_AFTER": gate}) for i in range(12)]
    gw = site.gateway(*apps, config={"limits": {"maxConcurrentStarts": 3}})
    with contextlib.ExitStack() as stack:
        connections = []
        for a in apps:
            connections.append(stack.enter_context(ask(gw, a)))
            gw.wait_state(a.name, "starting")
        wait_for(lambda: started(apps[:3]) == ["s0", "s1", "s2"], "the first three")
        assert started(apps) == ["s0", "s1", "s2"]
        assert info(gw, "s2")["stateReason"].startswith("GET s2.localhost")
        assert info(gw, "s3")["stateReason"] == "waiting for its turn to start"
        assert "s11 is starting" in ctl(gw, "why", "s11").stdout
        gate.touch()
        for a, c in zip(apps, connections):
            assert c.reply().text == f"hello from {a.name}\n"
    assert all(a.starts == 1 for a in apps)
    assert re.search(r"having waited \S+ for its turn", gw.wait_log(r"s11: ready in").text)
    assert "turn" not in gw.wait_log(r"s0: ready in").text


def test_they_start_in_the_order_in_which_they_were_asked_for(site, gate):
    apps = [site.app(name=f"s{i}", env={"START_AFTER": gate}) for i in range(6)]
    gw = site.gateway(*apps, config={"limits": {"maxConcurrentStarts": 1}})
    order = [3, 0, 5, 1, 4, 2]
    with contextlib.ExitStack() as stack:
        connections = []
        for i in order:
            connections.append(stack.enter_context(ask(gw, apps[i])))
            gw.wait_state(f"s{i}", "starting")
        gate.touch()
        for c in connections:
            assert c.reply().status == 200
    gw.wait_state("s2", "online")  # the log comes another way than the answers
    assert [int(re.search(r"s(\d): starting → online", line.text)[1])
            for line in gw.find_log("starting → online")] == order


def test_one_that_fails_or_hangs_holds_the_others_up_no_longer_than_its_own_limit(site):
    hangs = site.app("never_ready.py", name="hangs", startTimeout="500ms")
    fails = {"host": "fails.localhost", "base": "http://127.0.0.1:1", "exec": ["/nonexistent"]}
    blog = site.app(startTimeout="20s")
    gw = site.gateway(hangs, blog, files={"fails.json": fails}, config={"limits": {"maxConcurrentStarts": 1}})
    with ask(gw, hangs) as first, gw.raw("GET / HTTP/1.1\r\nHost: fails.localhost\r\n\r\n") as second:
        gw.wait_state("fails", "starting")
        assert gw.curl("blog").text == "hello from blog\n"
        assert first.reply().status == 503
        assert "fails could not be started: " in second.reply().text


def test_one_that_waits_for_its_turn_can_be_stopped(site, gate):
    first, second = (site.app(name=n, env={"START_AFTER": gate}) for n in ("first", "second"))
    gw = site.gateway(first, second, config={"limits": {"maxConcurrentStarts": 1}})
    with ask(gw, first) as a:
        gw.wait_state("first", "starting")
        with ask(gw, second) as b:
            gw.wait_state("second", "starting")
            assert ctl(gw, "stop", "second").returncode == 0
            reply = b.reply()
            assert reply.status == 503 and "The service was stopped." in reply.text
        assert info(gw, "second")["state"] == "offline"
        gate.touch()
        assert a.reply().status == 200
    assert second.starts == 0
    assert gw.curl("second").status == 200


@pytest.mark.standalone_only("its files are somewhere else")
def test_a_reload_changes_how_many_start_and_what_waits_for_its_turn(site, gate):
    first, changes, goes, stays = (site.app(name=n, env={"START_AFTER": gate}) for n in ("first", "changes", "goes", "stays"))
    gw = site.gateway(first, changes, goes, stays, config={"limits": {"maxConcurrentStarts": 1}})
    with contextlib.ExitStack() as stack:
        connections = []
        for app in (first, changes, goes, stays):
            connections.append(stack.enter_context(ask(gw, app)))
            gw.wait_state(app.name, "starting")
        a, b, c, d = connections
        gw.write("changes.json", {**changes.config, "env": {**changes.env, "NAME": "something else"}})
        (gw.config_dir / "goes.json").unlink()
        assert ctl(gw, "reload").returncode == 0
        assert c.reply().status in (404, 503), "it is gone"
        assert info(gw, "changes")["stateReason"] == info(gw, "stays")["stateReason"] == "waiting for its turn to start"
        (gw.folder / "dynapm.json").write_text(json.dumps({"limits": {"maxConcurrentStarts": 3}}))
        assert ctl(gw, "reload").returncode == 0
        wait_for(lambda: changes.starts and stays.starts, "both of them start")
        gate.touch()
        assert b.reply().text == "hello from something else\n"
        assert a.reply().status == d.reply().status == 200
    assert (first.starts, changes.starts, goes.starts, stays.starts) == (1, 1, 0, 1)


@pytest.mark.standalone_only("units go on without the manager")
def test_services_that_wait_for_their_turn_do_not_hold_up_the_end(site, gate):
    apps = [site.app(name=f"s{i}", env={"START_AFTER": gate}) for i in range(5)]
    gw = site.gateway(*apps, config={"limits": {"maxConcurrentStarts": 1}}, args=["--drain-time=10ms"])
    with contextlib.ExitStack() as stack:
        for a in apps:
            stack.enter_context(ask(gw, a))
            gw.wait_state(a.name, "starting")
        wait_for(lambda: apps[0].starts, "the first one's start")
        gw.stop()
    assert sum(a.starts for a in apps) == 1


def cpu(pids):
    """Seconds, exact: proc(5) schedstat."""
    return sum(int(open(f"/proc/{pid}/schedstat").read().split()[0]) for pid in pids) / 1e9


def test_waiting_for_a_slow_start_burns_no_cpu(site):
    slow = site.app(env={"START_DELAY": 5})
    gw = site.gateway(slow)
    pids = [gw.pid, gw.manager_pid()]
    before = cpu(pids)
    assert gw.curl("blog").status == 200
    spent = cpu(pids) - before
    print(f"{spent * 1e3:.1f} ms of CPU for a start that took 5 s")
    assert spent < (1.5 if sanitized() else 0.25), "a twentieth of what a busy loop takes"
