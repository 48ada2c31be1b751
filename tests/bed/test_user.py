# SPDX-License-Identifier: ISC
"""A user's own instance: no root anywhere."""

import os
import pwd
import stat
from pathlib import Path

import pytest
from machine import PROGRAMS, UNITS

from harness import process


@pytest.fixture
def alice(machine):
    user = machine.user("alice")
    user.uid = pwd.getpwnam("alice").pw_uid
    return user


@pytest.fixture
def notes(machine, alice):
    """A service of hers, configured, and her socket enabled."""
    app = machine.app(name="notes", kind="exec", write=False)
    alice.write("notes", app.config, mode=0o600)
    alice.systemctl("enable", "--now", "--quiet", "dynapm.socket")
    return app


def test_her_first_request_starts_her_service_as_herself(machine, alice, notes):
    assert not alice.is_active("dynapm.service")
    reply = alice.curl("notes")
    assert reply.status == 200
    pids = [notes.pid, *(alice.main_pid(unit) for unit in PROGRAMS)]
    assert {os.stat(f"/proc/{pid}").st_uid for pid in pids} == {alice.uid}
    assert [machine.is_active(unit) for unit in UNITS] == [False] * 4


def test_her_manager_can_be_called_by_nobody_else(alice, notes):
    assert alice.curl("notes").status == 200
    manager = Path(f"/run/user/{alice.uid}/dynapm/manager")
    assert stat.S_IMODE(manager.stat().st_mode) == 0o600
    assert stat.S_IMODE(manager.parent.stat().st_mode) == 0o700
    assert manager.stat().st_uid == alice.uid


def test_her_journal_tells_the_whole_story(alice, notes):
    assert alice.curl("notes").status == 200
    alice.wait_message("notes: starting → online", "--user", "-u", "dynapm.service")
    programs = {entry["SYSLOG_IDENTIFIER"] for entry in alice.journal("--user", "-u", "dynapm.service")}
    assert {"dynapm", "dynapm-manager"} <= programs
    assert alice.messages("--user", "DYNAPM_SERVICE=notes", "DYNAPM_STATE=online")


@pytest.mark.parametrize("kind", ["exec", "commands"])
def test_it_sleeps_when_it_is_idle_and_wakes_again(machine, alice, kind):
    app = machine.app(name="notes", kind=kind, idleTimeout="200ms", write=False)
    alice.write("notes", app.config)
    alice.systemctl("start", "dynapm.socket")
    assert alice.curl("notes").status == 200
    app.wait_gone()
    assert alice.curl("notes").status == 200
    assert app.starts == 2


def test_a_crash_of_her_manager_does_not_touch_her_service(alice, notes):
    assert alice.curl("notes").status == 200
    manager = alice.main_pid("dynapm-manager.service")
    process.kill(manager)
    process.wait_for(lambda: alice.main_pid("dynapm-manager.service") not in (0, manager), "her manager runs again", 20)
    assert alice.curl("notes").status == 200
    alice.wait_message("notes: offline → online", "--user", "DYNAPM_SERVICE=notes")
    assert notes.starts == 1 and notes.running


def test_stopping_her_socket_stops_everything_of_it(alice, notes):
    assert alice.curl("notes").status == 200
    alice.systemctl("stop", "dynapm.socket")
    for unit in UNITS:
        alice.wait_active(unit, False)
    assert alice.curl("notes").exit == 7  # refused


def test_two_instances_do_not_meet(machine, alice, notes):
    blog = machine.app()
    machine.start(blog)
    machine.enable()
    assert machine.curl("blog").status == alice.curl("notes").status == 200
    assert machine.curl("notes").status == alice.curl("blog").status == 404
    assert alice.messages("--user", "-u", "dynapm.service")
    assert not [m for m in machine.messages("-u", "dynapm.service") if "notes" in m]
