# SPDX-License-Identifier: ISC
"""A connection that was used for small requests only takes large ones, and large answers, as any other does."""

import contextlib
import json
import os
import signal

import pytest
from harness import wait_for

GET = "GET / HTTP/1.1\r\nHost: echo.localhost\r\n\r\n"
SMALL = 20  # in turn: more than any number after which a connection is treated as one for small requests
HEAD = "HTTP/1.1 200 OK\r\nServer: raw\r\n"


def small(c, n=SMALL, request=GET):
    for _ in range(n):
        c.send(request)
        r = c.reply()
        assert (r.status, r.get("Connection")) == (200, None)


@pytest.fixture
def echo(site):
    service = site.app("echo.py", name="echo")
    service.gateway = site.gateway(service)
    return service


def fields(n, name="X-Field"):
    return "".join(f"{name}-{i}: value {i}\r\n" for i in range(n))


# name → (request, what of it the service has to have got)
LARGE = {
    "a large head": (f"GET /{'p' * 6000} HTTP/1.1\r\nHost: echo.localhost\r\n{fields(100)}X-Big: {'x' * 6000}\r\n\r\n",
                     {"target": "/" + "p" * 6000, "body": ""}),
    "many fields": (f"GET /f HTTP/1.1\r\nHost: echo.localhost\r\n{'a:b' + chr(13) + chr(10)}{fields(150, 'x')}\r\n",
                    {"target": "/f"}),
    "many cookies": (f"GET /c HTTP/1.1\r\nHost: echo.localhost\r\nCookie: {'; '.join(f'a{i}=b' for i in range(150))}\r\n\r\n",
                     {"target": "/c"}),
    "many arguments": (f"GET /?{'&'.join('a=b' for _ in range(300))} HTTP/1.1\r\nHost: echo.localhost\r\n\r\n",
                       {"target": "/?" + "&".join("a=b" for _ in range(300))}),
    "a body": (f"POST /b HTTP/1.1\r\nHost: echo.localhost\r\nContent-Length: 100000\r\n\r\n{'b' * 100000}",
               {"method": "POST", "length": 100000}),
    "chunks": ("POST /b HTTP/1.1\r\nHost: echo.localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
               f"{'2710' + chr(13) + chr(10) + 'c' * 10000 + chr(13) + chr(10)}0\r\n\r\n", {"length": 10000}),
    "a GET with a body": ("GET /b HTTP/1.1\r\nHost: echo.localhost\r\nContent-Length: 9\r\n\r\nGET / HTT",
                          {"method": "GET", "body": "GET / HTT"}),
}


@pytest.mark.parametrize("what", LARGE)
def test_it_takes(echo, what):
    request, expected = LARGE[what]
    with echo.gateway.raw() as c:
        for n in (SMALL, 1, 0, 2 * SMALL):
            small(c, n)
            c.send(request)
            r = c.reply()
            assert r.status == 200, r
            got = json.loads(r.body)
            assert {key: got[key] for key in expected} == expected
        small(c)


def test_it_takes_a_head_in_pieces_and_a_body_that_follows_it(echo):
    with echo.gateway.raw() as c:
        for cut in (1, 10, 30, len(GET) - 1):
            small(c)
            c.send(GET[:cut])
            assert c.silent(0.03)
            c.send(GET[cut:])
            assert c.reply().status == 200
        small(c)
        c.send("GET /late HTTP/1.1\r\nHost: echo.localhost\r\nContent-Length: 5\r\n\r\n")
        assert c.silent(0.03)
        c.send("hello")
        got = json.loads(c.reply().body)
        assert (got["target"], got["body"]) == ("/late", "hello")
        small(c)


def test_it_takes_many_at_once(echo):
    with echo.gateway.raw() as c:
        small(c)
        for n in (2, 30):
            c.send("".join(GET.replace("/ ", f"/{i} ") for i in range(n)))
            assert [json.loads(c.reply().body)["target"] for _ in range(n)] == [f"/{i}" for i in range(n)]


@pytest.mark.parametrize("bad", ["GET / HTTP/1.1\nHost: echo.localhost\n\n", "GET / HTTP/1.1\r\nHost: echo.localhost\r\nA : b\r\n\r\n",
                                 "GET / HTTP/1.1\r\nHost: echo.localhost\r\n fold\r\n\r\n",
                                 "GET / HTTP/1.1\r\nHost: echo.localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"])
def test_it_refuses_what_any_connection_refuses(echo, bad):
    with echo.gateway.raw() as c:
        small(c)
        c.send(bad)
        assert c.reply().status == 400
        assert c.closed()


def raw_service(site, **responses):
    folder = site.folder / "responses"
    folder.mkdir()
    for name, text in responses.items():
        (folder / name).write_bytes(text.encode())
    service = site.app("raw.py", name="raw", env={"RESPONSES": folder})
    service.gateway = site.gateway(service)
    return service


def ask(path, method="GET", version="1.1"):
    return f"{method} /{path} HTTP/{version}\r\nHost: raw.localhost\r\n\r\n"


BODIES = {
    "short": ("Content-Length: 5\r\n", "hello", b"hello"),
    "long": ("Content-Length: 1000000\r\n", "b" * 1000000, b"b" * 1000000),
    "chunked": ("Transfer-Encoding: chunked\r\n", ("2710\r\n" + "c" * 10000 + "\r\n") * 30 + "0\r\n\r\n", b"c" * 300000),
    "none": ("Content-Length: 0\r\n", "", b""),
}


@pytest.mark.parametrize("size", [2400, 3000, 5000, 12000, 15000])
@pytest.mark.parametrize("body", BODIES)
def test_an_answer_with_a_large_head_arrives_whole(site, size, body):
    framing, wire, expected = BODIES[body]
    raw = raw_service(site, small=f"{HEAD}Content-Length: 2\r\n\r\nok", large=f"{HEAD}Set-Cookie: a={'x' * (size // 2)}\r\n"
                      f"Set-Cookie: b={'y' * (size // 2)}\r\n{framing}\r\n{wire}")
    for _ in range(2):
        with raw.gateway.raw() as c:
            small(c, request=ask("small"))
            c.send(ask("large"))
            r = c.reply()
            assert (r.status, r.complete, r.body) == (200, True, expected)
            assert r.all("Set-Cookie") == ["a=" + "x" * (size // 2), "b=" + "y" * (size // 2)]
            assert r.get("Server") == "raw"
            if r.get("Connection") == "close":
                assert c.closed()
            else:
                small(c, request=ask("small"))
    raw.gateway.curl("raw", "/small")


def test_nor_does_the_head_of_one_without_a_body_suffer(site):
    raw = raw_service(site, small=f"{HEAD}Content-Length: 2\r\n\r\nok", large=f"{HEAD}X-Large: {'x' * 9000}\r\n"
                      "Content-Length: 77\r\n\r\n")
    with raw.gateway.raw() as c:
        small(c, request=ask("small"))
        c.send(ask("large", "HEAD"))
        r = c.reply("HEAD")
        assert (r.status, r.get("Content-Length"), len(r.get("X-Large"))) == (200, "77", 9000)
        assert c.closed()


def test_a_client_of_http_1_0_gets_a_large_answer_too(site):
    raw = raw_service(site, small=f"{HEAD}Content-Length: 2\r\n\r\nok", large=f"{HEAD}X-Large: {'x' * 9000}\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    keep = "Connection: keep-alive\r\n\r\n"
    with raw.gateway.raw() as c:
        for _ in range(SMALL):
            c.send(ask("small", version="1.0")[:-2] + keep)
            assert c.reply().status == 200
        c.send(ask("large", version="1.0")[:-2] + keep)
        r = c.reply()
        assert (r.status, r.body, r.get("Transfer-Encoding")) == (200, b"hello", None)
        assert c.closed()


def test_an_answer_that_is_too_large_for_any_is_502(site):
    raw = raw_service(site, small=f"{HEAD}Content-Length: 2\r\n\r\nok", large=f"{HEAD}X-Large: {'x' * 60000}\r\n\r\n")
    with raw.gateway.raw() as c:
        small(c, request=ask("small"))
        c.send(ask("large"))
        assert c.reply().status == 502
    assert raw.gateway.curl("raw", "/small").status == 200


def test_a_client_that_leaves_before_a_large_answer_keeps_nothing_open(site):
    raw = raw_service(site, small=f"{HEAD}Content-Length: 2\r\n\r\nok", large=f"{HEAD}X-Large: {'x' * 9000}\r\n"
                      f"Content-Length: 50000000\r\n\r\n{'b' * 50000000}")
    for _ in range(5):
        c = raw.gateway.raw()
        small(c, request=ask("small"))
        c.send(ask("large"))
        c.close()
    assert raw.gateway.curl("raw", "/small").status == 200


def test_the_log_tells_the_request_that_was_asked(site):
    folder = site.folder / "responses"
    folder.mkdir()
    (folder / "small").write_bytes(f"{HEAD}Content-Length: 2\r\n\r\nok".encode())
    (folder / "large").write_bytes(f"{HEAD}X-Large: {'x' * 9000}\r\nContent-Length: 5\r\n\r\nhello".encode())
    gw = site.gateway(site.app("raw.py", name="raw", env={"RESPONSES": folder}),
                      config={"logging": {"enableRequestLog": True}})
    with gw.raw() as c:
        small(c, request=ask("small"))
        c.send(ask("large"))
        assert c.reply().body == b"hello"
    gw.wait_log(r"GET raw\.localhost /large 200 5 ")
    wait_for(lambda: len(gw.find_log(r" GET raw\.localhost /")) == SMALL + 1, "one line each")


# What comes while the one before is still with its service, or waits for it to start.
EARLY = {**{what: LARGE[what] for what in ("a large head", "a body")}, "a small one": (GET.replace("/ ", "/s "), {"target": "/s"})}


@pytest.mark.parametrize("what", EARLY)
@pytest.mark.parametrize("until", ["the service has started", "it answers"])
def test_it_takes_what_comes_before(site, what, until):
    request, expected = EARLY[what]
    echo = site.app("echo.py", name="echo", env={"START_DELAY": 0.4},
                    idleTimeout="300ms" if "start" in until else "1h")
    gw = site.gateway(echo)
    with gw.raw() as c:
        small(c, 2 * SMALL)
        if "start" in until:
            gw.wait_log("stopping → offline")
        c.send(GET.replace("/ ", "/wait/0.3 "))
        assert c.silent(0.05)
        c.send(request)
        assert json.loads(c.reply().body)["target"] == "/wait/0.3"
        r = c.reply()
        assert r.status == 200, r
        got = json.loads(r.body)
        assert {key: got[key] for key in expected} == expected
        small(c)


@pytest.mark.parametrize("framing", ["Content-Length: 1", "Transfer-Encoding: chunked", "transfer-encoding:chunked"])
def test_it_takes_what_comes_behind_the_body_of_a_get(echo, framing):
    request, expected = LARGE["a large head"]
    body = "1\r\nx\r\n0\r\n\r\n" if "chunked" in framing else "x"
    with echo.gateway.raw() as c:
        small(c, 2 * SMALL)
        c.send(f"GET /get HTTP/1.1\r\nHost: echo.localhost\r\n{framing}\r\n\r\n")
        assert c.silent(0.05)
        c.send(body + request)
        assert json.loads(c.reply().body)["body"] == "x"
        got = json.loads(c.reply().body)
        assert {key: got[key] for key in expected} == expected
        small(c)


def test_a_chunk_of_a_get_has_the_room_of_any_other(echo):
    with echo.gateway.raw() as c:
        small(c, 2 * SMALL)
        c.send(f"GET /get HTTP/1.1\r\nHost: echo.localhost\r\nX-Fill: {'f' * 1800}\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert c.silent(0.05)
        c.send(f"1;{'e' * 4000}\r\nx\r\n0\r\n\r\n")
        r = c.reply()
        assert (r.status, json.loads(r.body)["body"]) == (200, "x")


@pytest.mark.standalone_only("it has to be at its end when the clients go on")
@pytest.mark.parametrize("nth", range(3))
def test_large_requests_do_not_disturb_the_end(site, nth):
    gw = site.gateway(site.app("echo.py", name="echo"), args=["--drain-time=100ms"])
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(gw.raw()) for _ in range(100)]
        for c in clients:
            small(c, 6)
        stack.enter_context(gw.raw(GET.replace("/ ", "/wait/2 ")))  # which the end does not wait for
        os.kill(gw.pid, signal.SIGTERM)
        gw.wait_log("Shutting down")
        for c in clients:  # while it drains, and some while it frees what it has
            with contextlib.suppress(OSError):
                c.silent(0.001)
                c.send(LARGE["a large head"][0])
        assert gw.wait_end() == 0
