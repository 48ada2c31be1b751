# SPDX-License-Identifier: ISC
"""The real `dynapm --standalone`, from its start to the proof that nothing of it is left."""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import client, process

BUILD = Path(os.environ.get("DYNAPM_BUILD_DIR", Path(__file__).parents[3] / "build"))
PROGRAM = BUILD / "dynapm"
INIT = str(Path(__file__).with_name("init.py"))
SANITIZER_REPORT = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|ThreadSanitizer")


def sanitized():
    """Was it built with the address sanitizer, which needs several times the memory and the time?"""
    return b"__asan_init" in PROGRAM.read_bytes()


def library_version():
    """Of the libmicrohttpd that it runs with: (0, 9, 75)."""
    text = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    return tuple(int(n) for n in re.search(r"libmicrohttpd (\d+)\.(\d+)\.(\d+)", text).groups())


class Line:
    def __init__(self, text, at=None):
        self.at = at or time.monotonic()
        self.text = text

    def __repr__(self):
        return self.text


class Notify:
    """A service manager's notification socket, sd_notify(3)."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(self.path)
        self.messages = []  # (time, sender's pid, assignment)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4 * 16))
            if data == b"close":
                return
            pid = struct.unpack("iii", ancillary[0][2][:12])[0]
            for assignment in data.decode().splitlines():
                self.messages.append((time.monotonic(), pid, assignment))

    def find(self, prefix):
        return [m for m in list(self.messages) if m[2].startswith(prefix)]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"close", self.path)
        self.reader.join()
        self.socket.close()


class Gateway:
    """`services` are harness.site.Service; `files` more drop-ins as text or as objects for JSON; `config` the
    global settings. `wrapper` is put in front of the command; `listen` replaces the one address on 127.0.0.1."""

    user = None  # who runs the services, if not the tests' own

    def __init__(self, folder, services=(), files=None, config=None, args=(), workers=None, env=None,
                 listen=None, wrapper=(), port=None, soft_fd_limit=1024):
        self.folder = Path(folder)
        self.port = port or process.free_port()
        self.config_dir = self.folder / "dynapm.d"
        self.runtime_dir = self.folder / "run"
        self.config_dir.mkdir()
        self.runtime_dir.mkdir()
        for service in services:
            self.write(service.name + ".json", service.config)
        for name, content in (files or {}).items():
            self.write(name, content)
        if listen is None:
            listen = [f"127.0.0.1:{self.port}"]
        self.command = [*wrapper, str(PROGRAM), "--standalone", *(f"--listen={a}" for a in listen),
                        f"--config-dir={self.config_dir}", f"--runtime-dir={self.runtime_dir}"]
        if config is not None:
            (self.folder / "dynapm.json").write_text(config if isinstance(config, str) else json.dumps(config))
            self.command.append(f"--config={self.folder / 'dynapm.json'}")
        if workers:
            self.command.append(f"--workers={workers}")
        self.command += args
        self.env = dict(os.environ)
        for unwanted in ("JOURNAL_STREAM", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID"):
            self.env.pop(unwanted, None)
        self.env["ASAN_OPTIONS"] = "detect_leaks=1:quarantine_size_mb=4:malloc_context_size=12"
        self.env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        self.env.update(env or {})
        self.soft_fd_limit = soft_fd_limit
        self.lines, self.popen, self.notify, self.pid, self.ended = [], None, None, 0, None

    def write(self, name, content):
        (self.config_dir / name).write_text(content if isinstance(content, str) else json.dumps(content, indent=2))

    # ── its life ──

    def start(self, wait_ready=True):
        self.notify = Notify(self.folder / "notify")
        self.env["NOTIFY_SOCKET"] = self.notify.path
        status_read, status_write = os.pipe()
        # A shell's and a unit's usual limit, not the large one of this test process.
        command = [sys.executable, "-S", "-E", INIT, str(status_write),
                   "prlimit", f"--nofile={self.soft_fd_limit}:", *self.command]
        self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, env=self.env, pass_fds=[status_write])
        os.close(status_write)
        self.status = os.fdopen(status_read)
        self.pid = json.loads(self.status.readline())["pid"]
        self.started = time.monotonic()
        self.readers = [threading.Thread(target=self._read, args=(pipe,), daemon=True)
                        for pipe in (self.popen.stdout, self.popen.stderr)]
        self.readers.append(threading.Thread(target=self._await_end, daemon=True))
        for reader in self.readers:
            reader.start()
        if wait_ready:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        def ready():
            if self.ended:
                raise AssertionError(f"it ended with {self.ended['exit']} before it was ready\n{self.log}")
            return self.notify.find("READY=1")
        return process.wait_for(ready, "READY=1", timeout)[0]

    def _read(self, pipe):
        for line in pipe:
            self.lines.append(Line(line.decode("utf-8", "replace").rstrip("\n")))

    def _await_end(self):
        self.ended = json.loads(self.status.readline() or '{"exit": -9, "left": []}')

    @property
    def log(self):
        return "\n".join(line.text for line in list(self.lines))

    def wait_end(self, timeout=20):
        """The exit status, negative for a signal."""
        try:
            return process.wait_for(lambda: self.ended, f"end of {self.pid}", timeout)["exit"]
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log}") from None

    def stop(self, timeout=20):
        """SIGTERM, and the exit status."""
        with contextlib.suppress(ProcessLookupError):  # it may have ended a moment ago
            if not self.ended:
                os.kill(self.pid, signal.SIGTERM)
        return self.wait_end(timeout)

    def finish(self, expect_exit=0):
        """Ends it and checks what every test checks: a clean exit, no process left behind, no sanitizer's report."""
        if self.popen is None or self.status.closed:
            return
        try:
            status = self.stop()
        finally:
            self.popen.terminate()  # the init, which has ended already unless something went wrong
            self.popen.wait()
            for reader in self.readers:
                reader.join(5)
            self.status.close()
            self.notify.close()
            print(f"── log of {' '.join(self.command)} ──\n{self.log}\n──")
        assert not self.ended["left"], f"left behind: {self.ended['left']}"
        assert status == expect_exit, f"exit status {status} after SIGTERM"
        assert not SANITIZER_REPORT.search(self.log), "the sanitizer found something"

    # ── looking at it ──

    def processes(self):
        """Everything below it, orphans included."""
        return [pid for pid in process.descendants(self.popen.pid) if pid != self.pid]

    def named(self, name):
        return [pid for pid in [self.pid, *self.processes()] if process.name(pid) == name]

    def manager_pid(self):
        pids = self.named("dynapm-manager")
        assert len(pids) == 1, f"one manager expected: {pids}"
        return pids[0]

    def workers(self):
        """The processes that serve connections: the first one only keeps them, unless it is alone."""
        return [pid for pid in self.named("dynapm") if pid != self.pid] or [self.pid]

    def mark(self):
        return len(self.lines)

    def _matching(self, pattern, since):
        return [line for line in list(self.lines)[since:] if re.search(pattern, line.text)]

    def find_log(self, pattern, since=0):
        return self._matching(pattern, since)

    def wait_log(self, pattern, since=0, timeout=10):
        try:
            return process.wait_for(lambda: self._matching(pattern, since), f"log line /{pattern}/", timeout)[0]
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log}") from None

    def wait_state(self, service, state, since=0, timeout=10):
        return self.wait_log(rf"\b{re.escape(service)}: \w+ → {state}\b", since, timeout)

    def count_transitions(self, service, to):
        return len(self.find_log(rf"\b{re.escape(service)}: \w+ → {to}\b"))

    def peak_memory(self):
        """The largest VmHWM of the gateway's processes, in bytes."""
        return max(process.memory(pid, "VmHWM") for pid in self.named("dynapm"))

    def owners(self, connections):
        """The worker that serves each; None for one that is not accepted yet."""
        accepted = process.accepted(self.port, self.named("dynapm"))
        return [accepted.get(c.socket.getsockname()[1]) for c in connections]

    # ── asking it ──

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def curl(self, host, path="/", *args, **kwargs):
        """`host` without a dot is the service NAME.localhost."""
        host = host if "." in host else f"{host}.localhost"
        return client.curl(f"http://{host}:{self.port}{path}", *args, resolve=f"127.0.0.1:{self.port}", **kwargs)

    def raw(self, data=None, **kwargs):
        connection = client.Raw(self.address, **kwargs)
        if data is not None:
            connection.send(data)
        return connection
