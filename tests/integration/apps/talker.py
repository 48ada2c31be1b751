# SPDX-License-Identifier: ISC
"""Speaks no HTTP: says "welcome" first, as many protocols do, then echoes. With PROXY set it expects a PROXY header
of that version before all else, and says what it read. It ends when the client does."""

import os
import socket
import struct
import threading

import base


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def read_proxy(sock, version):
    if version == "v1":
        line = b""
        while not line.endswith(b"\r\n"):
            line += read_exactly(sock, 1)
        return line.decode().strip()
    head = read_exactly(sock, 16)
    assert head[:12] == b"\r\n\r\n\0\r\nQUIT\n" and head[12] == 0x21, head
    rest = read_exactly(sock, struct.unpack("!H", head[14:])[0])
    family, n = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}[head[13]]
    assert len(rest) == 2 * n + 4
    source, destination = (socket.inet_ntop(family, rest[i:i + n]) for i in (0, n))
    return f"PROXY TCP{4 if n == 4 else 6} {source} {destination} " + " ".join(map(str, struct.unpack("!HH", rest[-4:])))


def serve(sock, number):
    base.log("connected", number)
    with sock:
        try:
            if "PROXY" in os.environ:
                sock.sendall((read_proxy(sock, os.environ["PROXY"]) + "\n").encode())
            sock.sendall(b"welcome\n")
            while data := sock.recv(65536):
                sock.sendall(data)
            base.log("ended", number)
        except (EOFError, OSError):
            base.log("broken", number)


base.start()
server = base.listen()
base.log("listening", os.getpid())
n = 0
while True:
    connection, _ = server.accept()
    n += 1
    threading.Thread(target=serve, args=(connection, n), daemon=True).start()
