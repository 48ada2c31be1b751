# SPDX-License-Identifier: ISC
"""Request heads that RFC 9112 and RFC 9110 tell a gateway to refuse, because a service behind it might read them
in another way. Each must get its status, and nothing of it, nor of what follows on the connection, may reach the
service."""

import random
import re

import pytest

from harness import Raw, Site

HOST = "Host: echo.localhost\r\n"
# What is smuggled behind each bad request: it must not be served on that connection.
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: echo.localhost\r\n\r\n"


def head(*lines, request="GET / HTTP/1.1", host=True):
    return request + "\r\n" + (HOST if host else "") + "".join(line + "\r\n" for line in lines) + "\r\n"


def framed(*lines, body=""):
    return head(*lines, request="POST / HTTP/1.1") + body


# name: (bytes, statuses that are right)
CASES = {
    # 2.2, 3: the request line
    "method with a control character": ("G\x01ET / HTTP/1.1\r\n" + HOST + "\r\n", "400"),
    "method that is no token": (head(request="G(ET / HTTP/1.1"), "400"),
    "method empty": (head(request=" / HTTP/1.1"), "400"),
    "no target": (head(request="GET HTTP/1.1"), "400"),
    "no version": (head(request="GET /"), "400"),
    "two spaces before the target": (head(request="GET  / HTTP/1.1"), "400"),
    "two spaces before the version": (head(request="GET /  HTTP/1.1"), "400"),
    "space in the target": (head(request="GET /a b HTTP/1.1"), "400"),
    "tab in the request line": (head(request="GET\t/\tHTTP/1.1"), "400"),
    "trailing space": (head(request="GET / HTTP/1.1 "), "400"),
    "NUL in the target": (head(request="GET /\0 HTTP/1.1"), "400"),
    "control character in the target": (head(request="GET /\x7f HTTP/1.1"), "400"),
    "escape in the target": (head(request="GET /\x1b[2J HTTP/1.1"), "400"),
    "bare CR in the request line": (head(request="GET /\r HTTP/1.1"), "400"),
    "version 0.9": (head(request="GET / HTTP/0.9"), "400|505"),
    "version 2.0": (head(request="GET / HTTP/2.0"), "400|505"),
    "version 1.2": (head(request="GET / HTTP/1.2"), "400|505|200"),
    "version in lower case": (head(request="GET / http/1.1"), "400|505"),
    "version with more digits": (head(request="GET / HTTP/1.10"), "400|505"),
    "another protocol": (head(request="GET / HTCPCP/1.0"), "400|505"),
    "target without a slash": (head(request="GET index.html HTTP/1.1"), "400"),
    "target * for GET": (head(request="GET * HTTP/1.1"), "400"),
    "target in another scheme": (head(request="GET ftp://echo.localhost/ HTTP/1.1"), "400"),
    "target without an authority": (head(request="GET http:/// HTTP/1.1"), "400"),
    "target with userinfo": (head(request="GET http://user@echo.localhost/ HTTP/1.1"), "400"),
    "fragment": (head(request="GET /#fragment HTTP/1.1"), "400|200"),
    "CONNECT": (head(request="CONNECT echo.localhost:80 HTTP/1.1"), "400|405|501"),
    "TRACE": (head(request="TRACE / HTTP/1.1"), "405|501"),
    # 5: field syntax
    "space before the colon": (head("X-A : 1"), "400"),
    "tab before the colon": (head("X-A\t: 1"), "400"),
    "space before the colon of a length": (framed("Content-Length : 4", body="body"), "400"),
    "folded value": (head("X-A: 1", " folded"), "400"),
    "folded by a tab": (head("X-A: 1", "\tfolded"), "400"),
    "fold that makes a length": (framed("Content: 5", " -Length: 4", body="body"), "400"),
    "first line led by a space": ("GET / HTTP/1.1\r\n X-A: 1\r\n" + HOST + "\r\n", "400"),
    "line without a colon": (head("X-A"), "400"),
    "empty name": (head(": value"), "400"),
    "space in a name": (head("X A: 1"), "400"),
    "slash in a name": (head("X/A: 1"), "400"),
    "parenthesis in a name": (head("X(A): 1"), "400"),
    "byte over 127 in a name": (head("X\xe9: 1"), "400"),
    "NUL in a name": (head("X\0A: 1"), "400"),
    "NUL in a value": (head("X-A: a\0b"), "400"),
    "control character in a value": (head("X-A: a\x01b"), "400"),
    "DEL in a value": (head("X-A: a\x7fb"), "400"),
    "bare CR in a value": (head("X-A: a\rX-B: b"), "400"),
    "bare CR at the end of a value": (head("X-A: a\r"), "400"),
    "bare LF between fields": ("GET / HTTP/1.1\r\n" + HOST + "X-A: 1\nX-B: 2\r\n\r\n", "400"),
    "bare LF after the request line": ("GET / HTTP/1.1\n" + HOST + "\r\n", "400"),
    "bare LF everywhere": ("GET / HTTP/1.1\nHost: echo.localhost\n\n", "400"),
    "bare LF ends the head": ("GET / HTTP/1.1\r\n" + HOST + "\n", "400"),
    # 3.2: Host
    "no Host": (head(host=False), "400"),
    "two Hosts": (head("Host: echo.localhost"), "400"),
    "two different Hosts": (head("Host: other.localhost"), "400"),
    "empty Host": (head("Host:", host=False), "400"),
    "Host with userinfo": (head("Host: user@echo.localhost", host=False), "400"),
    "Host with a path": (head("Host: echo.localhost/x", host=False), "400"),
    "Host with a query": (head("Host: echo.localhost?x", host=False), "400"),
    "Host with a list": (head("Host: echo.localhost, other", host=False), "400"),
    "Host with a space": (head("Host: echo.localhost other", host=False), "400"),
    "Host with a bad port": (head("Host: echo.localhost:8o", host=False), "400"),
    "Host with two ports": (head("Host: echo.localhost:80:80", host=False), "400"),
    "Host with an open bracket": (head("Host: [::1", host=False), "400"),
    "Host of bytes over 127": (head("Host: \xe9cho.localhost", host=False), "400"),
    # 6: framing
    "length and coding": (framed("Content-Length: 4", "Transfer-Encoding: chunked", body="0\r\n\r\n"), "400"),
    "coding and length": (framed("Transfer-Encoding: chunked", "Content-Length: 5", body="0\r\n\r\n"), "400"),
    "two lengths": (framed("Content-Length: 4", "Content-Length: 5", body="body"), "400"),
    "the same length twice": (framed("Content-Length: 4", "Content-Length: 4", body="body"), "400"),
    "list of lengths": (framed("Content-Length: 4, 4", body="body"), "400"),
    "length with a sign": (framed("Content-Length: +4", body="body"), "400"),
    "negative length": (framed("Content-Length: -4", body="body"), "400"),
    "hexadecimal length": (framed("Content-Length: 0x4", body="body"), "400"),
    "length with a letter": (framed("Content-Length: 4b", body="body"), "400"),
    "empty length": (framed("Content-Length:", body=""), "400"),
    "length with a space inside": (framed("Content-Length: 1 0", body="0123456789"), "400"),
    "length over 64 bits": (framed("Content-Length: 99999999999999999999999", body="body"), "400|413"),
    "gzip, chunked": (framed("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"), "400|501"),
    "chunked, gzip": (framed("Transfer-Encoding: chunked, gzip", body="0\r\n\r\n"), "400|501"),
    "chunked twice": (framed("Transfer-Encoding: chunked, chunked", body="0\r\n\r\n"), "400|501"),
    "chunked in two fields": (framed("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="0\r\n\r\n"),
                              "400|501"),
    "identity and chunked": (framed("Transfer-Encoding: identity", "Transfer-Encoding: chunked", body="0\r\n\r\n"),
                             "400|501"),
    "coding that looks like chunked": (framed("Transfer-Encoding: xchunked", body="0\r\n\r\n"), "400|501"),
    "coding with a vertical tab": (framed("Transfer-Encoding: \x0bchunked", body="0\r\n\r\n"), "400|501"),
    "coding in quotes": (framed('Transfer-Encoding: "chunked"', body="0\r\n\r\n"), "400|501"),
    "empty coding": (framed("Transfer-Encoding:", body="0\r\n\r\n"), "400|501"),
    "chunked in HTTP/1.0": (head("Transfer-Encoding: chunked", request="POST / HTTP/1.0") + "0\r\n\r\n", "400|501"),
}

# Bad bodies of requests whose head is good: part of them may reach the service, but never what follows as a request.
BODIES = {
    "chunk size that is no number": "xyz\r\nbody\r\n0\r\n\r\n",
    "chunk size with 0x": "0x4\r\nbody\r\n0\r\n\r\n",
    "negative chunk size": "-4\r\nbody\r\n0\r\n\r\n",
    "chunk size with a sign": "+4\r\nbody\r\n0\r\n\r\n",
    "chunk size over 64 bits": "fffffffffffffffff\r\nbody\r\n0\r\n\r\n",
    "empty chunk size": "\r\nbody\r\n0\r\n\r\n",
    "chunk data without its end": "4\r\nbodyX\r\n0\r\n\r\n",
    "chunk size that ends in a bare LF": "4\nbody\r\n0\r\n\r\n",
    "chunk data that ends in a bare LF": "4\r\nbody\n0\r\n\r\n",
    "space before the chunk size": " 4\r\nbody\r\n0\r\n\r\n",
}


@pytest.fixture(scope="module")
def echo():
    site = Site()
    app = site.app("echo.py", name="echo")
    app.gateway = site.gateway(app)
    app.gateway.curl("echo", "/warm")
    yield app
    site.finish()


def statuses(answer):
    """Status of every message in what came back: each starts at the beginning or right behind a body."""
    return [int(s) for s in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_and_nothing_of_it_reaches_the_service(echo, name):
    data, allowed = CASES[name]
    before = len(echo.requests)
    with Raw(echo.gateway.address) as c:
        c.send(data + SMUGGLED)
        answer = c.read_all()
    got = statuses(answer)
    assert got and str(got[0]) in allowed.split("|"), f"{got}: {answer[:300]!r}"
    if got[0] != 200:
        assert len(got) == 1, "the connection was used on"
        assert echo.requests[before:] == []
        assert echo.gateway.curl("echo", "/still-there").status == 200


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_chunked_body_ends_the_connection(echo, name):
    before = len(echo.requests)
    with Raw(echo.gateway.address) as c:
        c.send(framed("Transfer-Encoding: chunked", body=BODIES[name] + SMUGGLED))
        answer = c.read_all()
    assert [s for s in statuses(answer) if s < 400] == [], answer[:300]
    assert not any("smuggled" in r for r in echo.requests[before:])
    assert echo.gateway.curl("echo", "/still-there").status == 200


GOOD = {
    "fields with odd but valid values": head("X-A:no space", "X-B: \t padded \t", "X-C:", "x!#$%&'*+-.^_`|~9: token",
                                             "X-High: \xff\xfe"),
    "an empty line before the request": "\r\n" + head(),
    "coding in capitals": framed("Transfer-Encoding: CHUNKED", body="4\r\nbody\r\n0\r\n\r\n"),
    "chunk extensions": framed("Transfer-Encoding: chunked", body="4;a=b;c=\"d\"\r\nbody\r\n0\r\n\r\n"),
    "length zero": framed("Content-Length: 0"),
    "length with leading zeros": framed("Content-Length: 0004", body="body"),
    "options *": head(request="OPTIONS * HTTP/1.1"),
    "an absolute target": head(request="GET http://echo.localhost/x HTTP/1.1"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_unusual_but_valid_is_not_refused(echo, name):
    with Raw(echo.gateway.address) as c:
        c.send(GOOD[name])
        r = c.reply()
    # No host is meant by "*", and 9110 9.3.7 lets a gateway answer it.
    assert r.status in ((200, 204, 404) if name == "options *" else (200,)), r


def test_http_1_0_without_host_is_refused_politely(echo):
    with Raw(echo.gateway.address) as c:
        c.send("GET / HTTP/1.0\r\n\r\n")
        assert c.reply().status in (400, 404)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_head_in_small_pieces_is_judged_like_one_in_a_single_piece(echo, size):
    for data, expected in ((head("X-A: 1"), 200), (head("X-A : 1"), 400), (head("X-A: 1", " folded"), 400)):
        with Raw(echo.gateway.address) as c:
            for i in range(0, len(data), size):
                try:
                    c.send(data[i:i + size])
                except OSError:
                    break
            assert c.reply().status == expected


def test_random_bytes_are_answered_or_closed_and_harm_nobody(echo):
    rng = random.Random(9112)
    valid = head("X-A: 1", "Content-Length: 4", request="POST /x HTTP/1.1") + "body"
    for _ in range(300):
        data = bytearray(valid.encode("latin-1"))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data))
            data[at:at + rng.randrange(0, 3)] = rng.randbytes(rng.randrange(0, 4))
        with Raw(echo.gateway.address) as c:
            c.send(bytes(data))
            c.socket.shutdown(1)
            answer = c.read_all()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 "), data
    assert echo.gateway.curl("echo", "/still-there").status == 200
