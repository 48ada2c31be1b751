# SPDX-License-Identifier: ISC
"""The bed itself, run where it is somebody's machine: one that systemd has booted."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from machine import run

from harness import process
from harness.process import wait_for

RUN = Path(__file__).with_name("run")
BED = [RUN, "-q"]


def processes():
    return [line for line in run("ps", "-e", "-o", "args=").stdout.splitlines() if not line.startswith("ps ")]


@pytest.fixture
def unchanged():
    """Processes, mounts and units are the same before and after."""
    def state():
        return (sorted(processes()), Path("/proc/self/mounts").read_text(), sorted(os.listdir("/mnt")),
                run("systemctl", "list-units", "--type=scope", "--plain", "--no-legend").stdout)
    before = state()
    yield
    wait_for(lambda: state() == before, "nothing of the bed is left", 20)


def test_a_bed_leaves_nothing_behind(unchanged):
    said = run(*BED, RUN.with_name("test_install.py"), "-k", "nothing_runs").stdout
    assert "1 passed" in said


def test_it_ends_with_the_status_of_the_tests(machine, unchanged):
    test = machine.folder / "test_it.py"
    test.write_text("def test_it():\n    assert False\n")
    journal = machine.folder / "journal"
    p = run(*BED, "--journal", journal, test, check=False)
    assert p.returncode == 1 and "1 failed" in p.stdout
    assert str(journal) in p.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_is_ended_it_leaves_nothing_behind(machine, unchanged, number):
    test = machine.folder / "test_long.py"
    test.write_text("import time\n\n\ndef test_long():\n    time.sleep(600)\n")
    with subprocess.Popen([*BED, test], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as bed:
        wait_for(lambda: any("-m pytest" in line and "test_long" in line for line in processes()), "it runs", 60)
        bed.send_signal(number)
        bed.wait(20)
    assert not process.alive(bed.pid)


def test_who_is_not_root_is_told_so(machine):
    script = shutil.copy(RUN, machine.folder)
    p = run("runuser", "-u", "nobody", "--", script, check=False)
    assert p.returncode == 77 and p.stdout.splitlines()[-1].endswith("needs root")
