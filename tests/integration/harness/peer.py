# SPDX-License-Identifier: ISC
"""One connection of a client that may do anything: to send a part, to be slow, to end one side, to reset."""

import asyncio
import contextlib
import socket

RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER: on, for no time


class Peer:
    """Use it with `async with`; leaving closes. `source` is the address that it comes from."""

    def __init__(self, address, source="127.0.0.1", receive_buffer=None):
        self.address, self.source, self.receive_buffer = address, source, receive_buffer
        self.loop = asyncio.get_running_loop()
        self.buffer = b""

    async def __aenter__(self):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
            self.socket.bind((self.source, 0))
            await self.loop.sock_connect(self.socket, self.address)
        except BaseException:
            self.socket.close()
            raise
        return self

    async def __aexit__(self, *_):
        self.socket.close()

    async def send(self, data):
        await self.loop.sock_sendall(self.socket, data)

    async def read(self, n=65536):
        return await self.loop.sock_recv(self.socket, n)

    async def read_until(self, mark):
        while mark not in self.buffer:
            data = await self.read()
            if not data:
                raise EOFError(f"closed after {self.buffer[:200]!r}")
            self.buffer += data
        data, self.buffer = self.buffer.split(mark, 1)
        return data

    async def read_exactly(self, n):
        while len(self.buffer) < n:
            data = await self.read()
            if not data:
                raise EOFError(f"closed {n - len(self.buffer)} bytes early")
            self.buffer += data
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    async def read_all(self):
        """Everything until the other side closes or resets."""
        data, self.buffer = bytearray(self.buffer), b""
        with contextlib.suppress(ConnectionError):
            while more := await self.read():
                data += more
        return bytes(data)

    async def answer(self):
        """(status, body) of the next final answer with a length."""
        while True:
            line, *fields = (await self.read_until(b"\r\n\r\n")).split(b"\r\n")
            status = int(line.split(b" ")[1])
            if status >= 200:
                break
        length = [f.partition(b":")[2] for f in fields if f.lower().startswith(b"content-length:")]
        return status, await self.read_exactly(int(length[0]))

    async def request(self, head, body=b""):
        """Sends a GET or, with a body, a POST; `head` is "NAME/TARGET"."""
        await self.send(request(head, body))
        return await self.answer()

    def end_side(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()


def request(what, body=b"", *fields):
    """`what` is "NAME/TARGET" of the service NAME.localhost."""
    name, _, target = what.partition("/")
    lines = [f"{'POST' if body else 'GET'} /{target} HTTP/1.1", f"Host: {name}.localhost", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
