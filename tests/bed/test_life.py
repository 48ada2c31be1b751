# SPDX-License-Identifier: ISC
"""The units' lives: started by a request, stopped by systemctl, started again after whatever happens."""

import os
import signal
import subprocess

import pytest
from machine import PROGRAMS, UNITS, run

from harness.process import wait_for


@pytest.fixture
def blog(machine):
    """A service that is served."""
    app = machine.app()
    machine.start(app)
    machine.enable()
    assert machine.curl("blog").status == 200
    return app


def status_of(*args):
    return run("curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", *args, check=False).stdout


def test_requests_come_by_ipv4_and_by_ipv6(machine, blog):
    for address in ("127.0.0.1", "[::1]"):
        assert status_of("-H", "Host: blog.localhost", f"http://{address}/") == "200"


def test_stopping_the_gateway_leaves_the_socket_and_the_next_request_starts_it(machine, blog):
    machine.systemctl("stop", "dynapm.service")
    assert machine.is_active("dynapm.socket") and not machine.is_active("dynapm.service")
    assert machine.curl("blog").status == 200


def test_stopping_the_socket_stops_everything(machine, blog):
    machine.systemctl("disable", "--quiet", "dynapm.socket")
    machine.systemctl("stop", "dynapm.socket")
    for unit in UNITS:
        machine.wait_active(unit, False)
    assert machine.curl("blog").exit == 7  # refused
    assert not os.path.exists("/run/dynapm/manager")


def test_the_gateway_ends_before_its_manager(machine, blog):
    machine.systemctl("stop", "dynapm.socket")
    stopped = {}
    for entry in machine.journal("_PID=1"):
        if entry["MESSAGE"].startswith("Stopped "):
            stopped[entry["UNIT"]] = int(entry["__MONOTONIC_TIMESTAMP"])
    assert stopped["dynapm.service"] < stopped["dynapm-manager.service"]


@pytest.mark.parametrize("unit", list(PROGRAMS))
def test_a_program_that_is_killed_again_and_again_is_there_again(machine, blog, unit):
    for _ in range(25):
        pid = machine.main_pid(unit)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: machine.main_pid(unit) not in (0, pid), f"{unit} runs again", 20)
        assert machine.curl("blog").status == 200
    assert machine.is_active("dynapm.socket") and machine.is_active("dynapm-manager.socket")


@pytest.mark.parametrize("unit", list(PROGRAMS))
def test_the_socket_waits_for_a_program_that_cannot_start(machine, unit):
    """However long that takes: there is no limit after which systemd gives up and refuses clients."""
    machine.start(machine.app())
    machine.configure_unit(unit, "[Service]\nExecStart=\nExecStart=/usr/bin/false\n")
    machine.enable()
    client = subprocess.Popen(["curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}",
                               "-H", "Host: blog.localhost", "http://127.0.0.1/"], stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: int(machine.property(unit, "NRestarts")) > 20, f"{unit} is started again and again", 60)
        assert machine.is_active("dynapm.socket") and machine.is_active("dynapm-manager.socket")
        machine.configure_unit(unit, "")
        assert client.communicate(timeout=60)[0] == "200"
    finally:
        client.kill()


@pytest.mark.parametrize("unit", list(PROGRAMS))
def test_a_program_that_hangs_is_started_again(machine, unit):
    machine.configure_unit(unit, "[Service]\nWatchdogSec=1s\nTimeoutAbortSec=1s\n")
    machine.start(machine.app())
    machine.enable()
    assert machine.curl("blog").status == 200
    pid = machine.main_pid(unit)
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: machine.main_pid(unit) not in (0, pid), f"{unit} runs again", 30)
    assert machine.curl("blog").status == 200


def test_another_port_by_a_drop_in(machine, blog):
    machine.configure_unit("dynapm.socket", "[Socket]\nListenStream=\nListenStream=127.0.0.1:8042\n")
    machine.systemctl("restart", "dynapm.socket")
    assert machine.curl("blog", port=8042).status == 200
    assert machine.curl("blog").exit == 7


def test_both_units_restarted_at_once_serve_again(machine, blog):
    machine.systemctl("restart", *PROGRAMS)
    assert machine.curl("blog").status == 200


def test_the_gateway_started_by_hand_has_its_socket(machine):
    machine.start(machine.app())
    machine.systemctl("start", "dynapm.service")
    assert machine.is_active("dynapm.socket")
    assert machine.curl("blog").status == 200


def test_enabled_it_comes_with_the_boot(machine):
    machine.enable()
    wanted = machine.property("sockets.target", "Wants").split()
    assert "dynapm.socket" in wanted and "dynapm.service" not in wanted
    machine.systemctl("disable", "--quiet", "dynapm.socket")
    machine.systemctl("daemon-reload")
    assert "dynapm.socket" not in machine.property("sockets.target", "Wants").split()


def test_systemd_finds_no_cycle_and_nothing_to_complain_about(machine, blog):
    machine.systemctl("restart", *PROGRAMS)
    machine.systemctl("stop", "dynapm.socket")
    assert machine.messages("_PID=1", "-p", "warning") == []


def test_dbus_and_polkit_know_dynapm(machine):
    assert "org.dynapm1" in [line.split()[0] for line in machine.busctl("list", "--activatable").splitlines() if line]
    for action in ("org.dynapm1.manage-services", "org.dynapm1.reload"):
        said = run("pkaction", "--verbose", "--action-id", action).stdout
        assert "auth_admin_keep" in said, said


def test_the_socket_does_not_need_its_address_to_be_there_at_boot(machine):
    machine.configure_unit("dynapm.socket", "[Socket]\nListenStream=192.0.2.1:8080\n")
    machine.enable()
    assert machine.is_active("dynapm.socket")
