# SPDX-License-Identifier: ISC
"""Switches connections to a protocol of its own, which is bytes. What it does then is in the path."""

import os
import socket
import time

import base

PIECE = bytes(range(256)) * 1024


def switch(request, behind=b"", upgrade="raw", more=()):
    fields = [("Connection", "Upgrade"), ("Upgrade", upgrade), ("X-Order", "1"), ("X-Order", "2"), *more]
    head = "HTTP/1.1 101 Switching Protocols\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n"
    request.connection.send(head.encode() + behind)


def received(c):
    """Everything until the client ends its side, what came with the head included."""
    while True:
        if c.buffer:
            data, c.buffer = c.buffer, b""
        else:
            data = c.sock.recv(65536)
        if not data:
            return
        yield data


def handle(request):
    c = request.connection
    path, _, argument = request.target.split("?")[0].strip("/").partition("/")
    if path == "hello":
        request.reply(200, b"hello\n")
        return
    base.log("offer", request.field("Connection"), request.field("Upgrade"))
    if path == "refuse":
        request.reply(426, b"say please\n", [("Upgrade", "raw"), ("X-Why", "manners")], reason="Upgrade Required")
        return
    if path == "ignore":
        request.reply(200, b"as before\n")
        return
    c.close()
    if path == "echo":
        switch(request)
        for data in received(c):
            c.send(data)
    elif path == "body":  # switches before it has read the body, and says how long that was
        switch(request)
        n = sum(len(piece) for piece in request.body())
        c.send(f"body of {n}\n".encode())
        for data in received(c):
            c.send(data)
    elif path == "behind":
        switch(request, b"said at once")
        for data in received(c):
            c.send(data)
    elif path == "unasked":
        switch(request, upgrade="something-else")
    elif path == "nothing":
        c.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n")
    elif path == "count":  # speaks only when the client has ended its side
        switch(request)
        c.send(b"%d bytes" % sum(map(len, received(c))))
    elif path == "last-words":  # ends its side and goes on listening
        switch(request, b"last words")
        c.sock.shutdown(socket.SHUT_WR)
        base.log("heard", sum(map(len, received(c))))
    elif path == "flood":
        switch(request)
        for i in range(int(argument)):
            for _ in range(4):
                c.send(PIECE)
            base.log("flooded", i + 1)
    elif path == "deaf":
        switch(request)
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.01)
        c.send(b"%d bytes" % sum(map(len, received(c))))
    elif path == "reset":
        switch(request, b"before it broke")
        c.read_line()
        c.abort()
    elif path == "watch":  # says nothing and notes how it ends
        switch(request)
        try:
            for data in received(c):
                base.log("got", len(data))
            base.log("ended")
        except ConnectionResetError:
            base.log("broken")


base.serve(handle)
