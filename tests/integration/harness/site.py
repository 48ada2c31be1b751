# SPDX-License-Identifier: ISC
"""What a test builds: services with their drop-ins, gateways in front of them, all below one temporary folder."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import process
from harness.gateway import Gateway
from harness.machine import Machine

APPS = Path(__file__).parents[1] / "apps"


class Service:
    """One of apps/ and the drop-in that describes it. `config` may be changed until the gateway starts."""

    def __init__(self, folder, app, name, kind, env, unix, config):
        self.name = name
        self.folder = Path(folder) / name
        self.folder.mkdir()
        self.log_path = self.folder / "events"
        self.port = process.free_port()
        self.host = f"{name}.localhost"
        self.env = {"NAME": name, "APP_LOG": str(self.log_path), **{k: str(v) for k, v in env.items()}}
        if unix:
            self.env["SOCKET"] = str(self.folder / "socket")
        else:
            self.env["PORT"] = str(self.port)
        self.argv = [shutil.which("node") if app.endswith(".js") else sys.executable, str(APPS / app)]
        base = f"http+unix://{self.folder}/socket" if unix else f"http://127.0.0.1:{self.port}"
        self.config = {"host": self.host, "base": base, "env": self.env}
        if kind == "exec":
            self.config["exec"] = self.argv
        elif kind == "commands":
            self.pid_file = self.folder / "pid"
            line = " ".join(self.argv)
            self.config["commands"] = {
                "start": f"nohup {line} >/dev/null 2>&1 & echo $! >{self.pid_file}",
                "stop": f"kill $(cat {self.pid_file})",
                "check": f"test -e {self.pid_file} && kill -0 $(cat {self.pid_file})",
            }
        elif kind == "proxyOnly":
            self.config["proxyOnly"] = True
            del self.config["env"]
        self.config.update(config)
        self.config = {k: v for k, v in self.config.items() if v is not None}

    def events(self, first_word=None):
        try:
            lines = self.log_path.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if first_word is None or line.split(" ")[0] == first_word]

    @property
    def starts(self):
        return len(self.events("start"))

    @property
    def requests(self):
        """"METHOD TARGET" of what arrived."""
        return [line.split(" ", 1)[1] for line in self.events("request")]

    @property
    def pid(self):
        """Of its last start."""
        return int(self.events("start")[-1].split(" ")[1])

    @property
    def running(self):
        return any(process.alive(int(line.split(" ")[1])) for line in self.events("start"))

    def wait_gone(self, timeout=10):
        process.wait_for(lambda: not self.running, f"end of {self.name}", timeout)


class Site:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="dynapm-"))
        self.gateways, self.upstreams, self.count = [], [], 0

    def subfolder(self, name):
        path = self.folder / name
        path.mkdir()
        return path

    def app(self, app="hello.py", name="blog", kind="exec", env=None, unix=False, **config):
        return Service(self.folder, app, name, kind, env or {}, unix, config)

    def machine(self, *services, **kwargs):
        """Gateway and manager as two units of a service manager."""
        return self.gateway(*services, kind=Machine, **kwargs)

    def gateway(self, *services, start=True, wait_ready=True, kind=Gateway, **kwargs):
        self.count += 1
        gateway = kind(self.subfolder(f"gateway-{self.count}"), services, **kwargs)
        self.gateways.append(gateway)
        if start:
            gateway.start(wait_ready)
        return gateway

    def run(self, service):
        """Starts a service outside dynapm and waits until it listens."""
        p = subprocess.Popen(service.argv, env={**os.environ, **service.env}, stdin=subprocess.DEVNULL)
        self.upstreams.append(p)
        process.wait_for(lambda: service.events("listening"), f"{service.name} listens")
        return p

    def finish(self):
        problems = []
        for gateway in self.gateways:
            try:
                gateway.finish()
            except AssertionError as e:
                problems.append(str(e))
        for p in self.upstreams:
            p.kill()
            p.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not problems, "\n".join(problems)
