# SPDX-License-Identifier: ISC
"""kill -9 of each part in turn: the service in the middle of an answer, a worker, the manager."""

import os
import signal
import threading
import time

import pytest

from harness import Raw, process, wait_for

GET = "GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n"
STREAM = "GET / HTTP/1.1\r\nHost: news.localhost\r\n\r\n"


def responses(site, **files):
    folder = site.subfolder("responses")
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    return {"RESPONSES": folder}


CUT = {
    "length__die": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly a part",
    "chunked__die": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nonly a part\r\n",
    "inchunk__die": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nonly a part",
    "nolast__close": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nonly a part\r\n",
    "short__close": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly a part",
    "length__reset": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly a part",
}


def test_an_answer_that_breaks_off_does_not_look_complete(site):
    raw = site.app("raw.py", name="raw", env=responses(site, **CUT))
    gw = site.gateway(raw)

    for name in CUT:
        r = gw.curl("raw", "/" + name.replace("__", "."))
        assert r.status in (200, 502), name
        if r.status == 200:
            # 18: transfer closed with outstanding data; 56: the connection was reset.
            assert r.exit in (18, 56), f"{name}: {r}"
        if not name.endswith("reset"):
            assert r.body in (b"only a part", b"") or r.status == 502, name
    for name in ("length__die", "chunked__die", "short__close"):
        with gw.raw(f"GET /{name.replace('__', '.')} HTTP/1.0\r\nHost: raw.localhost\r\n\r\n") as c:
            # HTTP/1.0 has no chunks: without a length only a reset tells the client.
            head, _, body = c.read_all().partition(b"\r\n\r\n")
            if c.was_reset:
                continue
            if b" 200 " in head.split(b"\r\n")[0] and b"content-length" not in head.lower():
                pytest.fail(f"{name}: a complete-looking answer: {head + body!r}")


def test_an_answer_without_length_that_is_reset_does_not_look_complete(site):
    raw = site.app("raw.py", name="raw", env=responses(
        site, unframed__reset=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nonly a part"))
    gw = site.gateway(raw)

    for _ in range(100):  # the reset may come before, with or after the part
        r = gw.curl("raw", "/unframed.reset")
        assert r.exit in (18, 56) or r.status == 502, r
        with gw.raw("GET /unframed.reset HTTP/1.0\r\nHost: raw.localhost\r\n\r\n") as c:
            assert b" 502 " in c.read_all() or c.was_reset


def test_a_connection_ends_with_the_answer_that_broke_off(site):
    """Also when that happens in the very turn in which the answer has begun."""
    raw = site.app("raw.py", name="raw", idleTimeout="1ms", env=responses(
        site, unframed__reset=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nonly a part"))
    gw = site.gateway(raw)
    for _ in range(30):
        with gw.raw("GET /unframed.reset HTTP/1.1\r\nHost: raw.localhost\r\n\r\n") as c:
            assert not c.read_all().endswith(b"0\r\n\r\n")
        raw.wait_gone()


@pytest.mark.parametrize("name", ["unframed.reset", "inchunk.close", "short.close"])
def test_an_answer_that_breaks_off_ends_at_once_while_others_are_connected(site, name):
    files = {**CUT, "inchunk__close": CUT["inchunk__die"], "fine": b"HTTP/1.1 204 No Content\r\n\r\n",
             "unframed__reset": b"HTTP/1.1 200 OK\r\n\r\nonly a part"}
    gw = site.gateway(site.app("raw.py", name="raw", env=responses(site, **files)))
    fine, cut = (f"GET /{path} HTTP/1.1\r\nHost: raw.localhost\r\n\r\n" for path in ("fine", name))

    with gw.raw() as unused, gw.raw(fine) as used:
        assert used.reply().status == 204
        for _ in range(20):
            with gw.raw(cut) as c, gw.raw(fine) as later:
                c.read_all()
                assert later.reply().status == 204
        used.send(fine)
        unused.send(fine)
        assert used.reply().status == unused.reply().status == 204


def test_a_service_killed_in_the_middle_of_an_answer_serves_the_next_request(site):
    raw = site.app("raw.py", name="raw", env=responses(
        site, cut__die=CUT["length__die"], whole=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"))
    gw = site.gateway(raw)

    for i in range(3):
        assert gw.curl("raw", "/cut.die").exit in (18, 56)
        # A dying process may still be connected to for a moment after its connections have ended.
        raw.wait_gone()
        assert gw.curl("raw", "/whole").text == "whole"
        assert raw.starts == i + 2


# ── a worker ──

def test_two_workers_share_the_work_and_one_start(site):
    blog = site.app(env={"START_DELAY": 0.3})
    gw = site.gateway(blog, workers=2)
    assert len(gw.workers()) == 2

    clients = [gw.raw(GET) for _ in range(40)]
    for c in clients:
        assert c.reply().text == "hello from blog\n"
    assert blog.starts == 1
    assert gw.count_transitions("blog", "starting") == 1


def test_a_killed_worker_takes_only_its_own_connections_along_and_the_count_recovers(site):
    events = site.folder / "events"
    events.write_text("one\n")
    news = site.app("sse.py", name="news", env={"EVENTS": events}, idleTimeout="500ms")
    blog = site.app(idleTimeout="never")
    gw = site.gateway(news, blog, workers=2)
    gw.curl("blog")

    streams = []

    def both_workers_have_some():  # whom the kernel wakes is up to it
        burst = [gw.raw(STREAM) for _ in range(12)]
        for c in burst:
            c.read_until(b"data: one\n\n")
        streams.extend(burst)
        return len(set(gw.owners(streams))) == 2
    wait_for(both_workers_have_some, "both workers have streams", 20)
    owners = gw.owners(streams)
    victim = owners[0]
    assert victim != gw.pid, "with two workers, the first process only keeps them"
    mine = [c for c, owner in zip(streams, owners) if owner == victim]
    others = [c for c in streams if c not in mine]

    process.kill(victim, signal.SIGKILL)

    for c in mine:
        assert b"data" not in c.read_all()
        c.close()
    for _ in range(20):
        assert gw.curl("blog").text == "hello from blog\n"
    with events.open("a") as f:
        f.write("two\n")
    for c in others:
        c.read_until(b"data: two\n\n")
    assert news.running
    for c in others:
        c.close()
    # The exchanges that the dead worker had open do not count any more.
    gw.wait_state("news", "offline", timeout=5)
    assert news.starts == 1
    # And there are two of them again.
    wait_for(lambda: len(gw.workers()) == 2 and victim not in gw.workers(), "a new worker")


def test_a_worker_killed_while_its_requests_wait_leaves_the_others_answered(site):
    go = site.folder / "go"
    blog = site.app(env={"START_AFTER": go}, idleTimeout="2s")
    gw = site.gateway(blog, workers=2)

    clients = [gw.raw(GET) for _ in range(16)]
    gw.wait_state("blog", "starting")
    wait_for(lambda: all(gw.owners(clients)), "accepted")
    owners = gw.owners(clients)
    victim = owners[0]
    mine = [c for c, owner in zip(clients, owners) if owner == victim]
    process.kill(victim, signal.SIGKILL)
    go.touch()

    for c in clients:
        if c not in mine:
            assert c.reply().text == "hello from blog\n"
        c.close()
    assert gw.curl("blog").text == "hello from blog\n"
    assert blog.starts == 1
    gw.wait_state("blog", "offline")


# ── the manager ──

class Load:
    """Keeps asking in the background and remembers everything that was not a good answer."""

    def __init__(self, gw, request=GET, expect=b"hello from blog\n"):
        self.gw, self.request, self.expect = gw, request, expect
        self.bad, self.good, self.stop = [], 0, False
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        c = self.gw.raw()
        while not self.stop:
            try:
                c.send(self.request)
                r = c.reply()
                if r.status == 200 and r.body == self.expect:
                    self.good += 1
                else:
                    self.bad.append(r)
            except OSError as e:
                self.bad.append(e)
                c = self.gw.raw()
        c.close()

    def __enter__(self):
        self.thread.start()
        wait_for(lambda: self.good > 10, "requests are answered")
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["exec", "commands"])
def test_warm_requests_never_notice_that_the_manager_is_killed(site, kind, workers):
    blog = site.app(kind=kind, idleTimeout="700ms")
    gw = site.gateway(blog, workers=workers)
    gw.curl("blog")
    old = gw.manager_pid()

    with Load(gw) as load:
        process.kill(old, signal.SIGKILL)
        new = wait_for(lambda: [p for p in gw.named("dynapm-manager") if p != old], "a new manager")[0]
        gw.wait_log(r"blog: \w+ → online", since=gw.mark() - 50)
        served = load.good
        wait_for(lambda: load.good > served + 50, "requests go on being answered")
    assert load.bad == []
    assert new != old

    # It was found again, not started twice; and the new manager stops it like the old one would have.
    assert blog.starts == 1
    gw.wait_log(r"blog: online → stopping", timeout=5)
    blog.wait_gone()
    assert gw.curl("blog").text == "hello from blog\n"
    assert blog.starts == 2


def test_an_open_exchange_keeps_the_service_awake_across_the_managers_death(site):
    events = site.folder / "events"
    events.write_text("one\n")
    news = site.app("sse.py", name="news", env={"EVENTS": events}, idleTimeout="300ms")
    gw = site.gateway(news)

    with gw.raw(STREAM) as c:
        c.read_until(b"data: one\n\n")
        old = gw.manager_pid()
        mark = gw.mark()
        process.kill(old, signal.SIGKILL)
        gw.wait_log(r"news: \w+ → online", since=mark)
        assert c.silent(1.0), "three idle timeouts"
        assert news.running
        with events.open("a") as f:
            f.write("two\n")
        c.read_until(b"data: two\n\n")
    gw.wait_state("news", "offline", since=mark, timeout=5)
    assert news.starts == 1


def test_requests_that_wait_when_the_manager_is_killed_are_answered(site):
    blog = site.app(env={"START_DELAY": 0.8})
    gw = site.gateway(blog)

    clients = [gw.raw(GET) for _ in range(5)]
    wait_for(lambda: blog.starts == 1, "start under way")
    process.kill(gw.manager_pid(), signal.SIGKILL)

    for c in clients:
        r = c.reply()
        assert (r.status, r.text) == (200, "hello from blog\n")
    assert len([1 for e in blog.events("listening")]) == 1, "one process serves"


def test_a_manager_that_is_killed_over_and_over_comes_back_each_time(site):
    blog, shop = site.app(), site.app(name="shop")
    gw = site.gateway(blog, shop)
    gw.curl("blog")

    for _ in range(4):
        old = gw.manager_pid()
        process.kill(old, signal.SIGKILL)
        wait_for(lambda: [p for p in gw.named("dynapm-manager") if p != old], "a new manager", 15)
        assert gw.curl("blog").text == "hello from blog\n"
    assert gw.curl("shop").text == "hello from shop\n"
    assert blog.starts == 1


def test_a_service_that_died_while_there_was_no_manager_is_started_again(site):
    blog = site.app()
    gw = site.gateway(blog)
    gw.curl("blog")
    os.kill(gw.manager_pid(), signal.SIGKILL)
    process.kill(blog.pid, signal.SIGKILL)

    r = gw.curl("blog")

    assert (r.status, r.text) == (200, "hello from blog\n")
    assert blog.starts == 2


def test_the_whole_family_ends_on_sigterm_with_requests_under_way(site):
    bulk = site.app("bulk.py", name="bulk")
    blog = site.app(env={"START_DELAY": 30})
    gw = site.gateway(bulk, blog, workers=2)
    download = gw.raw("GET /download/300 HTTP/1.1\r\nHost: bulk.localhost\r\n\r\n")
    download.read_until(b"\r\n\r\n")
    waiting = gw.raw(GET)
    gw.wait_state("blog", "starting")
    pids = [gw.pid, *gw.processes()]

    began = time.monotonic()
    assert gw.stop() == 0
    assert time.monotonic() - began < 15
    wait_for(lambda: not any(process.alive(p) for p in pids), "end of all")
    answer = waiting.read_all()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 503")
    for c in (download, waiting):
        c.close()


@pytest.mark.standalone_only("services are systemd's and outlive dynapm")
@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_left_when_the_gateway_itself_is_killed(site, workers):
    """Standalone, the manager belongs to it and ends with it, and the services with the manager."""
    blog, shop = site.app(), site.app(kind="commands", name="shop")
    gw = site.gateway(blog, shop, workers=workers)
    gw.curl("blog")
    gw.curl("shop")

    os.kill(gw.pid, signal.SIGKILL)

    gw.finish(expect_exit=-signal.SIGKILL)
    assert not blog.running and not shop.running


@pytest.mark.standalone_only("services are systemd's and outlive dynapm")
def test_a_gateway_that_starts_again_with_the_same_folder_serves(site):
    blog = site.app(kind="commands")
    gw = site.gateway(blog)
    gw.curl("blog")
    gw.finish()
    assert not blog.running, "services do not outlive a clean end"

    again = site.gateway(blog, port=gw.port)
    assert again.curl("blog").text == "hello from blog\n"
    assert isinstance(again.raw(), Raw)
