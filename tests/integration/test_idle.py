# SPDX-License-Identifier: ISC
"""When a service is stopped, and what keeps it awake."""

import signal
import time

import pytest

from harness import process, wait_for

GET = "GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n"


def test_the_stop_comes_at_the_timeout_never_before_and_hardly_after(site):
    blog = site.app(idleTimeout=700)
    gw = site.gateway(blog)
    late = []

    with gw.raw() as c:
        for _ in range(4):
            mark = gw.mark()
            before = time.monotonic()
            c.send(GET)
            assert c.reply().status == 200
            after = time.monotonic()
            stop = gw.wait_state("blog", "stopping", since=mark).at
            assert stop >= before + 0.7, "it was stopped early"
            late.append(stop - after - 0.7)
            gw.wait_state("blog", "offline", since=mark)
    assert min(late) < 0.1, f"late by {late}"
    assert max(late) < 1, f"late by {late}"


def test_a_silent_event_stream_keeps_the_service_awake(site):
    events = site.folder / "events"
    events.write_text("one\n")
    news = site.app("sse.py", name="news", env={"EVENTS": events}, idleTimeout="300ms")
    gw = site.gateway(news)

    with gw.raw("GET / HTTP/1.1\r\nHost: news.localhost\r\n\r\n") as c:
        c.read_until(b"data: one\n\n")
        assert c.silent(1.2), "four idle timeouts of silence"
        assert news.running
        with events.open("a") as f:
            f.write("two\n")
        c.read_until(b"data: two\n\n")
        with events.open("a") as f:
            f.write("end\n")
        c.read_until(b"data: end\n\n")
        ended = time.monotonic()
    assert gw.wait_state("news", "stopping").at >= ended + 0.2
    assert news.starts == 1


def test_an_event_reaches_the_client_when_it_is_sent_and_not_later(site):
    events = site.folder / "events"
    events.write_text("one\n")
    news = site.app("sse.py", name="news", env={"EVENTS": events})
    gw = site.gateway(news)

    with gw.raw("GET / HTTP/1.1\r\nHost: news.localhost\r\n\r\n") as c:
        c.read_until(b"data: one\n\n")
        for i in range(5):
            with events.open("a") as f:
                f.write(f"{i}\n")
            began = time.monotonic()
            c.read_until(b"data: %d\n\n" % i)
            assert time.monotonic() - began < 0.5


def test_a_slow_download_keeps_the_service_awake(site):
    bulk = site.app("bulk.py", name="bulk", idleTimeout="200ms")
    gw = site.gateway(bulk)

    r = gw.curl("bulk", "/drip/60")  # 1.2 s

    assert r.body == b"." * 60
    assert bulk.starts == 1
    gw.wait_state("bulk", "offline")


def test_a_client_that_leaves_in_the_middle_of_an_answer_lets_the_service_sleep(site):
    events = site.folder / "events"
    events.write_text("one\n")
    news = site.app("sse.py", name="news", env={"EVENTS": events}, idleTimeout="300ms")
    gw = site.gateway(news)

    with gw.raw("GET / HTTP/1.1\r\nHost: news.localhost\r\n\r\n") as c:
        c.read_until(b"data: one\n\n")

    gw.wait_state("news", "offline", timeout=5)


def test_an_open_connection_without_a_request_keeps_nothing_awake(site):
    blog = site.app(idleTimeout="300ms")
    gw = site.gateway(blog)

    with gw.raw(GET) as c:
        c.reply()
        gw.wait_state("blog", "offline", timeout=5)
        c.send(GET)  # and the same connection wakes it again
        assert c.reply().text == "hello from blog\n"
    assert blog.starts == 2


@pytest.mark.parametrize("never", [0, "never"])
def test_never_means_never(site, never):
    blog = site.app(idleTimeout=never)
    shop = site.app(name="shop", idleTimeout="200ms")
    gw = site.gateway(blog, shop)
    gw.curl("blog")

    for _ in range(2):
        mark = gw.mark()
        gw.curl("shop")
        gw.wait_state("shop", "offline", since=mark)
    assert blog.running
    assert gw.count_transitions("blog", "stopping") == 0


@pytest.mark.not_as_units("what runs outside of its unit is not that unit")
def test_a_service_that_runs_already_is_adopted_and_sleeps_like_any_other(site):
    blog = site.app(kind="commands", idleTimeout="500ms")
    outside = site.run(blog)
    blog.pid_file.write_text(str(outside.pid))
    gw = site.gateway(blog)

    gw.wait_state("blog", "online")
    assert gw.curl("blog").text == "hello from blog\n"
    assert blog.starts == 1, "nobody started it again"
    gw.wait_state("blog", "offline")
    assert outside.wait(5) == 0, "its stop command was run"


def test_a_program_that_ignores_sigterm_is_killed_with_its_whole_group_after_the_stop_timeout(site):
    blog = site.app("stubborn.py", env={"IGNORE": 1, "CHILD": 1}, idleTimeout="200ms", stopTimeout="500ms")
    gw = site.gateway(blog)
    gw.curl("blog")
    group = [blog.pid, *process.descendants(blog.pid)]
    assert len(group) == 2

    asked = gw.wait_state("blog", "stopping").at
    killed = gw.wait_state("blog", "offline").at

    assert 0.45 <= killed - asked < 3
    wait_for(lambda: not any(process.alive(pid) for pid in group), "end of the group")


def test_a_service_that_dies_is_offline_at_once_and_the_next_request_starts_it(site):
    blog = site.app()
    gw = site.gateway(blog)
    gw.curl("blog")
    mark = gw.mark()

    process.kill(blog.pid, signal.SIGKILL)
    line = gw.wait_log(r"blog: online → offline", since=mark, timeout=2)
    assert "signal" in line.text or "KILL" in line.text or "Killed" in line.text

    assert gw.curl("blog").text == "hello from blog\n"
    assert blog.starts == 2


def test_a_commands_service_that_died_unnoticed_is_started_again_by_the_request_that_finds_it_dead(site):
    blog = site.app(kind="commands")
    gw = site.gateway(blog)
    gw.curl("blog")

    process.kill(blog.pid, signal.SIGKILL)
    r = gw.curl("blog")

    assert (r.status, r.text) == (200, "hello from blog\n")
    assert blog.starts == 2


def test_a_post_to_a_dead_service_is_not_lost(site):
    """Nothing of it had been sent when the connection was refused, so it may be sent to the new process."""
    echo = site.app("echo.py", name="echo", kind="commands")
    gw = site.gateway(echo)
    gw.curl("echo")

    process.kill(echo.pid, signal.SIGKILL)
    r = gw.curl("echo", "/", "--data-raw", "precious")

    assert r.status == 200
    assert b'"body": "precious"' in r.body
    assert echo.starts == 2
