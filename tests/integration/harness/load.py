# SPDX-License-Identifier: ISC
"""Clients that keep asking, in threads, and remember what was not a good answer."""

import select
import threading
import time

from harness.client import Raw


class Client:
    """`fresh`: a connection for each request, else one as long as it lasts; `pause` between two requests."""

    def __init__(self, load, host, fresh, pause):
        self.load, self.fresh, self.pause = load, fresh, pause
        close = "Connection: close\r\n" if fresh else ""
        length = f"Content-Length: {len(load.body)}\r\n" if load.body else ""
        self.request = f"{load.method} {load.path} HTTP/1.1\r\nHost: {host}\r\n{close}{length}\r\n{load.body}"
        self.connection = None
        self.good, self.failures, self.longest = 0, [], 0.0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while self.load.wants_more():
            began = time.monotonic()
            try:
                reply = self.ask()
                if not reply.complete:
                    raise EOFError("in the middle of an answer")
                if reply.status == 200:
                    self.good += 1
                else:
                    self.failures.append(repr(reply))
            except (OSError, EOFError) as e:
                self.failures.append(f"{type(e).__name__}: {e}")
                self.drop()
            self.longest = max(self.longest, time.monotonic() - began)
            if self.pause and self.load.stopped.wait(self.pause):
                break
        self.drop()

    def ask(self):
        """As every client of kept connections does it, an end that has arrived is noticed before the next request."""
        if self.connection and select.select([self.connection.socket], [], [], 0)[0]:
            self.drop()
        if not self.connection:
            self.connection = Raw(self.load.address, timeout=self.load.patience)
        self.connection.send(self.request)
        reply = self.connection.reply()
        if self.fresh or (reply.get("Connection") or "").lower() == "close":
            self.drop()
        return reply

    def drop(self):
        if self.connection:
            self.connection.close()
            self.connection = None


class Load:
    """`hosts`: each gets `kept` clients with kept connections, `fresh` ones without, and `slow` ones with kept
    connections that are idle most of the time, and asks for `path`. Ends with the block, or after `limit` requests."""

    def __init__(self, address, hosts, kept=3, fresh=3, slow=3, limit=None, path="/", method="GET", body="",
                 patience=30.0):
        self.address, self.limit, self.path, self.patience = address, limit, path, patience
        self.method, self.body = method, body
        self.stopped, self.lock, self.begun = threading.Event(), threading.Lock(), 0
        self.clients = [Client(self, host, *kind) for host in hosts
                        for kind in [(False, 0)] * kept + [(True, 0)] * fresh + [(False, 0.02)] * slow]

    def wants_more(self):
        with self.lock:
            if self.stopped.is_set() or (self.limit and self.begun >= self.limit):
                return False
            self.begun += 1
            return True

    def __enter__(self):
        for c in self.clients:
            c.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()

    def join(self):
        for c in self.clients:
            c.thread.join()

    @property
    def running(self):
        return any(c.thread.is_alive() for c in self.clients)

    @property
    def good(self):
        return sum(c.good for c in self.clients)

    @property
    def failures(self):
        return [f for c in self.clients for f in c.failures]

    @property
    def longest(self):
        """Seconds that the slowest request took."""
        return max(c.longest for c in self.clients)
