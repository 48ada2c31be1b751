# SPDX-License-Identifier: ISC
"""Reloading as an administrator does it: through systemd, through dynapmctl, over D-Bus, as root and as others."""

import json
import subprocess
from pathlib import Path

import pytest

from machine import PROGRAMS, run, wait_for

RULES = Path("/etc/polkit-1/rules.d/49-dynapm-bed.rules")
MANAGER = ["org.dynapm1", "/org/dynapm1", "org.dynapm1.Manager"]
BROKEN = '{"host": "blog.localhost",\n  "idleTimeout": "5 mins"}'


@pytest.fixture
def alice(machine):
    yield machine.user("alice")
    RULES.unlink(missing_ok=True)


@pytest.fixture
def blog(machine):
    app = machine.app(kind="exec", idleTimeout="never")
    machine.enable()
    assert machine.curl("blog").status == 200
    return app


def pids(machine):
    return {unit: machine.main_pid(unit) for unit in PROGRAMS}


@pytest.mark.parametrize("command", [
    ["systemctl", "reload", "dynapm"], ["systemctl", "reload", "dynapm-manager"], ["dynapmctl", "reload"],
    ["busctl", "call", *MANAGER, "Reload"]], ids=lambda c: " ".join(c[:3]))
def test_what_is_new_is_there_when_it_returns(machine, blog, command):
    before = pids(machine)
    for n in range(3):
        machine.app(name=f"wiki{n}", kind="exec")
        run(*command)
        assert machine.curl(f"wiki{n}").status == 200
    assert machine.curl("blog").status == 200 and blog.starts == 1
    assert pids(machine) == before
    for unit in PROGRAMS:
        assert machine.is_active(unit)
    assert machine.messages("MESSAGE_ID=667ee80bea4242e089789a98fa9a1561")


@pytest.mark.parametrize("command", [["systemctl", "reload", "dynapm"], ["systemctl", "reload", "dynapm-manager"],
                                     ["dynapmctl", "reload"]], ids=" ".join)
def test_a_mistake_fails_it_and_takes_nothing_down(machine, blog, command):
    machine.write("blog", BROKEN)
    before = pids(machine)
    p = run(*command, check=False)
    assert p.returncode != 0
    assert machine.curl("blog").status == 200 and blog.starts == 1
    assert pids(machine) == before
    for unit in PROGRAMS:
        assert machine.is_active(unit)
    assert machine.messages("DYNAPM_CONFIG_FILE=/etc/dynapm.d/blog.json")
    assert "mistake" in run("dynapmctl", "list").stdout
    machine.write("blog", blog.config)
    run(*command)
    assert "mistake" not in run("dynapmctl", "list").stdout


def test_a_hangup_of_the_manager_reloads(machine, blog):
    machine.app(name="wiki", kind="exec")
    machine.systemctl("kill", "--kill-who=main", "-s", "HUP", "dynapm-manager.service")
    machine.wait_message("configuration was reloaded", "-u", "dynapm-manager.service")
    assert machine.curl("wiki").status == 200
    wait_for(lambda: machine.is_active("dynapm-manager.service"), "it is through")


def test_who_is_not_root_may_as_far_as_polkit_lets(machine, alice, blog):
    machine.app(name="wiki", kind="exec")
    call = ["runuser", "-u", "alice", "--"]
    p = run(*call, "dynapmctl", "reload", check=False)
    assert p.returncode == 4, p.stdout
    assert machine.curl("wiki").status == 404
    RULES.write_text('polkit.addRule(function(action, subject) {\n'
                     '    if (action.id == "org.dynapm1.reload" && subject.user == "alice")\n'
                     '        return polkit.Result.YES;\n});\n')

    def allowed():
        return run(*call, "dynapmctl", "reload", check=False).returncode == 0

    wait_for(allowed, "polkit has read the rule")
    assert machine.curl("wiki").status == 200
    p = run(*call, "dynapmctl", "stop", "blog", check=False)  # which is another action
    assert p.returncode == 4 and blog.running


def test_the_gateways_user_may_not(machine, blog):
    p = run("runuser", "-u", "dynapm", "--", "dynapmctl", "--runtime-dir=/run/dynapm", "reload", check=False)
    assert p.returncode == 4, p.stdout


def test_a_users_own_instance(machine, alice):
    notes = machine.app(name="notes", kind="exec", write=False)
    alice.write("notes", notes.config)
    alice.systemctl("enable", "--now", "--quiet", "dynapm.socket")
    assert alice.curl("notes").status == 200
    more = machine.app(name="more", kind="exec", write=False)
    for n, command in enumerate((["systemctl", "--user", "reload", "dynapm"],
                                 ["systemctl", "--user", "reload", "dynapm-manager"],
                                 ["dynapmctl", "--user", "reload"])):
        more.config["host"] = f"more{n}.localhost"
        alice.write("more", more.config)
        alice.run(*command)
        assert alice.curl(f"more{n}").status == 200
    assert notes.starts == more.starts == 1


def test_signals_tell_of_what_comes_changes_and_goes(machine, blog):
    monitor = subprocess.Popen(["busctl", "monitor", "--json=short", "org.dynapm1"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    seen = []

    def until(member, argument=""):
        for line in monitor.stdout:
            seen.append(json.loads(line))
            if seen[-1].get("member") == member and argument in line:
                return
        raise AssertionError(f"no {member}: {seen}")

    try:
        assert "Monitoring bus message stream" in monitor.stderr.readline()
        machine.app(name="wiki", kind="exec")
        run("dynapmctl", "reload")
        until("InterfacesAdded", "/org/dynapm1/service/wiki")
        until("ServiceNew", "wiki")
        until("Reloaded")
        machine.write("blog", {**blog.config, "idleTimeout": "7min"})
        run("dynapmctl", "reload")
        until("PropertiesChanged", "IdleTimeout")
        (Path("/etc/dynapm.d") / "wiki.json").unlink()
        run("dynapmctl", "reload")
        until("InterfacesRemoved", "/org/dynapm1/service/wiki")
        until("ServiceRemoved", "wiki")
    finally:
        monitor.kill()
        monitor.communicate()


def test_a_running_unit_of_ours_that_is_removed_is_stopped(machine, blog):
    assert machine.is_active("dynapm-blog.service")
    (Path("/etc/dynapm.d") / "blog.json").unlink()
    run("systemctl", "reload", "dynapm")
    assert machine.curl("blog").status == 404
    wait_for(lambda: not machine.is_active("dynapm-blog.service"), "it is stopped")


def test_a_unit_that_a_reload_brings_is_found_running(machine, blog):
    """Of a unit that nobody has asked about before."""
    other = machine.app(name="other", write=False)
    machine.unit_of(other, name="other-app.service")
    machine.systemctl("start", "other-app.service")
    wait_for(lambda: other.running, "it runs")
    machine.write("other", {"host": "other.localhost", "base": other.config["base"], "unit": "other-app.service"})
    run("systemctl", "reload", "dynapm")
    machine.wait_state("other", "online")
    assert machine.curl("other").status == 200 and other.starts == 1


def test_from_exec_to_a_unit_of_its_own(machine, blog):
    """What runs is stopped as what it was started as."""
    other = machine.app(name="other", write=False)
    machine.unit_of(other, name="other-app.service")
    machine.write("blog", {"host": "blog.localhost", "base": other.config["base"], "unit": "other-app.service"})
    run("systemctl", "reload", "dynapm")
    assert machine.is_active("dynapm-blog.service")
    assert machine.curl("blog").text == "hello from other\n"
    blog.wait_gone()
    assert not machine.is_active("dynapm-blog.service") and machine.is_active("other-app.service")
