# SPDX-License-Identifier: ISC
"""What clients do that mean harm or are broken: each attack is a coroutine that takes the stage and a random generator of
its own, and ends by itself. Which ones come in which order follows from the seed alone."""

import asyncio
import base64
import contextlib
import os
import signal
import struct

import hostile_table as table
import mutants
from harness.peer import Peer, request

ATTACKS = []  # (weight, coroutine)
CASES = [*table.BAD, *table.BAD_BODY, *table.GOOD]


def attack(weight):
    def add(function):
        ATTACKS.append((weight, function))
        return function
    return add


def choose(rng):
    return rng.choices([a for _, a in ATTACKS], [weight for weight, _ in ATTACKS])[0]


def somewhere(rng):
    """An address that nobody else is likely to have now; the good client's is 127.0.0.1."""
    return f"127.{rng.randrange(1, 250)}.{rng.randrange(250)}.{rng.randrange(1, 250)}"


def peer(stage, rng, address=None, **kwargs):
    return Peer(address or stage.address, somewhere(rng), **kwargs)


def leave(p, rng):
    """In one of the ways in which clients go."""
    way = rng.randrange(3)
    if way == 0:
        p.reset()
    elif way == 1:
        p.end_side()


async def closed_by_the_gateway(stage, p, what):
    """It has to be, though the client never goes."""
    try:
        async with asyncio.timeout(20 * stage.span):
            await p.read_all()
    except TimeoutError:
        stage.complain(f"{what}: the connection is never closed")


# ── requests ──

@attack(12)
async def of_the_table(stage, rng):
    case = rng.choice(CASES)
    data = case.data + (table.SMUGGLED if getattr(case, "closes", isinstance(case, table.BadBody)) else b"")
    piece = rng.choice((len(data), len(data), max(1, len(data) // 7)))
    async with peer(stage, rng) as p:
        for i in range(0, len(data), piece):
            await p.send(data[i:i + piece])
            await asyncio.sleep(0)
        leave(p, rng) if rng.random() < 0.3 else p.end_side()
        if p.socket.fileno() >= 0:
            await closed_by_the_gateway(stage, p, case.name)


@attack(12)
async def mutant(stage, rng):
    async with peer(stage, rng) as p:
        await p.send(mutants.mutate(rng))
        if rng.random() < 0.7:
            p.end_side()
        await closed_by_the_gateway(stage, p, "a mutant")


@attack(4)
async def random_bytes(stage, rng):
    async with peer(stage, rng) as p:
        await p.send(rng.randbytes(rng.randrange(1, 40000)))
        await closed_by_the_gateway(stage, p, "random bytes")


@attack(3)
async def many_at_once(stage, rng):
    one = request("echo/pipelined") + request("echo/pipelined", b"x" * rng.randrange(1, 5000))
    async with peer(stage, rng) as p:
        await p.send(one * rng.randrange(1, 20))
        for _ in range(rng.randrange(5)):
            await p.read(rng.randrange(1, 20000))
        leave(p, rng)


@attack(4)
async def half_closed(stage, rng):
    async with peer(stage, rng) as p:
        await p.send(request("echo/half", b"x" * rng.randrange(1, 200000)))
        p.end_side()
        came = await p.read_all()  # it may count as gone, or not; an answer is one
        if came and not came.startswith(b"HTTP/1.1 200 "):
            stage.complain(f"a client that has ended its side gets {came[:40]!r}")


# ── slow ones ──

@attack(3)
async def slow_head(stage, rng):
    head = request("echo/slow", b"", *(f"X-{i}: {i}" for i in range(1000)))
    await trickle(stage, rng, head, "a slow head")


@attack(3)
async def slow_body(stage, rng):
    await trickle(stage, rng, request("echo/slow", b"x" * 1000)[:-1000], "a slow body", b"x" * 1000)


async def trickle(stage, rng, rest, what, behind=b""):
    """`rest` byte by byte, or, with `behind`, at once and that byte by byte."""
    async with peer(stage, rng) as p:
        if behind:
            await p.send(rest)
            rest = behind
        reading = asyncio.create_task(closed_by_the_gateway(stage, p, what))
        try:
            for byte in rest:
                await p.send(bytes([byte]))
                done, _ = await asyncio.wait([reading], timeout=rng.random() * stage.span / 5)
                if done:
                    break
            await reading
        finally:
            reading.cancel()


@attack(3)
async def slow_reader(stage, rng):
    async with peer(stage, rng, receive_buffer=4096) as p:
        await p.send(request(rng.choice(("bulk/download/8", "bulk/chunked/8", "bulk/until-close/8"))))
        for _ in range(rng.randrange(20)):
            await p.read(1024)
        # What is on its way fills both sockets; then nothing more is taken.
        await asyncio.sleep(2 * stage.span * rng.random())
        leave(p, rng)


@attack(1)
async def says_nothing(stage, rng):
    async with peer(stage, rng) as p:
        await closed_by_the_gateway(stage, p, "silence")


# ── coming and going ──

@attack(6)
async def connects_and_goes(stage, rng):
    for _ in range(rng.randrange(1, 20)):
        async with peer(stage, rng) as p:
            if rng.random() < 0.5:
                await p.send(request("echo/gone")[:rng.randrange(60)])
            leave(p, rng)


@attack(4)
async def upload_cut(stage, rng):
    whole = request("bulk/upload", b"x" * rng.randrange(1, 1 << 20))
    async with peer(stage, rng) as p:
        await p.send(whole[:rng.randrange(len(whole))])
        leave(p, rng)


@attack(3)
async def download_cut(stage, rng):
    async with peer(stage, rng) as p:
        await p.send(request(f"bulk/{rng.choice(('download', 'chunked', 'until-close'))}/4"))
        for _ in range(rng.randrange(30)):
            await p.read()
        leave(p, rng)


@attack(1)
async def flood(stage, rng):
    await crowd(stage, rng, rng.random() < 0.3)


async def crowd(stage, rng, from_everywhere):
    """More connections than all may have together, or than one address may."""
    one = somewhere(rng)
    n, source = stage.per_address + 20, lambda: one
    if from_everywhere:
        n, source = stage.connections + 20, lambda: somewhere(rng)
    async with contextlib.AsyncExitStack() as stack:
        peers = []
        with contextlib.suppress(OSError):
            for _ in range(n):
                peers.append(await stack.enter_async_context(Peer(stage.address, source())))
                await peers[-1].send(request("echo/flood"))
        for p in peers[:5]:
            with contextlib.suppress(TimeoutError, OSError, EOFError):
                async with asyncio.timeout(stage.span / 4):
                    await p.answer()


# ── services that are not there, do not come, or break ──

@attack(5)
async def wake(stage, rng):
    async with peer(stage, rng) as p:
        await p.send(request(f"{rng.choice(stage.cold)}/"))
        if rng.random() < 0.4:
            leave(p, rng)
            return
        status, _ = await p.answer()
        if status not in (200, 503):
            stage.complain(f"a cold service answers with {status}")


@attack(2)
async def wake_what_never_comes(stage, rng):
    async with peer(stage, rng) as p:
        for _ in range(rng.randrange(1, 4)):
            await p.send(request(rng.choice(("never/", "exits/"))))
        if rng.random() < 0.5:
            leave(p, rng)
            return
        status, _ = await p.answer()
        if status != 503:
            stage.complain(f"a service that does not come answers with {status}")


@attack(2)
async def kill(stage, rng):
    """The service itself, while it is asked."""
    async with peer(stage, rng) as p:
        await p.send(request(f"victim/{rng.choice(('a.die', 'b.die', 'long'))}"))
        with contextlib.suppress(IndexError, ProcessLookupError):
            os.kill(stage.services["victim"].pid, signal.SIGKILL)
        await closed_by_the_gateway(stage, p, "the service was killed")


@attack(6)
async def nonsense_from_a_service(stage, rng):
    async with peer(stage, rng) as p:
        await p.send(request("nonsense/", b"", "Connection: close"))
        await closed_by_the_gateway(stage, p, "a service that speaks nonsense")


@attack(2)
async def interim_flood(stage, rng):
    async with peer(stage, rng) as p:
        await p.send(request(f"interim/flood?{rng.randrange(1, 300)}"))
        if rng.random() < 0.3:
            leave(p, rng)
            return
        async with asyncio.timeout(20 * stage.span):
            await p.answer()


# ── tunnels ──

def frame(rng, n, opcode=2):
    length = bytes([0x80 | n]) if n < 126 else struct.pack("!BH", 0x80 | 126, n)
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + rng.randbytes(n)


@attack(5)
async def websocket_cut(stage, rng):
    key = base64.b64encode(rng.randbytes(16)).decode()
    async with peer(stage, rng) as p:
        await p.send(request(f"ws/{rng.choice(('', 'close', 'count', 'refuse'))}", b"", "Connection: Upgrade",
                             "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"))
        if rng.random() < 0.8:
            await p.read_until(b"\r\n\r\n")
        frames = b"".join(frame(rng, rng.randrange(2000), rng.choice((1, 2, 8, 9, 3))) for _ in range(rng.randrange(9)))
        await p.send(frames[:rng.randrange(len(frames) + 1)])
        if rng.random() < 0.2:
            await closed_by_the_gateway(stage, p, "a WebSocket on which nobody speaks")
        leave(p, rng)


@attack(5)
async def tunnel(stage, rng):
    path = rng.choice(("echo", "behind", "unasked", "nothing", "count", "last-words", "flood/8", "reset", "watch", "refuse",
                       "ignore", "body"))
    async with peer(stage, rng) as p:
        await p.send(request(f"switch/{path}", rng.randbytes(100) if path == "body" else b"", "Connection: Upgrade",
                             "Upgrade: raw"))
        await p.send(rng.randbytes(rng.randrange(1, 3000)) + b"\n")
        if rng.random() < 0.5:
            for _ in range(rng.randrange(10)):
                await p.read(rng.randrange(1, 65536))
            leave(p, rng)
        else:
            p.end_side()
            await closed_by_the_gateway(stage, p, f"the tunnel {path}")


@attack(5)
async def garbage_on_tcp(stage, rng):
    async with peer(stage, rng, rng.choice(stage.tcp)) as p:
        for _ in range(rng.randrange(4)):
            await p.send(rng.randbytes(rng.randrange(1, 50000)))
        way = rng.random()
        if way < 0.3:
            p.end_side()
            await closed_by_the_gateway(stage, p, "a raw connection")
        elif way < 0.4:
            await closed_by_the_gateway(stage, p, "a raw connection on which nobody speaks")
        leave(p, rng)


@attack(3)
async def header_of_a_proxy(stage, rng):
    """Good, cut, or none."""
    good = rng.choice((b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
                       b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\1\2\3\4\5\6\7\x08\0\1\0\2"))
    data = good + request("echo/behind-a-proxy")
    async with peer(stage, rng, stage.proxied) as p:
        way = rng.randrange(3)
        await p.send(data if way == 0 else data[:rng.randrange(len(good))] if way == 1 else rng.randbytes(50))
        if rng.random() < 0.5:
            leave(p, rng)
        else:
            await closed_by_the_gateway(stage, p, "a PROXY header")
