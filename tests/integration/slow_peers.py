# SPDX-License-Identifier: ISC
"""Thousands of connections on each of which a client is as slow as it can be without ever being silent, and the service
that they ask. For the tests and for the measurement of what others notice of them."""

import asyncio
import contextlib
import socket
import threading
import time

from harness.peer import Peer

HOST = b"Host: slow.localhost\r\n"
BODY = bytes(8 << 20)  # more than fits between a reader who does not read and the service
# What is sent at once, what byte by byte, and how much room there is for the answer.
KINDS = {
    "slow head": (b"GET / HTTP/1.1\r\n" + HOST + b"X-Slow: ", b"x" * 10000, None),
    "slow body": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 10000\r\n\r\n", b"x" * 10000, None),
    "slow read": (b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n", b"", 4096),
}


class Fountain:
    """The service: GET /large is answered with BODY, everything else when its body is there. Needs no thread for
    each connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.config = {"host": "slow.localhost", "base": f"http://127.0.0.1:{self.port}", "proxyOnly": True}
        self.open = 0
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()

    async def _run(self):
        loop = asyncio.get_running_loop()
        serving = set()
        while True:
            connection, _ = await loop.sock_accept(self.listener)
            serving.add(task := asyncio.create_task(self._serve(loop, connection)))
            task.add_done_callback(serving.discard)

    async def _serve(self, loop, connection):
        buffer = b""
        self.open += 1
        with connection, contextlib.suppress(OSError):
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = await loop.sock_recv(connection, 65536)
                    if not data:
                        self.open -= 1
                        return
                    buffer += data
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                if head.startswith(b"POST"):
                    while await loop.sock_recv(connection, 65536):
                        pass
                    break
                body = BODY if head.startswith(b"GET /large ") else b"ok"
                await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                await loop.sock_sendall(connection, body)
        self.open -= 1


class Crowd:
    """`n` slow connections, of as many addresses as `sources` names, in a thread. Each ends when the other side closes it,
    or with stop(). `pause`: seconds between two bytes."""

    def __init__(self, address, kind, n, pause, sources=lambda i: f"127.9.{i // 250}.{i % 250 + 1}"):
        self.address, self.kind, self.n, self.pause, self.sources = address, kind, n, pause, sources
        self.connected, self.lives, self.stopped = 0, [], False
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()

    @property
    def over(self):
        return len(self.lives) == self.n

    def stop(self):
        self.stopped = True
        self.thread.join()

    async def _run(self):
        room = asyncio.Semaphore(200)  # connects under way: more would only fill the backlog
        await asyncio.gather(*(self._one(i, room) for i in range(self.n)))

    async def _one(self, i, room):
        at_once, rest, receive_buffer = KINDS[self.kind]
        began = time.monotonic()
        with contextlib.suppress(OSError):
            await room.acquire()
            try:
                p = await Peer(self.address, self.sources(i), receive_buffer).__aenter__()
            finally:
                room.release()
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_exit(p)
                await p.send(at_once)
                began = time.monotonic()
                self.connected += 1
                reading = asyncio.create_task(p.read_all() if not receive_buffer else self._not_read(p))
                for at in range(1 << 30):
                    done, _ = await asyncio.wait([reading], timeout=self.pause)
                    if done or self.stopped:
                        break
                    if rest:
                        await p.send(rest[at:at + 1])
                reading.cancel()
        self.lives.append(time.monotonic() - began)

    async def _not_read(self, p):
        """Takes a little, and no more; a reset is noticed all the same."""
        await p.read(1000)
        while not p.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) and not closed(p.socket):
            await asyncio.sleep(self.pause)


def closed(s):
    """tcp(7) TCP_INFO: the state is no longer that of an open connection, whatever lies unread."""
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1
