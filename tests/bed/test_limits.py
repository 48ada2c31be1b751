# SPDX-License-Identifier: ISC
"""What a drop-in says about limits, group and readiness is what systemd has made of it."""

import pytest

from machine import run

UNIT = "dynapm-blog.service"
GIB = 1 << 30


def total_memory():
    with open("/proc/meminfo") as f:
        return int(f.readline().split()[1]) * 1024


@pytest.mark.parametrize("key, value, name, expected", [
    ("memoryMax", "1.5G", "MemoryMax", str(GIB * 3 // 2)),
    ("memoryMax", 268435456, "MemoryMax", "268435456"),
    ("memoryMax", "infinity", "MemoryMax", "infinity"),
    ("memoryHigh", "512M", "MemoryHigh", str(GIB // 2)),
    ("cpuQuota", "20%", "CPUQuotaPerSecUSec", "200ms"),
    ("cpuQuota", "150%", "CPUQuotaPerSecUSec", "1.500000s"),
    ("cpuWeight", 50, "CPUWeight", "50"),
    ("cpuWeight", "idle", "CPUWeight", "idle"),
    ("ioWeight", 200, "IOWeight", "200"),
    ("tasksMax", 64, "TasksMax", "64"),
    ("tasksMax", "infinity", "TasksMax", "infinity"),
    ("group", "www-data", "Group", "www-data"),
])
def test_a_limit_reaches_systemd(machine, key, value, name, expected):
    machine.app(kind="exec", **{key: value})
    machine.enable()
    run("dynapmctl", "start", "blog")
    assert machine.property(UNIT, name) == expected


def test_percentages_are_of_what_the_machine_has(machine):
    machine.app(kind="exec", memoryMax="100%", memoryHigh="12.5%", tasksMax="100%")
    machine.enable()
    run("dynapmctl", "start", "blog")
    for name, share in (("MemoryMax", 1), ("MemoryHigh", 0.125)):
        limit = int(machine.property(UNIT, name))
        assert 0 < limit <= total_memory() * share * 1.001, f"{name}={limit}"
    assert int(machine.property(UNIT, "TasksMax")) > 64


def test_all_limits_hold_at_once(machine):
    machine.app(kind="commands", commands={"start": "exec sleep 1000"}, healthCheck={"type": "none"}, memoryMax="1G",
                memoryHigh="900M", cpuQuota="75%", cpuWeight=10, ioWeight=20, tasksMax=30, group="www-data")
    machine.enable()
    run("dynapmctl", "start", "blog")
    found = {name: machine.property(UNIT, name) for name in ("MemoryMax", "CPUQuotaPerSecUSec", "CPUWeight", "IOWeight",
                                                              "TasksMax", "Group")}
    assert found == {"MemoryMax": str(GIB), "CPUQuotaPerSecUSec": "750ms", "CPUWeight": "10", "IOWeight": "20",
                     "TasksMax": "30", "Group": "www-data"}


SAYS_READY = """
import os, socket, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
    s.send(b"READY=1")
time.sleep(1000)
"""


def test_a_program_says_itself_when_it_is_ready(machine):
    """It listens on nothing, and is online when it has said so, not before."""
    gate = machine.folder / "gate"
    machine.app(kind="exec", exec=["/usr/bin/python3", "-c", SAYS_READY, str(gate)], notify=True)
    machine.enable()
    run("systemd-run", "--quiet", "--collect", "--unit=outside-start.service", "dynapmctl", "start", "blog")
    machine.outside.append("outside-start.service")
    machine.wait_message("blog: offline → starting")
    assert '"starting"' in run("dynapmctl", "--json", "status", "blog", check=False).stdout
    gate.touch()
    machine.wait_message("blog: starting → online")
    assert machine.property(UNIT, "Type") == "notify"
