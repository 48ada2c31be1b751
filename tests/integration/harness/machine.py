# SPDX-License-Identifier: ISC
"""A gateway and a manager as a machine has them: two units with sockets that a service manager keeps. That one is
pid1.py, which starts them, again and again, and can be told to restart or kill either."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

from harness import process
from harness.gateway import BUILD, PROGRAM, Gateway

PID1 = str(Path(__file__).with_name("pid1.py"))
GATEWAY, MANAGER = "dynapm", "dynapm-manager"


class Machine(Gateway):
    """As Gateway, but for: `listen`, more addresses of dynapm.socket than the one of `port`, each (host, port) or a
    path; `args` and `manager_args`; `lazy`: nothing is started before the first connection."""

    def __init__(self, folder, services=(), listen=(), args=(), manager_args=(), workers=None, lazy=False, **kwargs):
        super().__init__(folder, services, **kwargs)
        self.lazy = lazy
        config = [a for a in self.command if a.startswith(("--config-dir=", "--config="))]
        runtime = f"--runtime-dir={self.runtime_dir}"
        gateway = [str(PROGRAM), runtime, *([f"--workers={workers}"] if workers else []), *args]
        manager = [str(BUILD / "dynapm-manager"), runtime, *config, *manager_args]
        self.control = str(self.folder / "control")
        units = [{"name": GATEWAY, "command": gateway, "listen": [["127.0.0.1", self.port], *listen]},
                 {"name": MANAGER, "command": manager, "listen": [str(self.runtime_dir / "manager")]}]
        for unit in units:
            unit.update(env={}, started=not lazy)
        self.command = [sys.executable, "-S", "-E", PID1, self.control, json.dumps(units)]

    def start(self, wait_ready=True):
        super().start(wait_ready=False)
        if wait_ready and not self.lazy:
            self.wait_unit_ready(GATEWAY)
        else:
            self.tell(state="")  # answered when the sockets are bound
        return self

    # ── telling the service manager what to do ──

    def tell(self, timeout=30, **command):
        def connection():
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(self.control)
            except (FileNotFoundError, ConnectionRefusedError):
                s.close()
                return None
            return s

        with process.wait_for(connection, "the service manager listens") as s:
            s.settimeout(timeout)
            s.sendall(json.dumps(command).encode() + b"\n")
            return json.loads(s.makefile().readline())

    def restart(self, unit):
        """Returns when the old one has ended and the new one was executed, as `systemctl --no-block` would not."""
        self.tell(restart=unit)

    def kill_unit(self, unit, sig=signal.SIGKILL):
        self.tell(kill=unit, signal=int(sig))

    def signal(self, pid, sig):
        os.kill(pid, sig)

    def stop_unit(self, unit):
        self.tell(stop=unit)

    def start_unit(self, unit):
        self.tell(start=unit)

    def unit(self, name):
        """{"pid": 0 while it does not run, "starts", "exit": the last status}"""
        return self.tell(state="")[name]

    def wait_unit_ready(self, name, timeout=20):
        def ready():
            pid = self.unit(name)["pid"]
            return pid and [m for m in self.notify.find("READY=1") if m[1] == pid]
        try:
            return process.wait_for(ready, f"READY=1 of {name}", timeout)[0]
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log}") from None

    def wait_unit_gone(self, name, timeout=20):
        try:
            process.wait_for(lambda: self.unit(name)["pid"] == 0, f"end of {name}", timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log}") from None
