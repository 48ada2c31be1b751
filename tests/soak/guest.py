# SPDX-License-Identifier: ISC
"""The good client: asks, one thing after another, for what it knows the answer of, all the time, and every answer has to
be the right one."""

import asyncio
import hashlib
import json
import time

from harness.peer import Peer, request


class Guest:
    def __init__(self, stage, rng, pause):
        self.stage, self.rng, self.pause = stage, rng, pause
        self.kept, self.times, self.n = None, [], 0

    async def run(self, stopped):
        while not stopped.is_set():
            ask = self.rng.choice((self.get, self.get, self.get, self.post, self.fresh, self.cold, self.talk, self.switch))
            began = time.monotonic()
            try:
                async with asyncio.timeout(30 * self.stage.span):
                    await ask()
                self.n += 1
            except (TimeoutError, OSError, EOFError, AssertionError, ValueError) as e:
                self.stage.complain(f"the good client, {ask.__name__}: {type(e).__name__} {e}")
                await self.drop()
            if ask == self.get:
                self.times.append(time.monotonic() - began)
            await asyncio.sleep(self.pause * self.rng.random() * 2)
        await self.drop()

    async def drop(self):
        if self.kept:
            await self.kept.__aexit__()
            self.kept = None

    async def on_the_kept_one(self, what, body=b""):
        """As any client does, it asks again on a new connection when the kept one's time was up."""
        if self.kept:
            try:
                return await self.kept.request(what, body)
            except (EOFError, ConnectionError):
                await self.drop()
        self.kept = await Peer(self.stage.address).__aenter__()
        return await self.kept.request(what, body)

    def check_echo(self, answer, target, body=b""):
        status, text = answer
        assert status == 200, f"status {status}"
        told = json.loads(text)
        assert told["target"] == target and told["sha256"] == hashlib.sha256(body).hexdigest(), "another request's answer"

    async def get(self):
        target = f"/{self.rng.randrange(1 << 60)}"
        self.check_echo(await self.on_the_kept_one("echo" + target), target)

    async def post(self):
        target, body = f"/{self.rng.randrange(1 << 60)}", self.rng.randbytes(self.rng.randrange(1, 200000))
        self.check_echo(await self.on_the_kept_one("echo" + target, body), target, body)

    async def fresh(self):
        target = f"/{self.rng.randrange(1 << 60)}"
        async with Peer(self.stage.address) as p:
            self.check_echo(await p.request("echo" + target), target)

    async def cold(self):
        async with Peer(self.stage.address) as p:
            answer = await p.request("good-cold/")
            assert answer == (200, b"hello from good-cold\n"), answer

    async def talk(self):
        text = self.rng.randbytes(self.rng.randrange(1, 100000))
        async with Peer(self.stage.tcp[0]) as p:
            await self.echoed(p, text, b"welcome\n" + text)

    async def switch(self):
        text = self.rng.randbytes(self.rng.randrange(1, 100000))
        async with Peer(self.stage.address) as p:
            await p.send(request("switch/echo", b"", "Connection: Upgrade", "Upgrade: raw"))
            assert (await p.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            await self.echoed(p, text, text)

    async def echoed(self, p, text, expected):
        sending = asyncio.create_task(p.send(text))
        try:
            came = await p.read_exactly(len(expected))
            await sending
        finally:
            sending.cancel()
        assert came == expected, "other bytes come back"
        p.end_side()
        assert await p.read() == b""
