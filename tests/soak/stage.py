# SPDX-License-Identifier: ISC
"""A gateway with services of every kind and small limits, and how it is known afterwards that nothing of a soak is left:
the same descriptors, no connection, memory that stopped growing."""

import collections
import contextlib
import os
import random
import re
import socket
import threading
import time
from pathlib import Path

from harness import Script, free_port, process
from hostile_runner import Recorder

NONSENSE = [
    b"", b"hello\n", b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello", b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 40000,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500,
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", b"\r\n" * 5000,
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", b"HTTP/1.1 204 No Content\r\n\r\nbody",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 40000, b"HTTP/1.0 200 OK\r\n\r\nuntil it closes",
]


# What the gateway keeps once it has needed it: the pipe through which tunnels move bytes, and further daemons of
# libmicrohttpd, each with two epolls: for more than 256 clients at once, and for those whose requests are small.
KEPT = collections.Counter({"pipe:": 2, "anon_inode:[eventpoll]": 6})


class Program:
    """One of the two, whatever it runs under."""

    def __init__(self, name, pid):
        self.name, self.pid = name, pid
        self.samples = []  # (seconds since the start, resident bytes, descriptors)

    def descriptors(self):
        """{what: how many}, sockets and the like without their numbers."""
        found = collections.Counter()
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found[re.sub(r"\[\d+\]|\d+", "", os.readlink(f"/proc/{self.pid}/fd/{fd}"))] += 1
        return found

    def connections(self):
        """TCP sockets of it that do not listen."""
        own = set()
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                own.add(os.readlink(f"/proc/{self.pid}/fd/{fd}"))
        n = 0
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                words = line.split()
                n += words[3] != "0A" and f"socket:[{words[9]}]" in own
        return n

    def sample(self, began):
        self.samples.append((time.monotonic() - began, process.memory(self.pid, "VmRSS"), sum(self.descriptors().values())))

    def memory_at(self, seconds):
        return next((rss for at, rss, _ in self.samples if at >= seconds), self.samples[-1][1])


class Stage:
    connections, per_address = 300, 40
    cold = [f"cold{i}" for i in range(4)]

    def __init__(self, site, seed, span=2.0, wrapper=()):
        """`span`: seconds; the limits in time are multiples of it. `wrapper` is put in front of the gateway."""
        self.site, self.span, self.complaints = site, span, collections.Counter()
        self.recorder, self.script = Recorder(), Script()
        self.rng, self.lock = random.Random(f"{seed} services"), threading.Lock()
        self.script.answer = self.nonsense
        self._services()
        ms = int(span * 1000)
        limits = {"requestHeadTimeout": ms, "requestBodyIdleTimeout": ms, "requestBodyTimeout": 3 * ms, "keepAliveTimeout": ms,
                  "clientWriteTimeout": ms, "tunnelIdleTimeout": 2 * ms, "upstreamFirstByteTimeout": 5 * ms,
                  "upstreamIdleTimeout": 5 * ms,
                  "maxConnections": self.connections, "maxConnectionsPerAddress": self.per_address,
                  "maxParkedRequestsPerService": 30}
        files = {"table.json": self._elsewhere(["table.localhost", "other.localhost", "diff.localhost"], self.recorder.port),
                 "nonsense.json": self._elsewhere(["nonsense.localhost"], self.script.port)}
        self.gateway = site.gateway(*self.services.values(), files=files, config={"limits": limits}, wrapper=wrapper,
                                    wait_ready=False)
        self.gateway.wait_ready(30 * span)
        self.address = self.gateway.address
        self.programs = [Program(n, self._find(n)) for n in ("dynapm", "dynapm-manager")]

    def _elsewhere(self, hosts, port):
        return {"hosts": hosts, "base": f"http://127.0.0.1:{port}", "proxyOnly": True}

    def _services(self):
        site, ms = self.site, int(self.span * 1000)
        (site.folder / "responses").mkdir()
        for name, n in {"a.die": 0, "b.die": 40, "long": 1 << 20}.items():
            whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 20) + b"x" * (1 << 20)
            (site.folder / "responses" / name).write_bytes(whole[:n])
        apps = [
            site.app("echo.py", "echo", idleTimeout="never"), site.app("bulk.py", "bulk", idleTimeout="never"),
            site.app("websocket.py", "ws", idleTimeout="never"), site.app("switch.py", "switch", idleTimeout="never"),
            site.app("interim.py", "interim", idleTimeout="never", env={"STEPS": site.folder}),
            site.app("raw.py", "victim", idleTimeout="never", env={"RESPONSES": site.folder / "responses"}),
            site.app("hello.py", "good-cold", idleTimeout=ms // 4),
            *(site.app("hello.py", name, idleTimeout=ms // 8 * i, env={"START_DELAY": 0.05 * i})
              for i, name in enumerate(self.cold, 1)),
            site.app("exits.py", "exits"), site.app("never_ready.py", "never", startTimeout=ms),
            site.app("talker.py", "talker", idleTimeout="never", host=None), site.app("talker.py", "cold-talker",
                                                                                     idleTimeout=ms // 4, host=None),
        ]
        self.services = {a.name: a for a in apps}
        self.tcp = []
        for name in ("talker", "cold-talker"):
            service = self.services[name]
            self.tcp.append(("127.0.0.1", free_port()))
            service.config.update(base=f"tcp://127.0.0.1:{service.port}", port=f"127.0.0.1:{self.tcp[-1][1]}")
        self.proxied = ("127.0.0.1", free_port())
        self.services["echo"].config.update(port=f"127.0.0.1:{self.proxied[1]}", acceptProxyProtocol=True)

    def nonsense(self):
        with self.lock:
            answer = self.rng.choice(NONSENSE)
            self.script.then = self.rng.choice(("close", "reset", "stay"))
        yield answer

    def _find(self, name):
        """The process that runs the program, maybe as an argument of valgrind."""
        for pid in [self.gateway.pid, *self.gateway.processes()]:
            words = process.command(pid).split(" ")
            if name in map(os.path.basename, words[:words.index("--standalone")] if "--standalone" in words else words):
                return pid
        raise AssertionError(f"{name} does not run\n{self.gateway.log}")

    def complain(self, what):
        self.complaints[what] += 1

    # ── beginning and end ──

    def wake(self):
        """All services that stay are running, and have been asked."""
        for name in ("echo", "bulk", "switch", "interim", "victim"):
            path = {"victim": "/none", "switch": "/hello"}.get(name, "/")
            self.gateway.curl(name, path, timeout=60 * self.span)
        with socket.create_connection(self.tcp[0], 60 * self.span) as s:
            if s.recv(7) != b"welcome":
                self.complain("the raw service does not greet")
        self.gateway.curl("ws", "/refuse", timeout=60 * self.span)

    def quiet(self):
        """No connection of a client or to a service is left, and what may be stopped is."""
        busy = [f"{p.name} has {p.connections()} connections" for p in self.programs if p.connections()]
        return not busy and not any(self.runs(n) for n in (*self.cold, "good-cold", "cold-talker", "never"))

    def runs(self, name):
        """Its last start only: within an hour, others have got the numbers of the earlier ones."""
        service = self.services[name]
        return bool(service.starts) and service.argv[-1] in process.command(service.pid)

    def wait_quiet(self):
        process.wait_for(self.quiet, "nothing goes on any more", 60 * self.span)

    def wait_same(self, before):
        """But for what is kept, which by chance is there already, or not."""
        def differences():
            for p, b in zip(self.programs, before):
                more, fewer = p.descriptors() - b, b - p.descriptors()
                if more - KEPT or fewer - KEPT:
                    yield f"{p.name}: descriptors more: {dict(more)}, fewer: {dict(fewer)}"
        with contextlib.suppress(AssertionError):
            process.wait_for(lambda: not list(differences()), "the same descriptors", 20 * self.span)
        for difference in differences():
            self.complain(difference)

    def close(self):
        self.recorder.close()
        self.script.close()
