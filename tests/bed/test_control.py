# SPDX-License-Identifier: ISC
"""org.dynapm1 on the real system bus with the real polkit, and dynapmctl on it: root, and users who may and may not."""

import json
from pathlib import Path

import pytest

from machine import run, wait_for

RULES = Path("/etc/polkit-1/rules.d/49-dynapm-bed.rules")
MANAGER = ["org.dynapm1", "/org/dynapm1", "org.dynapm1.Manager"]


@pytest.fixture
def alice(machine):
    """A user like any other."""
    yield machine.user("alice")
    RULES.unlink(missing_ok=True)


def as_user(user, *command, **kwargs):
    return run("runuser", "-u", user, "--", *command, **kwargs)


def states(*args):
    return {s["name"]: s["state"] for s in json.loads(run("dynapmctl", "--json", "list", *args).stdout)}


def test_root_needs_no_bus_and_no_polkit(machine):
    machine.app(kind="exec")
    machine.enable()
    run("dynapmctl", "start", "blog")
    assert states() == {"blog": "online"}
    status = run("dynapmctl", "status", "blog").stdout
    assert "as unit dynapm-blog.service" in status
    assert "blog: starting → online (ready)" in status, "the end of its log"
    run("dynapmctl", "stop", "blog")
    assert states() == {"blog": "offline"}


def test_logs_has_what_it_prints_and_what_is_said_about_it(machine):
    machine.app(kind="commands", commands={"start": "echo hello from its output; exec sleep 1000"},
                healthCheck={"type": "none"})
    machine.enable()
    run("dynapmctl", "start", "blog")

    def logs():
        return run("dynapmctl", "logs", "blog").stdout

    wait_for(lambda: "hello from its output" in logs(), "its output in the journal")
    assert "blog: offline → starting (start by hand: root" in logs()


def test_users_may_look_but_only_start_what_polkit_lets_them(machine, alice):
    machine.app(kind="exec")
    machine.enable()
    listed = as_user("alice", "dynapmctl", "list")
    assert "blog" in listed.stdout

    refused = as_user("alice", "dynapmctl", "start", "blog", check=False)
    assert refused.returncode == 4, refused.stdout
    assert "Cannot start blog: " in refused.stdout
    assert states() == {"blog": "offline"}

    RULES.write_text("""
        polkit.addRule(function(action, subject) {
            if (action.id == "org.dynapm1.manage-services" && subject.user == "alice")
                return polkit.Result.YES;
        });""")
    wait_for(lambda: as_user("alice", "dynapmctl", "start", "blog", check=False).returncode == 0, "polkit's new rule")
    assert states() == {"blog": "online"}
    entry = machine.wait_message("blog: offline → starting", "DYNAPM_SERVICE=blog")
    assert "start by hand: user " in entry["MESSAGE"]
    as_user("alice", "dynapmctl", "stop", "blog")
    assert states() == {"blog": "offline"}


def test_busctl_sees_services_and_follows_them(machine):
    machine.app(kind="exec")
    machine.enable()
    tree = machine.busctl("tree", "--list", "org.dynapm1")
    assert "/org/dynapm1/service/blog" in tree.split()
    described = machine.busctl("introspect", "org.dynapm1", "/org/dynapm1/service/blog")
    assert "org.dynapm1.Service" in described and '.State' in described and '"offline"' in described
    machine.busctl("call", *MANAGER, "Start", "s", "blog")
    state = machine.busctl("get-property", "org.dynapm1", "/org/dynapm1/service/blog", "org.dynapm1.Service", "State")
    assert state == 's "online"'


def test_the_gateways_user_can_look_and_no_more(machine):
    machine.app(kind="exec")
    machine.enable()
    assert run("dynapmctl", "list").returncode == 0  # which starts the manager
    ask = ["runuser", "-u", "dynapm", "--", "dynapmctl"]
    assert "blog" in run(*ask, "list").stdout
    for verb in ("start", "stop", "restart"):
        p = run(*ask, verb, "blog", check=False)
        assert p.returncode == 4, p.stdout
    assert states() == {"blog": "offline"}


def test_a_restarted_bus_or_manager_is_found_again(machine):
    machine.app(kind="exec")
    machine.enable()
    run("dynapmctl", "start", "blog")
    machine.systemctl("restart", "dynapm-manager.service")
    assert wait_for(lambda: states() == {"blog": "online"}, "the service being found again")
    machine.busctl("call", *MANAGER, "Stop", "s", "blog")
    assert states() == {"blog": "offline"}


def test_a_users_own_manager_needs_no_permission(machine, alice):
    app = machine.app(kind="exec", write=False)
    alice.write("blog", app.config)
    alice.systemctl("enable", "--now", "--quiet", "dynapm.socket")
    alice.run("dynapmctl", "--user", "start", "blog")
    assert "online" in alice.run("dynapmctl", "--user", "list").stdout
    assert "as unit dynapm-blog.service" in alice.run("dynapmctl", "--user", "status", "blog").stdout
    alice.run("dynapmctl", "--user", "stop", "blog")
