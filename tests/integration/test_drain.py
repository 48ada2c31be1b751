# SPDX-License-Identifier: ISC
"""SIGTERM: everything that is open gets its answer, nothing that is on its way is lost, and it ends in time."""

import os
import re
import signal
import socket
import subprocess

import pytest

from harness import Raw, process, wait_for
from harness.gateway import PROGRAM

GET = "GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n"
HELD = "POST /upload-when-allowed HTTP/1.1\r\nHost: bulk.localhost\r\nContent-Length: 4\r\n\r\nbody"
STREAM = "GET / HTTP/1.1\r\nHost: news.localhost\r\n\r\n"
SHUTTING_DOWN = "Shutting down"


def held(site):
    """A service that keeps requests open until the file is there."""
    gate = site.folder / "gate"
    return site.app("bulk.py", name="bulk", env={"GATE": gate}), gate


def term(gw):
    os.kill(gw.pid, signal.SIGTERM)
    gw.wait_log(SHUTTING_DOWN)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_is_open_is_finished_and_its_connection_closed(site, workers):
    bulk, gate = held(site)
    gw = site.gateway(bulk, workers=workers)
    with gw.raw(HELD) as c:
        wait_for(lambda: bulk.requests, "the request is with the service")
        term(gw)
        gate.touch()
        r = c.reply()
        assert (r.status, r.text.split()[0]) == (200, "4")
        assert r.get("Connection") == "close"
        assert c.closed()
    assert gw.wait_end() == 0
    assert not gw.find_log("closing them")


def test_a_request_on_an_idle_connection_that_crosses_the_signal_is_answered(site):
    blog = site.app()
    gw = site.gateway(blog)
    clients = [gw.raw(GET) for _ in range(50)]
    for c in clients:
        assert c.reply().status == 200

    # Both are there before the gateway does anything.
    os.kill(gw.pid, signal.SIGSTOP)
    os.kill(gw.pid, signal.SIGTERM)
    for c in clients:
        c.send(GET)
    os.kill(gw.pid, signal.SIGCONT)

    for c in clients:
        assert c.reply().text == "hello from blog\n"
        assert c.closed()
        c.close()
    assert gw.wait_end() == 0


def test_an_idle_connection_is_closed_after_a_moment_without_a_byte(site):
    blog = site.app()
    gw = site.gateway(blog, args=["--drain-time=1min"])
    with gw.raw(GET) as used, gw.raw() as unused:
        assert used.reply().status == 200
        wait_for(lambda: all(gw.owners([unused])), "accepted")
        term(gw)
        assert used.closed(20) and unused.closed(20)
    assert gw.wait_end() == 0


def test_an_answer_that_had_promised_to_keep_the_connection_is_followed_by_a_moment_to_use_it(site):
    bulk = site.app("bulk.py", name="bulk")
    gw = site.gateway(bulk)
    with gw.raw("GET /drip/20 HTTP/1.1\r\nHost: bulk.localhost\r\n\r\n") as c:
        c.read_until(b"\r\n\r\n")
        term(gw)
        assert c.read_exactly(20) == b"." * 20
        c.send("GET /drip/1 HTTP/1.1\r\nHost: bulk.localhost\r\n\r\n")
        r = c.reply()
        assert (r.status, r.body, r.get("Connection")) == (200, b".", "close")
        assert c.closed()
    assert gw.wait_end() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_that_wait_for_their_service_are_served(site, workers):
    blog = site.app(env={"START_DELAY": 2})
    gw = site.gateway(blog, workers=workers)
    clients = [gw.raw(GET) for _ in range(5)]
    gw.wait_state("blog", "starting")
    wait_for(lambda: all(gw.owners(clients)), "accepted")
    term(gw)
    for c in clients:
        r = c.reply()
        assert (r.status, r.text) == (200, "hello from blog\n")
        assert c.closed()
        c.close()
    assert gw.wait_end() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_who_cannot_be_served_in_time_is_told_so(site, workers):
    blog = site.app(env={"START_DELAY": 30})
    gw = site.gateway(blog, workers=workers, args=["--drain-time=300ms"])
    with gw.raw(GET) as c:
        gw.wait_state("blog", "starting")
        term(gw)
        r = c.reply()
        assert r.status == 503 and "shutting down" in r.text
        assert int(r.get("Retry-After")) >= 1
        assert c.closed()
    assert gw.wait_end() == 0


def test_streams_end_when_the_time_is_up(site):
    events = site.folder / "events"
    events.write_text("one\n")
    news = site.app("sse.py", name="news", env={"EVENTS": events})
    gw = site.gateway(news, args=["--drain-time=500ms"])
    with gw.raw(STREAM) as c:
        c.read_until(b"data: one\n\n")
        term(gw)
        assert b"0\r\n\r\n" not in c.read_all(), "an end that looks like the whole"
    assert gw.wait_end() == 0
    assert gw.find_log("1 connections are still open")


def test_a_second_signal_ends_it_at_once(site):
    events = site.folder / "events"
    events.write_text("one\n")
    news = site.app("sse.py", name="news", env={"EVENTS": events})
    for workers in (1, 2):
        gw = site.gateway(news, args=["--drain-time=1h"], workers=workers)
        with gw.raw(STREAM) as c:
            c.read_until(b"data: one\n\n")
            term(gw)
            os.kill(gw.pid, signal.SIGTERM)
            assert gw.wait_end() == 0
            c.read_all()
        gw.finish()


def test_a_signal_to_all_its_processes_is_one_signal(site):
    """Which is how a service manager stops a service."""
    bulk, gate = held(site)
    gw = site.gateway(bulk, workers=2)
    with gw.raw(HELD) as c:
        wait_for(lambda: bulk.requests, "the request is with the service")
        workers = gw.workers()
        term(gw)
        wait_for(lambda: len(gw.find_log(SHUTTING_DOWN + ": ")) == 2, "both workers end")
        for pid in workers:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:  # it had nothing to do
                pass
        gate.touch()
        assert c.reply().status == 200
    assert gw.wait_end() == 0


@pytest.mark.standalone_only("a socket unit's sockets outlive the gateway")
@pytest.mark.parametrize("workers", [1, 2])
def test_connections_that_nobody_else_would_accept_are_taken_first_and_later_ones_refused(site, workers):
    bulk, gate = held(site)
    blog = site.app()
    gw = site.gateway(bulk, blog, workers=workers)
    gw.curl("blog")
    with gw.raw(HELD) as busy:
        wait_for(lambda: bulk.requests, "the request is with the service")
        stopped = {gw.pid, *gw.workers()}
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        waiting = [gw.raw(GET) for _ in range(20)]
        os.kill(gw.pid, signal.SIGTERM)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        for c in waiting:
            assert c.reply().text == "hello from blog\n"
            c.close()
        gw.wait_log(SHUTTING_DOWN)

        def refused():
            try:
                gw.raw().close()
            except ConnectionRefusedError:
                return True
        wait_for(refused, "later connections are refused")
        gate.touch()
        assert busy.reply().status == 200
    assert gw.wait_end() == 0


@pytest.mark.standalone_only("a socket unit's sockets outlive the gateway")
@pytest.mark.parametrize("workers", [1, 2])
def test_who_has_connected_and_said_nothing_yet_has_a_moment_to(site, workers):
    blog = site.app()
    for _ in range(5):  # which a slow machine may miss
        gw = site.gateway(blog, workers=workers)
        gw.curl("blog")
        with gw.raw() as c:
            term(gw)
            try:
                c.send(GET)
                r = c.reply()
            except (ConnectionError, EOFError):
                gw.finish()
                continue
            assert (r.text, r.get("Connection")) == ("hello from blog\n", "close")
        assert gw.wait_end() == 0
        return
    pytest.fail("it was reset")


@pytest.mark.standalone_only("brings a service manager of its own")
@pytest.mark.parametrize("workers", [1, 2])
def test_connections_to_a_socket_that_is_kept_wait_for_the_next_gateway(site, workers):
    bulk, gate = held(site)
    blog = site.app()
    machine = site.machine(bulk, blog, workers=workers)
    with machine.raw(HELD) as busy:
        wait_for(lambda: bulk.requests, "the request is with the service")
        os.kill(machine.unit("dynapm")["pid"], signal.SIGTERM)
        machine.wait_log(SHUTTING_DOWN)
        waiting = [machine.raw(GET) for _ in range(20)]
        gate.touch()
        assert busy.reply().status == 200
        for c in waiting:
            assert c.reply().text == "hello from blog\n"
            c.close()
        unit = machine.unit("dynapm")
        assert (unit["starts"], unit["exit"]) == (2, 0)


@pytest.mark.standalone_only("listens in the place of systemd")
def test_the_service_manager_is_told_how_long_it_takes(site):
    gw = site.gateway(site.app(), args=["--drain-time=2min"])
    gw.stop()
    [(_, pid, message)] = wait_for(lambda: gw.notify.find("EXTEND_TIMEOUT_USEC="), "the message")
    assert pid == gw.pid
    assert 120 <= int(message.partition("=")[2]) / 1e6 < 130


@pytest.mark.standalone_only("is about the command line")
@pytest.mark.parametrize("span", ["10", "soon", "-1s", ""])
def test_a_time_that_is_none_is_refused(span):
    p = subprocess.run([PROGRAM, "--standalone", f"--drain-time={span}"], capture_output=True, text=True, timeout=20)
    assert p.returncode == 2
    assert re.search(r"--drain-time=.*time span", p.stderr)
