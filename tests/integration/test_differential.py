# SPDX-License-Identifier: ISC
"""Requests mutated at random go through the gateway to a service that reads with a strict parser of somebody else's
(python3-h11). Whatever the gateway makes of one: the service must be able to read all that reaches it, and must have
seen exactly the requests that the client got an answer for. A request that one of them saw and the other did not is what
smuggling is made of. DYNAPM_MUTANTS=1000000 runs as many."""

import collections
import os
import random
import re
import socket
import threading

import pytest
from harness import Site
from mutants import HOST, mutate

h11 = pytest.importorskip("h11", reason="python3-h11 is not installed")

MUTANTS = int(os.environ.get("DYNAPM_MUTANTS", "2500"))


class Reader:
    """The service. `seen` are the requests that it has read, by the address of their client, as the gateway tells it:
    method, target, body; `complaints` what it could not read."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.seen, self.complaints = collections.defaultdict(list), []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, sock):
        c = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        received, request, body = b"", None, b""
        with sock:
            try:
                while True:
                    event = c.next_event()
                    if c.they_are_waiting_for_100_continue:
                        sock.sendall(c.send(h11.InformationalResponse(status_code=100, headers=[])))
                    if event is h11.NEED_DATA:
                        data = sock.recv(65536)
                        received += data
                        c.receive_data(data)
                    elif isinstance(event, h11.Request):
                        request, body = event, b""
                    elif isinstance(event, h11.Data):
                        body += bytes(event.data)
                    elif isinstance(event, h11.EndOfMessage):
                        seen = self.seen[dict(request.headers)[b"x-forwarded-for"].decode()]
                        seen.append((request.method, request.target, body))
                        answer = b"%d%s" % (len(seen), b"last" if request.target == b"/last" else b"")
                        head = h11.Response(status_code=200, headers=[("Content-Length", str(len(answer)))])
                        out = c.send(head)
                        if request.method != b"HEAD":
                            out += c.send(h11.Data(data=answer))
                        sock.sendall(out + c.send(h11.EndOfMessage()))
                        c.start_next_cycle()
                    else:
                        return
            except h11.RemoteProtocolError as e:
                # The gateway gives up in the middle of a body when its client does; and it lets bytes beyond ASCII in a
                # target pass, as browsers' users do type them. Neither is a misunderstanding.
                line = re.search(rb"illegal request line: bytearray\(b'(.*)'\)", str(e).encode())
                if "peer" not in str(e) and "incomplete" not in str(e) and not (line and b"\\x" in line[1]):
                    self.complaints.append((str(e), received))
            except (h11.LocalProtocolError, OSError):
                pass


def answers(data):
    """The numbers that the service gave in its answers, in their order; what the gateway itself has answered is left out.
    The answer to a HEAD has none: it counts as the next."""
    found = []
    while True:
        head, sep, rest = data.partition(b"\r\n\r\n")
        if not sep or not head.startswith(b"HTTP/1.1 "):
            return found
        status = int(head[9:12])
        if status < 200:
            data = rest
            continue
        fields = dict(f.split(b": ", 1) for f in head.split(b"\r\n")[1:])
        n = int(fields.get(b"Content-Length", b"0"))
        if status == 200:
            number = rest[:n].removesuffix(b"last")
            if not number.isdigit():
                n = 0
            found.append(int(number) if n else len(found) + 1)
        data = rest[n:]


def ask(address, source, data):
    """(what was answered, whether that is all there will be). A mutant may well be the beginning of a request whose rest
    never comes: then it ends when the client does."""
    last = b"GET /last HTTP/1.1\r\n" + HOST.encode() + b"\r\n"
    received, whole = b"", True
    with socket.create_connection(address, source_address=(source, 0)) as c:
        try:
            c.sendall(data + last)
            c.settimeout(0.1)
            while True:
                try:
                    more = c.recv(65536)
                except TimeoutError:
                    if not whole:
                        return received, False
                    whole = False
                    c.shutdown(socket.SHUT_WR)
                    continue
                received += more
                if not more or received.endswith(b"last"):
                    return received, whole
        except OSError:
            return received, False


def test_the_gateway_and_the_service_agree_on_what_is_a_request():
    seed = int(os.environ.get("DYNAPM_SEED", "9112"))
    rng, n_seen = random.Random(seed), 0
    site, reader = Site(), Reader()
    try:
        gw = site.gateway(files={"diff.json": {"host": "diff.localhost", "base": f"http://127.0.0.1:{reader.port}",
                                               "proxyOnly": True}})
        for i in range(MUTANTS):
            data = mutate(rng)
            source = f"127.{1 + i // 62500 % 250}.{i // 250 % 250}.{1 + i % 250}"
            reader.seen.pop(source, None)
            received, whole = ask(gw.address, source, data)
            what = f"mutant {i} of {seed}: {data!r}"
            assert not reader.complaints, f"{what}\n{reader.complaints}"
            got, seen = answers(received), list(reader.seen[source])
            n_seen += len(seen)
            assert got == list(range(1, 1 + len(got))), what
            assert len(got) == len(seen) if whole else len(got) <= len(seen), f"{what}: {received!r} for {seen}"
        assert n_seen > MUTANTS // 10, "most were refused: the mutations are too wild to show anything"
    finally:
        reader.listener.close()
        site.finish()
