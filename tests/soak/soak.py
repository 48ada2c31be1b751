# SPDX-License-Identifier: ISC
"""A soak: attacks at random, which a seed repeats, a good client beside them, and a look at both programs when all is
over. `soak()` returns what was wrong, one sentence each."""

import asyncio
import collections
import contextlib
import random
import time

import attacks
from guest import Guest
from harness.gateway import sanitized

AT_ONCE = 60


def quantile(values, q):
    return sorted(values)[int(len(values) * q)] if values else 0.0


class Soak:
    def __init__(self, stage, seed, seconds, rate, say=lambda text: None):
        """`rate`: attacks a second, begun evenly."""
        self.stage, self.seed, self.seconds, self.rate, self.say = stage, seed, seconds, rate, say
        self.begun, self.guest = collections.Counter(), None

    async def one(self, i, room):
        rng = random.Random(f"{self.seed} {i}")
        what = attacks.choose(rng)
        self.begun[what.__name__] += 1
        try:
            # That the other side closes or resets is what an attacker lives with.
            with contextlib.suppress(OSError, EOFError):
                async with asyncio.timeout(60 * self.stage.span):
                    await what(self.stage, rng)
        except TimeoutError:
            self.stage.complain(f"{what.__name__} does not end")
        except Exception as e:
            self.stage.complain(f"{what.__name__}: {type(e).__name__} {e}")
        finally:
            room.release()

    async def watch(self, began):
        while True:
            for p in self.stage.programs:
                p.sample(began)
            p = self.stage.programs
            self.say(f"{time.monotonic() - began:6.0f} s  {sum(self.begun.values())} attacks, {self.guest.n} good answers, "
                     + ", ".join(f"{q.name} {q.samples[-1][1] / 1024:.0f} KiB {q.samples[-1][2]} fds" for q in p)
                     + (f", complaints: {dict(self.stage.complaints)}" if self.stage.complaints else ""))
            await asyncio.sleep(min(10, self.seconds / 10))

    async def run(self):
        stopped, room, tasks = asyncio.Event(), asyncio.Semaphore(AT_ONCE), set()
        self.guest = Guest(self.stage, random.Random(f"{self.seed} guest"), 0.5 / self.rate)
        good, began = asyncio.create_task(self.guest.run(stopped)), time.monotonic()
        watching = asyncio.create_task(self.watch(began))
        i = 0
        while time.monotonic() - began < self.seconds and not watching.done():
            await room.acquire()
            tasks.add(task := asyncio.create_task(self.one(i, room)))
            task.add_done_callback(tasks.discard)
            i += 1
            await asyncio.sleep(max(0, began + i / self.rate - time.monotonic()))
        if tasks:
            await asyncio.wait(tasks)
        stopped.set()
        await good
        watching.cancel()
        try:
            await watching
        except asyncio.CancelledError:
            pass
        except FileNotFoundError as e:
            raise AssertionError(f"a program is gone: {e.filename}") from e

    def warm(self):
        """Whatever grows once, with the first crowd, has grown; and then it is quiet."""
        async def crowds():
            for from_everywhere in (False, True):
                with contextlib.suppress(OSError, EOFError):
                    await attacks.crowd(self.stage, random.Random(self.seed), from_everywhere)
        self.stage.wake()
        asyncio.run(crowds())
        self.stage.wait_quiet()

    def memory(self):
        """After five minutes it has to have stopped growing; a short soak tells nothing about that."""
        for p in self.stage.programs:
            early, late = p.memory_at(300), p.samples[-1][1]
            allowed = early * (1.25 if sanitized() else 1.1) + (1 << 20)
            if self.seconds > 600 and late > allowed:
                self.stage.complain(f"{p.name} grows: {early >> 10} KiB after 5 min, {late >> 10} KiB at the end")

    def smuggled(self):
        for arrival in self.stage.recorder.arrivals:
            if arrival.line.split(b" ")[1] == b"/smuggled" and (b"Host", b"table.localhost") in arrival.fields:
                self.stage.complain("a request that was hidden in another arrived at the service")
                return


def soak(stage, seed, seconds, rate, say=lambda text: None):
    s = Soak(stage, seed, seconds, rate, say)
    s.warm()
    before = [p.descriptors() for p in stage.programs]
    asyncio.run(s.run())
    stage.wake()
    stage.wait_quiet()
    stage.wait_same(before)
    after = [p.descriptors() for p in stage.programs]
    for p in stage.programs:
        p.sample(0)
    s.memory()
    s.smuggled()
    stage.wake()  # and still serves
    r = stage.gateway.curl("echo", "/after-all", timeout=30 * stage.span)
    if r.status != 200:
        stage.complain(f"afterwards: {r}")
    say(f"{sum(s.begun.values())} attacks: {', '.join(f'{n} {name}' for name, n in s.begun.most_common())}")
    say(f"{s.guest.n} right answers, p50 {quantile(s.guest.times, 0.5) * 1e3:.1f} ms, p99 {quantile(s.guest.times, 0.99) * 1e3:.1f} ms")
    for p, b, a in zip(stage.programs, before, after):
        say(f"{p.name}: descriptors {sum(b.values())} before, {sum(a.values())} after; resident after 5 min "
            f"{p.memory_at(300) >> 10} KiB, at the end {p.samples[-1][1] >> 10} KiB")
    return [f"{what} ({n} times)" if n > 1 else what for what, n in stage.complaints.items()]
