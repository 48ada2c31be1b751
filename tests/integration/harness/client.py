# SPDX-License-Identifier: ISC
"""Clients: real curl for what a user would do, and a raw socket for what curl would not send."""

import socket
import subprocess
import tempfile
from pathlib import Path


class Reply:
    def __init__(self, version, status, reason, fields, body, exit=0, seconds=0.0, complete=True):
        self.version = version
        self.status = status
        self.reason = reason
        self.fields = fields
        self.body = body
        self.exit = exit          # curl's exit status
        self.seconds = seconds    # until the first byte of the answer
        self.complete = complete  # the body ended as its framing says

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    def __repr__(self):
        return f"<{self.status} {self.reason} exit={self.exit} {self.fields} {self.body[:300]!r}>"


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    version, status, *reason = lines[0].split(" ", 2)
    fields = []
    for line in filter(None, lines[1:]):
        name, value = line.split(":", 1)
        fields.append((name, value.strip(" \t")))
    return version, int(status), reason[0] if reason else "", fields


def curl(url, *args, resolve=None, timeout=20, input=None):
    """Runs curl and returns a Reply; status 0 where no answer came. `resolve` maps every host to an address."""
    with tempfile.TemporaryDirectory(prefix="dynapm-curl-") as folder:
        head, body = Path(folder, "head"), Path(folder, "body")
        command = ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", str(timeout), "-D", head, "-o", body,
                   "-w", "%{time_starttransfer}"]
        if resolve:
            command += ["--connect-to", f"::{resolve}"]
        p = subprocess.run([*command, *args, url], input=input, capture_output=True, timeout=timeout + 10)
        raw = head.read_bytes() if head.exists() else b""
        blocks = [b for b in raw.split(b"\r\n\r\n") if b.startswith(b"HTTP/")]
        final = [b for b in blocks if not b.split(b" ")[1].startswith(b"1")]
        data = body.read_bytes() if body.exists() else b""
        seconds = float(p.stdout or 0)
        if not final:
            return Reply("", 0, p.stderr.decode(), [], data, p.returncode, seconds, complete=False)
        return Reply(*parse_head(final[-1]), data, p.returncode, seconds, complete=p.returncode == 0)


class Raw:
    """One connection on which bytes are sent as they are and answers are read as RFC 9112 says."""

    def __init__(self, address, timeout=10.0, receive_buffer=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def _fill(self):
        data = self.socket.recv(262144)
        self.buffer += data
        return bool(data)

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self._fill():
                raise EOFError(f"closed after {self.buffer[:200]!r}")
        data, self.buffer = self.buffer.split(mark, 1)
        return data

    def read_exactly(self, n):
        while len(self.buffer) < n:
            if not self._fill():
                raise EOFError(f"closed {n - len(self.buffer)} bytes early")
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_all(self):
        """Everything until the peer closes; `was_reset` tells how."""
        self.was_reset = False
        try:
            while self._fill():
                pass
        except ConnectionResetError:
            self.was_reset = True
        data, self.buffer = self.buffer, b""
        return data

    def closed(self, timeout=10.0):
        """True when the peer closes within the time and sends nothing more."""
        self.socket.settimeout(timeout)
        try:
            return not self.buffer and not self.socket.recv(1)
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def silent(self, seconds):
        """True when the peer neither sends nor closes for that long."""
        self.socket.settimeout(seconds)
        try:
            self.buffer += self.socket.recv(65536)
            return False
        except (TimeoutError, BlockingIOError):
            return True
        finally:
            self.socket.settimeout(10.0)

    def read_head(self):
        """The next head, interim ones included."""
        return parse_head(self.read_until(b"\r\n\r\n"))

    def reply(self, method="GET"):
        """The next final answer."""
        while True:
            version, status, reason, fields = self.read_head()
            if status == 101 or status >= 200:
                break
        r = Reply(version, status, reason, fields, b"")
        coding = [v.lower() for v in r.all("Transfer-Encoding")]
        length = r.get("Content-Length")
        if method == "HEAD" or status in (101, 204, 304):
            return r
        body = bytearray()
        try:
            if coding == ["chunked"]:
                self._read_chunked(body)
            elif length is not None:
                while len(body) < int(length):
                    if not self.buffer and not self._fill():
                        raise EOFError
                    n = int(length) - len(body)
                    body += self.buffer[:n]
                    self.buffer = self.buffer[n:]
            else:
                body += self.read_all()
        except (EOFError, ConnectionResetError):
            r.complete = False
        r.body = bytes(body)
        return r

    def _read_chunked(self, body):
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.read_until(b"\r\n"):
                    pass
                return
            body += self.read_exactly(size)
            assert self.read_exactly(2) == b"\r\n"
