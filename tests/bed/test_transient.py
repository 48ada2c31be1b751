# SPDX-License-Identifier: ISC
"""Services of exec and commands, which systemd runs as transient units of ours."""

import os
import pwd
import threading
from pathlib import Path

from machine import run

from harness.process import alive, wait_for

UNIT = "dynapm-blog.service"


def commands(machine, line=None, app="hello.py", stop=None, check=None, **config):
    """A service of commands whose start command leaves it in the background, unless `line` is another one."""
    blog = machine.app(app, kind="exec", write=False, **config)
    argv = " ".join(blog.config.pop("exec"))
    lines = {"start": line or f"nohup {argv} >/dev/null 2>&1 &", "stop": stop, "check": check}
    blog.config["commands"] = {k: v for k, v in lines.items() if v}
    machine.write("blog", blog.config)
    return blog


def members(unit):
    """The processes of a unit's control group."""
    group = run("systemctl", "show", "--value", "-p", "ControlGroup", unit).stdout.strip()
    path = Path("/sys/fs/cgroup" + group, "cgroup.procs")
    return [int(pid) for pid in path.read_text().split()] if group and path.exists() else []


def shows(machine, **properties):
    for name, value in properties.items():
        assert machine.property(UNIT, name) == value, name


def text_of(machine, name="blog"):
    reply = machine.curl(name, "/", "-H", "Accept: text/plain")
    assert reply.status == 503
    return reply.text


# ── what it is run as ──

def test_exec_is_a_unit_of_an_unprivileged_user_in_our_slice(machine):
    blog = machine.app("echo.py", kind="exec", env={"GREETING": "$HOME ${X} %n $$"}, cwd="/usr/share")
    machine.enable()
    assert machine.curl("blog").status == 200
    shows(machine, User="dynapm-app", Slice="dynapm.slice", Type="exec", WorkingDirectory="/usr/share",
          Transient="yes", MainPID=str(blog.pid))
    status = Path(f"/proc/{blog.pid}/status").read_text()
    uid = pwd.getpwnam("dynapm-app").pw_uid
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in status
    assert os.readlink(f"/proc/{blog.pid}/cwd") == "/usr/share"
    assert "\0GREETING=$HOME ${X} %n $$\0" in "\0" + Path(f"/proc/{blog.pid}/environ").read_text()


def test_dollars_in_arguments_and_command_lines_are_what_was_written(machine):
    out = machine.folder / "out"
    out.touch()
    out.chmod(0o666)
    blog = commands(machine, app="hello.py")
    start = blog.config["commands"]["start"]
    blog.config["commands"]["start"] = f"X=one; echo \"$X ${{X}} $$ %n 100%\" >{out}; {start}"
    machine.write("blog", blog.config)
    machine.enable()
    assert machine.curl("blog").status == 200
    words = out.read_text().split()
    assert words[:2] == ["one", "one"] and words[2].isdigit() and words[3:] == ["%n", "100%"]


def test_an_environment_may_hold_secrets_and_any_text(machine):
    value = "say \"hi\" \\ $HOME `id` 'x' 100% é\n next\tline "
    blog = machine.app(kind="exec", env={"TOKEN": "s3cr3t", "TEXT": value}, write=False)
    machine.write("blog", blog.config, mode=0o600)
    machine.enable()
    assert machine.curl("blog").status == 200
    environment = Path(f"/proc/{blog.pid}/environ").read_text().split("\0")
    assert f"TEXT={value}" in environment and "TOKEN=s3cr3t" in environment
    # What anybody can ask for, and what anybody can read.
    said = run("runuser", "-u", "nobody", "--", "systemctl", "show", UNIT).stdout
    assert "s3cr3t" not in said
    for user in ("nobody", "dynapm", "dynapm-app"):
        p = run("runuser", "-u", user, "--", "grep", "-rqs", "s3cr3t", "/run/dynapm", "/run/systemd", "/etc/dynapm.d",
                check=False)
        assert p.returncode != 0, f"{user} can read it"


def test_root_only_where_it_is_written_and_a_group_where_it_is(machine):
    run("groupadd", "-f", "press")
    blog = machine.app(kind="exec", user="root", group="press")
    machine.enable()
    assert machine.curl("blog").status == 200
    shows(machine, User="root", Group="press")
    assert os.stat(f"/proc/{blog.pid}").st_uid == 0


def test_limits_are_handed_to_systemd(machine):
    machine.app(kind="exec", memoryMax="64M", memoryHigh="32M", cpuQuota="20%", cpuWeight=50, tasksMax=99, ioWeight=70)
    machine.enable()
    assert machine.curl("blog").status == 200
    shows(machine, MemoryMax=str(64 << 20), MemoryHigh=str(32 << 20), CPUQuotaPerSecUSec="200ms", CPUWeight="50",
          TasksMax="99", IOWeight="70")


def test_no_service_can_reach_the_managers_socket(machine):
    machine.app(kind="exec")
    machine.enable()
    assert machine.curl("blog").status == 200
    p = run("runuser", "-u", "dynapm-app", "--", "python3", "-c",
            "import socket; socket.socket(socket.AF_UNIX).connect('/run/dynapm/manager')", check=False)
    assert "PermissionError" in p.stdout


# ── its life ──

def test_it_is_stopped_when_idle_and_nothing_of_its_unit_is_left(machine):
    blog = machine.app(kind="exec", idleTimeout="200ms")
    machine.enable()
    for starts in (1, 2):
        assert machine.curl("blog").status == 200
        assert blog.starts == starts
        wait_for(lambda: machine.transitions("blog").count("offline") == starts, "it is offline")
        assert not alive(blog.pid)
        assert machine.property(UNIT, "LoadState") == "not-found"


def test_a_thousand_cold_requests_make_one_start(machine):
    blog = machine.app(kind="exec", env={"START_DELAY": "0.5"})
    machine.enable()
    url = f"http://blog.localhost:{machine.port}/"
    p = run("curl", "-sS", "--parallel", "--parallel-immediate", "--parallel-max", "300", "--connect-to",
            "::127.0.0.1:80", "-o", "/dev/null", "-w", "%{http_code}\n", *[url] * 1000)
    assert p.stdout.split().count("200") == 1000
    assert blog.starts == 1


def test_readiness_by_notification(machine):
    go = machine.folder / "go"
    blog = machine.app("notify.py", kind="exec", env={"GO": go}, notify=True)
    machine.enable()
    replies = []
    client = threading.Thread(target=lambda: replies.append(machine.curl("blog")))
    client.start()
    wait_for(lambda: blog.events("listening"), "it listens")
    shows(machine, ActiveState="activating", Type="notify")
    assert not blog.requests
    go.touch()
    client.join()
    assert replies[0].text == "ready\n"
    assert [e.split(" ")[0] for e in blog.events()] == ["start", "listening", "ready", "request"]


def test_why_it_could_not_be_started_is_told(machine):
    machine.app(kind="exec", name="nowhere", exec=["/nowhere/x"])
    machine.app(kind="exec", name="sick", exec=["/bin/sh", "-c", "echo I am sick; exit 3"])
    machine.app(kind="exec", name="lost", cwd="/nowhere")
    machine.app(kind="exec", name="whose", user="nobody-there")
    machine.app(kind="exec", name="manager")
    machine.enable()
    assert "its program cannot be executed" in text_of(machine, "nowhere")
    assert "exited with status 3" in text_of(machine, "sick") and "journalctl -u dynapm-sick.service" in text_of(machine, "sick")
    assert "its working directory cannot be entered" in text_of(machine, "lost")
    assert "its user is not known" in text_of(machine, "whose")
    assert "dynapm-manager.service" in text_of(machine, "manager") and machine.is_active("dynapm-manager.service")
    assert "I am sick" in machine.messages("-u", "dynapm-sick.service")
    assert "I am sick" in machine.messages("DYNAPM_SERVICE=sick")


def test_a_start_that_never_gets_ready_is_stopped(machine):
    blog = machine.app("never_ready.py", kind="exec", startTimeout="500ms")
    machine.enable()
    assert "did not become ready within 500ms" in text_of(machine)
    blog.wait_gone()
    assert machine.property(UNIT, "LoadState") == "not-found"


def test_a_unit_file_of_the_same_name_is_somebody_elses(machine):
    machine.app(kind="exec")
    machine.unit_file(UNIT, "[Service]\nExecStart=/bin/sleep 1000\n")
    machine.enable()
    assert "not of dynapm's making" in text_of(machine)


def test_it_is_started_again_while_it_still_ends(machine):
    blog = machine.app("stubborn.py", kind="exec", env={"STOP_DELAY": "0.5"}, idleTimeout="100ms")
    machine.enable()
    assert machine.curl("blog").status == 200
    wait_for(lambda: blog.events("asked-to-stop"), "it is being stopped")
    assert machine.curl("blog").status == 200
    assert blog.starts == 2


def test_also_when_somebody_else_stops_it(machine):
    blog = machine.app("stubborn.py", kind="exec", env={"STOP_DELAY": "0.5"})
    machine.enable()
    assert machine.curl("blog").status == 200
    machine.systemctl("stop", "--no-block", UNIT)
    wait_for(lambda: blog.events("asked-to-stop"), "it is being stopped")
    machine.wait_state("blog", "offline")
    assert machine.curl("blog").status == 200
    assert blog.starts == 2


# ── commands ──

def test_what_a_start_command_leaves_in_the_background_is_in_the_unit(machine):
    blog = commands(machine)
    machine.enable()
    assert machine.curl("blog").status == 200
    assert members(UNIT) == [blog.pid]
    shows(machine, ActiveState="active", SubState="exited")


def test_a_start_command_that_stays(machine):
    blog = commands(machine, line="exec true")
    blog.config["commands"]["start"] = "exec " + " ".join(blog.argv)
    machine.write("blog", blog.config)
    machine.enable()
    assert machine.curl("blog").status == 200
    shows(machine, SubState="running", MainPID=str(blog.pid))


def test_stop_leaves_no_process_of_the_unit_whatever_the_stop_command_does(machine):
    stopped = machine.folder / "stopped"
    stopped.touch()
    stopped.chmod(0o666)
    blog = commands(machine, app="stubborn.py", env={"IGNORE": 1, "CHILD": 1}, stop=f"id -un >{stopped}; exit 7",
                    stopTimeout="500ms", idleTimeout="100ms")
    machine.enable()
    assert machine.curl("blog").status == 200
    assert len(members(UNIT)) == 2
    machine.wait_state("blog", "offline")
    assert stopped.read_text() == "dynapm-app\n"
    blog.wait_gone()
    assert run("pgrep", "-u", "dynapm-app", check=False).stdout == ""
    assert machine.property(UNIT, "LoadState") == "not-found"


def test_the_death_of_what_was_left_in_the_background_is_noticed_without_a_request(machine):
    blog = commands(machine)
    machine.enable()
    assert machine.curl("blog").status == 200
    os.kill(blog.pid, 9)
    assert "its last process has ended" in machine.wait_state("blog", "offline")["MESSAGE"]
    assert machine.curl("blog").status == 200
    assert blog.starts == 2


def test_work_that_a_start_command_hands_to_a_daemon(machine):
    """As `docker start` does: nothing of it is ours, and its end shows when it does not answer."""
    worker = machine.app(name="worker", kind="exec", write=False)
    machine.unit_of(worker, name="worker.service")
    blog = commands(machine, line="systemctl start worker", stop="systemctl stop worker",
                    check="systemctl -q is-active worker", user="root", idleTimeout="500ms")
    blog.config["base"] = worker.config["base"]
    machine.write("blog", blog.config)
    machine.enable()
    assert machine.curl("blog").text == "hello from worker\n"
    assert members(UNIT) == []
    os.kill(worker.pid, 9)
    wait_for(lambda: not machine.is_active("worker.service"), "it is gone")
    assert machine.curl("blog").status == 200
    assert worker.starts == 2
    machine.wait_active("worker.service", False)
    machine.wait_state("blog", "offline")


def test_commands_run_as_the_services_user_outside_the_managers_sandbox(machine):
    """check and probe are units of their own, as the start command is."""
    out = machine.folder / "out"
    out.mkdir()
    out.chmod(0o777)
    look = "(id -un; grep -E 'NoNewPrivs|Seccomp' /proc/self/status; cat /proc/self/cgroup; ls /home) >{} 2>&1"
    machine.app(kind="exec", healthCheck={"type": "command", "command": look.format(out / "probe")})
    other = machine.app(name="wiki", kind="exec", write=False)
    other.config["commands"] = {"start": "exec " + " ".join(other.config.pop("exec")),
                                "check": look.format(out / "check") + "; false"}
    machine.write("wiki", other.config)
    machine.enable()
    assert machine.curl("blog").status == 200
    for name, service in (("probe", "blog"), ("check", "wiki")):
        text = wait_for(lambda: (out / name).exists() and (out / name).read_text(), f"{name} was run")
        lines = text.splitlines()
        assert lines[0] == "dynapm-app"
        # No sandbox but that of the whole container.
        for line in Path("/proc/1/status").read_text().splitlines():
            assert line in lines or not line.startswith(("NoNewPrivs", "Seccomp"))
        assert f"/dynapm.slice/dynapm-{service}:" in text
    assert machine.curl("wiki").status == 200  # the check said no


def test_a_users_own_service_manager_is_within_reach(machine):
    """As in the user's shell: `systemctl --user` as start, stop and check command of a service with `user`."""
    alice = machine.user()
    worker = machine.app(name="worker", kind="exec", write=False)
    unit = alice.drop_ins.parent / "systemd/user/worker.service"
    run("install", "-d", "-o", "alice", unit.parent.parent, unit.parent)
    env = "".join(f"Environment={k}={v}\n" for k, v in worker.env.items())
    unit.write_text(f"[Service]\n{env}ExecStart={' '.join(worker.argv)}\n")
    alice.systemctl("daemon-reload")
    machine.write("blog", {"host": "blog.localhost", "base": worker.config["base"], "user": "alice", "idleTimeout": "500ms",
                           "commands": {"start": "systemctl --user start worker", "stop": "systemctl --user stop worker",
                                        "check": "systemctl --user -q is-active worker"}})
    machine.enable()
    assert machine.curl("blog").text == "hello from worker\n"
    assert os.stat(f"/proc/{worker.pid}").st_uid == pwd.getpwnam("alice").pw_uid
    machine.wait_state("blog", "offline")
    worker.wait_gone()


def test_a_check_that_takes_too_long_counts_as_no_and_is_ended(machine):
    blog = commands(machine, check="exec sleep 3600", healthCheck={"type": "tcp", "timeout": "300ms"})
    machine.enable()
    assert machine.curl("blog").status == 200
    assert blog.starts == 1
    wait_for(lambda: run("pgrep", "-f", "sleep 3600", check=False).stdout == "", "the check has ended")


def test_a_failed_check_is_an_answer_and_no_error_in_the_journal(machine):
    commands(machine, check="exit 3")
    machine.enable()
    assert machine.curl("blog").status == 200
    assert machine.messages("-p", "warning", "DYNAPM_SERVICE=blog") == []


def test_many_probe_commands_leave_the_journal_alone(machine):
    go = machine.folder / "go"
    blog = machine.app(kind="exec", healthCheck={"type": "command", "command": f"test -e {go}"})
    machine.enable()
    client = threading.Thread(target=lambda: machine.curl("blog"))
    client.start()
    wait_for(lambda: blog.events("listening"), "it listens")
    machine.wait_message("offline → starting")
    go.touch()
    client.join()
    said = machine.messages("DYNAPM_SERVICE=blog")
    assert not [m for m in said if "Command of blog" in m]
