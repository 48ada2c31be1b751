# SPDX-License-Identifier: ISC
"""Everything a client can grow has a limit, and reaching it harms nobody else."""

import time

import pytest

from harness import process, wait_for

GET = "GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n"


def test_a_request_head_that_trickles_in_is_cut_off_at_its_deadline(site):
    blog = site.app()
    gw = site.gateway(blog, config={"limits": {"requestHeadTimeout": "700ms"}})
    gw.curl("blog")

    with gw.raw() as c:
        began = time.monotonic()
        for byte in GET[:-2]:  # never the last two
            if not c.silent(0.05):
                break
            try:
                c.send(byte)
            except OSError:
                break
            assert time.monotonic() - began < 5, "each byte bought more time"
        took = time.monotonic() - began
        answer = c.read_all()
        assert 0.65 <= took < 3
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
    assert gw.curl("blog").status == 200


def test_the_head_deadline_holds_for_the_second_request_of_a_connection_too(site):
    blog = site.app()
    gw = site.gateway(blog, config={"limits": {"requestHeadTimeout": "500ms"}})
    with gw.raw(GET) as c:
        assert c.reply().status == 200
        c.send("GET /half HTTP/1.1\r\nHost:")
        answer = c.read_all()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


def test_an_idle_connection_is_closed_after_the_keep_alive_timeout_and_not_before(site):
    blog = site.app()
    gw = site.gateway(blog, config={"limits": {"keepAliveTimeout": "1s", "requestHeadTimeout": "300ms"}})
    with gw.raw(GET) as c:
        assert c.reply().status == 200
        began = time.monotonic()
        assert c.closed(5)
        assert 0.9 <= time.monotonic() - began < 3


def test_a_body_that_stops_coming_is_cut_off(site):
    echo = site.app("echo.py", name="echo")
    gw = site.gateway(echo, config={"limits": {"requestBodyIdleTimeout": "500ms"}})
    gw.curl("echo")
    with gw.raw("POST / HTTP/1.1\r\nHost: echo.localhost\r\nContent-Length: 100\r\n\r\nsome") as c:
        began = time.monotonic()
        answer = c.read_all()
        assert 0.45 <= time.monotonic() - began < 4
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
    wait_for(lambda: echo.events("gone"), "the exchange with the service ends too")


def test_a_service_that_is_too_slow_is_504(site):
    echo = site.app("echo.py", name="echo")
    gw = site.gateway(echo, config={"limits": {"upstreamFirstByteTimeout": "500ms"}})
    r = gw.curl("echo", "/wait/5")
    assert r.status == 504
    assert 0.45 <= r.seconds < 4
    assert gw.curl("echo", "/wait/0").status == 200


def test_a_head_over_the_limit_is_431_and_a_target_over_it_414(site):
    blog = site.app()
    gw = site.gateway(blog, config={"limits": {"maxRequestHead": 4096}})
    with gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-Big: " + "x" * 5000 + "\r\n\r\n") as c:
        assert c.reply().status == 431
    with gw.raw("GET /" + "x" * 5000 + " HTTP/1.1\r\nHost: blog.localhost\r\n\r\n") as c:
        assert c.reply().status == 414
    with gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-Big: " + "x" * 3000 + "\r\n\r\n") as c:
        assert c.reply().status == 200
    assert blog.requests == ["GET /"]


def test_a_head_of_the_default_size_passes(site):
    echo = site.app("echo.py", name="echo")
    gw = site.gateway(echo)
    many = "".join(f"X-Field-{i}: value {i}\r\n" for i in range(100))
    with gw.raw(f"GET /{'p' * 6000} HTTP/1.1\r\nHost: echo.localhost\r\n{many}X-Big: {'x' * 6000}\r\n\r\n") as c:
        r = c.reply()
    assert r.status == 200
    assert r.body.count(b"X-Field-") == 100


def test_connections_over_the_limit_wait_or_are_turned_away_and_room_is_used_again(site):
    blog = site.app()
    gw = site.gateway(blog, config={"limits": {"maxConnections": 10}})
    gw.curl("blog")
    held = [gw.raw(GET) for _ in range(10)]
    for c in held:
        assert c.reply().status == 200

    with gw.raw(GET) as eleventh:
        try:
            if not eleventh.silent(0.3):
                assert eleventh.buffer == b"" or eleventh.reply().status == 503
        except ConnectionResetError:
            pass
    for c in held:  # they go on as if nothing had been
        c.send(GET)
        assert c.reply().status == 200
    for c in held:
        c.close()
    wait_for(lambda: gw.curl("blog").status == 200, "room again")


def test_one_address_cannot_take_all_connections(site):
    blog = site.app()
    gw = site.gateway(blog, config={"limits": {"maxConnectionsPerAddress": 5}})
    held = [gw.raw(GET) for _ in range(5)]
    for c in held:
        assert c.reply().status == 200
    with gw.raw() as sixth:
        try:
            sixth.send(GET)
            answer = sixth.read_all()
        except OSError:
            answer = b""
        assert answer == b"" or answer.startswith((b"HTTP/1.1 429", b"HTTP/1.1 503"))
    held.pop().close()
    wait_for(lambda: gw.curl("blog").status == 200, "room again")
    for c in held:
        c.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_running_out_of_descriptors_pauses_accepting_and_harms_no_established_request(site, workers):
    events = site.folder / "events"
    events.write_text("one\n")
    blog = site.app()
    news = site.app("sse.py", name="news", env={"EVENTS": events})
    gw = site.gateway(blog, news, workers=workers)
    steady = gw.raw(GET)
    steady.reply()
    stream = gw.raw("GET / HTTP/1.1\r\nHost: news.localhost\r\n\r\n")
    stream.read_until(b"data: one\n\n")
    for pid in gw.workers():
        process.limit_descriptors(pid, 12)

    crowd = [gw.raw(GET) for _ in range(100)]
    answered = []

    def some_are_answered():
        for c in crowd:
            if c not in answered and not c.silent(0.001):
                answered.append(c)
        return len(answered) >= 2
    wait_for(some_are_answered, "the first of the crowd are served")

    busy = sum(process.cpu_seconds(p) for p in gw.workers())
    began = time.monotonic()
    for _ in range(20):
        steady.send(GET)
        assert steady.reply().text == "hello from blog\n"
        assert stream.silent(0.05)
    idle_share = (sum(process.cpu_seconds(p) for p in gw.workers()) - busy) / (time.monotonic() - began)
    assert idle_share < 0.5, "it spins"
    with events.open("a") as f:
        f.write("two\n")
    stream.read_until(b"data: two\n\n")

    for c in crowd:
        c.close()
    assert wait_for(lambda: gw.curl("blog", timeout=5).status == 200, "recovery without help")
    steady.close()
    stream.close()
