# SPDX-License-Identifier: ISC
"""Requests that come exactly when their service has been idle for long enough to be stopped."""

import random
import threading
import time

import pytest

from harness import Raw
from harness.gateway import BUILD

ROUNDS, SERVICES = 1000, 4
IDLE = 0.020
JITTER = 0.0015


class Client(threading.Thread):
    """Asks again when the idle timer is about to fire, or has just fired. What it sends is not to be sent twice, so
    that no loss is mended on the way."""

    def __init__(self, address, host, seed):
        super().__init__(daemon=True)
        self.address, self.bad, self.good = address, [], 0
        self.random = random.Random(seed)
        self.request = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"

    def run(self):
        c = Raw(self.address, timeout=30)
        for n in range(ROUNDS // SERVICES):
            if n % 8 == 0:  # a new connection now and then
                c.close()
                c = Raw(self.address, timeout=30)
            try:
                c.send(self.request)
                r = c.reply()
                if r.status == 200 and r.complete:
                    self.good += 1
                else:
                    self.bad.append(repr(r))
            except (OSError, EOFError) as e:
                self.bad.append(repr(e))
                c.close()
                c = Raw(self.address, timeout=30)
            time.sleep(IDLE + self.random.uniform(-JITTER, JITTER))
        c.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_at_the_very_moment_of_the_idle_timer_is_never_lost(site, workers):
    names = [f"s{i}" for i in range(SERVICES)]
    services = [site.app(name=name, idleTimeout=f"{IDLE * 1e3:.0f}ms") for name in names]
    for s in services:  # one that starts and ends at once, to come round often
        s.config["exec"] = [str(BUILD.resolve() / "tests/bench/bench-origin"), str(s.port)]
    gw = site.gateway(*services, workers=workers)
    seed = random.randrange(1 << 32)
    clients = [Client(gw.address, s.host, f"{seed}-{s.name}") for s in services]
    for c in clients:
        c.start()
    for c in clients:
        c.join(110)
        assert not c.is_alive()

    assert [b for c in clients for b in c.bad] == [], f"seed {seed}"
    assert sum(c.good for c in clients) == ROUNDS
    cold = sum(gw.count_transitions(name, "starting") for name in names)
    last = len(gw.find_log("a request came at the last moment"))
    print(f"seed {seed}: {cold} of {ROUNDS} requests were cold, {last} stops taken back")
    assert cold >= SERVICES, "it was never asked late enough"
