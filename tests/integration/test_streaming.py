# SPDX-License-Identifier: ISC
"""Bodies of any size at a few megabytes of memory, both ways, at the pace of the slower side.

DYNAPM_TEST_MIB sets the size of the large ones (300; 10240 for the real thing)."""

import hashlib
import os
import subprocess
import threading

import pytest

from apps.bulk_body import MIB, digest, pieces
from harness import wait_for
from harness.gateway import sanitized

LARGE = int(os.environ.get("DYNAPM_TEST_MIB", "300"))
# What the gateway may grow by while it moves a body of any size. The sanitizer keeps freed memory for a while.
GROWTH = (200 if sanitized() else 8) * MIB
# What may be under way between two programs that are connected through a gateway: the kernel's socket buffers.
IN_FLIGHT = 40


@pytest.fixture
def bulk(site):
    app = site.app("bulk.py", name="bulk", env={"PROGRESS": site.folder / "progress", "GATE": site.folder / "gate"})
    app.progress = lambda: int((site.folder / "progress").read_text()) if (site.folder / "progress").exists() else 0
    app.gate = site.folder / "gate"
    app.gateway = site.gateway(app)
    app.gateway.curl("bulk", "/download/1")
    wait_for(app.progress, "the service has noted the whole of it")
    (site.folder / "progress").unlink()
    return app


def curl_digest(gw, path):
    """Size and sha256 of what curl receives, which is kept nowhere."""
    url = f"http://bulk.localhost:{gw.port}{path}"
    p = subprocess.Popen(["curl", "-q", "-sS", "--noproxy", "*", "--resolve", f"bulk.localhost:{gw.port}:127.0.0.1", url],
                         stdout=subprocess.PIPE)
    size, sha = 0, hashlib.sha256()
    while data := p.stdout.read(MIB):
        size += len(data)
        sha.update(data)
    assert p.wait() == 0
    return size, sha.hexdigest()


@pytest.mark.parametrize("framing", ["download", "chunked", "until-close"])
def test_a_large_download_arrives_whole_at_a_few_megabytes_of_memory(bulk, framing):
    before = bulk.gateway.peak_memory()
    size, sha = curl_digest(bulk.gateway, f"/{framing}/{LARGE}")
    assert (size, sha) == (LARGE * MIB, digest(LARGE))
    assert bulk.gateway.peak_memory() - before < GROWTH


@pytest.mark.parametrize("framing", ["Content-Length", "chunked"])
def test_a_large_upload_arrives_whole_at_a_few_megabytes_of_memory(bulk, framing):
    before = bulk.gateway.peak_memory()
    with bulk.gateway.raw(timeout=60) as c:
        how = f"Content-Length: {LARGE * MIB}" if framing == "Content-Length" else "Transfer-Encoding: chunked"
        c.send(f"POST /upload HTTP/1.1\r\nHost: bulk.localhost\r\n{how}\r\n\r\n")
        for piece in pieces(LARGE):
            c.send(piece if framing == "Content-Length" else b"%x\r\n%s\r\n" % (len(piece), piece))
        if framing == "chunked":
            c.send(b"0\r\n\r\n")
        assert c.reply().text == f"{LARGE * MIB} {digest(LARGE)}\n"
    assert bulk.gateway.peak_memory() - before < GROWTH


class Steady:
    """True once a number has stayed what it is for half a second."""

    def __init__(self, read):
        self.read, self.last, self.rounds = read, None, 0

    def __call__(self):
        now = self.read()
        self.rounds = self.rounds + 1 if now == self.last else 0
        self.last = now
        threading.Event().wait(0.05)
        return self.rounds >= 10


def test_a_reader_that_does_not_read_stops_the_sender(bulk):
    before = bulk.gateway.peak_memory()
    with bulk.gateway.raw("GET /download/300 HTTP/1.1\r\nHost: bulk.localhost\r\n\r\n", receive_buffer=65536,
                          timeout=60) as c:
        wait_for(Steady(bulk.progress), "the sender stands still", 30)
        assert 0 < bulk.progress() < IN_FLIGHT
        assert bulk.gateway.peak_memory() - before < GROWTH
        assert bulk.gateway.curl("bulk", "/download/1").complete, "others are served meanwhile"

        r = c.reply()  # and now it reads
        assert hashlib.sha256(r.body).hexdigest() == digest(300)


def test_a_service_that_does_not_read_stops_the_client(bulk):
    before = bulk.gateway.peak_memory()
    sent = [0]
    with bulk.gateway.raw(f"POST /upload-when-allowed HTTP/1.1\r\nHost: bulk.localhost\r\n"
                          f"Content-Length: {300 * MIB}\r\n\r\n", timeout=60) as c:
        def send():
            for piece in pieces(300):
                c.send(piece)
                sent[0] += 1
        sender = threading.Thread(target=send)
        sender.start()
        wait_for(Steady(lambda: sent[0]), "the client stands still", 30)
        assert 0 < sent[0] < IN_FLIGHT
        assert bulk.gateway.peak_memory() - before < GROWTH

        bulk.gate.touch()
        sender.join()
        assert c.reply().text == f"{300 * MIB} {digest(300)}\n"


def test_an_upload_waits_outside_while_the_service_starts(site):
    bulk = site.app("bulk.py", name="bulk", env={"START_DELAY": 1.5})
    gw = site.gateway(bulk)
    before = gw.peak_memory()
    sent = [0]
    with gw.raw(f"POST /upload HTTP/1.1\r\nHost: bulk.localhost\r\nContent-Length: {100 * MIB}\r\n\r\n", timeout=60) as c:
        def send():
            for piece in pieces(100):
                c.send(piece)
                sent[0] += 1
        sender = threading.Thread(target=send)
        sender.start()
        wait_for(Steady(lambda: sent[0]), "the client stands still", 30)
        assert sent[0] < IN_FLIGHT
        assert gw.peak_memory() - before < GROWTH
        sender.join()
        assert c.reply().text == f"{100 * MIB} {digest(100)}\n"


def test_a_client_that_leaves_ends_the_exchange_with_the_service(bulk):
    c = bulk.gateway.raw("GET /download/300 HTTP/1.1\r\nHost: bulk.localhost\r\n\r\n", receive_buffer=65536)
    wait_for(lambda: bulk.progress() > 0, "the service sends")
    c.close()
    wait_for(lambda: bulk.events("gone"), "the service's connection is closed")


def test_a_client_that_leaves_during_its_upload_ends_it_at_the_service(bulk):
    c = bulk.gateway.raw(f"POST /upload HTTP/1.1\r\nHost: bulk.localhost\r\nContent-Length: {300 * MIB}\r\n\r\n")
    for piece in pieces(3):
        c.send(piece)
    wait_for(lambda: bulk.progress() >= 2, "the service reads")
    c.close()
    wait_for(lambda: bulk.events("gone"), "the service's connection is closed")


def test_an_early_answer_to_an_upload_is_delivered(bulk):
    r = bulk.gateway.curl("bulk", "/refuse", "-H", "Expect:", "--data-binary", "@-", input=bytes(200000))
    assert (r.status, r.text) == (413, "too much\n")
    assert bulk.gateway.curl("bulk", "/download/1").complete


def test_twenty_transfers_at_once(bulk):
    results = []

    def one():
        results.append(curl_digest(bulk.gateway, "/chunked/10"))
    threads = [threading.Thread(target=one) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [(10 * MIB, digest(10))] * 20
