# SPDX-License-Identifier: ISC
"""The installed dynapm, run by the machine's systemd: its sockets kept and its services started by units, its settings
in /etc, its log in the journal. Changes the machine it runs on, and puts it back in order; there is one at a time."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from harness import process, units
from harness.gateway import SANITIZER_REPORT, Gateway
from harness.journal import Journal

GATEWAY, MANAGER = "dynapm.service", "dynapm-manager.service"
UNITS = ["dynapm.socket", "dynapm-manager.socket", GATEWAY, MANAGER]
CONFIG_DIR, CONFIG = Path("/etc/dynapm.d"), Path("/etc/dynapm.json")
RUNTIME_UNITS = Path("/run/systemd/system")
# $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS of systemd.exec(5). Who is killed was killed by the test.
GOOD_ENDS = {"success exited 0", "signal killed KILL"}


def systemctl(*args, check=True):
    p = subprocess.run(["systemctl", "--no-pager", "--quiet", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=90)
    assert p.returncode == 0 or not check, f"systemctl {' '.join(args)}: status {p.returncode}\n{p.stdout}"


def processes_of(unit):
    """The living ones of its control group."""
    try:
        pids = Path(f"/sys/fs/cgroup/system.slice/{unit}/cgroup.procs").read_text().split()
    except OSError:  # gone, or going
        return []
    return [pid for pid in map(int, pids) if process.alive(pid)]


def processes_of_users(*names):
    """Those of nobody below this test."""
    uids = {pwd.getpwnam(name).pw_uid for name in names}
    ours = set(process.descendants(os.getpid()))
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and os.stat(f"/proc/{entry}").st_uid in uids:
                found.append(int(entry))
    return [pid for pid in found if pid not in ours and process.alive(pid)]


class Installed(Gateway):
    """As Gateway. `args`, `workers`, `env` and `soft_fd_limit` are drop-ins for dynapm.service, `listen` one for
    dynapm.socket. With `as_units`, each service of kind exec or commands is a unit of its own."""

    as_units = False
    user = units.APP_USER

    def __init__(self, folder, services=(), files=None, config=None, args=(), workers=None, env=None, listen=None,
                 port=None, soft_fd_limit=None):
        assert not CONFIG.exists() and not any(CONFIG_DIR.iterdir()), "one at a time"
        self.folder = Path(folder)
        self.port = port or process.free_port()
        self.config_dir = CONFIG_DIR
        self.listen = [f"127.0.0.1:{self.port}"] if listen is None else listen
        self.written, self.started, self.finished, self.last_pid = [], False, False, 0
        self.journal = Journal(UNITS)
        for service in services:
            self.write(service.name + ".json", service.config)
        for name, content in (files or {}).items():
            self.write(name, content)
        if config is not None:
            self._write(CONFIG, config if isinstance(config, str) else json.dumps(config))
        self._drop_in("dynapm.socket", ["[Socket]", "ListenStream=",
                                        *(f"ListenStream={a.removeprefix('unix:')}" for a in self.listen)])
        words = ["/usr/bin/dynapm", *([f"--workers={workers}"] if workers else []), *args]
        lines = ["[Service]", "ExecStart=", f"ExecStart={units.command_line(words)}"]
        lines += [f"Environment={units.quoted(f'{k}={v}')}" for k, v in (env or {}).items()]
        lines += [f"LimitNOFILE={soft_fd_limit}:524288"] if soft_fd_limit else []
        self._drop_in(GATEWAY, lines + [self._remember_end("gateway")])
        self._drop_in(MANAGER, ["[Service]", self._remember_end("manager")])

    # ── what it is told by files ──

    def _write(self, path, text):
        path.write_text(text)
        path.chmod(0o644)
        self.written.append(path)

    def _drop_in(self, unit, lines):
        folder = RUNTIME_UNITS / f"{unit}.d"
        folder.mkdir(parents=True, exist_ok=True)
        self._write(folder / "test.conf", "\n".join(lines) + "\n")

    def _remember_end(self, whose):
        """Run outside of the sandbox, as root."""
        line = f'echo "$SERVICE_RESULT $EXIT_CODE $EXIT_STATUS" >>{self.folder}/ends-of-{whose}'
        return f"ExecStopPost=+{units.shell(line)}"

    def write(self, name, content):
        unit = self.as_units and units.unit_for(name.removesuffix(".json"), content)
        if unit:
            self._write(RUNTIME_UNITS / unit[0], unit[1])
            content = unit[2]
            if self.started:
                systemctl("daemon-reload")
        self._write(self.config_dir / name, content if isinstance(content, str) else json.dumps(content, indent=2))

    # ── its life ──

    def start(self, wait_ready=True):
        systemctl("daemon-reload")
        systemctl("start", "dynapm.socket")
        self.started = True
        if wait_ready:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        """The first client starts it, as always; this one has nothing to ask."""
        with socket.socket() as s:
            s.settimeout(timeout)
            s.connect(self.address)
            process.wait_for(lambda: processes_of(GATEWAY), "a connection starts the gateway", timeout)
            systemctl("start", GATEWAY)  # which it is already: waits until it has said READY=1
            s.shutdown(socket.SHUT_WR)
            s.recv(1)  # the gateway is rid of it: it counts as a connection no more

    def ends(self, whose="gateway"):
        try:
            return (self.folder / f"ends-of-{whose}").read_text().splitlines()
        except FileNotFoundError:
            return []

    def wait_end(self, timeout=20):
        """The exit status of the process that `pid` last was, negative for a signal. There may be another by then."""
        try:
            process.wait_for(lambda: not process.alive(self.last_pid) and self.ends(), f"end of {self.last_pid}", timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log}") from None
        _, how, status = self.ends()[-1].split()
        return int(status) if how == "exited" else -signal.Signals[f"SIG{status}"]

    def stop(self, timeout=20):
        """Stops sockets and services: the exit status of the gateway, 0 if it never ran. What it has started goes on."""
        systemctl("stop", *UNITS)
        return self.wait_end(timeout) if self.last_pid or self.ends() else 0

    def finish(self, expect_exit=0):
        """Ends it and what it has started, and checks what every test checks."""
        if self.finished:
            return
        self.finished = True
        problems = []
        try:
            status = self.stop()
        finally:
            of_test = [path.name for path in self.written if path.parent == RUNTIME_UNITS]
            systemctl("stop", "dynapm.slice", *of_test)
            left = processes_of_users("dynapm", units.APP_USER)
            problems += [f"left behind: {process.command(pid)}" for pid in left]
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            for path in self.written:
                path.unlink(missing_ok=True)
                if path.name == "test.conf":
                    path.parent.rmdir()
            systemctl("reset-failed", check=False)  # what is not there any more is forgotten at the next start()
            self.journal.sync()
            self.journal.close()
            print(f"── the journal of dynapm ──\n{self.log}\n──")
        for whose in ("gateway", "manager"):
            problems += [f"the {whose} ended with: {end}" for end in self.ends(whose) if end not in GOOD_ENDS]
        if status != expect_exit:
            problems.append(f"exit status {status} after SIGTERM")
        if SANITIZER_REPORT.search(self.log):
            problems.append("the sanitizer found something")
        assert not problems, "\n".join(problems)

    # ── looking at it ──

    @property
    def lines(self):
        return self.journal.read()

    @property
    def pid(self):
        """The main process, or who was it last."""
        for pid in processes_of(GATEWAY):
            fields = process.stat_fields(pid)
            if fields and fields[1] == "1":
                self.last_pid = pid
        return self.last_pid

    def processes(self):
        return [pid for unit in (GATEWAY, MANAGER) for pid in processes_of(unit) if pid != self.pid]

    def mark(self):
        return len(self.journal.sync())

    def find_log(self, pattern, since=0):
        self.journal.sync()
        return super().find_log(pattern, since)


class InstalledWithUnits(Installed):
    as_units = True


def available():
    return os.environ.get("DYNAPM_BED") == "1" and shutil.which("systemctl")
