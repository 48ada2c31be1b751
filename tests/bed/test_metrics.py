# SPDX-License-Identifier: ISC
"""What services use of the machine, as the installed dynapm measures it from within its sandbox."""

import os
from pathlib import Path

import pytest
from machine import run, wait_for

MIB = 1 << 20
HELD = 64  # MiB
WORKED = 0.4  # seconds


def transient(machine):
    return machine.app("holder.py", kind="exec", env={"HOLDS": HELD}), "dynapm-blog.service"


def commands(machine):
    blog = machine.app("holder.py", kind="exec", env={"HOLDS": HELD}, write=False)
    blog.config["commands"] = {"start": f"nohup {' '.join(blog.config.pop('exec'))} >/dev/null 2>&1 &"}
    machine.write("blog", blog.config)
    return blog, "dynapm-blog.service"


def unit(machine):
    blog = machine.app("holder.py", env={"HOLDS": HELD}, write=False)
    machine.unit_of(blog)
    blog.config.pop("proxyOnly")
    machine.write("blog", {**blog.config, "unit": "blog.service"})
    return blog, "blog.service"


def alias(machine):
    blog, name = unit(machine)
    link = Path("/run/systemd/system/weblog.service")
    machine.unit_files.append(link)
    link.symlink_to(name)
    machine.systemctl("daemon-reload")
    machine.write("blog", {**blog.config, "unit": "weblog.service"})
    return blog, name


def prop(machine, name):
    return int(machine.busctl("get-property", "org.dynapm1", "/org/dynapm1/service/blog", "org.dynapm1.Service",
                              name).split()[1])


def metric(name):
    lines = run("dynapmctl", "metrics").stdout.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), None)


def about_what_it_holds(memory):
    return memory is not None and HELD * MIB <= memory < (HELD + 64) * MIB


@pytest.mark.parametrize("kind", [transient, commands, unit, alias])
def test_memory_and_cpu_time_of_a_service_are_those_of_its_control_group(machine, kind):
    blog, name = kind(machine)
    machine.enable()
    assert machine.curl("blog", f"/work/{WORKED}").text == f"{HELD * MIB}\n"
    assert blog.pid in [int(p) for p in Path(
        "/sys/fs/cgroup" + machine.property(name, "ControlGroup"), "cgroup.procs").read_text().split()]
    wait_for(lambda: about_what_it_holds(prop(machine, "MemoryCurrent")), "what it holds")
    wait_for(lambda: WORKED <= prop(machine, "CPUUsageNSec") / 1e9 < 60, "how long it has worked")
    assert about_what_it_holds(metric('dynapm_service_memory_bytes{service="blog"}'))
    assert metric('dynapm_service_cpu_seconds_total{service="blog"}') >= WORKED
    table = run("dynapmctl", "list").stdout.splitlines()
    column = table[0].index("MEMORY")
    size, unit_ = table[1][column:].split()[0][:-1], table[1][column:].split()[0][-1]
    assert unit_ == "M" and HELD <= float(size) < HELD + 64, table

    run("dynapmctl", "stop", "blog")
    wait_for(lambda: metric('dynapm_service_memory_bytes{service="blog"}') is None, "it runs no more")
    assert run("dynapmctl", "list").stdout.splitlines()[1][column:].split()[0] == "-"


def test_the_gateway_is_measured_though_it_is_another_users(machine):
    machine.app(kind="exec")
    machine.enable()
    assert machine.curl("blog").status == 200
    gateway = machine.main_pid("dynapm.service")
    assert MIB < metric(f'dynapm_gateway_memory_bytes{{pid="{gateway}"}}') < 256 * MIB
    assert metric(f'dynapm_gateway_cpu_seconds_total{{pid="{gateway}"}}') is not None
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 2):
        descriptors = Path("/proc", str(gateway), "fd")
        wait_for(lambda: metric(f'dynapm_gateway_open_fds{{pid="{gateway}"}}') == len(list(descriptors.iterdir())),
                 "its descriptors")
