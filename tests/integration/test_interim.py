# SPDX-License-Identifier: ISC
"""What comes before an answer, and answers that come bit by bit: by the order of events, not by the clock."""

import pytest
from harness import wait_for


def make(site, config=None, **kwargs):
    app = site.app("interim.py", name="app", env={"STEPS": site.subfolder("steps"), **kwargs})
    app.gateway = site.gateway(app, config=config)
    app.step = lambda name: (site.folder / "steps" / name).touch()
    return app


@pytest.fixture
def app(site):
    return make(site)


def post(path, length, *more):
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: app.localhost", f"Content-Length: {length}",
                        "Expect: 100-continue", *more, "", ""])


# ── 100 (Continue) ──

def test_the_service_decides_that_it_wants_the_body(app):
    with app.gateway.raw(post("/accept", 4)) as c:
        wait_for(lambda: app.events("expect") == ["expect 100-continue"], "the service knows that the client waits")
        assert c.silent(0.2), "nobody has asked for the body yet"
        app.step("decide")
        assert c.read_head()[1] == 100
        c.send("body")
        assert c.reply().text == "body"
        c.send("GET /hello HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        assert c.reply().status == 200, "the connection goes on"


def test_a_refusal_comes_without_the_body_having_been_asked_for(app):
    with app.gateway.raw(post("/refuse", 4)) as c:
        wait_for(lambda: app.events("expect"), "the request is there")
        assert c.silent(0.2)
        app.step("decide")
        version, status, reason, fields = c.read_head()
        assert (status, reason) == (403, "Forbidden"), "no 100 before it"
        assert ("Connection", "close") in fields
        assert c.read_all() == b"keep it\n"


def test_a_gateways_own_refusal_does_not_ask_for_the_body_either(site):
    broken = site.app("exits.py", name="app")
    gw = site.gateway(broken)
    with gw.raw(post("/", 4)) as c:
        assert c.read_head()[1] == 503
    with gw.raw(post("/", 4).replace("app.localhost", "nobody.localhost")) as c:
        assert c.read_head()[1] == 404


def test_it_waits_for_a_cold_service_without_asking_for_the_body(site):
    app = make(site, START_DELAY=0.5)
    app.step("decide")
    with app.gateway.raw(post("/accept", 4)) as c:
        assert c.read_head()[1] == 100
        assert app.events("expect"), "not before the service was there"
        c.send("body")
        assert c.reply().text == "body"


@pytest.mark.parametrize("together", [True, False], ids=["with the head", "behind it"])
def test_a_client_that_does_not_wait_is_not_waited_for(app, together):
    with app.gateway.raw(post("/ignore", 4) + ("body" if together else "")) as c:
        if not together:
            wait_for(lambda: app.events("expect"), "the service has the head")
            c.send("body")
        assert c.reply().text == "body"


def test_a_service_that_knows_nothing_of_it_gets_the_body_after_a_while(app):
    with app.gateway.raw(post("/ignore", 4)) as c:
        assert c.read_head()[1] == 100
        c.send("body")
        assert c.reply().text == "body"


def test_chunked_bodies_may_wait_too(app):
    app.step("decide")
    with app.gateway.raw("POST /accept HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n"
                         "Expect: 100-continue\r\n\r\n") as c:
        assert c.read_head()[1] == 100
        c.send("4\r\nbody\r\n0\r\n\r\n")
        assert c.reply().text == "body"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("host", ["app", "nobody"])
def test_without_a_body_there_is_nothing_to_wait_with(app, method, host):
    # Several at once, as then the library has a further one in its buffer when it comes to say 100.
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    request = f"{method} /hello HTTP/1.1\r\nHost: {host}.localhost\r\n{length}Expect: 100-continue\r\n\r\n"
    with app.gateway.raw(request * 20) as c:
        for _ in range(20):
            assert c.reply().status == (200 if host == "app" else 404), "an answer, and no 100 before it"
        c.send(request)
        assert c.reply().status == (200 if host == "app" else 404)


def test_a_client_that_leaves_while_it_waits_is_forgotten(app):
    c = app.gateway.raw(post("/accept", 4))
    wait_for(lambda: app.events("expect"), "the request is there")
    c.close()
    app.step("decide")
    wait_for(lambda: app.events("gone"), "the service's connection ends")


def test_curl_uploads_as_ever(app):
    app.step("decide")
    data = bytes(3 << 20)
    r = app.gateway.curl("app", "/accept", "--data-binary", "@-", "-H", "Expect: 100-continue", input=data)
    assert r.body == data


# ── others ──

def test_hints_reach_the_client_before_the_answer(app):
    with app.gateway.raw("GET /hints HTTP/1.1\r\nHost: app.localhost\r\n\r\n") as c:
        assert c.read_head()[1:3] == (102, "Still Busy")
        assert c.read_head() == ("HTTP/1.1", 103, "Early Hints", [
            ("Link", "</a.css>; rel=preload"), ("Link", "</b.js>; rel=preload"), ("X-Empty", "")])
        app.step("decide")
        assert c.read_head()[3] == [("Link", "</c.js>; rel=preload")]
        assert c.reply().text == "the answer\n"
        c.send("GET /hello HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        assert c.reply().text == "hello\n"


def test_an_http_1_0_client_gets_only_the_answer(app):
    app.step("decide")
    with app.gateway.raw("GET /hints HTTP/1.0\r\nHost: app.localhost\r\n\r\n") as c:
        assert c.read_head()[1] == 200


def test_a_flood_of_interim_answers_has_an_end(app):
    before = app.gateway.peak_memory()
    for n, status in ((200, 200), (100000, 502)):
        with app.gateway.raw(f"GET /flood?{n} HTTP/1.1\r\nHost: app.localhost\r\n\r\n") as c:
            assert c.reply().status == status
    assert app.gateway.peak_memory() - before < 2 << 20
    assert app.gateway.curl("app", "/hello").text == "hello\n"


# ── streams ──

def test_a_byte_that_the_service_sends_is_at_the_client_before_the_next(app):
    with app.gateway.raw("GET /drip HTTP/1.1\r\nHost: app.localhost\r\n\r\n") as c:
        assert c.read_head()[1] == 200
        for i in range(5):
            app.step(str(i))
            assert c.read_until(b"\r\n") == b"1"
            assert c.read_until(b"\r\n") == b"%d" % i


def test_silence_in_a_stream_is_no_error_and_keeps_the_service_awake(site):
    short = {name: 200 for name in ("requestHeadTimeout", "requestBodyTimeout", "requestBodyIdleTimeout",
                                    "keepAliveTimeout", "clientWriteTimeout", "upstreamFirstByteTimeout")}
    app = site.app("interim.py", name="app", env={"STEPS": site.subfolder("steps")}, idleTimeout=200)
    other = site.app(name="other", idleTimeout=200)
    gw = site.gateway(app, other, config={"limits": short})
    with gw.raw("GET /drip HTTP/1.1\r\nHost: app.localhost\r\n\r\n") as c:
        assert c.read_head()[1] == 200
        for _ in range(3):  # every limit has passed when the other one, as idle, has come and gone
            since = gw.mark()
            assert gw.curl("other").status == 200
            gw.wait_state("other", "offline", since)
        assert gw.count_transitions("app", "stopping") == 0
        for i in range(5):
            (site.folder / "steps" / str(i)).touch()
        assert c.read_until(b"0\r\n\r\n")
