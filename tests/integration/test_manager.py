# SPDX-License-Identifier: ISC
"""The program dynapm-manager by itself, asked through its socket by a gateway of our own making."""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from harness import free_port, process, wait_for
from harness.bus import BusError, Peer
from harness.gateway import PROGRAM as GATEWAY

PROGRAM = GATEWAY.parent / "dynapm-manager"
STATES = ["offline", "starting", "online", "stopping", "failed"]
SERVE = str(Path(__file__).parent / "apps" / "hello.py")


class Manager:
    """A manager with a folder of services, its log, and what it tells its service manager."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.conf, self.run = self.folder / "conf", self.folder / "run"
        self.conf.mkdir()
        self.popen, self.notified, self.ports = None, [], {}
        self.log_path = self.folder / "log"
        self.log_path.touch()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.folder / "notify"))
        threading.Thread(target=self.read_notify, daemon=True).start()

    def read_notify(self):
        while True:
            try:
                self.notified += self.notify.recv(65536).decode().split("\n")
            except OSError:
                return

    def config(self, name, **keys):
        (self.conf / f"{name}.json").write_text(json.dumps(keys))

    def service(self, name, **keys):
        port = self.ports[name] = free_port()
        self.config(name, **{"host": f"{name}.test", "base": f"http://127.0.0.1:{port}",
                             "exec": [sys.executable, SERVE], "env": {"PORT": str(port), "NAME": name}, **keys})

    @property
    def command(self):
        return [str(PROGRAM), f"--config-dir={self.conf}", f"--runtime-dir={self.run}"]

    def start(self, *args, wait=True, prefix=(), **kwargs):
        since = len(self.notified)
        env = {**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"), "DYNAPM_LOG_LEVEL": "debug"}
        with self.log_path.open("ab") as log:
            self.popen = subprocess.Popen([*prefix, *self.command, *args], stderr=log, env=env,
                                          stdin=subprocess.DEVNULL, **kwargs)
        if wait:
            wait_for(lambda: "READY=1" in self.notified[since:] or self.popen.poll() is not None, "READY=1")
            assert self.popen.poll() is None, self.log
        return self

    @property
    def log(self):
        return self.log_path.read_text()

    def wait_log(self, pattern, timeout=10):
        return wait_for(lambda: re.search(pattern, self.log), f"log line /{pattern}/ in {self.log}", timeout)

    def send(self, sig):
        self.popen.send_signal(sig)

    def end(self, sig=signal.SIGTERM, timeout=20):
        if self.popen.poll() is None:
            self.send(sig)
        return self.popen.wait(timeout)

    def peer(self):
        return Peer(self.run / "manager")

    def children(self):
        return process.descendants(self.popen.pid)

    def finish(self):
        if self.popen and self.popen.poll() is None:
            left = self.children()
            self.popen.kill()
            self.popen.wait()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        self.notify.close()
        print(f"── log ──\n{self.log}\n──")
        assert "Sanitizer" not in self.log


@pytest.fixture
def manager():
    folder = tempfile.mkdtemp(prefix="dynapm-manager-")
    m = Manager(folder)
    yield m
    m.finish()
    shutil.rmtree(folder, ignore_errors=True)


def run(*args, **kwargs):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=20, **kwargs)


def state(status_fd, slot):
    number, epoch = struct.unpack("<II", os.pread(status_fd, 8, 16 * slot))
    return STATES[number], epoch


# ── the command line ──

def test_version_and_help_are_printed():
    p = run("--version")
    assert p.returncode == 0 and re.fullmatch(r"dynapm-manager \d+\.\d+\.\d+\n", p.stdout)
    for option in "--help", "-h":
        p = run(option)
        assert p.returncode == 0 and not p.stderr
        for name in "check", "config-dir", "config", "runtime-dir", "user", "exit-with-parent", "version":
            assert f"--{name}" in p.stdout


@pytest.mark.parametrize("args", [["--nonsense"], ["stray"], ["--check", "stray"], ["--config-dir"],
                                  ["--exit-with-parent=me"], ["--exit-with-parent=0"]])
def test_options_that_make_no_sense_are_refused_with_a_hint(args):
    p = run(*args)
    assert p.returncode == 2
    assert "--help" in p.stderr and not p.stdout


def test_check_counts_services(manager):
    manager.service("a")
    assert run("--check", f"--config-dir={manager.conf}").stdout == "1 service, no problems\n"
    manager.service("b")
    p = run("--check", f"--config-dir={manager.conf}")
    assert (p.returncode, p.stdout, p.stderr) == (0, "2 services, no problems\n", "")


def test_check_says_every_problem_on_a_line(manager):
    manager.service("good")
    manager.config("one", host="one.test", base="http://127.0.0.1:1", exec=["/bin/true"], idleTimeout="5 mins")
    manager.config("two", host=5, base="http://127.0.0.1:1", exec=["/bin/true"])
    p = run("--check", f"--config-dir={manager.conf}")
    assert p.returncode == 1
    lines = p.stderr.splitlines()
    assert len(lines) == 2
    assert re.match(rf"{re.escape(str(manager.conf))}/one\.json:1:\d+: idleTimeout: ", lines[0])
    assert re.match(rf"{re.escape(str(manager.conf))}/two\.json:1:\d+: host: ", lines[1])


def test_an_earlier_folder_replaces_files_of_a_later_one(manager):
    later = manager.folder / "later"
    later.mkdir()
    (later / "a.json").write_text("{")
    manager.service("a")
    assert run("--check", f"--config-dir={later}").returncode == 1
    p = run("--check", f"--config-dir={manager.conf}", f"--config-dir={later}")
    assert (p.returncode, p.stdout) == (0, "1 service, no problems\n")
    assert run("--check", f"--config-dir={later}", f"--config-dir={manager.conf}").returncode == 1


def test_check_reads_global_settings_from_the_file_named(manager):
    file = manager.folder / "global.json"
    file.write_text('{"limits": {"maxConnections": "many"}}')
    p = run("--check", f"--config-dir={manager.conf}", f"--config={file}")
    assert p.returncode == 1 and "limits.maxConnections" in p.stderr


def test_check_complains_of_what_was_named_and_is_not_there(manager):
    p = run("--check", f"--config-dir={manager.conf}/typo", f"--config={manager.folder}/typo.json")
    assert p.returncode == 1 and not p.stdout
    for path in f"{manager.conf}/typo", f"{manager.folder}/typo.json":
        assert re.search(rf"^{re.escape(path)}: .*No such file or directory$", p.stderr, re.M)


def test_check_without_folders_takes_the_users(manager):
    folder = manager.folder / "dynapm.d"
    folder.mkdir()
    (folder / "x.json").write_text(json.dumps({"host": "x.test", "base": "http://127.0.0.1:1", "proxyOnly": True}))
    p = run("--check", "--user", env={**os.environ, "XDG_CONFIG_HOME": str(manager.folder)})
    assert (p.returncode, p.stdout, p.stderr) == (0, "1 service, no problems\n", "")


# ── life ──

def test_it_says_when_it_is_ready_and_what_it_has(manager):
    manager.service("a")
    manager.service("b")
    manager.config("broken", host=5)
    manager.start()
    manager.wait_log(r"2 services loaded in \d+ ms")
    manager.wait_log(r"broken\.json:1:\d+: ")
    assert (manager.run / "manager").stat().st_mode & 0o7777 == 0o660
    wait_for(lambda: "STATUS=2 services: all offline" in manager.notified, "STATUS=")
    with manager.peer() as peer:
        peer.attach()
        assert peer.wake(0)[0]
        wait_for(lambda: "STATUS=2 services: 1 online" in manager.notified, "STATUS= with one online")
    assert manager.end() == 0
    assert "STOPPING=1" in manager.notified
    assert not (manager.run / "manager").exists()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_its_services_when_it_is_told_to_end(manager, sig):
    for name in "a", "b":
        manager.service(name)
    manager.start()
    with manager.peer() as peer:
        peer.attach()
        assert peer.wake(0)[0] and peer.wake(1)[0]
        services = manager.children()
        assert len(services) == 2
        assert manager.end(sig) == 0
    assert not [pid for pid in services if process.alive(pid)]


def test_no_gateway_holds_up_its_end(manager):
    manager.service("a")
    manager.start()
    with socket.socket(socket.AF_UNIX) as silent, manager.peer() as deaf:
        silent.connect(str(manager.run / "manager"))  # and never says a word
        deaf.attach()
        assert deaf.wake(0)[0]
        for _ in range(5000):  # more answers than a socket holds
            deaf.send("Wake", "uus", 0, 0, "GET a/")
        assert manager.end(timeout=10) == 0


def test_a_second_signal_ends_it_at_once(manager):
    manager.config("stubborn", host="s.test", base="http://127.0.0.1:1", healthCheck={"type": "none"},
                   exec=["/bin/sh", "-c", "trap '' TERM; while :; do sleep 3600; done"], stopTimeout="1h")
    manager.start()
    with manager.peer() as peer:
        peer.attach()
        assert peer.wake(0)[0]
        left = manager.children()
        manager.send(signal.SIGTERM)
        manager.wait_log("Shutting down")
        assert manager.end(signal.SIGTERM, timeout=5) == 1
    assert any(process.alive(pid) for pid in left)
    for pid in left:
        os.kill(pid, signal.SIGKILL)


def test_sighup_reads_the_configuration_anew(manager):
    manager.service("a")
    manager.start()
    manager.service("b")
    manager.send(signal.SIGHUP)
    manager.wait_log("Services: 1 added, 0 changed, 0 removed")
    manager.wait_log("configuration was reloaded")
    assert manager.end() == 0


def test_a_second_manager_in_the_same_folder_says_so_and_ends(manager):
    manager.service("a")
    manager.start()
    p = run(*manager.command[1:])
    assert p.returncode == 1
    assert f"Another dynapm-manager is already running in {manager.run}" in p.stderr
    with manager.peer() as peer:
        peer.attach()
        assert peer.wake(0)[0]
    assert manager.end() == 0


def test_it_listens_on_the_socket_that_is_passed(manager):
    manager.service("a")
    path = manager.folder / "passed"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        fd = fcntl.fcntl(s, fcntl.F_DUPFD, 100)
        manager.start(prefix=["/bin/bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{fd} {fd}<&-', "bash"],
                      pass_fds=[fd])
        os.close(fd)
    with Peer(path) as peer:
        peer.attach()
        assert peer.wake(0)[0]
    assert manager.end() == 0
    assert path.exists()  # it is not ours to remove
    assert not (manager.run / "manager").exists()


def test_what_is_passed_must_be_a_listening_unix_socket(manager):
    with open("/dev/null", "rb") as f:
        fd = fcntl.fcntl(f, fcntl.F_DUPFD, 100)
        manager.start(prefix=["/bin/bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{fd} {fd}<&-', "bash"],
                      pass_fds=[fd], wait=False)
        os.close(fd)
    assert manager.end(signal.SIGCONT) == 1
    assert "no listening unix socket" in manager.log


def test_two_thousand_services_are_loaded_at_once(manager):
    for i in range(2000):
        manager.config(f"s{i}", host=f"s{i}.test", base="http://127.0.0.1:1", exec=["/bin/false"])
    manager.start()
    loaded = int(manager.wait_log(r"2000 services loaded in (\d+) ms")[1])
    assert loaded < 5000  # a few dozen, on a machine that has nothing else to do
    with manager.peer() as peer:
        peer.attach()
        online, _, why, _ = peer.wake(1999)
        assert not online and "exited with status 1" in why
    assert manager.end() == 0


def test_what_runs_is_found_again_after_the_manager_was_killed(manager):
    manager.service("a")
    manager.service("b")
    manager.service("asleep")
    manager.start()
    with manager.peer() as peer:
        slots = {n: i for i, n in enumerate(sorted(["a", "b", "asleep"]))}
        status, _, _ = peer.attach()
        assert peer.wake(slots["a"])[0] and peer.wake(slots["b"])[0]
    services = set(manager.children())
    assert len(services) == 2
    manager.end(signal.SIGKILL)
    assert all(process.alive(pid) for pid in services)
    assert (manager.run / "manager").exists()  # a stale socket is no obstacle

    manager.start()
    with manager.peer() as peer:
        status, _, _ = peer.attach()
        for name in "a", "b":
            wait_for(lambda n=name: state(status, slots[n])[0] == "online", f"{name} is online again")
            assert peer.wake(slots[name])[0]
        assert state(status, slots["asleep"])[0] == "offline"
        assert not manager.children()  # nothing was started
        assert manager.end() == 0
    wait_for(lambda: not any(process.alive(pid) for pid in services), "end of what was taken over")


def test_check_commands_run_a_few_at_a_time_and_hold_nobody_up(manager):
    go, checked = manager.folder / "go", manager.folder / "checked"
    checked.touch()
    for i in range(100):
        manager.config(f"s{i:03}", host=f"s{i}.test", base="http://127.0.0.1:1",
                       commands={"start": "true", "stop": "true",
                                 "check": f"until test -e {go}; do sleep 0.02; done; echo {i} >>{checked}; false"})
    manager.service("zz")
    manager.start()

    def shells():
        return [pid for pid in manager.children() if process.name(pid) == "sh"]

    with manager.peer() as peer:
        peer.attach()
        wait_for(lambda: len(shells()) >= 32, "some checks run")
        assert peer.wake(100)[0]  # its own check comes first
        assert len(shells()) == 32
        go.touch()
        wait_for(lambda: len(checked.read_text().splitlines()) == 100, "all have been checked")
    assert manager.end() == 0


def test_nothing_of_the_manager_gets_into_a_service(manager):
    manager.service("a")
    manager.start()
    with manager.peer() as peer:
        peer.attach()
        assert peer.wake(0)[0]
        (pid,) = manager.children()
        # A moment may pass: pthread_create(3) blocks all signals while the service makes a thread.
        wait_for(lambda: re.search(r"^SigBlk:\s+0+$", Path(f"/proc/{pid}/status").read_text(), re.M), "no blocked signals")
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert not [link for link in links if "memfd" in link or str(manager.run) in link]
        environment = Path(f"/proc/{pid}/environ").read_text()
        assert "NOTIFY_SOCKET" not in environment and "LISTEN_" not in environment
    assert manager.end() == 0


def test_it_ends_with_its_parent(manager):
    manager.service("a")
    # The shell is the parent; it says who its child is and waits.
    script = manager.folder / "parent.sh"
    script.write_text('"$@" & echo $! >"$0.pid"; wait')
    manager.start("--exit-with-parent", prefix=["/bin/bash", str(script)])
    pid = int(Path(f"{script}.pid").read_text())
    with manager.peer() as peer:
        peer.attach()
        assert peer.wake(0)[0]
        services = process.descendants(pid)
        assert services
        manager.popen.kill()
        wait_for(lambda: not process.alive(pid), "end of the manager")
    assert not [p for p in services if process.alive(p)]
    manager.wait_log("Shutting down")


def test_a_parent_that_is_gone_already_is_noticed(manager):
    manager.start("--exit-with-parent=1", wait=False)
    if os.getpid() != 1:
        assert manager.popen.wait(10) == 1
        manager.wait_log("parent process is gone")


def test_the_socket_outlives_nonsense(manager):
    manager.service("a")
    manager.start()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(manager.run / "manager"))
        s.sendall(b"GET / HTTP/1.1\r\n\r\n")
        s.settimeout(20)
        assert s.recv(100) == b""
    with manager.peer() as peer:
        with pytest.raises(BusError) as e:
            peer.call("Attach", "ub", 999, 0)
        assert e.value.name == "org.dynapm1.Error.Version"
        peer.attach()
        assert peer.wake(0)[0]
    assert manager.end() == 0
