# SPDX-License-Identifier: ISC
"""What a user does first: ask, ask again, wait, ask for something that is not there, ask for several at once."""

import json
import shutil
import threading
import time

import pytest

from harness import wait_for


@pytest.mark.parametrize("kind", ["exec", "commands"])
def test_the_first_request_starts_the_service_and_is_answered(site, kind):
    blog = site.app(kind=kind)
    gw = site.gateway(blog)
    assert blog.starts == 0

    r = gw.curl("blog")

    assert (r.status, r.text) == (200, "hello from blog\n")
    assert blog.starts == 1
    gw.wait_log(r"blog: offline → starting \(GET blog\.localhost(:\d+)?/\)")
    gw.wait_log(r"blog: starting → online")
    gw.wait_log(r"blog: ready in \S+ \(start \S+, wait \S+\)")


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_a_node_service_is_started_on_demand(site):
    blog = site.app("hello.js")
    gw = site.gateway(blog)

    assert gw.curl("blog").text == "hello from blog\n"
    r = gw.curl("blog", "/echo?a=b", "-H", "Content-Type: text/plain", "-d", "some words")
    echo = json.loads(r.body)
    assert (echo["method"], echo["target"], echo["body"]) == ("POST", "/echo?a=b", "some words")
    assert blog.starts == 1


def test_a_request_to_a_running_service_goes_straight_through(site):
    blog = site.app()
    gw = site.gateway(blog)
    gw.curl("blog")
    mark = gw.mark()

    for _ in range(20):
        r = gw.curl("blog")
        assert (r.status, r.text) == (200, "hello from blog\n")

    assert blog.starts == 1
    assert not gw.find_log("→", since=mark), "a warm request changes no state"


@pytest.mark.parametrize("kind", ["exec", "commands"])
def test_a_service_that_nobody_uses_is_stopped_and_starts_again_on_the_next_request(site, kind):
    blog = site.app(kind=kind, idleTimeout="300ms")
    gw = site.gateway(blog)
    gw.curl("blog")

    gw.wait_state("blog", "stopping")
    gw.wait_state("blog", "offline")
    blog.wait_gone()
    assert blog.events("terminated"), "it was asked to end before it was made to"

    assert gw.curl("blog").text == "hello from blog\n"
    assert blog.starts == 2


def test_an_unknown_host_is_404_and_starts_nothing(site):
    blog = site.app()
    gw = site.gateway(blog)

    for host in ("nobody.localhost", "blog.localhost.example.com", "localhost.", "xblog.localhost"):
        assert gw.curl(host).status == 404, host

    assert blog.starts == 0


def test_three_services_asked_for_at_once_start_side_by_side(site):
    apps = [site.app(name=name, env={"START_DELAY": 0.7}) for name in ("one", "two", "three")]
    gw = site.gateway(*apps)
    replies = {}
    began = time.monotonic()

    threads = [threading.Thread(target=lambda name=a.name: replies.update({name: gw.curl(name)})) for a in apps]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    for a in apps:
        assert (replies[a.name].status, replies[a.name].text) == (200, f"hello from {a.name}\n")
        assert a.starts == 1
    assert time.monotonic() - began < 3 * 0.7, "one after the other"


def test_a_tcp_health_check_waits_until_the_service_listens(site):
    blog = site.app(env={"START_DELAY": 0.5}, healthCheck={"type": "tcp"})
    gw = site.gateway(blog)

    r = gw.curl("blog")

    assert r.status == 200
    assert 0.5 <= r.seconds < 2
    assert blog.requests == ["GET /"], "the check sends no request"


def test_an_http_health_check_waits_for_the_expected_status(site):
    blog = site.app(env={"WARMUP": 0.5})
    blog.config["healthCheck"] = {"type": "http", "url": f"http://127.0.0.1:{blog.port}/health",
                                  "expectedStatus": 200}
    gw = site.gateway(blog)

    r = gw.curl("blog")

    assert (r.status, r.text) == (200, "hello from blog\n")
    assert r.seconds >= 0.4
    assert blog.requests.count("GET /") == 1
    assert blog.requests.count("GET /health") > 3, "it asks often"
    assert blog.requests.count("GET /health") < 500, "but does not hammer"
    assert blog.requests.index("GET /") == len(blog.requests) - 1, "no check after the service was ready"


def test_an_http_health_check_does_not_follow_a_redirect(site):
    blog = site.app(env={"MOVED": 1}, startTimeout="1s")
    blog.config["healthCheck"] = {"type": "http", "url": f"http://127.0.0.1:{blog.port}/health",
                                  "expectedStatus": 200}
    gw = site.gateway(blog)

    r = gw.curl("blog")

    assert r.status == 503
    assert "301" in r.text
    assert set(blog.requests) == {"GET /health"}


def test_a_command_health_check_decides(site):
    blog = site.app()
    ready = blog.folder / "ready"
    blog.config["healthCheck"] = {"type": "command", "command": f"test -e {ready}"}
    gw = site.gateway(blog)

    with gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n") as c:
        wait_for(lambda: blog.events("listening"), "the service listens")
        assert c.silent(0.3), "not before the command says so"
        ready.touch()
        assert c.reply().text == "hello from blog\n"


def test_paths_and_query_strings_reach_the_service(site):
    echo = site.app("echo.py", name="echo")
    gw = site.gateway(echo)

    for target in ("/", "/a/b/c", "/search?q=x&y=%20z&y=2", "/?only=query", "/a.b~c;d=e,f@g:h!$&'()*+",
                   "/%E4%BD%A0?%F0%9F%98%80", "/trailing/"):
        assert json.loads(gw.curl("echo", target, "-g").body)["target"] == target


def test_every_request_sets_the_idle_clock_back(site):
    blog = site.app(idleTimeout="600ms")
    gw = site.gateway(blog)
    gw.curl("blog")
    until = time.monotonic() + 2

    while time.monotonic() < until:
        assert gw.curl("blog").status == 200
        with gw.raw() as quiet:
            assert quiet.silent(0.1)
    assert blog.starts == 1
    assert gw.count_transitions("blog", "stopping") == 0

    gw.wait_state("blog", "offline")


def test_a_post_body_reaches_a_service_that_had_to_be_started(site):
    echo = site.app("echo.py", name="echo", env={"START_DELAY": 0.3})
    gw = site.gateway(echo)

    for body in ("title=Hello&text=World", "ünïcödé", "x" * 60000):
        answer = json.loads(gw.curl("echo", "/submit", "--data-raw", body).body)
        assert answer["method"] == "POST"
        assert answer["body"].encode("latin-1").decode() == body
    assert echo.starts == 1
