# SPDX-License-Identifier: ISC
"""What others do: systemctl, signals, crashes; a restarted manager, D-Bus, systemd."""

import os
import threading

import pytest
from machine import run
from test_unit import unit_service

from harness.process import alive, wait_for

UNITS = {"unit": "blog.service", "transient": "dynapm-blog.service"}


@pytest.fixture(params=["unit", "transient"])
def blog(request, machine):
    """A service of each kind of backend, online; .unit is its unit."""
    service = unit_service(machine) if request.param == "unit" else machine.app(kind="exec")
    service.unit = UNITS[request.param]
    machine.enable()
    assert machine.curl("blog").status == 200
    machine.mark()
    return service


def served_anew(machine, blog):
    before = blog.pid
    assert machine.curl("blog").status == 200
    assert blog.pid != before


def test_systemctl_stop(machine, blog):
    machine.systemctl("stop", blog.unit)
    assert "stopped by somebody else" in machine.wait_state("blog", "offline")["MESSAGE"]
    served_anew(machine, blog)


def test_kill(machine, blog):
    os.kill(blog.pid, 9)
    assert "killed by SIGKILL" in machine.wait_state("blog", "offline")["MESSAGE"]
    served_anew(machine, blog)


def test_an_exit_with_a_status_is_told(machine):
    machine.app("exits.py", kind="exec", write=True)
    machine.enable()
    if machine.curl("blog").status == 200:
        machine.wait_state("blog", "offline")
    else:
        machine.wait_state("blog", "failed")


def test_a_kill_between_two_requests_goes_unnoticed_by_the_second(machine, blog):
    for _ in range(3):  # five starts in ten seconds are what systemd allows a unit
        os.kill(blog.pid, 9)
        assert machine.curl("blog").status == 200


def test_systemctl_restart(machine):
    blog = unit_service(machine)
    machine.enable()
    assert machine.curl("blog").status == 200
    before = blog.pid
    machine.systemctl("restart", "blog.service")
    wait_for(lambda: blog.pid != before, "another process")
    assert machine.curl("blog").status == 200
    assert blog.starts == 2


def test_a_unit_started_by_hand_is_online_and_sleeps_again(machine):
    blog = unit_service(machine, idleTimeout="500ms")
    machine.enable()
    assert machine.curl("nobody").status == 404  # all of it is up
    machine.mark()
    machine.systemctl("start", "blog.service")
    assert "started by somebody else" in machine.wait_state("blog", "online")["MESSAGE"]
    assert machine.curl("blog").status == 200
    assert blog.starts == 1
    machine.wait_state("blog", "offline")
    machine.wait_active("blog.service", False)


def test_a_unit_that_somebody_mends_by_hand_ends_the_back_off(machine):
    unit_service(machine, more="ExecStartPre=/usr/bin/test -e /run/mended\n")
    machine.enable()
    assert machine.curl("blog").status == 503
    run("touch", "/run/mended")
    try:
        machine.systemctl("start", "blog.service")
        machine.wait_state("blog", "online")
        assert machine.curl("blog").status == 200
    finally:
        run("rm", "/run/mended")


def test_a_unit_that_systemd_restarts_is_waited_for(machine):
    blog = unit_service(machine, more="Restart=always\nRestartSec=300ms\n")
    machine.enable()
    assert machine.curl("blog").status == 200
    os.kill(blog.pid, 9)
    assert machine.curl("blog").status == 200
    assert blog.starts == 2


# ── a new manager ──

def test_a_new_manager_finds_what_runs_and_stops_it_when_idle(machine):
    unit = unit_service(machine, idleTimeout="1s")
    exe = machine.app(name="exe", kind="exec", idleTimeout="1s")
    nohup = machine.app(name="nohup", kind="exec", write=False)
    nohup.config["commands"] = {"start": f"nohup {' '.join(nohup.config.pop('exec'))} >/dev/null 2>&1 &"}
    machine.write("nohup", {**nohup.config, "idleTimeout": "1s"})
    machine.enable()
    for name in ("blog", "exe", "nohup"):
        assert machine.curl(name).status == 200
    machine.mark()
    machine.systemctl("restart", "dynapm-manager.service")
    for name, service in (("blog", unit), ("exe", exe), ("nohup", nohup)):
        assert "found running" in machine.wait_state(name, "online")["MESSAGE"]
        machine.wait_state(name, "offline")
        assert service.starts == 1
        service.wait_gone()


def test_a_manager_killed_while_a_service_starts_is_followed_by_one_that_goes_on(machine):
    blog = machine.app(kind="exec", env={"START_DELAY": "1"})
    machine.enable()
    replies = []
    client = threading.Thread(target=lambda: replies.append(machine.curl("blog")))
    client.start()
    wait_for(lambda: blog.events("start"), "it starts")
    run("systemctl", "kill", "-s", "KILL", "dynapm-manager.service")
    client.join()
    assert replies[0].status == 200
    assert blog.starts == 1


def test_warm_requests_do_without_a_manager(machine, blog):
    machine.configure_unit("dynapm-manager.service", "[Service]\nExecStartPre=/bin/sleep 1000\n")
    run("systemctl", "kill", "-s", "KILL", "dynapm-manager.service")
    wait_for(lambda: machine.property("dynapm-manager.service", "ActiveState") == "activating", "no manager")
    for _ in range(10):
        assert machine.curl("blog").status == 200
    machine.systemctl("stop", "dynapm-manager.service")


# ── systemd and D-Bus ──

@pytest.mark.parametrize("what", [["daemon-reload"], ["daemon-reexec"], ["restart", "dbus.service"]],
                         ids=["daemon-reload", "daemon-reexec", "dbus restart"])
def test_services_go_on_over(machine, blog, what):
    before = blog.pid
    for _ in range(2):
        machine.systemctl(*what)
        assert machine.curl("blog").status == 200
    assert blog.pid == before and alive(before)
    assert machine.transitions("blog") == []
    # And dynapm is not deaf afterwards.
    machine.systemctl("stop", blog.unit)
    machine.wait_state("blog", "offline")
    served_anew(machine, blog)


def test_a_stop_command_is_not_forgotten_over_a_daemon_reload(machine):
    stopped = machine.folder / "stopped"
    stopped.touch()
    stopped.chmod(0o666)
    blog = machine.app(kind="exec", write=False, idleTimeout="1s")
    blog.config["commands"] = {"start": f"nohup {' '.join(blog.config.pop('exec'))} >/dev/null 2>&1 &",
                               "stop": f"X=done; echo $X >{stopped}"}
    machine.write("blog", blog.config)
    machine.enable()
    assert machine.curl("blog").status == 200
    machine.systemctl("daemon-reload")
    machine.systemctl("daemon-reexec")
    machine.wait_state("blog", "offline")
    assert stopped.read_text() == "done\n"
    assert machine.curl("blog").status == 200


def test_starts_asked_for_while_there_is_no_bus_happen_when_it_is_back(machine, blog):
    machine.systemctl("stop", blog.unit)
    machine.wait_state("blog", "offline")
    machine.systemctl("stop", "dbus.socket", "dbus.service")
    replies = []
    client = threading.Thread(target=lambda: replies.append(machine.curl("blog")))
    client.start()
    try:
        machine.wait_message("offline → starting")
        assert not replies and blog.starts == 1
    finally:
        machine.systemctl("start", "dbus.socket", "dbus.service")
    client.join()
    assert replies[0].status == 200 and blog.starts == 2


def test_a_manager_that_starts_without_a_bus_does_without_it(machine, blog):
    """It talks to systemd directly then, as systemctl does."""
    machine.systemctl("stop", "dbus.socket", "dbus.service")
    try:
        run("systemctl", "kill", "-s", "KILL", "dynapm-manager.service")
        machine.wait_message("1 service loaded")
        assert "found running" in machine.wait_state("blog", "online")["MESSAGE"]
        machine.systemctl("stop", blog.unit)
        machine.wait_state("blog", "offline")
        served_anew(machine, blog)
    finally:
        machine.systemctl("start", "dbus.socket", "dbus.service")


def test_units_that_come_and_go_all_the_time_disturb_nothing(machine, blog):
    for i in range(30):
        run("systemd-run", "--quiet", "--collect", f"--unit=outside-noise-{i}", "/bin/true")
    assert machine.curl("blog").status == 200
    assert machine.transitions("blog") == []
