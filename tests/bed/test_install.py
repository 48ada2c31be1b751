# SPDX-License-Identifier: ISC
"""`meson install`, `systemctl enable --now dynapm.socket`, a file in /etc/dynapm.d: is that all it takes?"""

import os
import pwd
from pathlib import Path

import pytest
from machine import DROP_INS, PROGRAMS, UNITS, run

from harness import process

BUILD = os.environ["DYNAPM_BUILD_DIR"]


def install():
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet")


@pytest.fixture
def installed():
    """Whatever the test does to the installation is undone."""
    yield
    install()


def installed_files():
    return run("find", "/usr", "-xdev", "-name", "*dynapm*", "-not", "-type", "d").stdout.split()


def test_nothing_runs_until_the_socket_is_enabled(machine):
    assert [machine.is_active(unit) for unit in UNITS] == [False] * 4
    assert machine.systemctl("is-enabled", "dynapm.socket", check=False) == "disabled"
    assert DROP_INS.is_dir() and not list(DROP_INS.iterdir())


def test_the_first_request_after_enabling_the_socket_is_served(machine):
    blog = machine.app()
    machine.start(blog)
    machine.enable()
    assert machine.systemctl("is-enabled", "dynapm.socket") == "enabled"
    assert not machine.is_active("dynapm.service") and not machine.is_active("dynapm-manager.service")

    reply = machine.curl("blog")

    assert reply.status == 200
    for unit, program in PROGRAMS.items():
        assert machine.is_active(unit)
        assert process.command(machine.main_pid(unit)).split()[0] == program


def test_users_are_made_that_can_do_nothing_else(machine):
    gateway, app = pwd.getpwnam("dynapm"), pwd.getpwnam("dynapm-app")
    for user in (gateway, app):
        assert user.pw_uid != 0 and user.pw_shell.endswith("nologin")
        assert os.getgrouplist(user.pw_name, user.pw_gid) == [user.pw_gid]
    assert gateway.pw_gid != app.pw_gid


def test_an_upgrade_is_an_installation_and_a_restart(machine, installed):
    blog = machine.app()
    machine.start(blog)
    machine.enable()
    assert machine.curl("blog").status == 200
    before = [machine.main_pid(unit) for unit in PROGRAMS]
    install()
    assert machine.curl("blog").status == 200
    assert [machine.main_pid(unit) for unit in PROGRAMS] == before
    machine.systemctl("try-restart", *PROGRAMS)
    assert machine.curl("blog").status == 200
    after = [machine.main_pid(unit) for unit in PROGRAMS]
    assert not set(before) & set(after)
    assert [os.readlink(f"/proc/{pid}/exe") for pid in after] == list(PROGRAMS.values())


def test_uninstalled_it_leaves_the_configuration_and_nothing_else(machine, installed):
    blog = machine.app()
    machine.start(blog)
    machine.enable()
    assert machine.curl("blog").status == 200
    machine.systemctl("disable", "--now", "--quiet", "dynapm.socket")
    assert machine.curl("blog").exit == 7  # refused
    run("ninja", "-C", BUILD, "uninstall")
    machine.systemctl("daemon-reload")
    assert installed_files() == []
    assert (DROP_INS / "blog.json").exists()
    assert not Path("/run/dynapm/manager").exists()
    assert machine.property("dynapm.service", "LoadState") == "not-found"
