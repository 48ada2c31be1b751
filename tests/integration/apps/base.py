# SPDX-License-Identifier: ISC
"""What the test services share: a small HTTP/1.1 server that shows and does exactly what is on the wire.

Settings come from the environment, as a real service's would:
  PORT, HOST    where to listen (127.0.0.1), or SOCKET, the path of a unix socket
  APP_LOG       a file to which every event is appended as one line: "start PID", "request METHOD TARGET", ...
  START_DELAY   seconds between the program's start and its first listen()
  START_AFTER   a file: its first listen() waits until this is there
"""

import os
import signal
import socket
import sys
import threading
import time


def log(*words):
    """Appends one line to $APP_LOG; O_APPEND keeps the lines of several threads apart."""
    path = os.environ.get("APP_LOG")
    if path:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(fd, (" ".join(str(w) for w in words) + "\n").encode())
        os.close(fd)


class Connection:
    """One client connection. `number` counts from 1, so that a test can see which requests shared one."""

    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.served = 0
        self.buffer = b""
        self.open = True

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        self.open = False

    def abort(self):
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.open = False

    def fill(self):
        data = self.sock.recv(262144)
        self.buffer += data
        return len(data)

    def read_line(self):
        while b"\n" not in self.buffer:
            if not self.fill():
                raise EOFError
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def read_some(self, limit):
        if not self.buffer and not self.fill():
            raise EOFError
        data, self.buffer = self.buffer[:limit], self.buffer[limit:]
        return data


class Request:
    def __init__(self, connection, head):
        self.connection = connection
        self.head = head
        lines = head.split(b"\r\n")
        self.method, self.target, self.version = lines[0].decode("latin-1").split(" ", 2)
        self.fields = []
        for line in lines[1:]:
            name, value = line.decode("latin-1").split(":", 1)
            self.fields.append((name, value.strip(" \t")))
        self.waits = (self.field("Expect") or "").lower() == "100-continue"
        self._body = self._read_body()

    def field(self, name):
        for n, v in self.fields:
            if n.lower() == name.lower():
                return v
        return None

    def body(self):
        """Yields what was not read yet of the body, in pieces, whatever its framing."""
        return self._body

    def _read_body(self):
        c = self.connection
        if self.waits:  # only now that somebody reads
            self.waits = False
            c.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if (self.field("Transfer-Encoding") or "").lower() == "chunked":
            while True:
                left = int(c.read_line().split(b";")[0], 16)
                if left == 0:
                    break
                while left > 0:
                    piece = c.read_some(left)
                    left -= len(piece)
                    yield piece
                c.read_line()
            while c.read_line():
                pass
        else:
            left = int(self.field("Content-Length") or 0)
            while left > 0:
                piece = c.read_some(left)
                left -= len(piece)
                yield piece

    def reply(self, status, body=b"", fields=(), reason="OK"):
        head = f"HTTP/1.1 {status} {reason}\r\n"
        for name, value in fields:
            head += f"{name}: {value}\r\n"
        if not any(name.lower() == "content-length" for name, _ in fields):
            head += f"Content-Length: {len(body)}\r\n"
        self.connection.send(head.encode("latin-1") + b"\r\n" + (b"" if self.method == "HEAD" else body))


def _serve_connection(connection, handler):
    try:
        while connection.open:
            while b"\r\n\r\n" not in connection.buffer:
                if not connection.fill():
                    return
            head, connection.buffer = connection.buffer.split(b"\r\n\r\n", 1)
            connection.served += 1
            request = Request(connection, head)
            log("request", request.method, request.target)
            handler(request)
            if request.waits:
                return  # it was answered without its body, which may come or not
            if connection.open:
                for _ in request.body():  # what the handler left unread
                    pass
            if (request.field("Connection") or "").lower() == "close":
                return
    except (EOFError, ConnectionError):
        log("gone", connection.number)
    finally:
        connection.sock.close()


def listen():
    time.sleep(float(os.environ.get("START_DELAY", "0")))
    while not os.path.exists(os.environ.get("START_AFTER", "/")):
        time.sleep(0.003)
    if "SOCKET" in os.environ:
        path = os.environ["SOCKET"]
        if os.path.exists(path):
            os.unlink(path)
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        os.chmod(path, 0o666)  # dynapm may be another user
    else:
        host = os.environ.get("HOST", "127.0.0.1")
        server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, int(os.environ["PORT"])))
    server.listen(4096)
    return server


def start():
    """Says that the program runs. Called first, so that starts can be counted."""
    log("start", os.getpid())

    def terminated(*_):
        log("terminated", os.getpid())
        os._exit(0)

    signal.signal(signal.SIGTERM, terminated)


def serve(handler):
    start()
    threading.stack_size(256 * 1024)
    server = listen()
    log("listening", os.getpid())
    number = 0
    while True:
        sock, _ = server.accept()
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number += 1
        connection = Connection(sock, number)
        threading.Thread(target=_serve_connection, args=(connection, handler), daemon=True).start()


if __name__ == "__main__":
    sys.exit("base.py is what the services import")
