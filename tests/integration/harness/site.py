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

    def __init__(self, folder, app, name, kind, env, unix, config, apps=APPS):
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
        self.argv = [shutil.which("node") if app.endswith(".js") else sys.executable, str(apps / app)]
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
    """`kind` is what gateway() makes. The installed one cannot look into /tmp, nor start services that may write
    wherever the tests may."""

    def __init__(self, kind=Gateway):
        self.kind, self.user = kind, kind.user
        self.folder = Path(tempfile.mkdtemp(prefix="dynapm-", dir="/var/lib" if self.user else None))
        self.apps = APPS
        if self.user:
            self.folder.chmod(0o777)
            self.apps = Path(shutil.copytree(APPS, self.folder / "apps", ignore=shutil.ignore_patterns("__pycache__")))
        self.gateways, self.upstreams, self.count = [], [], 0

    def subfolder(self, name):
        path = self.folder / name
        path.mkdir()
        if self.user:
            path.chmod(0o777)
        return path

    def app(self, app="hello.py", name="blog", kind="exec", env=None, unix=False, **config):
        service = Service(self.folder, app, name, kind, env or {}, unix, config, self.apps)
        if self.user:
            service.folder.chmod(0o777)
        return service

    def machine(self, *services, **kwargs):
        """Gateway and manager as two units of a service manager."""
        return self.gateway(*services, kind=Machine, **kwargs)

    def gateway(self, *services, start=True, wait_ready=True, kind=None, **kwargs):
        self.count += 1
        gateway = (kind or self.kind)(self.subfolder(f"gateway-{self.count}"), services, **kwargs)
        self.gateways.append(gateway)
        if start:
            gateway.start(wait_ready)
        return gateway

    def run(self, service):
        """Starts a service outside dynapm and waits until it listens."""
        p = subprocess.Popen(service.argv, env={**os.environ, **service.env}, stdin=subprocess.DEVNULL, user=self.user)
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
