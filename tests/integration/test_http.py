# SPDX-License-Identifier: ISC
"""What a trustworthy intermediary does with messages: framing, fields, targets, errors."""

import json

import pytest

from harness import wait_for


def fields(answer, name):
    return [v for n, v in answer["fields"] if n.lower() == name.lower()]


@pytest.fixture
def echo(site):
    app = site.app("echo.py", name="echo")
    app.gateway = site.gateway(app)
    return app


def ask(gw, *lines, method="GET", target="/", host="echo.localhost", body=b"", version="1.1"):
    head = "\r\n".join([f"{method} {target} HTTP/{version}", f"Host: {host}", *lines, "", ""])
    with gw.raw(head.encode("latin-1") + body) as c:
        return c.reply(method)


# ── connections ──

def test_many_requests_on_one_connection_use_one_upstream_connection(echo):
    with echo.gateway.raw() as c:
        answers = []
        for i in range(50):
            c.send(f"GET /{i} HTTP/1.1\r\nHost: echo.localhost\r\n\r\n")
            answers.append(json.loads(c.reply().body))
    assert [a["target"] for a in answers] == [f"/{i}" for i in range(50)]
    assert len({a["connection"] for a in answers}) == 1


def test_upstream_connections_are_shared_between_clients(echo):
    seen = {json.loads(echo.gateway.curl("echo").body)["connection"] for _ in range(10)}
    assert len(seen) == 1


def test_pipelined_requests_are_answered_in_order(echo):
    n = 40
    with echo.gateway.raw("".join(f"GET /{i} HTTP/1.1\r\nHost: echo.localhost\r\n\r\n" for i in range(n))) as c:
        assert [json.loads(c.reply().body)["target"] for i in range(n)] == [f"/{i}" for i in range(n)]


def test_pipelined_requests_to_a_cold_service_with_bodies_between_them(site):
    echo = site.app("echo.py", name="echo", env={"START_DELAY": 0.3})
    gw = site.gateway(echo)
    with gw.raw() as c:
        c.send("".join(f"POST /{i} HTTP/1.1\r\nHost: echo.localhost\r\nContent-Length: 4\r\n\r\nbo{i:02}"
                       for i in range(10)))
        for i in range(10):
            answer = json.loads(c.reply().body)
            assert (answer["target"], answer["body"]) == (f"/{i}", f"bo{i:02}")


def test_http_1_0_closes_after_the_answer_unless_asked_to_stay(echo):
    with echo.gateway.raw("GET / HTTP/1.0\r\nHost: echo.localhost\r\n\r\n") as c:
        r = c.reply()
        assert r.status == 200
        assert r.get("Transfer-Encoding") is None
        assert c.closed()
    with echo.gateway.raw() as c:
        for i in range(3):
            c.send(f"GET /{i} HTTP/1.0\r\nHost: echo.localhost\r\nConnection: keep-alive\r\n\r\n")
            r = c.reply()
            assert json.loads(r.body)["target"] == f"/{i}"
            assert r.get("Connection").lower() == "keep-alive"


def test_connection_close_is_honoured(echo):
    with echo.gateway.raw("GET / HTTP/1.1\r\nHost: echo.localhost\r\nConnection: close\r\n\r\n") as c:
        r = c.reply()
        assert r.get("Connection").lower() == "close"
        assert c.closed()


def test_a_chunked_answer_reaches_an_http_1_0_client_unchunked(site):
    bulk = site.app("bulk.py", name="bulk")
    gw = site.gateway(bulk)
    with gw.raw("GET /chunked/1 HTTP/1.0\r\nHost: bulk.localhost\r\n\r\n") as c:
        r = c.reply()
    assert r.get("Transfer-Encoding") is None
    assert len(r.body) == 1 << 20


# ── answers without a body, and with peculiar heads ──

ANSWERS = {
    "204": b"HTTP/1.1 204 No Content\r\nX-It: yes\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nETag: \"abc\"\r\n\r\n",
    "304length": b"HTTP/1.1 304 Not Modified\r\nETag: \"abc\"\r\nContent-Length: 500\r\n\r\n",
    "cookies": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nX-Between: x\r\nSet-Cookie: b=2; Expires=Wed, 01 Jan "
               b"2031 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok",
    "order": b"HTTP/1.1 200 OK\r\nX-One: 1\r\nX-Empty:\r\nX-Two: 2\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\n"
             b"Server: mine\r\nX-Latin: caf\xe9\r\nContent-Length: 2\r\n\r\nok",
    "teapot": b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n",
    "hop": b"HTTP/1.1 200 OK\r\nConnection: X-Secret, close\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n"
           b"Proxy-Connection: close\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;ext=1\r\nwiki\r\n5\r\npedia\r\n0\r\nX-T: 1\r\n\r\n",
    "unframed.close": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end",
    "http10.close": b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold and tired",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal",
    "slow.head": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow head",
}


@pytest.fixture
def raw(site):
    folder = site.subfolder("responses")
    app = site.app("raw.py", name="raw", env={"RESPONSES": folder})
    app.responses = folder
    for name, data in ANSWERS.items():
        (folder / name).write_bytes(data)
    app.gateway = site.gateway(app)
    return app


def get(raw, name, method="GET"):
    return ask(raw.gateway, method=method, target="/" + name, host="raw.localhost")


@pytest.mark.parametrize("method,name,status", [("GET", "204", 204), ("GET", "304", 304), ("GET", "304length", 304),
                                                ("HEAD", "empty", 200)])
def test_an_answer_that_has_no_body_carries_no_byte_of_one(raw, method, name, status):
    with raw.gateway.raw() as c:
        for _ in range(3):  # a stray byte would be the start of the next answer
            c.send(f"{method} /{name} HTTP/1.1\r\nHost: raw.localhost\r\n\r\n")
            r = c.reply(method)
            assert r.status == status
            assert r.get("Transfer-Encoding") is None
            if r.get("Connection") == "close":  # of unknown length: the connection's end is the only end it can have
                assert r.get("Content-Length") is None
                assert c.read_all() == b""
                return
        c.send("GET /cookies HTTP/1.1\r\nHost: raw.localhost\r\n\r\n")
        assert c.reply().body == b"ok"
    assert raw.gateway.curl("raw", "/204").get("Content-Length") is None


def test_head_tells_the_length_and_sends_nothing(echo):
    with echo.gateway.raw() as c:
        c.send("HEAD / HTTP/1.1\r\nHost: echo.localhost\r\n\r\n")
        r = c.reply("HEAD")
        assert r.status == 200 and int(r.get("Content-Length")) > 0
        c.send("GET / HTTP/1.1\r\nHost: echo.localhost\r\n\r\n")
        assert json.loads(c.reply().body)["method"] == "GET"


def test_each_set_cookie_stays_a_field_of_its_own(raw):
    assert get(raw, "cookies").all("Set-Cookie") == ["a=1; Path=/", "b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT"]


def test_fields_of_the_answer_keep_order_value_and_number(raw):
    r = get(raw, "order")
    assert [(n, v) for n, v in r.fields if n.startswith("X-")] == [
        ("X-One", "1"), ("X-Empty", ""), ("X-Two", "2"), ("X-Latin", "café")]
    assert r.all("Date") == ["Mon, 01 Jan 2001 00:00:00 GMT"]
    assert r.all("Server") == ["mine"]


def test_an_answer_without_a_date_gets_exactly_one(raw):
    assert len(get(raw, "empty").all("Date")) == 1


def test_an_unusual_status_is_passed_on(raw):
    assert get(raw, "teapot").status == 418


def test_hop_by_hop_fields_of_the_answer_are_removed(raw):
    r = get(raw, "hop")
    assert r.body == b"ok"
    assert r.get("X-Kept") == "1"
    for name in ("X-Secret", "Keep-Alive", "Proxy-Connection"):
        assert r.get(name) is None, name
    assert "X-Secret" not in (r.get("Connection") or "")


@pytest.mark.parametrize("name,body", [("chunked", b"wikipedia"), ("unframed.close", b"until the end"),
                                       ("http10.close", b"old and tired"), ("empty", b""), ("interim", b"final")])
def test_every_framing_of_an_answer_arrives_whole(raw, name, body):
    with raw.gateway.raw() as c:
        for _ in range(2):
            c.send(f"GET /{name} HTTP/1.1\r\nHost: raw.localhost\r\n\r\n")
            r = c.reply()
            assert (r.status, r.body, r.complete) == (200, body, True)


NONSENSE = {
    "not-http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length-and-chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad-length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "fold": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 0\r\n\r\n",
    "bad-name": b"HTTP/1.1 200 OK\r\nX A: 1\r\nContent-Length: 0\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
    "status": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "huge.close": b"HTTP/1.1 200 OK\r\nX-Huge: " + b"x" * 300000 + b"\r\nContent-Length: 0\r\n\r\n",
    "half.close": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing.silent": b"",
}


def test_nonsense_from_the_service_is_502_and_its_connection_is_not_used_again(raw):
    for name, data in NONSENSE.items():
        (raw.responses / name).write_bytes(data)
        r = get(raw, name)
        assert r.status == 502, f"{name}: {r}"
        assert get(raw, "cookies").body == b"ok", f"after {name}"
    assert raw.starts == 1, "it is not the service's life that was wrong"


# ── requests ──

def test_the_target_goes_upstream_byte_for_byte(echo):
    for target in ("/a%2Fb//c?x=%00", "/../../etc/passwd", "/./a/../b", "//double//slash", "/%", "/%zz", "/a;b=c,d",
                   "/?", "/??a=b", "/a?b#c".split("#")[0], "/caf\xe9", "/" + "x" * 4000, "/\"<>\\^`{|}"):
        answer = json.loads(ask(echo.gateway, target=target).body)
        assert answer["target"] == target


def test_an_absolute_target_overrides_host(echo):
    r = ask(echo.gateway, target="http://echo.localhost/x?y", host="other.example")
    answer = json.loads(r.body)
    assert answer["target"] in ("/x?y", "http://echo.localhost/x?y")
    assert fields(answer, "Host") == ["echo.localhost"]


def test_every_method_is_passed_on(echo):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH"):
        assert json.loads(ask(echo.gateway, "Content-Length: 0", method=method).body)["method"] == method


def test_a_chunked_request_arrives_whole(echo):
    body = b"4\r\nwiki\r\n5\r\npedia\r\n0\r\nX-Trailer: 1\r\n\r\n"
    answer = json.loads(ask(echo.gateway, "Transfer-Encoding: chunked", method="POST", body=body).body)
    assert answer["body"] == "wikipedia"
    assert fields(answer, "Content-Length") == [] or fields(answer, "Transfer-Encoding") == []


def test_expect_100_continue_is_answered_before_the_body_is_sent(echo):
    with echo.gateway.raw("POST / HTTP/1.1\r\nHost: echo.localhost\r\nContent-Length: 4\r\n"
                          "Expect: 100-continue\r\n\r\n") as c:
        assert c.read_head()[1] == 100
        c.send("body")
        assert json.loads(c.reply().body)["body"] == "body"


def test_hop_by_hop_fields_of_the_request_are_removed(echo):
    answer = json.loads(ask(
        echo.gateway, "Connection: keep-alive, X-Secret", "X-Secret: 1", "Keep-Alive: timeout=5", "TE: trailers",
        "Proxy-Connection: keep-alive", "Upgrade: h2c", "Trailer: X-T", "X-Kept: 1", "X-Empty:").body)
    for name in ("X-Secret", "Keep-Alive", "TE", "Proxy-Connection", "Upgrade", "Trailer"):
        assert fields(answer, name) == [], name
    assert fields(answer, "X-Kept") == ["1"]
    assert fields(answer, "X-Empty") == [""]


def test_connection_cannot_remove_what_a_service_relies_on(echo):
    answer = json.loads(ask(echo.gateway, "Connection: Host, X-Forwarded-For, Content-Length", "Content-Length: 4",
                            method="POST", body=b"body").body)
    assert fields(answer, "Host") == ["echo.localhost"]
    assert fields(answer, "X-Forwarded-For") == ["127.0.0.1"]
    assert answer["body"] == "body"


def test_the_service_learns_who_asked_and_a_client_cannot_lie_about_it(echo):
    answer = json.loads(ask(
        echo.gateway, "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example",
        "X_Forwarded_For: 6.6.6.6", "Forwarded: for=6.6.6.6", host="echo.localhost:8080").body)
    assert fields(answer, "X-Forwarded-For") == ["127.0.0.1"]
    assert fields(answer, "X-Forwarded-Proto") == ["http"]
    assert fields(answer, "X-Forwarded-Host") == ["echo.localhost:8080"]
    assert fields(answer, "X_Forwarded_For") == []
    [forwarded] = fields(answer, "Forwarded")
    assert "for=127.0.0.1" in forwarded and "proto=http" in forwarded and "6.6.6.6" not in forwarded
    assert fields(answer, "Via")[-1] == "1.1 dynapm"
    assert fields(answer, "Host") == ["echo.localhost:8080"]


def test_a_trusted_proxy_is_believed(site):
    echo = site.app("echo.py", name="echo")
    gw = site.gateway(echo, config={"trustedProxies": ["127.0.0.0/8"]})
    answer = json.loads(ask(gw, "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https",
                            "Forwarded: for=203.0.113.7;proto=https", "Via: 1.1 edge").body)
    assert ", ".join(fields(answer, "X-Forwarded-For")) == "203.0.113.7, 127.0.0.1"
    assert "https" in fields(answer, "X-Forwarded-Proto")
    assert "for=203.0.113.7;proto=https" in ", ".join(fields(answer, "Forwarded"))
    assert ", ".join(fields(answer, "Via")) == "1.1 edge, 1.1 dynapm"


# ── retry ──

@pytest.fixture
def forgetful(site):
    """Its keep-alive connections are good for one request each; a second one is dropped without an answer."""
    folder = site.subfolder("responses")
    (folder / "x.twice").write_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    app = site.app("raw.py", name="raw", env={"RESPONSES": folder})
    app.gateway = site.gateway(app)
    return app


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_an_idempotent_request_that_a_reused_connection_swallowed_is_sent_once_more(forgetful, method):
    for _ in range(4):
        r = ask(forgetful.gateway, method=method, target="/x.twice", host="raw.localhost")
        assert r.status == 200
    assert len(forgetful.events("dropped")) == 3, "each but the first met a connection that was used before"
    assert forgetful.starts == 1


def test_a_request_that_is_not_idempotent_or_has_a_body_is_never_sent_twice(forgetful):
    assert ask(forgetful.gateway, target="/x.twice", host="raw.localhost").status == 200
    r = ask(forgetful.gateway, "Content-Length: 2", method="POST", target="/x.twice", host="raw.localhost", body=b"xx")
    assert r.status == 502
    assert forgetful.requests == ["GET /x.twice", "POST /x.twice"]

    assert ask(forgetful.gateway, target="/x.twice", host="raw.localhost").status == 200
    r = ask(forgetful.gateway, "Content-Length: 2", method="PUT", target="/x.twice", host="raw.localhost", body=b"xx")
    assert r.status == 502
    assert forgetful.requests[2:] == ["GET /x.twice", "PUT /x.twice"]


def test_a_fresh_connection_that_dies_is_no_reason_to_ask_again(site):
    folder = site.subfolder("responses")
    app = site.app("raw.py", name="raw", env={"RESPONSES": folder})
    gw = site.gateway(app)
    assert ask(gw, target="/x.silent", host="raw.localhost").status == 502
    wait_for(lambda: app.requests, "the request arrived")
    assert app.requests == ["GET /x.silent"]


# ── errors ──

@pytest.mark.parametrize("accept,kind", [
    ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
    ("application/json", "application/problem+json"),
    ("application/problem+json", "application/problem+json"),
    ("*/*", "text/plain"),
    ("text/plain", "text/plain"),
    (None, "text/plain"),
])
def test_an_error_speaks_the_clients_language(echo, accept, kind):
    lines = [f"Accept: {accept}"] if accept else []
    r = ask(echo.gateway, *lines, host="nobody.example")
    assert r.status == 404
    assert r.get("Content-Type").split(";")[0] == kind
    if kind == "application/problem+json":
        problem = json.loads(r.body)
        assert problem["status"] == 404 and problem["title"]
    elif kind == "text/html":
        assert b"<html" in r.body.lower() and b"404" in r.body
    else:
        assert b"\n" in r.body and b"<" not in r.body


def test_an_error_repeats_nothing_of_the_client_unescaped(echo):
    for accept in ("text/html", "application/json", "text/plain"):
        r = ask(echo.gateway, f"Accept: {accept}", host="nobody.example", target="/<script>alert(1)</script>\"")
        assert r.status == 404
        assert b"<script>" not in r.body
        if accept == "application/json":
            json.loads(r.body)


def test_the_request_log_names_host_target_status_and_time(site):
    echo = site.app("echo.py", name="echo")
    gw = site.gateway(echo, config={"logging": {"enableRequestLog": True}})
    ask(gw, target="/page?x=1")
    line = gw.wait_log(r"GET.*echo\.localhost.*/page\?x=1.*200")
    assert "ms" in line.text
    ask(gw, target="/lost", host="nobody.example")
    gw.wait_log(r"nobody\.example.*/lost.*404")
