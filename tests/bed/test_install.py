# SPDX-License-Identifier: ISC
"""`meson install`, `systemctl enable --now dynapm.socket`, a file in /etc/dynapm.d: is that all it takes?"""

import os
import subprocess

from machine import PROGRAMS, UNITS, run

from harness import process
from harness.process import wait_for


def test_nothing_runs_until_the_socket_is_enabled(machine):
    assert [machine.is_active(unit) for unit in UNITS] == [False] * 4
    assert machine.systemctl("is-enabled", "dynapm.socket", check=False) == "disabled"


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
