# SPDX-License-Identifier: ISC
"""A service manager that is slow or made to look otherwise, others who use its units, and users who would interfere."""

import os
import threading
from pathlib import Path

import pytest
from machine import run
from test_transient import UNIT
from test_unit import unit_service

from harness.process import wait_for

PROPERTIES = ["org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", "org.freedesktop.systemd1.Unit", "1",
              "ActiveState", "s"]


def emit_as_nobody(path, *signal):
    """Any user may send any signal to anybody on the bus."""
    run("runuser", "-u", "nobody", "--", "busctl", "--system", "emit", "--destination=org.dynapm1", path, *signal)


def settled(machine):
    """All that was sent to the manager before has been dealt with."""
    run("busctl", "call", "org.dynapm1", "/org/dynapm1", "org.dynapm1.Manager", "ListServices")


# ── users ──

@pytest.mark.parametrize("kind", ["unit", "transient"])
def test_no_user_can_make_a_service_look_stopped(machine, kind):
    unit_service(machine) if kind == "unit" else machine.app(kind="exec")
    machine.enable()
    assert machine.curl("blog").status == 200
    machine.mark()
    for path in ("blog_2eservice", "dynapm_2dblog_2eservice"):
        emit_as_nobody(f"/org/freedesktop/systemd1/unit/{path}", *PROPERTIES, "inactive", "0")
    settled(machine)
    assert machine.transitions("blog") == []


def test_no_user_can_make_a_service_look_started(machine):
    unit_service(machine)
    machine.enable()
    assert machine.curl("nobody").status == 404
    machine.mark()
    emit_as_nobody("/org/freedesktop/systemd1/unit/blog_2eservice", *PROPERTIES, "active", "0")
    settled(machine)
    assert machine.transitions("blog") == []


def test_no_user_can_make_a_start_look_failed_or_the_service_manager_look_new(machine):
    go = machine.folder / "go"
    blog = machine.app(kind="exec", env={"START_AFTER": go})
    machine.enable()
    replies = []
    client = threading.Thread(target=lambda: replies.append(machine.curl("blog")))
    client.start()
    wait_for(lambda: blog.events("start"), "it starts")
    emit_as_nobody("/org/freedesktop/systemd1/unit/dynapm_2dblog_2eservice", *PROPERTIES, "failed", "0")
    emit_as_nobody("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", "1",
                   "/org/freedesktop/systemd1/job/1", UNIT, "failed")
    emit_as_nobody("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "sss",
                   "org.freedesktop.systemd1", "", ":1.1")
    settled(machine)
    go.touch()
    client.join()
    assert replies[0].status == 200
    assert not [m for m in machine.messages("-u", "dynapm-manager.service") if "back on the bus" in m]


# ── others who use the same units ──

@pytest.mark.parametrize("how", ["idle stop", "kill"])
def test_a_unit_of_ours_that_others_keep_loaded_is_started_again(machine, how):
    blog = machine.app(kind="exec", idleTimeout="300ms" if how == "idle stop" else "1h")
    machine.unit_file("monitor.service", f"[Unit]\nAfter={UNIT}\n[Service]\nExecStart=/bin/sleep 1000\n")
    machine.systemctl("start", "monitor.service")
    machine.enable()
    for starts in range(1, 4):
        assert machine.curl("blog").status == 200
        assert blog.starts == starts
        if how == "kill":
            os.kill(blog.pid, 9)
        wait_for(lambda: machine.transitions("blog").count("offline") == starts, "it is offline")


def test_a_unit_that_is_somebody_elses_is_neither_adopted_nor_stopped(machine):
    machine.app(kind="exec", idleTimeout="100ms")
    machine.unit_file(UNIT, "[Service]\nExecStart=/bin/sleep 1000\n")
    machine.systemctl("start", UNIT)
    machine.enable()
    assert machine.curl("nobody").status == 404
    settled(machine)
    assert machine.transitions("blog") == []
    assert "not of dynapm's making" in machine.curl("blog", "/", "-H", "Accept: text/plain").text
    assert machine.is_active(UNIT)


# ── the service manager ──

def test_reloads_while_a_unit_ends_do_not_keep_it_from_starting_again(machine):
    blog = machine.app("stubborn.py", kind="exec", env={"STOP_DELAY": "2"})
    machine.enable()
    assert machine.curl("blog").status == 200
    machine.systemctl("stop", "--no-block", UNIT)
    machine.wait_state("blog", "offline")
    replies = []
    client = threading.Thread(target=lambda: replies.append(machine.curl("blog")))
    client.start()
    machine.wait_state("blog", "starting")
    for _ in range(6):
        machine.systemctl("daemon-reload")
    client.join()
    assert replies[0].status == 200 and blog.starts == 2


@pytest.fixture
def slow_reload(machine):
    """daemon-reload takes some seconds, in which the service manager answers nobody."""
    generator = Path("/run/systemd/system-generators/slow")
    generator.parent.mkdir(parents=True, exist_ok=True)

    def begin():
        generator.write_text("#!/bin/sh\ntouch /run/slow; exec sleep 3\n")
        generator.chmod(0o755)
        thread = threading.Thread(target=lambda: run("systemctl", "daemon-reload", check=False))
        thread.start()
        wait_for(lambda: Path("/run/slow").exists(), "the reload has begun")
        generator.unlink()
        return thread
    yield begin
    Path("/run/slow").unlink(missing_ok=True)
    generator.unlink(missing_ok=True)


IMPATIENT = "[Service]\nEnvironment=SYSTEMD_BUS_TIMEOUT=1\n"


def test_a_start_waits_for_a_service_manager_that_is_busy(machine, slow_reload):
    machine.configure_unit("dynapm-manager.service", IMPATIENT)
    blog = machine.app(kind="exec")
    machine.enable()
    assert machine.curl("nobody").status == 404
    reload = slow_reload()
    assert machine.curl("blog").status == 200
    reload.join()
    assert blog.starts == 1


def test_a_stop_is_heard_of_though_the_service_manager_is_busy(machine, slow_reload):
    machine.configure_unit("dynapm-manager.service", IMPATIENT)
    blog = machine.app(kind="exec", idleTimeout="700ms", stopTimeout="never")
    machine.enable()
    assert machine.curl("blog").status == 200
    slow_reload().join()
    machine.wait_state("blog", "offline")
    assert machine.curl("blog").status == 200 and blog.starts == 2


@pytest.mark.parametrize("kind", ["unit", "transient"])
def test_one_that_never_gets_ready_is_ended_by_the_next_manager_too(machine, kind):
    """Its own unit has no limit in time."""
    if kind == "unit":
        unit_service(machine, more="ExecStartPre=/bin/sleep 10000\nTimeoutStartSec=infinity\n", startTimeout="1s")
        unit = "blog.service"
        machine.systemctl("start", "--no-block", unit)
        machine.enable()
    else:
        blog = machine.app("notify.py", kind="exec", env={"GO": "/nowhere"}, notify=True, startTimeout="1s")
        unit = UNIT
        machine.enable()
        client = threading.Thread(target=lambda: machine.curl("blog"))
        client.start()
        wait_for(lambda: blog.events("listening"), "it listens")
        run("systemctl", "kill", "-s", "KILL", "dynapm-manager.service")
        client.join()
    reply = machine.curl("blog", "/", "-H", "Accept: text/plain")
    assert reply.status == 503 and "did not become ready within 1s" in reply.text
    wait_for(lambda: machine.property(unit, "ActiveState") in ("inactive", "failed"), "it is stopped")


def test_many_that_run_are_all_found_by_a_new_manager(machine):
    names = [f"s{i:02}" for i in range(40)]
    for i, name in enumerate(names):
        machine.write(name, {"host": f"{name}.localhost", "base": f"http://127.0.0.1:{20000 + i}", "idleTimeout": "1h",
                             "healthCheck": {"type": "none"},
                             "commands": {"start": "nohup sleep 1000 >/dev/null 2>&1 &"}})
    machine.enable()
    assert machine.curl("nobody").status == 404
    run("dynapmctl", "start", *names)
    machine.mark()
    machine.systemctl("restart", "dynapm-manager.service")
    for name in names:
        assert "found running" in machine.wait_state(name, "online")["MESSAGE"]
    assert machine.journal("-u", "dynapm-manager.service", "-p", "warning") == []
    machine.mark()
    run("systemctl", "kill", "-s", "KILL", *[f"dynapm-{name}.service" for name in names])
    for name in names:
        machine.wait_state(name, "offline")


def test_a_probe_command_does_not_outlive_a_manager_that_is_killed(machine):
    machine.app(kind="exec", healthCheck={"type": "command", "command": "exec sleep 4711", "timeout": "1s"})
    machine.enable()
    client = threading.Thread(target=lambda: machine.curl("blog", "/", "-m", "1"))
    client.start()
    wait_for(lambda: run("pgrep", "-f", "sleep 4711", check=False).stdout, "it is probed")
    machine.configure_unit("dynapm-manager.service", "[Service]\nRestartSec=100s\n")
    run("systemctl", "kill", "-s", "KILL", "dynapm-manager.service")
    client.join()
    wait_for(lambda: not run("pgrep", "-f", "sleep 4711", check=False).stdout, "the command has ended")


def test_a_working_directory_may_be_written_with_dots(machine):
    blog = machine.app(kind="exec", cwd="/usr/lib/../share")
    machine.enable()
    assert machine.curl("blog").status == 200
    assert os.readlink(f"/proc/{blog.pid}/cwd") == "/usr/share"
