# SPDX-License-Identifier: ISC
"""Requests that wait for a service: many at once, in vain, and no longer interested."""

import asyncio
import hashlib
import json
import os
import random
import time

import pytest
from test_ctl import info

from harness import process, wait_for

COLD = b"GET / HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n"


async def ask(address, request=COLD):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


def test_a_thousand_simultaneous_cold_requests_cause_one_start_and_get_a_thousand_answers(site):
    blog = site.app(env={"START_DELAY": 1})
    gw = site.gateway(blog)

    async def storm():
        return await asyncio.wait_for(asyncio.gather(*(ask(gw.address) for _ in range(1000))), 60)

    answers = asyncio.run(storm())

    assert len(answers) == 1000
    assert all(a.startswith(b"HTTP/1.1 200") and a.endswith(b"hello from blog\n") for a in answers)
    assert blog.starts == 1
    assert len(blog.requests) == 1000
    assert gw.count_transitions("blog", "starting") == 1


def test_requests_that_waited_reach_the_service_in_order_of_arrival(site):
    gate = site.folder / "gate"
    # Behind a unix socket: there a connection is in the service's queue as soon as connect(2) has returned.
    blog = site.app("echo.py", unix=True, env={"START_AFTER": gate}, startTimeout="1min")
    gw = site.gateway(blog)

    connections = []
    for n in range(1, 31):
        connections.append(gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n", timeout=60))
        wait_for(lambda: info(gw, "blog")["waiting"] == n, "the request waits before the next one is sent")
    gate.touch()

    # All are let in before the first of them is answered, so that each has a connection of its own, numbered as the kernel
    # took it in: what the service's threads do then is their own business.
    numbers = [json.loads(c.reply().body)["connection"] for c in connections]
    assert len(set(numbers)) == 30
    assert numbers == sorted(numbers)


def test_a_service_that_never_gets_ready_answers_503_that_says_why(site):
    blog = site.app("never_ready.py", startTimeout="700ms")
    gw = site.gateway(blog)

    async def several():
        return await asyncio.gather(*(ask(gw.address) for _ in range(5)))

    began = time.monotonic()
    answers = asyncio.run(several())
    took = time.monotonic() - began

    for a in answers:
        assert a.startswith(b"HTTP/1.1 503")
        assert b"\r\nRetry-After: " in a
        assert b"blog" in a and b"not ready" in a or b"700ms" in a or b"refused" in a, a
    assert 0.7 <= took < 4
    blog.wait_gone()
    assert blog.starts == 1
    gw.wait_state("blog", "failed")


@pytest.mark.parametrize("service", [
    pytest.param({"exec": ["/bin/sh", "-c", "exit 3"]}, id="exec"),
    pytest.param({"commands": {"start": "echo no database >&2; exit 3"}}, id="commands"),
])
def test_a_start_command_that_fails_answers_503_with_its_status(site, service):
    port = process.free_port()
    gw = site.gateway(files={"blog.json": {"host": "blog.localhost", "base": f"http://127.0.0.1:{port}", **service}})

    r = gw.curl("blog")

    assert r.status == 503
    assert "blog" in r.text and "status 3" in r.text
    assert int(r.get("Retry-After")) >= 1
    assert r.seconds < 2, "at once, not at the start timeout"
    gw.wait_state("blog", "failed")


@pytest.mark.not_as_units("the program is the unit's affair, and the 503 names the unit")
def test_a_program_that_does_not_exist_is_named_in_the_503(site):
    port = process.free_port()
    gw = site.gateway(files={"blog.json": {"host": "blog.localhost", "base": f"http://127.0.0.1:{port}",
                                           "exec": ["/usr/bin/no-such-program"]}})
    r = gw.curl("blog")

    assert r.status == 503
    assert "No such file" in r.text or "no-such-program" in r.text
    gw.wait_log(r"no-such-program")


def test_a_service_that_exits_during_its_start_answers_503_at_once(site):
    blog = site.app("exits.py", env={"START_DELAY": 0.3, "STATUS": 7}, startTimeout="20s")
    gw = site.gateway(blog)

    r = gw.curl("blog")

    assert r.status == 503
    assert "status 7" in r.text
    assert r.seconds < 5


def test_after_a_failed_start_requests_are_refused_at_once_until_the_back_off_has_passed(site):
    blog = site.app("exits.py", env={"HEALED": site.folder / "healed"})
    gw = site.gateway(blog)
    first = gw.curl("blog")
    assert first.status == 503
    back_off = int(first.get("Retry-After"))
    failed_at = time.monotonic()

    # Every answer from here on comes either at once and starts nothing, or from a new start after the back-off.
    for _ in range(5):
        r = gw.curl("blog")
        assert r.status == 503
        assert int(r.get("Retry-After")) >= 1
        assert r.seconds < 0.3
        assert blog.starts == 1 or time.monotonic() - failed_at > back_off * 0.4
    (site.folder / "healed").touch()

    r = wait_for(lambda: (a := gw.curl("blog")).status == 200 and a, "service after the back-off", back_off + 10)
    assert r.text == "healed\n"
    gw.wait_state("blog", "online")


def test_the_back_off_grows_with_each_failed_start(site):
    blog = site.app("exits.py")
    gw = site.gateway(blog)
    started = []

    def third_start():
        gw.curl("blog")
        if blog.starts > len(started):
            started.append(time.monotonic())
        return len(started) >= 4
    wait_for(third_start, "four starts", 60)

    gaps = [b - a for a, b in zip(started, started[1:])]
    assert gaps[2] > gaps[0] * 1.5, gaps


def test_a_client_that_leaves_while_waiting_does_not_keep_the_service_awake(site):
    blog = site.app(env={"START_DELAY": 0.5}, idleTimeout="300ms")
    gw = site.gateway(blog)

    c = gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n")
    gw.wait_state("blog", "starting")
    c.close()

    gw.wait_state("blog", "online")
    gw.wait_state("blog", "offline", timeout=5)
    assert blog.requests == [], "nobody was there any more to ask for"


def test_some_leave_and_the_others_are_answered(site):
    blog = site.app(env={"START_DELAY": 0.6})
    gw = site.gateway(blog)

    clients = [gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n") for _ in range(20)]
    gw.wait_state("blog", "starting")
    for c in clients[::2]:
        c.close()
    for c in clients[1::2]:
        assert c.reply().text == "hello from blog\n"
    assert blog.starts == 1


def test_a_request_that_arrives_while_the_service_stops_is_served_by_a_new_start(site):
    blog = site.app("stubborn.py", env={"STOP_DELAY": 0.7}, idleTimeout="200ms")
    gw = site.gateway(blog)
    first = gw.curl("blog").text
    wait_for(lambda: blog.events("asked-to-stop"), "stop under way")

    r = gw.curl("blog")

    assert r.status == 200
    assert r.text != first, "a new process answered"
    assert blog.starts == 2
    gw.wait_log(r"blog: stopping → (offline|starting)")


def test_a_large_post_body_of_a_cold_request_is_not_truncated(site):
    echo = site.app("echo.py", name="echo", env={"START_DELAY": 0.7})
    gw = site.gateway(echo)
    body = random.Random(7).randbytes(10 << 20)

    for framing in (["-H", "Expect:"], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]):
        r = gw.curl("echo", "/upload", "--data-binary", "@-", *framing, input=body)
        answer = json.loads(r.body)
        assert answer["length"] == len(body), framing
        assert answer["sha256"] == hashlib.sha256(body).hexdigest(), framing
        os.kill(echo.pid, 9)
        wait_for(lambda: gw.count_transitions("echo", "offline") == echo.starts, "the death is noticed")


def test_the_bound_on_waiting_requests_is_kept_and_says_so(site):
    blog = site.app(env={"START_DELAY": 1})
    gw = site.gateway(blog, config={"limits": {"maxParkedRequestsPerService": 10}})

    async def storm():
        return await asyncio.gather(*(ask(gw.address) for _ in range(25)))

    answers = asyncio.run(storm())

    assert sum(a.startswith(b"HTTP/1.1 200") for a in answers) == 10
    refused = [a for a in answers if a.startswith(b"HTTP/1.1 503")]
    assert len(refused) == 15
    assert all(b"\r\nRetry-After: " in a for a in refused)


@pytest.mark.standalone_only("where systemd is, units can be started")
def test_a_service_kind_that_cannot_run_yet_is_refused_with_a_clear_sentence(site):
    gw = site.gateway(files={"blog.json": {"host": "blog.localhost", "base": "http://127.0.0.1:1",
                                           "unit": "blog.service"}})
    r = gw.curl("blog")
    assert r.status in (404, 503)
    gw.wait_log(r"blog.*unit")


def test_clients_that_send_no_body_do_not_hold_up_the_others(site):
    blog = site.app("echo.py", env={"START_DELAY": 0.5})
    gw = site.gateway(blog)

    slow = [gw.raw("POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 10\r\n\r\n") for _ in range(64)]
    # Far below requestBodyIdleTimeout, which is what ends the others.
    assert gw.curl("blog", "/quick", "--max-time", "20").status == 200
    for c in slow:
        c.close()


def test_a_target_that_is_no_utf_8_wakes_its_service_too(site):
    blog = site.app("echo.py")
    gw = site.gateway(blog)

    with gw.raw(b"GET /caf\xe9/\xff HTTP/1.1\r\nHost: blog.localhost\r\n\r\n") as c:
        answer = c.reply()
    assert answer.status == 200
    assert json.loads(answer.body)["target"] == "/caf\xe9/\xff"
