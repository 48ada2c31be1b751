# SPDX-License-Identifier: ISC
"""Holds a gateway against hostile_table.py: sends each request as raw bytes, whole or in pieces, and records on a
plain socket behind the gateway what arrives there. The judges return one sentence for each thing that is wrong."""

import itertools
import re
import select
import socket
import threading
import time
from typing import NamedTuple

import hostile_table as table

TIMEOUT = 5.0


class Arrival(NamedTuple):
    line: bytes
    fields: tuple  # (name, value)
    body: bytes
    size: int      # of all of it, as it came


class Recorder:
    """The service: takes requests on a socket without any HTTP library, answers each with 200 and its target."""

    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.arrivals, self.received = [], 0
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def mark(self):
        with self.lock:
            return len(self.arrivals), self.received

    def since(self, mark):
        """The requests that arrived, and the number of bytes that were none (yet)."""
        with self.lock:
            arrivals = self.arrivals[mark[0]:]
            return arrivals, self.received - mark[1] - sum(a.size for a in arrivals)

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        buffer = b""
        with connection:
            while True:
                try:
                    data = connection.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                with self.lock:
                    self.received += len(data)
                buffer += data
                while True:
                    arrival = read_request(buffer)
                    if not arrival:
                        break
                    buffer = buffer[arrival.size:]
                    with self.lock:
                        self.arrivals.append(arrival)
                    try:
                        connection.sendall(answer(arrival.line))
                    except OSError:
                        return


def answer(line):
    method, target = line.split(b" ")[:2]
    body = b"" if method == b"HEAD" else target
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(target) + body


def split_head(data):
    """(first line, fields, what follows), or None while it is not whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    line, *rest = data[:end].split(b"\r\n")
    pairs = (f.partition(b":")[::2] for f in rest)
    return line, tuple((name, value.strip(b" \t")) for name, value in pairs), data[end + 4:]


def values(fields, name):
    return [v for n, v in fields if n.lower() == name]


def read_body(fields, data):
    """(body, bytes used), or None while it is not whole. Raises ValueError for what it cannot read."""
    if values(fields, b"transfer-encoding"):
        body, at = b"", 0
        while True:
            end = data.find(b"\r\n", at)
            if end < 0:
                return None
            size = int(data[at:end].split(b";")[0], 16)
            at = end + 2 + size + 2
            if size == 0:
                end = data.find(b"\r\n\r\n", end)  # behind the trailer
                return (body, end + 4) if end >= 0 else None
            if len(data) < at:
                return None
            body += data[end + 2:at - 2]
    length = int((values(fields, b"content-length") or [b"0"])[0])
    return (data[:length], length) if len(data) >= length else None


def read_request(data):
    parts = split_head(data)
    if not parts:
        return None
    line, fields, rest = parts
    try:
        body = read_body(fields, rest)
    except ValueError:
        return None
    return body and Arrival(line, fields, body[0], len(data) - len(rest) + body[1])


def read_answers(data, closed, methods=()):
    """Statuses and bodies of the whole final answers in data."""
    found = []
    while True:
        parts = split_head(data)
        if not parts or not parts[0].startswith(b"HTTP/1."):
            return found
        line, fields, rest = parts
        status = int(line.split(b" ")[1])
        if status < 200:
            data = rest
            continue
        method = methods[len(found)] if len(found) < len(methods) else b"GET"
        if method == b"HEAD" or status in (204, 304):
            body = (b"", 0)
        elif values(fields, b"transfer-encoding") or values(fields, b"content-length"):
            body = read_body(fields, rest)
        else:
            body = (rest, len(rest)) if closed else None
        if not body:
            return found
        found.append((status, body[0]))
        data = rest[body[1]:]


def talk(address, data, piece=None, enough=lambda received: False, timeout=TIMEOUT):
    """Sends data, in pieces of that size, and reads until the peer closes or it is enough. Returns what came, and
    whether the peer closed."""
    received, pieces = b"", [data]
    if piece:
        pieces = [data[i:i + piece] for i in range(0, len(data), piece)]
    deadline = time.monotonic() + timeout
    with socket.create_connection(address, timeout) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.setblocking(False)
        pieces.reverse()
        while not enough(received):
            left = deadline - time.monotonic()
            if left <= 0:
                return received, False
            readable, writable, _ = select.select([s], [s] if pieces else [], [], left)
            try:
                if readable:
                    got = s.recv(65536)
                    if not got:
                        return received, True
                    received += got
                elif writable:
                    part = pieces.pop()
                    sent = s.send(part)
                    if sent < len(part):
                        pieces.append(part[sent:])
            except BlockingIOError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                if not pieces:
                    return received, True
                pieces = []  # what was answered before may still be read
        return received, False


_count = itertools.count(1)


def probe(address):
    """A good request on a connection of its own; when it is answered, what came before it has arrived too."""
    target = f"/probe-{next(_count)}"
    data = table.encode(table.head(request=f"GET {target} HTTP/1.1"))
    received, closed = talk(address, data, enough=lambda r: read_answers(r, False))
    answers = read_answers(received, closed)
    return table.encode(f"GET {target} HTTP/1.1"), [s for s, _ in answers] == [200]


def pieces_of(data, piece):
    """A hundred thousand single bytes prove no more than pieces of a thousand."""
    return piece and max(piece, len(data) // 2000)


def judge_bad(address, recorder, case, piece=None):
    """(status or None, complaints)"""
    complaints = []
    mark = recorder.mark() if recorder else None
    data = case.data + table.SMUGGLED if case.closes else case.data
    enough = lambda r: len(read_answers(r, False)) > case.closes  # a second answer, where there must not be one
    received, closed = talk(address, data, pieces_of(data, piece), enough)
    answers = read_answers(received, closed)
    status = answers[0][0] if answers else None
    if status not in case.statuses:
        complaints.append(f"answered with {status or received[:100]}, not {' or '.join(map(str, case.statuses))}")
    if case.closes and not closed:
        complaints.append("the connection stays open")
    if len(answers) == 1 and len(re.findall(rb"HTTP/1\.1 \d{3}\b", received)) > 1:
        complaints.append("there is a head in the answer's body")
    if len(answers) > 1:
        complaints.append(f"what followed was answered too, with {answers[1][0]}")
    if recorder:
        line, served = probe(address)
        arrivals, rest = recorder.since(mark)
        if not served:
            complaints.append("the next client is not served")
        if [a.line for a in arrivals] != [line] * served:
            complaints.append(f"the service got {b' | '.join(a.line for a in arrivals if a.line != line)!r}")
        if rest:
            complaints.append(f"the service got {rest} bytes that are no request")
    return status, complaints


def judge_bad_body(address, recorder, case, piece=None):
    complaints = []
    mark = recorder.mark() if recorder else None
    data = case.data + table.SMUGGLED
    received, closed = talk(address, data, piece, lambda r: len(read_answers(r, False)) > 1)
    answers = read_answers(received, closed)
    status = answers[0][0] if answers else None
    if not closed:
        complaints.append("the connection stays open")
    if len(answers) > 1 or (status and status < 400):
        complaints.append(f"answered with {', '.join(str(s) for s, _ in answers)}")
    if recorder:
        line, served = probe(address)
        arrivals, _ = recorder.since(mark)
        if not served:
            complaints.append("the next client is not served")
        if [a.line for a in arrivals] != [line] * served:
            complaints.append(f"the service got {b' | '.join(a.line for a in arrivals if a.line != line)!r}")
    return status, complaints


def missing(want, arrival):
    if arrival.line != want.line:
        yield f"{arrival.line[:100]!r} arrived, not {want.line[:100]!r}"
    came = iter(arrival.fields)
    for field in want.fields:
        name, _, value = field.partition(b":")
        if (name, value.strip(b" \t")) not in came:
            yield f"{field[:100]!r} did not arrive, or not in its place"
            break
    for name in want.absent:
        if values(arrival.fields, name.encode()):
            yield f"{name} arrived"
    if arrival.body != want.body:
        yield f"the body {arrival.body[:100]!r} arrived, not {want.body[:100]!r}"


def judge_good(address, recorder, case, piece=None):
    complaints = []
    mark = recorder.mark() if recorder else None
    methods = [w.line.split(b" ")[0] for w in case.wants]
    received, closed = talk(address, case.data, pieces_of(case.data, piece),
                            lambda r: len(read_answers(r, False, methods)) >= len(case.wants))
    answers = read_answers(received, closed, methods)
    status = answers[0][0] if answers else None
    if len(answers) != len(case.wants):
        complaints.append(f"{len(answers)} answers to {len(case.wants)} requests")
    complaints += [f"answered with {s}" for s, _ in answers if s not in case.statuses]
    if recorder and case.arrives and not complaints:
        arrivals, rest = recorder.since(mark)
        if len(arrivals) != len(case.wants) or rest:
            complaints.append(f"{len(arrivals)} requests and {rest} other bytes arrived")
        for want, arrival, (_, body) in zip(case.wants, arrivals, answers):
            complaints += missing(want, arrival)
            target = want.line.split(b" ")[1]
            if not want.line.startswith(b"HEAD ") and body != target:
                complaints.append(f"{target[:100]!r} was answered with {body[:100]!r}")
    return status, complaints


def report(address, upstream_port, only, verbose):
    recorder = Recorder(upstream_port) if upstream_port else None
    total = wrong = 0
    for title, cases, judge in (("must be refused", table.BAD, judge_bad),
                                ("bad bodies", table.BAD_BODY, judge_bad_body),
                                ("must pass", table.GOOD, judge_good)):
        failed = count = 0
        for case in cases:
            if only not in case.name:
                continue
            for way, piece in (("", None), (" (byte by byte)", 1)):
                status, complaints = judge(address, recorder, case, piece)
                count += 1
                failed += bool(complaints)
                if complaints or verbose:
                    print(f"{status or '-':>4} {case.name}{way}: {'; '.join(complaints) or 'as it should be'}")
        print(f"── {title}: {count - failed} of {count} as they should be", flush=True)
        total, wrong = total + count, wrong + failed
    return 1 if wrong or not total else 0
