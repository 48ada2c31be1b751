# SPDX-License-Identifier: ISC
"""What arrives through the gateway is what arrives directly, but for the differences that dynapm(8) lists."""

import json

import pytest
from harness import Raw, Script, Site

NAME = "same.localhost"
MIB = 1 << 20


@pytest.fixture(scope="module")
def service():
    site = Site()
    script = Script()
    script.then = "stay"
    echo = site.app("echo.py", name="echo")
    same = {"host": NAME, "base": f"http://127.0.0.1:{script.port}", "proxyOnly": True}
    script.gateway = site.gateway(echo, files={"same.json": same})
    script.gateway.curl("echo")
    script.echo = ("127.0.0.1", echo.port)
    yield script
    script.close()
    site.finish()


def both(service, answer, method="GET", path="/x", fields=()):
    """(direct, through the gateway)"""
    service.answer = answer
    request = "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {NAME}", *fields, "", ""])
    replies = []
    for address in (("127.0.0.1", service.port), service.gateway.address):
        with Raw(address) as c:
            c.send(request)
            replies.append(c.reply(method))
    return replies


def end_to_end(r, *but):
    """The fields that are not about one connection, in their order."""
    hop = {"connection", "keep-alive", "transfer-encoding", *but}
    return [(n, v) for n, v in r.fields if n.lower() not in hop]


STANDARD = [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 403, 404,
            405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431,
            451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 299, 399, 499, 599, 600, 999]


@pytest.mark.parametrize("status", STANDARD)
def test_every_status(service, status):
    bodiless = status in (204, 304)
    date = b"Date: Mon, 01 Jan 2001 00:00:00 GMT\r\n"
    length = b"" if bodiless else b"Content-Length: 4\r\n"
    direct, through = both(service, b"HTTP/1.1 %d Whatever\r\n%sX-A: b\r\n%s\r\n%s" % (
        status, date, length, b"" if bodiless else b"body"))
    assert (through.status, through.body) == (direct.status, direct.body) == (status, b"" if bodiless else b"body")
    assert sorted(end_to_end(through)) == sorted(end_to_end(direct))


FIELDS = {
    "empty": [("X-Empty", ""), ("X-B", "1")],
    "repeated": [("X-A", "1"), ("X-B", "2"), ("X-A", "3"), ("x-a", "4")],
    "cookies": [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT"), ("Set-Cookie", "a=1")],
    "long": [("X-Long", "x" * 8000)],
    "many": [(f"X-{i}", str(i)) for i in range(150)],
    "beyond ASCII": [("X-Latin", "caf\xe9"), ("X-UTF-8", "\xc3\xa9\xe2\x82\xac"), ("X-High", "".join(map(chr, range(128, 256))))],
    "odd names": [("!#$%&'*+-.^_`|~", "1"), ("x_y", "2"), ("X", "3"), ("CONTENT-type", "a/b")],
    "odd values": [("X-A", "a\tb"), ("X-B", "  inner   spaces  "), ("X-C", '"quoted, \\"list\\"" ;x=y,,'), ("X-D", ":::")],
    "caching": [("ETag", 'W/"abc"'), ("Last-Modified", "Mon, 01 Jan 2001 00:00:00 GMT"), ("Vary", "Accept, *"),
                ("Cache-Control", "no-cache, private"), ("Expires", "0"), ("Age", "10"), ("Warning", '110 - "stale"')],
    "encoding": [("Content-Encoding", "gzip"), ("Content-Type", "text/html; charset=utf-8"), ("Content-Language", "de"),
                 ("Content-Disposition", "attachment; filename*=UTF-8''%e2%82%ac")],
    "security": [("Strict-Transport-Security", "max-age=1"), ("Content-Security-Policy", "default-src 'self'"),
                 ("WWW-Authenticate", 'Basic realm="a, b"'), ("WWW-Authenticate", "Negotiate"), ("Proxy-Authenticate", "Basic")],
    "server": [("Server", "mine/1.0"), ("X-Powered-By", "it"), ("Via", "1.1 other"), ("Date", "Mon, 01 Jan 2001 00:00:00 GMT")],
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_every_kind(service, name):
    fields = FIELDS[name]
    head = "HTTP/1.1 200 OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "Content-Length: 2\r\n\r\n"
    direct, through = both(service, head.encode("latin-1") + b"ok")
    added = [] if name == "server" else ["date"]
    assert end_to_end(through, "content-length", *added) == end_to_end(direct, "content-length")
    assert through.body == b"ok" and through.get("Content-Length") == "2"
    assert len(through.all("Date")) == 1


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3 * MIB])
@pytest.mark.parametrize("framing", ["length", "chunks", "the end"])
def test_bodies_of_every_size_and_framing(service, size, framing):
    body = bytes(i * 31 % 251 for i in range(1000)) * (size // 1000 + 1)
    body = body[:size]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
    service.then = "stay"
    if framing == "length":
        answer = head + b"Content-Length: %d\r\n\r\n" % size + body
    elif framing == "chunks":
        answer = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(
            b"%x\r\n%s\r\n" % (len(body[i:i + 7000]), body[i:i + 7000]) for i in range(0, size, 7000)) + b"0\r\n\r\n"
    else:
        answer, service.then = head + b"Connection: close\r\n\r\n" + body, "close"
    direct, through = both(service, answer)
    service.then = "stay"
    assert through.body == direct.body == body and through.complete
    assert end_to_end(through, "date", "content-length") == end_to_end(direct, "content-length")


def test_answers_to_head_and_conditional_and_range_requests(service):
    for method, answer, fields in [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"a\"\r\n\r\n", []),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 1234\r\n\r\n", ['If-None-Match: "a", W/"b"']),
        ("GET", b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-4/10\r\nContent-Length: 4\r\n\r\nbody",
         ["Range: bytes=1-4", 'If-Range: "a"']),
        ("GET", b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */10\r\nContent-Length: 0\r\n\r\n", ["Range: bytes=99-"]),
        ("GET", b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n", ['If-Match: "z"']),
    ]:
        direct, through = both(service, answer, method, fields=fields)
        assert (through.status, through.body) == (direct.status, direct.body)
        assert sorted(end_to_end(through, "date")) == sorted(end_to_end(direct))
        for field in fields:
            assert field.encode() in service.heads[-1].split(b"\r\n")


REQUESTS = [
    ("GET", "/", [], b""), ("GET", "/a//b/../c/./%2e%2E/;p=1?q=%00&&=+#".rstrip("#"), [], b""), ("GET", "/?", [], b""),
    ("GET", "/" + "x" * 4000, [], b""), ("GET", "/caf\xe9/\xc3\xa9", [], b""), ("OPTIONS", "*", [], b""), ("HEAD", "/h", [], b""),
    ("DELETE", "/d", [], b""), ("PATCH", "/p", ["Content-Type: a/b"], b"x" * 70000), ("PROPFIND", "/dav", ["Depth: 1"], b"<x/>"),
    ("M-SEARCH", "/", [], b""), ("get", "/lower", [], b""), ("PUT", "/put", ["Content-Type: application/json"], b"{}"),
    ("POST", "/post", ["X-A: 1", "x-a: 2", "X-Empty:", "X-A: 3", "Cookie: a=1; b=2", "Cookie: c=3", "User-Agent: me (x; y)",
                       "Accept: */*;q=0.1, a/b", "Accept-Encoding: gzip, br", "Authorization: Basic eDp5", "Referer: http://x/",
                       "Origin: null", "X-Latin: caf\xe9", "Cache-Control: no-cache", "Pragma: no-cache", "Max-Forwards: 3",
                       "From: a@b", "DNT: 1", "Sec-Fetch-Mode: cors", "Proxy-Authorization: Basic eDp5"], b"body"),
]


@pytest.mark.parametrize("method,target,fields,body", REQUESTS, ids=[f"{r[0]} {r[1][:20]!r}" for r in REQUESTS])
def test_requests_of_every_kind(service, method, target, fields, body):
    lines = [f"{method} {target} HTTP/1.1", "Host: echo.localhost", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    seen = []
    for address in (service.echo, service.gateway.address):
        with Raw(address) as c:
            c.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            r = c.reply(method)
            assert r.status == 200
            seen.append(json.loads(r.body) if method != "HEAD" else None)
    if method == "HEAD":
        return
    direct, through = seen
    for what in ("method", "target", "version", "length", "sha256"):
        assert through[what] == direct[what]
    added = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "via", "content-length"}
    assert [f for f in through["fields"] if f[0].lower() not in added] == \
        [f for f in direct["fields"] if f[0].lower() != "content-length"]
