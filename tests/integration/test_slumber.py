# SPDX-License-Identifier: ISC
"""Connections on which nothing happens cost next to nothing, and nobody notices when they are used again."""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import time
from pathlib import Path

import pytest
from harness import gateway, process, wait_for

GET = "GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n"
MIB = 1 << 20
CROWD = 200 if gateway.sanitized() else 1000


def watchers(pid):
    """{inode of a socket: how many epolls of the process watch it}"""
    found, folder = {}, Path(f"/proc/{pid}")
    for info in (folder / "fdinfo").iterdir():
        with contextlib.suppress(OSError):
            for line in re.findall(r"^tfd:.*ino:(\w+)", info.read_text(), re.MULTILINE):
                found[int(line, 16)] = found.get(int(line, 16), 0) + 1
    return found


def sleepers(gw):
    """The ports of the clients that sleep: libmicrohttpd, which has an epoll of its own, has let go of them."""
    ours, ports = {}, set()
    for pid in gw.workers():
        ours.update(watchers(pid))
    wanted = f":{gw.port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for words in map(str.split, Path(table).read_text().splitlines()[1:]):
            if words[1].endswith(wanted) and ours.get(int(words[9])) == 1:
                ports.add(int(words[2].rpartition(":")[2], 16))
    return ports


def fall_asleep(gw, *connections):
    wanted = {c.socket.getsockname()[1] for c in connections}
    wait_for(lambda: wanted <= sleepers(gw), "they sleep", timeout=30)


def used(gw, request=GET):
    """A connection that has had an answer and sleeps."""
    c = gw.raw(request)
    assert c.reply().status == 200
    fall_asleep(gw, c)
    return c


def test_a_connection_that_sleeps_serves_the_next_request_and_the_one_after(site):
    gw = site.gateway(site.app())
    with used(gw) as c:
        for _ in range(2):
            for _ in range(2):
                c.send(GET)
                assert c.reply().text == "hello from blog\n"
            fall_asleep(gw, c)
        c.send(GET * 3)
        assert [c.reply().status for _ in range(3)] == [200] * 3


def test_a_request_that_arrives_piece_by_piece_wakes_it_as_well(site):
    echo = site.app("echo.py", name="echo")
    gw = site.gateway(echo)
    with gw.raw() as fresh:
        with used(gw, GET.replace("blog", "echo")) as kept:
            fall_asleep(gw, fresh)
            for c in (fresh, kept):
                for piece in ("P", "OST / HTTP/1.1\r\nHost: echo.local", "host\r\nContent-Length: 6\r\n\r\n", "bod"):
                    c.send(piece)
                    assert c.silent(0.03)
                c.send("y!\n")
                r = c.reply()
                assert (r.status, json.loads(r.body)["body"]) == (200, "body!\n")


def test_a_connection_that_has_sent_half_a_line_keeps_it(site):
    gw = site.gateway(site.app())
    with gw.raw(GET) as c, gw.raw("GET / HT") as other:
        assert c.reply().status == 200
        c.send("GET / HT")
        with used(gw):
            pass  # so much time has passed
        for half in (c, other):
            half.send("TP/1.1\r\nHost: blog.localhost\r\n\r\n")
            assert half.reply().status == 200


def test_a_client_that_goes_while_its_connection_sleeps_is_noticed(site):
    gw = site.gateway(site.app())
    gone, reset, half = used(gw), used(gw), used(gw)
    ports = {c.socket.getsockname()[1] for c in (gone, reset, half)}
    reset.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reset.close()
    gone.close()
    half.socket.shutdown(socket.SHUT_WR)
    assert half.closed()
    half.close()
    wait_for(lambda: not ports & set(process.accepted(gw.port, gw.workers())), "their descriptors are closed")


def test_a_request_and_the_end_that_come_together_are_both_seen(site):
    gw = site.gateway(site.app())
    with used(gw) as c:
        os.kill(gw.workers()[0], signal.SIGSTOP)  # both are there when it looks
        c.send(GET)
        c.socket.shutdown(socket.SHUT_WR)
        os.kill(gw.workers()[0], signal.SIGCONT)
        # Who half-closes may have left, so that there may be no answer; but no waiting for more either.
        assert c.read_all()[:15] in (b"", b"HTTP/1.1 200 OK")


def test_a_request_that_arrives_just_when_its_connection_falls_asleep_is_answered(site):
    gw = site.gateway(site.app())
    with gw.raw(GET) as c:
        assert c.reply().status == 200
        for i in range(6):
            pause = 0.985 + i * 0.006
            time.sleep(pause)
            c.send(GET)
            assert c.reply().text == "hello from blog\n", f"after {pause:g} s"


def test_the_keep_alive_timeout_goes_on_while_it_sleeps(site):
    gw = site.gateway(site.app(), config={"limits": {"keepAliveTimeout": "2s"}})
    with gw.raw(GET) as c:
        assert c.reply().status == 200
        began = time.monotonic()  # it sleeps after one second, and has another
        assert c.closed(20)
        assert time.monotonic() - began >= 1.9


def test_one_that_never_sends_a_request_is_told_when_its_time_is_up(site):
    gw = site.gateway(site.app(), config={"limits": {"requestHeadTimeout": "2s"}})
    with gw.raw() as c:
        began = time.monotonic()
        assert c.read_all().startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began >= 1.9


def test_the_time_for_a_head_begins_when_it_wakes(site):
    gw = site.gateway(site.app(), config={"limits": {"requestHeadTimeout": "700ms", "keepAliveTimeout": "1min"}})
    with used(gw) as c:
        began = time.monotonic()
        c.send(GET[:-2])
        assert c.read_all()[:13] in (b"", b"HTTP/1.1 408 ")
        assert time.monotonic() - began >= 0.65


def test_those_that_sleep_count_as_connections_of_their_address(site):
    gw = site.gateway(site.app(), config={"limits": {"maxConnectionsPerAddress": 3}})
    held = [gw.raw(GET) for _ in range(3)]
    for c in held:
        assert c.reply().status == 200
    fall_asleep(gw, *held)
    with gw.raw() as fourth:
        assert fourth.closed()
    held.pop().close()
    wait_for(lambda: gw.curl("blog").status == 200, "room again")
    for c in held:
        c.close()


@pytest.mark.parametrize("source", ["203.0.113.7", "2001:db8::7"])
def test_who_it_is_by_the_proxy_in_front_is_not_forgotten(site, source):
    echo = site.app("echo.py", name="echo")
    gw = site.gateway(echo, config={"acceptProxyProtocol": True})
    request = GET.replace("blog", "echo")
    with used(gw, f"PROXY TCP{6 if ':' in source else 4} {source} {source} 1 2\r\n{request}") as c:
        c.send(request)
        fields = dict(map(tuple, json.loads(c.reply().body)["fields"]))
        assert fields["X-Forwarded-For"] == source


def test_it_can_become_a_tunnel(site):
    pytest.importorskip("websockets", reason="python3-websockets is not installed")
    chat = site.app("websocket.py", name="chat")
    gw = site.gateway(chat)
    host = f"Host: {chat.host}\r\n"
    with gw.raw() as c:
        fall_asleep(gw, c)
        c.send(f"GET / HTTP/1.1\r\n{host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert c.reply().status == 101
        c.send(b"\x81\x85\0\0\0\0hello")
        assert c.read_exactly(7) == b"\x81\x05hello"


def test_at_the_end_one_that_sleeps_has_its_moment_too(site):
    gw = site.gateway(site.app(), args=["--drain-time=1min"])
    busy, silent, fresh = used(gw), used(gw), gw.raw()
    fall_asleep(gw, busy, silent, fresh)
    os.kill(gw.pid, signal.SIGSTOP)  # both are there before the gateway does anything
    os.kill(gw.pid, signal.SIGTERM)
    busy.send(GET)
    os.kill(gw.pid, signal.SIGCONT)
    r = busy.reply()
    assert (r.text, r.get("Connection")) == ("hello from blog\n", "close")
    for c in (busy, silent, fresh):
        assert c.closed(20)
        c.close()
    assert gw.wait_end() == 0


def test_a_crowd_that_sleeps_gives_its_memory_back_and_is_served_when_it_wakes(site):
    gw = site.gateway(site.app(), config={"limits": {"keepAliveTimeout": "10min"}})
    with used(gw):
        before = process.memory(gw.workers()[0], "RssAnon")
    crowd = [gw.raw(GET) for _ in range(CROWD)]
    for c in crowd:
        assert c.reply().status == 200
    fall_asleep(gw, *crowd)
    if not gateway.sanitized():
        wait_for(lambda: process.memory(gw.workers()[0], "RssAnon") - before < 2 * MIB, "the memory is given back")
    for c in crowd:
        c.send(GET)
    for c in crowd:
        assert c.reply().text == "hello from blog\n"
        c.close()
