# SPDX-License-Identifier: ISC
"""Connections that are switched to another protocol, looked at byte by byte; test_websocket.py has a real one."""

import os
import re
import signal
import threading

import pytest
from harness import gateway, process, wait_for

MIB = 1 << 20
SLOW = gateway.sanitized()
PIECE = bytes(range(256)) * 1024


def ask(path, more="", host="switch.localhost", method="GET", upgrade="raw"):
    return (f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n{more}\r\n")


def make(site, *others, config=None, env=None, workers=None, **service):
    switch = site.app("switch.py", name="switch", env={"GATE": site.folder / "open", **(env or {})}, **service)
    switch.gate = site.folder / "open"
    switch.gateway = site.gateway(switch, *others, config=config, workers=workers)
    return switch


@pytest.fixture
def switch(site):
    return make(site)


def opened(switch, path, *args, behind="", **kwargs):
    """A connection that was switched, and the answer to that."""
    c = switch.gateway.raw(ask(path, *args) + behind, **kwargs)
    r = c.reply()
    assert r.status == 101, r
    return c


# ── how it comes about ──

def test_the_offer_and_the_consent_are_passed_on_as_they_came(switch):
    with switch.gateway.raw(ask("/echo", upgrade="h2c, raw")) as c:
        r = c.reply()
        assert (r.status, r.reason) == (101, "Switching Protocols")
        assert r.all("Upgrade") == ["raw"]
        assert [v.lower() for v in r.all("Connection")] == ["upgrade"]
        assert r.all("X-Order") == ["1", "2"]
        assert not r.all("Content-Length") and not r.all("Transfer-Encoding") and not r.all("Date")
        assert switch.events("offer") == ["offer upgrade raw"]
        c.send(b"\x00\xff\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        assert c.read_exactly(24) == b"\x00\xff\r\n\r\nGET / HTTP/1.1\r\n\r\n"


def test_it_waits_for_a_cold_service_like_any_other_request(site):
    switch = make(site, env={"START_DELAY": 0.5})
    waiting = [switch.gateway.raw(ask("/echo") + "early") for _ in range(20)]
    for c in waiting:
        assert c.reply().status == 101
        assert c.read_exactly(5) == b"early", "what came with the head"
        c.close()
    assert switch.starts == 1


def test_what_comes_behind_either_head_is_not_lost(switch):
    with opened(switch, "/behind", behind="asked at once") as c:
        assert c.read_exactly(25) == b"said at onceasked at once"
    big = os.urandom(15000)  # as much as fits into a buffer for heads
    with switch.gateway.raw(ask("/echo").encode() + big) as c:
        assert c.reply().status == 101
        assert c.read_exactly(len(big)) == big


@pytest.mark.parametrize("path,status,body", [("/refuse", 426, "say please\n"), ("/ignore", 200, "as before\n")])
def test_a_service_may_refuse_and_the_connection_goes_on(switch, path, status, body):
    with switch.gateway.raw(ask(path)) as c:
        for _ in range(2):
            r = c.reply()
            assert (r.status, r.text) == (status, body)
            assert r.get("X-Why") == ("manners" if path == "/refuse" else None)
            c.send(ask(path))
        assert c.reply().status == status


@pytest.mark.parametrize("request_text", [
    ask("/unasked"), ask("/nothing"), ask("/echo", upgrade="h2c"),
    "GET /echo HTTP/1.1\r\nHost: switch.localhost\r\nUpgrade: raw\r\n\r\n",
    "GET /echo HTTP/1.0\r\nHost: switch.localhost\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n",
], ids=["another protocol", "no protocol", "h2c", "not hop by hop", "HTTP/1.0"])
def test_a_101_that_was_not_asked_for_is_a_502(switch, request_text):
    with switch.gateway.raw(request_text) as c:
        assert c.reply().status == 502
    assert switch.gateway.curl("switch", "/hello").text == "hello\n"


def test_a_body_is_delivered_before_the_protocols_are_switched(switch):
    for framing, body in (("Content-Length: 11\r\n", "hello world"),
                          ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")):
        with switch.gateway.raw(ask("/body", framing, method="POST") + body[:4]) as c:
            wait_for(lambda: switch.events("offer"), "the head is there")
            c.send(body[4:] + "and more")
            assert c.reply().status == 101
            assert c.read_exactly(19) == b"body of 11\nand more"


# ── while it lasts ──

def test_each_side_may_end_first_and_go_on_listening(switch):
    with opened(switch, "/count") as c:
        c.send(bytes(100000))
        c.socket.shutdown(1)
        assert c.read_all() == b"100000 bytes" and not c.was_reset
    with opened(switch, "/last-words") as c:
        assert c.read_all() == b"last words" and not c.was_reset
        c.send(bytes(70000))
    wait_for(lambda: switch.events("heard") == ["heard 70000"], "the service hears on")


def test_a_slow_client_stops_the_service(switch):
    before = switch.gateway.peak_memory()
    with opened(switch, "/flood/100", receive_buffer=65536, timeout=60) as c:
        flooded = [None]

        def steady():
            flooded.append(len(switch.events("flooded")))
            return len(flooded) > 100 and len(set(flooded[-100:])) == 1
        wait_for(steady, "the service stands still", 30)
        assert flooded[-1] < 60
        assert switch.gateway.peak_memory() - before < 4 * MIB
        for _ in range(4 * 100):
            assert c.read_exactly(len(PIECE)) == PIECE
        assert c.read_all() == b"" and not c.was_reset


def test_a_slow_service_stops_the_client(switch):
    with opened(switch, "/deaf", timeout=60) as c:
        sent = [0]

        def send():
            for _ in range(100):
                c.send(PIECE * 4)
                sent[0] += 1
            c.socket.shutdown(1)
        sender = threading.Thread(target=send)
        sender.start()
        seen = []

        def steady():
            seen.append(sent[0])
            return len(seen) > 100 and len(set(seen[-100:])) == 1
        wait_for(steady, "the client stands still", 30)
        assert seen[-1] < 60
        switch.gate.touch()
        sender.join()
        assert c.read_all() == b"%d bytes" % (100 * MIB)


def test_both_sides_may_speak_at_once(switch):
    with opened(switch, "/echo", timeout=60) as c:
        data = os.urandom(8 * MIB)
        sender = threading.Thread(target=lambda: (c.send(data), c.socket.shutdown(1)))
        sender.start()
        assert c.read_all() == data
        sender.join()


# ── how it ends ──

def test_a_connection_that_breaks_at_the_service_breaks_at_the_client(switch):
    with opened(switch, "/reset") as c:
        c.send("now\n")
        data = c.read_all()
        assert c.was_reset or data == b"before it broke"
        assert b"before it broke".startswith(data)
        assert c.was_reset


def test_a_client_that_breaks_off_is_broken_off_at_the_service(switch):
    c = opened(switch, "/watch")
    c.send("x")
    wait_for(lambda: switch.events("got"), "the tunnel is open")
    c.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: close with RST
    c.close()
    wait_for(lambda: switch.events("broken"), "the service's connection breaks")


def test_a_client_that_leaves_in_order_ends_it_in_order(switch):
    c = opened(switch, "/watch")
    c.close()
    wait_for(lambda: switch.events("ended"), "the service's connection ends")


def test_a_service_that_is_killed_takes_its_tunnels_along_and_is_started_again(switch):
    with opened(switch, "/echo") as c:
        process.kill(switch.pid)
        c.read_all()
        switch.gateway.wait_state("switch", "offline")  # all its threads, and so its listening socket, are gone
        with opened(switch, "/echo") as again:
            again.send("well")
            assert again.read_exactly(4) == b"well"
    assert switch.starts == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_gateway_that_shuts_down_ends_its_tunnels_in_order(site, workers):
    switch = make(site, workers=workers)
    tunnels = [opened(switch, "/watch") for _ in range(10)]
    with opened(switch, "/flood/20", timeout=30, receive_buffer=65536) as busy:
        os.kill(switch.gateway.pid, signal.SIGTERM)
        for c in tunnels:
            assert c.read_all() == b"" and not c.was_reset
            c.close()
        busy.read_all()
    assert switch.gateway.wait_end() == 0
    assert len(switch.events("ended")) == 10


def test_requests_are_finished_before_tunnels_are_ended(site):
    sse = site.app("sse.py", name="sse", env={"EVENTS": site.folder / "events"})
    (site.folder / "events").write_text("one\n")
    gw = make(site, sse).gateway
    with gw.raw("GET / HTTP/1.1\r\nHost: sse.localhost\r\n\r\n") as stream, gw.raw(ask("/echo")) as c:
        assert stream.read_until(b"one")
        assert c.reply().status == 101
        os.kill(gw.pid, signal.SIGTERM)
        gw.wait_log("Shutting down")
        c.send("still")
        assert c.read_exactly(5) == b"still"
        with open(site.folder / "events", "a") as f:
            f.write("end\n")
        assert b"end" in stream.read_all()
        assert c.read_all() == b"" and not c.was_reset
    assert gw.wait_end() == 0


# ── what it costs, and what it keeps awake ──

def test_an_open_tunnel_keeps_its_service_awake(site):
    gw = make(site, site.app(name="other", idleTimeout=300), idleTimeout=300).gateway
    with gw.raw(ask("/echo")) as c:
        assert c.reply().status == 101
        for _ in range(3):  # the other one, as idle, comes and goes
            since = gw.mark()
            assert gw.curl("other").status == 200
            gw.wait_state("other", "offline", since)
        assert gw.count_transitions("switch", "stopping") == 0
        c.send("still there")
        assert c.read_exactly(11) == b"still there"
    gw.wait_state("switch", "offline")


def test_a_silent_tunnel_may_be_told_not_to_keep_its_service_awake(site):
    switch = make(site, idleTimeout=200, webSocketIdle=200)
    gw = switch.gateway
    with opened(switch, "/echo") as c:
        gw.wait_state("switch", "offline")
        assert c.read_all() == b"", "it ends with the service"
    assert gw.curl("switch", "/hello").status == 200, "which can be started again"


def test_a_tunnel_that_speaks_again_counts_again(site):
    switch = make(site, idleTimeout="1s", webSocketIdle=50)
    gw = switch.gateway
    with opened(switch, "/echo") as c:
        for _ in range(40):  # longer than idleTimeout, and each pause longer than webSocketIdle
            c.send("x")
            assert c.read_exactly(1) == b"x"
            assert c.silent(0.06)
        assert gw.count_transitions("switch", "stopping") == 0
        gw.wait_state("switch", "offline")


def test_a_silent_tunnel_may_be_limited(site):
    switch = make(site, config={"limits": {"tunnelIdleTimeout": 300}})
    with opened(switch, "/watch") as c:
        assert c.read_all() == b"" and not c.was_reset
    wait_for(lambda: switch.events("ended"), "the service's side ends, too")


def test_a_client_that_takes_nothing_is_given_up(site):
    switch = make(site, config={"limits": {"clientWriteTimeout": 300}})
    with opened(switch, "/flood/100", receive_buffer=4096):
        wait_for(lambda: switch.events("gone"), "the service's side breaks")


def test_tunnels_count_as_connections(site):
    switch = make(site, config={"limits": {"maxConnectionsPerAddress": 3}})
    tunnels = [opened(switch, "/echo") for _ in range(3)]
    with switch.gateway.raw("GET /hello HTTP/1.1\r\nHost: switch.localhost\r\n\r\n") as c:
        assert c.closed()
    tunnels.pop().close()
    wait_for(lambda: switch.gateway.curl("switch", "/hello").status == 200, "there is room again")
    for c in tunnels:
        c.close()


def test_the_access_log_has_a_line_at_its_end(site):
    switch = make(site, config={"logging": {"enableRequestLog": True}})
    with opened(switch, "/echo?q") as c:
        c.send("12345")
        assert c.read_exactly(5) == b"12345"
        assert not switch.gateway.find_log(" 101 ")
    line = switch.gateway.wait_log(" 101 ")
    assert re.search(r"switch: 127\.0\.0\.1 GET switch\.localhost /echo\?q 101 5 [\d.]+ms, 5 from the client$", line.text)


def test_nothing_is_left_of_tunnels_that_are_over(switch):
    def descriptors():
        return len(os.listdir(f"/proc/{switch.gateway.pid}/fd"))
    with opened(switch, "/echo"):
        pass
    wait_for(lambda: switch.events("request"), "it was there")
    switch.gateway.curl("switch", "/hello")
    before = descriptors()
    tunnels = [opened(switch, "/echo") for _ in range(50)]
    assert descriptors() > before + 90
    for i, c in enumerate(tunnels):
        if i % 2:
            c.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
        c.close()
    wait_for(lambda: descriptors() <= before, "all descriptors are closed")
    assert process.alive(switch.gateway.pid)
