# SPDX-License-Identifier: ISC
"""Listeners behind a proxy that says who the client is, by the PROXY protocol or in fields, and what services learn."""

import ipaddress
import itertools
import json
import os
import shutil
import socket
import struct
import subprocess

import pytest
from harness import Raw, free_port, process, wait_for
from harness.gateway import library_version

V2 = b"\r\n\r\n\0\r\nQUIT\n"
GET = b"GET / HTTP/1.1\r\nHost: echo.localhost\r\n\r\n"


def v1(source, destination="192.0.2.99"):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination if ':' not in source else '2001:db8::99'} 1234 80\r\n".encode()


def v2(source, extra=b"", command=0x21):
    a = ipaddress.ip_address(source)
    b = ipaddress.ip_address("192.0.2.99" if a.version == 4 else "2001:db8::99")
    body = a.packed + b.packed + struct.pack("!HH", 1234, 80) + extra
    return V2 + bytes([command, 0x11 if a.version == 4 else 0x21]) + struct.pack("!H", len(body)) + body


def make(site, config=None, **service):
    echo = site.app("echo.py", name="echo", **service)
    echo.gateway = site.gateway(echo, config={"acceptProxyProtocol": True, **(config or {})})
    return echo


def ask(gw, header, request=GET):
    with gw.raw(header + request) as c:
        r = c.reply()
        assert r.status == 200, r
        return json.loads(r.body)["fields"]


def values(fields, name):
    return ", ".join(v for n, v in fields if n.lower() == name.lower())


# ── on dynapm's own addresses ──

@pytest.mark.parametrize("header", [v1, v2])
@pytest.mark.parametrize("source", ["203.0.113.7", "2001:db8::7"])
def test_the_client_is_who_the_header_says(site, header, source):
    echo = make(site, {"logging": {"enableRequestLog": True}})
    fields = ask(echo.gateway, header(source))
    shown = f'"[{source}]"' if ":" in source else source
    assert values(fields, "X-Forwarded-For") == source
    assert values(fields, "Forwarded") == f"for={shown};host=echo.localhost;proto=http"
    echo.gateway.wait_log(rf"echo: {source} GET ")


def test_every_request_of_a_connection_has_the_same_client(site):
    echo = make(site)
    with echo.gateway.raw(v1("203.0.113.7") + GET + GET) as c:
        for _ in range(2):
            assert values(json.loads(c.reply().body)["fields"], "X-Forwarded-For") == "203.0.113.7"
        c.send(GET)
        assert values(json.loads(c.reply().body)["fields"], "X-Forwarded-For") == "203.0.113.7"
        c.send(v1("6.6.6.6") + GET)  # only the beginning of a connection is one
        if library_version() >= (1, 0, 0):  # says nothing to a line that does not look like a request
            assert c.read_all() == b""
        else:
            assert c.reply().status == 400


def test_a_header_may_come_in_pieces(site):
    echo = make(site)
    for header in (v1("203.0.113.7"), v2("203.0.113.7")):
        with echo.gateway.raw() as c:
            c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in header:
                c.send(bytes([byte]))
            c.send(GET)
            assert values(json.loads(c.reply().body)["fields"], "X-Forwarded-For") == "203.0.113.7"


@pytest.mark.parametrize("header", [
    b"", b"PROXY TCP4 203.0.113.7 192.0.2.99 1234\r\n", b"PROXY TCP4 203.0.113.7  192.0.2.99 1234 80\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.99 1234 80\n", b"PROXY TCP4 2001:db8::7 2001:db8::99 1234 80\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.99 01234 80\r\n", b"PROXY TCP4 203.0.113.7 192.0.2.99 1234 65536\r\n",
    b"PROXY TCP4 203.0.113.300 192.0.2.99 1234 80\r\n", b"PROXY TCP5 203.0.113.7 192.0.2.99 1234 80\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.99 1234 80 \r\n", b"proxy TCP4 203.0.113.7 192.0.2.99 1234 80\r\n",
    b"PROXY " + b"x" * 200, V2 + b"\x11\x11\0\x0c" + bytes(12), V2 + b"\x21\x11\0\x04" + bytes(4),
    V2 + b"\x21\x41\0\0", V2 + b"\x21\x11\xff\xff", v2("203.0.113.7", b"\x20\0\x09\x01"),
], ids=lambda h: repr(h[:24]))
def test_who_does_not_begin_with_a_header_is_not_served(site, header):
    echo = make(site)
    with echo.gateway.raw(header + GET) as c:
        assert c.read_all() == b""
    assert not echo.requests and echo.starts == 0


def test_a_proxy_may_speak_for_itself_or_for_nobody(site):
    echo = make(site)
    for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN whatever 1 2 3\r\n", V2 + b"\x20\0\0\0",
                   v2("203.0.113.7", command=0x20), V2 + b"\x21\x31\0\xd8" + bytes(216)):
        assert values(ask(echo.gateway, header), "X-Forwarded-For") == "127.0.0.1"


def test_tls_at_the_proxy_is_https_for_the_service(site):
    echo = make(site)
    tls = b"\x20\0\x05\x01\0\0\0\0"
    fields = ask(echo.gateway, v2("203.0.113.7", b"\x01\0\x02h2" + tls))
    assert values(fields, "X-Forwarded-Proto") == "https"
    assert values(fields, "Forwarded").endswith("proto=https")
    assert values(ask(echo.gateway, v2("203.0.113.7", b"\x20\0\x05\0\0\0\0\0")), "X-Forwarded-Proto") == "http"


def test_a_header_that_does_not_come_has_a_limit_in_time(site):
    echo = make(site, {"limits": {"requestHeadTimeout": 300}})
    with echo.gateway.raw(b"PROXY TCP4 203.") as c:
        assert c.read_all() == b""


def test_connections_are_counted_by_the_client_and_not_by_the_proxy(site):
    echo = make(site, {"limits": {"maxConnectionsPerAddress": 2}})
    busy = []
    for source in ("203.0.113.7", "203.0.113.8"):
        for _ in range(2):
            busy.append(echo.gateway.raw(v1(source) + GET))
            assert busy[-1].reply().status == 200
    with echo.gateway.raw(v1("203.0.113.7") + GET) as c:
        assert c.read_all() == b""
    for c in busy:
        c.close()
    wait_for(lambda: ask(echo.gateway, v1("203.0.113.7")), "there is room again")


def test_connections_may_begin_and_end_in_any_order(site):
    echo = make(site)
    for begin in itertools.permutations(range(3)):
        for end in itertools.permutations(range(3)):
            connections = [echo.gateway.raw() for _ in range(3)]
            for i in begin:
                connections[i].send(v1(f"203.0.113.{i}") + GET)
                assert connections[i].reply().status == 200
            for i in end:
                connections[i].socket.shutdown(socket.SHUT_WR)
                assert connections[i].closed()
                connections[i].close()
    assert echo.gateway.curl("echo", "/", "--haproxy-protocol").status == 200


def test_curl_speaks_it(site):
    echo = make(site)
    r = echo.gateway.curl("echo", "/", "--haproxy-protocol")
    assert r.status == 200 and values(json.loads(r.body)["fields"], "X-Forwarded-For") == "127.0.0.1"
    assert echo.gateway.curl("echo", "/").status == 0


@pytest.mark.parametrize("version", ["", "-v2"])
def test_haproxy_speaks_it(site, version):
    haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if not haproxy:
        pytest.skip("haproxy is not installed")
    echo = make(site)
    port = free_port()
    config = site.folder / "haproxy.cfg"
    config.write_text(f"""
defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
listen front
  bind [::1]:{port}
  server dynapm 127.0.0.1:{echo.gateway.port} send-proxy{version}
""")
    p = subprocess.Popen([haproxy, "-q", "-f", config], stdin=subprocess.DEVNULL)
    try:
        def served():
            try:
                c = Raw.__new__(Raw)
                c.socket, c.buffer = socket.create_connection(("::1", port), 10), b""
            except ConnectionRefusedError:
                return None
            with c:
                c.send(GET)
                return json.loads(c.reply().body)["fields"]
        assert values(wait_for(served, "HAProxy passes it on"), "X-Forwarded-For") == "::1"
    finally:
        p.terminate()
        p.wait()


def test_a_shutdown_does_not_wait_for_headers(site):
    echo = make(site)
    with echo.gateway.raw(b"PROXY TCP4") as c:
        echo.gateway.wait_log("Ready")
        os.kill(echo.gateway.pid, 15)
        assert c.read_all() == b""
    assert echo.gateway.wait_end() == 0


# ── on ports ──

def test_a_port_may_want_it_and_others_not(site):
    port = free_port()
    echo = site.app("echo.py", name="echo", port=port, acceptProxyProtocol=True)
    gw = site.gateway(echo)
    with Raw(("127.0.0.1", port)) as c:
        c.send(v2("2001:db8::7") + GET)
        assert values(json.loads(c.reply().body)["fields"], "X-Forwarded-For") == "2001:db8::7"
    with Raw(("127.0.0.1", port)) as c:
        c.send(GET)
        assert c.read_all() == b""
    assert values(ask(gw, b""), "X-Forwarded-For") == "127.0.0.1"


@pytest.mark.parametrize("source", ["203.0.113.7", "2001:db8::7"])
@pytest.mark.parametrize("accept,send", itertools.product([v1, v2], ["v1", "v2"]))
def test_what_it_says_is_passed_on_to_a_service_of_any_protocol(site, source, accept, send):
    port = free_port()
    talker = site.app("talker.py", name="talker", env={"PROXY": send}, host=None, port=port, acceptProxyProtocol=True,
                      sendProxyProtocol=send)
    talker.config["base"] = f"tcp://127.0.0.1:{talker.port}"
    site.gateway(talker)
    with Raw(("127.0.0.1", port)) as c:
        c.send(accept(source) + b"hello\n")
        expected = v1(source).decode().strip()
        assert c.read_until(b"\n").decode() == expected
        assert c.read_until(b"\n") == b"welcome"
        assert c.read_until(b"\n") == b"hello"


# ── who is believed ──

FORWARDED = (b"GET / HTTP/1.1\r\nHost: echo.localhost\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n"
             b"X-Forwarded-Host: first.example\r\nForwarded: for=198.51.100.1;proto=https\r\n\r\n")
TRUST = {"nobody": [], "IPv4": ["203.0.113.0/24"], "IPv6": ["2001:db8::/32"], "the proxy": ["127.0.0.0/8", "::1"]}


@pytest.mark.parametrize("who", TRUST)
@pytest.mark.parametrize("source", ["203.0.113.7", "2001:db8::7", None], ids=["IPv4", "IPv6", "direct"])
@pytest.mark.parametrize("claims", [True, False], ids=["with fields", "without"])
def test_fields_are_believed_of_those_who_are_trusted(site, who, source, claims):
    echo = make(site, {"acceptProxyProtocol": source is not None, "trustedProxies": TRUST[who]})
    fields = ask(echo.gateway, v2(source) if source else b"", FORWARDED if claims else GET)
    client = source or "127.0.0.1"
    trusted = any(ipaddress.ip_address(client) in ipaddress.ip_network(n) for n in TRUST[who])
    shown = f'"[{client}]"' if ":" in client else client
    element = f"for={shown};host=echo.localhost;proto=http"
    if trusted and claims:
        assert values(fields, "X-Forwarded-For") == f"198.51.100.1, {client}"
        assert values(fields, "X-Forwarded-Proto") == "https"
        assert values(fields, "X-Forwarded-Host") == "first.example"
        assert values(fields, "Forwarded") == f"for=198.51.100.1;proto=https, {element}"
    else:
        assert values(fields, "X-Forwarded-For") == client
        assert values(fields, "X-Forwarded-Proto") == "http"
        assert values(fields, "X-Forwarded-Host") == "echo.localhost"
        assert values(fields, "Forwarded") == element
    assert process.alive(echo.gateway.pid)
