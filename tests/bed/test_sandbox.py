# SPDX-License-Identifier: ISC
"""What the internet talks to can neither read the configuration nor start anything, and still does its work."""

import grp
import json
import os
import re
from pathlib import Path

import pytest
from machine import PROGRAMS, run

SECRET = "tops3cret-4711"


def serve_once(machine, **config):
    app = machine.app(**config)
    machine.start(app)
    machine.enable()
    assert machine.curl(app.name).status == 200
    return app


def status_field(pid, name):
    return re.search(rf"^{name}:\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1]


def memory_has(pid, *texts):
    """Which of the texts are in the process's memory?"""
    found = set()
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            begin, end = (int(word, 16) for word in line.split()[0].split("-"))
            if line.split()[1][0] != "r" or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue
            found |= {text for text in texts if text.encode() in data}
    return found


def test_a_service_whose_file_only_root_can_read_is_served(machine):
    app = machine.app(write=False)
    path = machine.write(app.name, app.config, mode=0o600)
    machine.start(app)
    machine.enable()
    assert machine.curl("blog").status == 200
    refused = run("runuser", "-u", "dynapm", "--", "cat", path, check=False)
    assert refused.returncode != 0 and "Permission denied" in refused.stdout


def test_the_gateway_does_not_see_the_folder_of_drop_ins_whatever_its_mode(machine):
    machine.write("open", {"host": "open.localhost", "base": "http://127.0.0.1:9", "proxyOnly": True}, mode=0o644)
    Path("/etc/dynapm.json").write_text("{}")
    serve_once(machine)
    root = Path("/proc", str(machine.main_pid("dynapm.service")), "root")
    assert list((root / "etc/dynapm.d").iterdir()) == []
    assert not (root / "etc/dynapm.json").read_bytes()


def test_no_secret_gets_into_the_gateways_memory(machine):
    machine.write("safe", {
        "host": "safe.localhost", "base": "http://127.0.0.1:9", "env": {"TOKEN": f"{SECRET}-env"},
        "commands": {"start": f"false {SECRET}-start", "stop": f"true {SECRET}-stop", "check": f"false {SECRET}-check"}})
    machine.write("safer", {
        "host": "safer.localhost", "base": "http://127.0.0.1:9", "exec": ["/bin/false", f"{SECRET}-exec"]})
    serve_once(machine)
    assert machine.curl("safe").status == machine.curl("safer").status == 503
    names = [f"{SECRET}-{what}" for what in ("env", "start", "stop", "check", "exec")]
    assert memory_has(machine.main_pid("dynapm-manager.service"), *names) == set(names)
    assert memory_has(machine.main_pid("dynapm.service"), "safer.localhost", *names) == {"safer.localhost"}


def test_the_gateway_has_no_privilege_and_the_manager_one(machine):
    serve_once(machine)
    gateway, manager = (machine.main_pid(unit) for unit in ("dynapm.service", "dynapm-manager.service"))
    for pid, capabilities in ((gateway, 0), (manager, 1 << 10)):  # CAP_NET_BIND_SERVICE
        assert int(status_field(pid, "CapEff"), 16) == int(status_field(pid, "CapBnd"), 16) == capabilities
        assert status_field(pid, "NoNewPrivs") == "1"
        assert status_field(pid, "Seccomp") == "2"
    assert os.stat(f"/proc/{gateway}").st_uid != 0
    assert str(grp.getgrnam("dynapm").gr_gid) in status_field(manager, "Groups").split()


def test_nothing_but_the_gateway_itself_can_be_executed_where_it_is(machine):
    serve_once(machine)
    pid = machine.main_pid("dynapm.service")
    shell = run("nsenter", "-t", pid, "-m", "--", "/bin/sh", "-c", "echo executed", check=False)
    assert "Permission denied" in shell.stdout and "executed" not in shell.stdout
    assert run("nsenter", "-t", pid, "-m", "--", PROGRAMS["dynapm.service"], "--version").stdout.startswith("dynapm ")


def test_the_gateway_with_several_workers_works_in_its_sandbox(machine):
    command = f"{PROGRAMS['dynapm.service']} --workers=3"
    machine.configure_unit("dynapm.service", f"[Service]\nExecStart=\nExecStart={command}\n")
    serve_once(machine)
    cgroup = Path("/sys/fs/cgroup" + machine.property("dynapm.service", "ControlGroup"))
    assert len((cgroup / "cgroup.procs").read_text().split()) == 4
    assert "3 of 3 workers" in machine.property("dynapm.service", "StatusText")


@pytest.mark.parametrize("port", [81, 8081])
def test_a_port_of_a_service_is_bound_for_the_gateway(machine, port):
    app = machine.app(host=None, port=port)
    machine.start(app)
    machine.enable()
    assert machine.curl("blog").status == 404  # it has no host; this starts everything
    for address in ("127.0.0.1", "[::1]"):
        url = f"http://{address}:{port}/"
        assert run("curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", url).stdout == "200"


def test_an_upstream_socket_below_run_is_reached(machine):
    folder = Path("/run/bed-upstream")
    app = machine.app(base=f"http+unix://{folder}/socket")
    app.env = {"SOCKET": str(folder / "socket"), "APP_LOG": app.env["APP_LOG"], "NAME": "blog"}
    unit = "outside-upstream.service"
    machine.outside.append(unit)
    run("systemd-run", "--quiet", "--collect", f"--unit={unit}", "--property=RuntimeDirectory=bed-upstream",
        "--property=User=nobody", "--property=Group=dynapm", "--property=RuntimeDirectoryMode=0750",
        *(f"--setenv={k}={v}" for k, v in app.env.items()), *app.argv)
    machine.enable()
    run("curl", "-sS", "--retry", "50", "--retry-delay", "0", "--retry-all-errors", "--fail", "--noproxy", "*",
        "-H", "Host: blog.localhost", "http://127.0.0.1/")
    mode = folder.stat()  # nobody but that group gets in
    assert (mode.st_gid, mode.st_mode & 0o007) == (grp.getgrnam("dynapm").gr_gid, 0)


def test_a_stranger_cannot_call_the_manager(machine):
    serve_once(machine)
    for user in ("nobody", "dynapm-app"):
        code = "import socket; socket.socket(socket.AF_UNIX).connect('/run/dynapm/manager')"
        refused = run("runuser", "-u", user, "--", "/usr/bin/python3", "-c", code, check=False)
        assert "PermissionError" in refused.stdout, user


def test_a_file_that_others_may_write_is_refused(machine):
    app = machine.app(write=False)
    machine.write(app.name, json.dumps(app.config), mode=0o666)
    machine.systemctl("start", "dynapm-manager.service")
    assert "others" in machine.wait_message("/etc/dynapm.d/blog.json", "-u", "dynapm.service")["MESSAGE"]


def test_from_where_the_manager_is_a_service_can_be_started_as_its_user(machine):
    machine.configure_unit("dynapm-manager.service", "[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart=" + (
        "/usr/bin/busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "
        "StartTransientUnit ssa(sv)a(sa(sv)) dynapm-bed.service fail 3 "
        "ExecStart a(sasb) 1 /usr/bin/sleep 2 sleep 100 false Slice s dynapm.slice User s dynapm-app 0\n"))
    machine.outside.append("dynapm-bed.service")
    machine.systemctl("start", "dynapm-manager.service")
    machine.wait_active("dynapm-bed.service")
    pid = machine.main_pid("dynapm-bed.service")
    assert machine.property("dynapm-bed.service", "ControlGroup") == "/dynapm.slice/dynapm-bed.service"
    assert int(status_field(pid, "CapBnd"), 16) != 1 << 10 and status_field(pid, "NoNewPrivs") == "0"
