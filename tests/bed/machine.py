# SPDX-License-Identifier: ISC
"""What a test does on the machine it runs on, by the tools that an administrator would use."""

import json
import pwd
import shutil
import subprocess
import tempfile
import time
import time
from pathlib import Path

from harness import client
from harness.process import wait_for
from harness.site import APPS, Service

DROP_INS = Path("/etc/dynapm.d")
UNITS = ["dynapm.socket", "dynapm.service", "dynapm-manager.socket", "dynapm-manager.service"]


def run(*command, check=True, timeout=60, **kwargs):
    """Runs it, its output as text in .stdout; fails with all that it said."""
    p = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=timeout, stdin=subprocess.DEVNULL, **kwargs)
    assert p.returncode == 0 or not check, f"{' '.join(map(str, command))}: status {p.returncode}\n{p.stdout}"
    return p


def program(unit):
    return run("systemctl", "show", "--value", "-p", "ExecStart", unit).stdout.partition("path=")[2].split()[0]


PROGRAMS = {unit: program(unit) for unit in ("dynapm.service", "dynapm-manager.service")}


class Instance:
    """systemctl, journalctl and curl for one service manager: the system's, or a user's."""

    def __init__(self, prefix=(), scope=(), port=80, drop_ins=DROP_INS, owner="root"):
        self.prefix, self.scope, self.port, self.drop_ins, self.owner = list(prefix), list(scope), port, drop_ins, owner
        self.mark()

    def run(self, *command, **kwargs):
        return run(*self.prefix, *command, **kwargs)

    def systemctl(self, *args, **kwargs):
        return self.run("systemctl", *self.scope, "--no-pager", *args, **kwargs).stdout.strip()

    def busctl(self, *args, **kwargs):
        return self.run("busctl", *self.scope, "--no-pager", *args, **kwargs).stdout.strip()

    def property(self, unit, name):
        return self.systemctl("show", "--value", "-p", name, unit)

    def main_pid(self, unit):
        return int(self.property(unit, "MainPID"))

    def is_active(self, unit):
        return self.property(unit, "ActiveState") == "active"

    def wait_active(self, unit, active=True, timeout=20):
        wait_for(lambda: self.is_active(unit) == active, f"{unit} is {'' if active else 'not '}active", timeout)

    # ── the journal ──

    def mark(self):
        """What was logged before is none of this test's business."""
        self.since = f"--since=@{time.time():.6f}"  # --after-cursor= loses an entry where there are matches, too

    def journal(self, *matches):
        """The entries, each a dictionary of fields, oldest first; matches as journalctl takes them."""
        run("journalctl", "--sync")
        said = self.run("journalctl", "--no-pager", "-q", "-a", "-o", "json", self.since, *matches)
        return [json.loads(line) for line in said.stdout.splitlines()]

    def messages(self, *matches):
        return [entry["MESSAGE"] for entry in self.journal(*matches)]

    def wait_message(self, text, *matches, timeout=20):
        """The first entry whose message has the text."""
        def find():
            return [e for e in self.journal(*matches) if text in str(e.get("MESSAGE"))]
        try:
            return wait_for(find, f"a message with {text!r}", timeout)[0]
        except AssertionError as e:
            raise AssertionError(f"{e}\n" + "\n".join(map(str, self.messages(*matches)))) from None

    # ── services ──

    def write(self, name, config, mode=0o644):
        """The drop-in NAME.json: an object, or text as it is."""
        path = self.drop_ins / f"{name}.json"
        path.touch(mode=0o600)
        path.write_text(config if isinstance(config, str) else json.dumps(config, indent=2))
        path.chmod(mode)
        shutil.chown(path, self.owner)
        return path

    def curl(self, host, path="/", *args, port=None, **kwargs):
        """`host` without a dot is the service NAME.localhost."""
        host, port = host if "." in host else f"{host}.localhost", port or self.port
        return client.curl(f"http://{host}:{port}{path}", *args, resolve=f"127.0.0.1:{port}", **kwargs)


class Machine(Instance):
    """The system, and what is to be put back in order after a test."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="dynapm-bed-", dir="/var/lib"))
        self.folder.chmod(0o755)
        # The source may be where services' users cannot go.
        self.apps = shutil.copytree(APPS, self.folder / "programs")
        self.outside, self.drop_in_folders, self.unit_files, self.users = [], [], [], []
        super().__init__()

    def wait_state(self, service, state, timeout=20):
        """The first log entry of that transition since the test began."""
        return self.wait_message(f" → {state} (", f"DYNAPM_SERVICE={service}", f"DYNAPM_STATE={state}", timeout=timeout)

    def transitions(self, service):
        """The states that it has come to since the test began."""
        return [e["DYNAPM_STATE"] for e in self.journal(f"DYNAPM_SERVICE={service}") if "DYNAPM_STATE" in e]

    def app(self, app="hello.py", name="blog", kind="proxyOnly", env=None, unix=False, write=True, **config):
        """One of the integration tests' apps and its drop-in. Whoever runs it can read it and write to its folder."""
        service = Service(self.folder, app, name, kind, env or {}, unix, config)
        service.folder.chmod(0o777)
        service.argv[:] = [word.replace(str(APPS), str(self.apps)) for word in service.argv]
        for key, line in service.config.get("commands", {}).items():
            service.config["commands"][key] = line.replace(str(APPS), str(self.apps))
        if write:
            self.write(name, service.config)
        return service

    def start(self, service):
        """Runs a service of kind proxyOnly in a unit of its own and waits until it listens."""
        unit = f"outside-{service.name}.service"
        self.outside.append(unit)
        run("systemd-run", "--quiet", "--collect", f"--unit={unit}",
            *(f"--setenv={k}={v}" for k, v in service.env.items()), *service.argv)
        wait_for(lambda: service.events("listening"), f"{service.name} listens")
        return unit

    def unit_file(self, name, text):
        """A unit that the administrator has written."""
        path = Path("/run/systemd/system", name)
        self.unit_files.append(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.systemctl("daemon-reload")

    def unit_of(self, service, more="", name=None):
        """The same for one of the integration tests' apps: a service of that name, NAME.service."""
        env = "".join(f"Environment={k}={v}\n" for k, v in service.env.items())
        self.unit_file(name or f"{service.name}.service",
                       f"[Service]\n{env}ExecStart={' '.join(service.argv)}\n{more}")

    def configure_unit(self, unit, text):
        """Like `systemctl edit`."""
        folder = Path(f"/run/systemd/system/{unit}.d")
        self.drop_in_folders.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bed.conf").write_text(text)
        self.systemctl("daemon-reload")

    def enable(self):
        self.systemctl("enable", "--now", "--quiet", "dynapm.socket")

    def user(self, name="alice"):
        """A user that lingers, with a service manager of its own."""
        run("useradd", "--create-home", "--shell", "/bin/bash", name)
        self.users.append(name)
        run("loginctl", "enable-linger", name)
        uid, home = pwd.getpwnam(name).pw_uid, Path(pwd.getpwnam(name).pw_dir)
        wait_for(lambda: Path(f"/run/user/{uid}/bus").exists(), f"the bus of {name}", 30)
        (home / ".config/dynapm.d").mkdir(parents=True)
        for folder in (".config", ".config/dynapm.d"):
            shutil.chown(home / folder, name, name)
        prefix = ["runuser", "-u", name, "--", "env", f"XDG_RUNTIME_DIR=/run/user/{uid}", f"HOME={home}",
                  f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{uid}/bus"]
        return Instance(prefix, ["--user"], 3000, home / ".config/dynapm.d", name)

    def reset(self):
        """Nothing of dynapm runs, is enabled or configured after this, whatever state it was in."""
        for user in self.users:
            run("loginctl", "disable-linger", user, check=False)
            run("loginctl", "terminate-user", user, check=False)
            wait_for(lambda: not Path("/run/user", str(pwd.getpwnam(user).pw_uid)).exists(), f"the end of {user}", 30)
            run("userdel", "--remove", user, check=False)
        self.systemctl("disable", "--quiet", "dynapm.socket", check=False)
        self.systemctl("stop", *UNITS, "dynapm.slice", *self.outside, check=False)
        for folder in self.drop_in_folders:
            shutil.rmtree(folder, ignore_errors=True)
        for path in self.unit_files:
            self.systemctl("stop", path.name.replace("@.", "@*."), check=False)
            path.unlink(missing_ok=True)
        for path in DROP_INS.glob("*"):
            path.unlink()
        Path("/etc/dynapm.json").unlink(missing_ok=True)
        if self.drop_in_folders or self.unit_files:
            self.systemctl("daemon-reload")
        self.systemctl("reset-failed", check=False)
        shutil.rmtree(self.folder)


__all__ = ["APPS", "DROP_INS", "PROGRAMS", "UNITS", "Instance", "Machine", "run", "wait_for"]
