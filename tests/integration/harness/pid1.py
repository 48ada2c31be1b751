# SPDX-License-Identifier: ISC
"""As much of a service manager as socket activation needs: `pid1.py CONTROL UNITS`, where UNITS is JSON,
[{"name", "command", "env", "listen": [["127.0.0.1", 80], "/path", …], "started": bool}, …].

It binds all sockets and keeps them to its own end. A unit is started at the beginning or by the first connection to
one of its sockets, is started again at once when it fails, and after it has ended with status 0 waits for the next
connection. Commands come on the unix socket CONTROL, one JSON object a line, and are answered when they are done:
{"restart": NAME} as `systemctl restart` does it, {"kill": NAME, "signal": N} waits until another has taken its place,
{"stop": NAME} and {"start": NAME}, {"state": ""}. SIGTERM stops all, in the order of UNITS."""

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import sys

BACKLOG = 4096
LISTEN_FDS_START = 3


def listen(address):
    if isinstance(address, str):
        s = socket.socket(socket.AF_UNIX)
        s.bind(address)
    else:
        s = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(tuple(address))
    s.listen(BACKLOG)
    s.setblocking(False)
    return s


class Unit:
    def __init__(self, name, command, env, listen_on, started):
        self.name, self.command, self.env, self.started = name, command, env, started
        self.sockets = [listen(address) for address in listen_on]
        self.pid, self.starts, self.last_exit = 0, 0, None
        self.next = None      # what its end is to lead to: "start", "rest" (until a connection comes), "stop"
        self.waiting = []     # connections of commands that wait for it

    def start(self):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.become()
            finally:
                os._exit(127)
        self.starts += 1

    def become(self):
        n = len(self.sockets)
        moved = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, LISTEN_FDS_START + n) for s in self.sockets]
        for i, fd in enumerate(moved):
            os.dup2(fd, LISTEN_FDS_START + i)
        for changed in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(changed, signal.SIG_DFL)
        env = {**os.environ, **self.env}
        if n > 0:
            env.update(LISTEN_FDS=str(n), LISTEN_PID=str(os.getpid()))
        os.execve(self.command[0], self.command, env)

    def signal(self, number):
        if self.pid:
            os.kill(self.pid, number)

    def answer(self):
        for connection in self.waiting:
            reply(connection, {"pid": self.pid})
        self.waiting = []


def reply(connection, value):
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(value).encode() + b"\n")
    connection.close()


class Manager:
    def __init__(self, control, units):
        self.units = {u["name"]: Unit(u["name"], u["command"], u["env"], u["listen"], u["started"]) for u in units}
        self.selector = selectors.DefaultSelector()
        self.stopping = False
        self.control = listen(control)
        self.selector.register(self.control, selectors.EVENT_READ, self.on_command)
        woken, wake = socket.socketpair()
        for s in (woken, wake):
            s.setblocking(False)
        self.keep = wake
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.on_term)
        self.selector.register(woken, selectors.EVENT_READ, self.on_signal)
        for unit in self.units.values():
            if unit.started:
                unit.start()
            else:
                self.watch(unit)

    def watch(self, unit):
        for s in unit.sockets:
            self.selector.register(s, selectors.EVENT_READ, lambda _, u=unit: self.activate(u))

    def unwatch(self, unit):
        for s in unit.sockets:
            with contextlib.suppress(KeyError):
                self.selector.unregister(s)

    def activate(self, unit):
        self.unwatch(unit)
        if unit.pid == 0:
            unit.start()

    def on_term(self, *_):
        self.stopping = True
        self.stop_next()

    def stop_next(self):
        """One after the other: what comes first uses what comes later."""
        for unit in self.units.values():
            self.unwatch(unit)
            if unit.pid:
                unit.signal(signal.SIGTERM)
                return
        sys.exit(max((u.last_exit or 0 for u in self.units.values()), key=abs, default=0))

    def on_signal(self, woken):
        with contextlib.suppress(BlockingIOError):
            woken.recv(4096)
        for unit in self.units.values():
            if unit.pid:
                ended, code = os.waitpid(unit.pid, os.WNOHANG)
                if ended:
                    self.on_end(unit, os.waitstatus_to_exitcode(code))

    def on_end(self, unit, code):
        unit.pid, unit.last_exit = 0, code
        what = unit.next or ("start" if code else "rest")
        unit.next = None
        if self.stopping:
            self.stop_next()
        elif what == "start":
            unit.start()
        elif what == "rest":
            self.watch(unit)
        unit.answer()

    def on_command(self, control):
        connection, _ = control.accept()
        connection.setblocking(True)
        command = json.loads(connection.makefile().readline())
        (verb, name), = ((k, v) for k, v in command.items() if k != "signal")
        if verb == "state":
            reply(connection, {u.name: {"pid": u.pid, "starts": u.starts, "exit": u.last_exit}
                               for u in self.units.values()})
            return
        unit = self.units[name]
        if verb == "start":
            self.activate(unit)
            reply(connection, {"pid": unit.pid})
            return
        unit.waiting.append(connection)
        unit.next = {"restart": "start", "kill": "start", "stop": "stop"}[verb]
        if unit.pid:
            unit.signal(command.get("signal", signal.SIGTERM))
        else:
            self.unwatch(unit)
            self.on_end(unit, 0)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)


if __name__ == "__main__":
    Manager(sys.argv[1], json.loads(sys.argv[2])).run()
