# SPDX-License-Identifier: ISC
"""The admin API as its clients use it, and as those try it who should not."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import threading
import urllib.parse
import urllib.request

import jsonschema
import pytest

from harness import Raw, free_port, wait_for

TOKEN, READ_TOKEN = "a-token.for~everything/0123456789==", "a-token.for~looking/0123456789"
API = "/_dynapm/api/"
# What DynaPM tells of a service, and what a client that knows it counts on.
DYNAPM_FIELDS = {
    "name": str, "base": str, "status": str, "uptime": int, "lastAccessTime": int, "activeConnections": int,
    "idleTimeout": int, "startTimeout": int, "proxyOnly": bool, "pid": (int, type(None)), "healthCheck": dict,
    "startCount": int, "totalUptime": int,
}


class Admin:
    """A client of the API at an address of its own."""

    def __init__(self, address, token=None, host="localhost"):
        self.address, self.token, self.host = address, token, host

    def head(self, method, path, fields=(), token=None, host=None):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or self.host}"]
        token = self.token if token is None else token
        if token:
            lines.append(f"Authorization: Bearer {token}")
        return "\r\n".join([*lines, *fields]) + "\r\n\r\n"

    def ask(self, path, method="GET", body=None, fields=(), connection=None, timeout=20, **kwargs):
        if body is not None:
            fields = [*fields, f"Content-Length: {len(body)}"]
        with contextlib.ExitStack() as stack:
            c = connection or stack.enter_context(Raw(self.address, timeout=timeout))
            c.send(self.head(method, path, fields, **kwargs) + (body or ""))
            return c.reply(method)

    def get(self, path, **kwargs):
        r = self.ask(API + path, **kwargs)
        assert r.status == 200, r
        return json.loads(r.body)

    def post(self, path, **kwargs):
        return self.ask(API + path, "POST", **kwargs)

    def service(self, name):
        return self.get(f"services/{name}")

    def events(self, **kwargs):
        return Events(self, **kwargs)


class Events:
    """The stream, read by whoever asks for the next event."""

    def __init__(self, admin, receive_buffer=None, version="HTTP/1.1"):
        self.connection = Raw(admin.address, timeout=20, receive_buffer=receive_buffer)
        self.connection.send(admin.head("GET", API + "events").replace("HTTP/1.1", version, 1))
        _, self.status, _, self.fields = self.connection.read_head()
        self.chunked = version == "HTTP/1.1"
        self.text = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def _more(self):
        c = self.connection
        if not self.chunked:
            if not c.buffer and not c._fill():
                raise EOFError
            self.text += c.buffer
            c.buffer = b""
            return
        size = int(c.read_until(b"\r\n"), 16)
        self.text += c.read_exactly(size)
        assert c.read_exactly(2) == b"\r\n"
        if size == 0:
            raise EOFError

    def next_block(self):
        while b"\n\n" not in self.text:
            self._more()
        block, self.text = self.text.split(b"\n\n", 1)
        return block.decode()

    def next(self, kind=None):
        """The next event, or the next of that kind."""
        while True:
            data = [line[6:] for line in self.next_block().split("\n") if line.startswith("data: ")]
            if data:
                event = json.loads("\n".join(data))
                if kind is None or event["type"] == kind:
                    return event

    def read_to_end(self):
        with pytest.raises(EOFError):
            while True:
                self.next_block()


@pytest.fixture
def make(site):
    """A gateway whose API has an address of its own; its client has the token for everything."""
    def make(*services, token=TOKEN, config=None, host="localhost", **kwargs):
        port = free_port()
        admin = {"enabled": True, "port": port, **({"authToken": token, "readOnlyToken": READ_TOKEN} if token else {})}
        other = config or {}
        gw = site.gateway(*services, config={**other, "adminApi": {**admin, **other.get("adminApi", {})}}, **kwargs)
        return gw, Admin(("127.0.0.1", port), token, host)
    return make


def error_of(reply):
    """Errors are JSON, whatever the client accepts."""
    assert reply.get("Content-Type") == "application/json", reply
    body = json.loads(reply.body)
    assert list(body) == ["error"] and body["error"]
    return body["error"]


def still(service):
    """Without what goes on by itself."""
    return {k: v for k, v in service.items() if k not in ("uptime", "totalUptime", "memoryCurrent", "cpuUsage")}


def refused(reply, status):
    assert reply.status == status, reply
    return error_of(reply)


# ── what it tells and does ──


def test_services_are_told_with_the_fields_of_dynapm_and_ours(site, make):
    blog, nas = site.app(idleTimeout="1h"), site.app(name="nas", kind="proxyOnly")
    gw, admin = make(blog, nas)
    services = admin.get("services")["services"]
    assert [s["name"] for s in services] == ["blog", "nas"]
    for s in services:
        assert {k: v for k, v in DYNAPM_FIELDS.items() if not isinstance(s[k], v)} == {}
        assert still(s) == still(admin.service(s["name"]))
    off = services[0]
    assert (off["status"], off["state"], off["pid"], off["startCount"]) == ("offline", "offline", None, 0)
    assert off["base"] == f"http://127.0.0.1:{blog.port}"
    assert (off["idleTimeout"], off["startTimeout"], off["proxyOnly"]) == (3600000, 30000, False)
    assert off["healthCheck"] == {"type": "tcp", "url": off["base"], "timeout": 5000}
    assert off["routes"] == [{"route": blog.host, "target": off["base"]}]
    assert services[1]["proxyOnly"] and services[1]["status"] == "online"

    assert gw.curl("blog").status == 200
    on = admin.service("blog")
    assert (on["status"], on["pid"], on["startCount"], on["requests"]) == ("online", blog.pid, 1, 1)
    assert on["lastWakeReason"].startswith("GET blog.localhost")
    assert 0 <= on["uptime"] < 3600000 and on["lastAccessTime"] > off["since"]
    assert on["idleDeadline"] - on["lastAccessTime"] == pytest.approx(3600000, abs=2000)


def test_a_service_is_started_stopped_and_restarted_as_by_a_client_of_dynapm(site, make):
    blog = site.app(idleTimeout="1h")
    gw, admin = make(blog)
    r = admin.post("services/blog/start")
    assert r.status == 200 and json.loads(r.body)["success"] is True
    assert blog.running and admin.service("blog")["status"] == "online"
    assert "already" in refused(admin.post("services/blog/start"), 400)
    first = blog.pid
    assert admin.post("services/blog/restart").status == 200
    assert blog.pid != first and blog.running
    assert admin.post("services/blog/stop").status == 200
    assert not blog.running and admin.service("blog")["status"] == "offline"
    assert "already" in refused(admin.post("services/blog/stop"), 400)
    gw.wait_log(r"blog: offline → starting \(start by hand: admin API, 127\.0\.0\.1\)")


def test_a_start_that_fails_says_why(site, make):
    gw, admin = make(site.app(), files={
        "bad.json": {"host": "bad.localhost", "base": "http://127.0.0.1:1", "exec": ["/nonexistent/nod"]}})
    assert "cannot execute /nonexistent/nod" in refused(admin.post("services/bad/start"), 503)
    bad = admin.service("bad")
    assert (bad["state"], bad["status"]) == ("failed", "offline")  # a state that DynaPM does not have
    assert "cannot execute" in bad["failure"] and bad["retryAt"] > bad["since"]


def test_what_cannot_be_done_is_refused(site, make):
    gw, admin = make(site.app(), site.app(name="nas", kind="proxyOnly"))
    for verb in ("start", "stop", "restart"):
        assert "proxied only" in refused(admin.post(f"services/nas/{verb}"), 400)
        refused(admin.post(f"services/none/{verb}"), 404)
    for path in ("services/none", "services/", "services/blog/", "services/blog/kill", "service", "", "services/..", "x" * 3000):
        refused(admin.ask(API + path), 404)
    for path in ("/_dynapm/none.js", "/_dynapm/../etc/passwd", "/x", "/metrics/x"):
        refused(admin.ask(path), 404)
    for method, path, allow in (("POST", "services", "GET, HEAD"), ("GET", "services/blog/start", "POST"),
                                ("DELETE", "services/blog", "GET, HEAD"), ("OPTIONS", "services", "GET, HEAD"),
                                ("PUT", "events", "GET")):
        r = admin.ask(API + path, method)
        refused(r, 405)
        assert r.get("Allow") == allow


def test_a_connection_is_kept_and_bodies_are_drained_or_refused(site, make):
    blog = site.app(idleTimeout="1h")
    gw, admin = make(blog)
    with Raw(admin.address) as c:
        assert admin.ask(API + "services/blog/start", "POST", body="{}", connection=c).status == 200
        c.send(admin.head("POST", API + "services/blog/stop", ["Transfer-Encoding: chunked"]) + "3\r\nabc\r\n0\r\n\r\n")
        assert c.reply().status == 200
        r = admin.ask(API + "services", "HEAD", connection=c)
        assert (r.status, r.body) == (200, b"") and int(r.get("Content-Length")) > 100
        refused(admin.ask(API + "services/blog/start", "POST", body="x" * 70000, connection=c), 413)
        assert c.closed()
    with Raw(admin.address) as c:
        c.send(admin.head("POST", API + "services/blog/start", ["Transfer-Encoding: chunked"]))
        with contextlib.suppress(OSError):
            for _ in range(20):
                c.send(f"4000\r\n{'x' * 0x4000}\r\n")
        assert c.read_all()[:12] in (b"HTTP/1.1 413", b"")  # a reset may outrun it
    assert admin.service("blog")["status"] == "offline"  # what was not received whole was not done


def test_heads_are_audited_as_everywhere(site, make):
    gw, admin = make(site.app())
    for line in ("Content-Length: 5\r\nContent-Length: 6", "X : y", "X: a\r\n b", "Transfer-Encoding: x"):
        with Raw(admin.address) as c:
            c.send(admin.head("POST", API + "services/blog/start", [line]))
            assert c.reply().status in (400, 501)
            assert c.closed()


def test_the_page_is_there_for_whoever_gets_there(site, make):
    gw, admin = make(site.app())
    for path in ("/", "/_dynapm"):
        r = admin.ask(path, token="")
        assert (r.status, r.get("Location")) == (307, "/_dynapm/")
    for path, kind in (("/_dynapm/", "text/html; charset=utf-8"), ("/_dynapm/app.js", "text/javascript; charset=utf-8"),
                       ("/_dynapm/style.css", "text/css; charset=utf-8"), (API + "openapi.json", "application/json")):
        r = admin.ask(path, token="")
        assert (r.status, r.get("Content-Type")) == (200, kind)
        assert r.get("X-Content-Type-Options") == "nosniff" and r.get("Referrer-Policy") == "no-referrer"
        policy = r.get("Content-Security-Policy")
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        again = admin.ask(path, token="", fields=[f"If-None-Match: {r.get('ETag')}"])
        assert (again.status, again.body) == (304, b"")


# ── who may ──


def test_without_the_right_token_nothing_is_told_or_done(site, make):
    blog = site.app()
    gw, admin = make(blog)
    for token, path, method in [(t, p, m) for t in ("", "wrong", TOKEN[:-1], TOKEN + "=", "x" * 256, "x" * 300)
                                for p, m in (("services", "GET"), ("services/blog/start", "POST"), ("events", "GET"))]:
        r = admin.ask(API + path, method, token=token)
        refused(r, 401)
        assert r.get("WWW-Authenticate") == 'Bearer realm="dynapm"'
    for field in ("Basic YTpi", f"Bearer {TOKEN} {TOKEN}", f"Token {TOKEN}", "Bearer", "Bearer é"):
        refused(admin.ask(API + "services", token="", fields=[f"Authorization: {field}"]), 401)
    assert blog.starts == 0
    gw.wait_log(r"Admin API: a wrong token from 127\.0\.0\.1")
    assert TOKEN not in gw.log and "x" * 256 not in gw.log


def test_wrong_tokens_do_not_fill_the_log(site, make):
    gw, admin = make(site.app())
    with Raw(admin.address) as c:
        for _ in range(200):
            assert admin.ask(API + "services", token="wrong", connection=c).status == 401
    assert len(gw.find_log("Admin API: a wrong token")) < 50


def test_a_token_for_looking_changes_nothing(site, make):
    blog = site.app()
    gw, admin = make(blog)
    admin.token = READ_TOKEN
    assert admin.service("blog")["name"] == "blog"
    with admin.events() as events:
        assert events.next()["type"] == "connected"
    for verb in ("start", "stop", "restart"):
        assert "looking" in refused(admin.post(f"services/blog/{verb}"), 403)
    assert blog.starts == 0


def test_on_loopback_it_works_without_a_token_where_none_is_configured(site, make):
    blog = site.app(idleTimeout="1h")
    gw, admin = make(blog, token=None)
    assert admin.post("services/blog/start").status == 200
    assert admin.service("blog")["status"] == "online"


def test_tokens_come_from_files_and_one_that_cannot_be_read_lets_nobody_in(site, make):
    path = site.folder / "token"
    path.write_text("  a-token-of-a-file-0123456789\n")
    path.chmod(0o644)
    gw, admin = make(site.app(), token=None, config={"adminApi": {"tokenFile": str(path)}})
    assert admin.ask(API + "services").status == 401
    assert admin.ask(API + "services", token="a-token-of-a-file-0123456789").status == 200
    assert gw.find_log(f"{path} can be read by everybody")
    gone, admin = make(site.app(name="wiki"), token=None, config={"adminApi": {"tokenFile": str(path) + "s"}})
    assert gone.find_log("The admin API lets nobody in, its token cannot be had from file")
    for token in ("", "a-token-of-a-file-0123456789"):
        assert admin.ask(API + "services", token=token).status == 401
    assert gone.curl("wiki").status == 200
    path.chmod(0o600)
    for text in ("pass#word-of-a-file-0123456789\n", "a-token-of-a-file 0123456789\n", "\n"):
        path.write_text(text)
        bad, admin = make(site.app(name=f"bad{len(text)}"), token=None, config={"adminApi": {"tokenFile": str(path)}})
        bad.wait_log(f"lets nobody in, what file {path} holds is no token: expected one line of at most 256 letters")


def test_a_name_that_is_not_ours_leads_nobody_here(site, make):
    """DNS rebinding: a page of evil.test, whose name points to 127.0.0.1 by now."""
    blog = site.app()
    gw, admin = make(blog, token=None, config={"adminApi": {"hostname": "admin.test"}})
    for host in ("evil.test", "evil.test:80", "localhost.evil.test", "127.0.0.1.evil.test", "admin.test.evil.test"):
        for path, method in ((API + "services", "GET"), (API + "services/blog/start", "POST"), ("/_dynapm/", "GET"), ("/x", "GET")):
            refused(admin.ask(path, method, host=host), 403)
    for host in ("localhost", "localhost:1", "127.0.0.1", "[::1]:80", "192.0.2.1", "ADMIN.test", "admin.test.:8"):
        assert admin.ask(API + "services", host=host).status == 200
    assert blog.starts == 0


def test_a_page_of_somebody_else_changes_nothing(site, make):
    blog = site.app()
    gw, admin = make(blog, token=None)
    host = f"localhost:{admin.address[1]}"
    start = API + "services/blog/start"
    for fields in (["Origin: http://evil.test"], ["Origin: null"], ["Origin: http://localhost"], ["Sec-Fetch-Site: cross-site"],
                   ["Sec-Fetch-Site: same-site"], [f"Origin: http://{host}", "Sec-Fetch-Site: cross-site"]):
        refused(admin.ask(start, "POST", fields=fields, host=host), 403)
    assert blog.starts == 0
    # It could read nothing of these either, but it could keep others from them: there are few at a time.
    for path in ("events", "services/blog/logs"):
        for fields in (["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"], ["Origin: http://evil.test"]):
            refused(admin.ask(API + path, fields=fields, host=host), 403)
    assert admin.ask("/metrics", fields=["Sec-Fetch-Site: cross-site"], host=host).status == 200  # by a link
    assert admin.ask(start, "POST", fields=[f"Origin: http://{host}", "Sec-Fetch-Site: same-origin"], host=host).status == 200
    assert "Access-Control-Allow-Origin" not in [n for n, _ in admin.ask(API + "services").fields]


def test_addresses_are_allowed_by_where_they_are_and_not_by_what_they_say(site, make):
    gw, admin = make(site.app(), config={"adminApi": {"allowedIps": ["192.0.2.0/24"]}})
    for fields in ([], ["X-Forwarded-For: 192.0.2.1"], ["Forwarded: for=192.0.2.1"], ["X-Real-IP: 192.0.2.1"],
                   ["CF-Connecting-IP: 192.0.2.1"]):
        refused(admin.ask(API + "services", fields=fields), 403)
        refused(admin.ask("/_dynapm/", fields=fields), 403)
    gw, admin = make(site.app(name="wiki"), config={"adminApi": {"allowedIps": ["127.0.0.1"]}})
    assert admin.ask(API + "services", fields=["X-Forwarded-For: 192.0.2.1"]).status == 200


def test_a_trusted_proxy_says_who_asks(site, make):
    gw, admin = make(site.app(), config={"trustedProxies": ["127.0.0.1", "10.0.0.0/8"],
                                         "adminApi": {"allowedIps": ["192.0.2.0/24", "2001:db8::/32"]}})
    for value in ("192.0.2.1", "203.0.113.1, 192.0.2.1", "192.0.2.1, 10.1.1.1", "[2001:db8::1]:80", "192.0.2.9:1234", "2001:db8::2"):
        assert admin.ask(API + "services", fields=[f"X-Forwarded-For: {value}"]).status == 200, value
    assert admin.ask(API + "services", fields=["X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 192.0.2.1"]).status == 200
    for value in ("203.0.113.1", "192.0.2.1, 203.0.113.1", "192.0.2.1, unknown", "192.0.2.1,", "x" * 2000, ", " * 100):
        refused(admin.ask(API + "services", fields=[f"X-Forwarded-For: {value}"]), 403)
    refused(admin.ask(API + "services", fields=["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 203.0.113.1"]), 403)
    refused(admin.ask(API + "services", fields=["Forwarded: for=192.0.2.1"]), 403)
    refused(admin.ask(API + "services"), 403)  # the proxy itself is not allowed
    admin.ask(API + "services", token="wrong", fields=["X-Forwarded-For: 192.0.2.77"])
    gw.wait_log(r"a wrong token from 192\.0\.2\.77")


# ── where it is ──


def test_it_is_off_unless_it_is_enabled(site):
    blog = site.app(app="echo.py")
    for config in ({}, {"adminApi": {"enabled": False, "port": free_port()}}):
        gw = site.gateway(blog, config=config)
        r = gw.curl("blog", API + "services")
        assert r.status == 200 and API + "services" in r.text  # a path of services like any other
        port = config.get("adminApi", {}).get("port")
        if port:
            with pytest.raises(ConnectionRefusedError):
                Raw(("127.0.0.1", port))
        assert gw.curl("none.test", API + "services").status == 404
        gw.stop()


def test_paths_of_services_stay_theirs_where_it_has_an_address_of_its_own(site, make):
    gw, admin = make(site.app(app="echo.py"))
    assert API + "services" in gw.curl("blog", API + "services").text
    assert gw.curl("localhost", API + "services").status == 404


def test_it_may_be_a_host_of_the_shared_addresses(site):
    blog = site.app(app="echo.py", idleTimeout="1h")
    gw = site.gateway(blog, config={"adminApi": {"enabled": True, "hostname": "admin.test", "authToken": TOKEN}})
    admin = Admin(gw.address, TOKEN, "admin.test")
    assert [s["name"] for s in admin.get("services")["services"]] == ["blog"]
    assert admin.ask(API + "services", token="").status == 401
    assert admin.ask(API + "services", host="Admin.Test.:123").status == 200
    assert admin.ask(API + "services", host="localhost").status == 404
    assert API + "services" in gw.curl("blog", API + "services").text
    assert admin.service("blog")["requests"] == 1  # its own requests are no service's


@pytest.mark.standalone_only("where sockets of the test's own may be is for the sandbox to say")
def test_it_may_be_a_unix_socket_for_those_whom_its_mode_lets_in(site):
    path = site.folder / "admin.sock"
    gw = site.gateway(site.app(idleTimeout="1h"), config={"adminApi": {"enabled": True, "listen": f"unix:{path}"}})
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    admin = Admin(str(path), host="whatever")
    assert admin.post("services/blog/start").status == 200
    assert admin.service("blog")["state"] == "online"
    refused(admin.post("services/blog/stop", fields=["Origin: http://evil.test"]), 403)


@pytest.mark.standalone_only("where sockets of the test's own may be is for the sandbox to say")
def test_behind_a_shared_unix_socket_is_anybody(site):
    """Its mode lets in the proxy in front, and with it all clients of that: none of them has an address that is
    allowed. With the PROXY protocol they have one."""
    path = site.folder / "shared.sock"
    admin = {"enabled": True, "hostname": "admin.test", "allowedIps": ["192.0.2.0/24"]}
    gw = site.gateway(site.app(), config={"adminApi": admin}, listen=[f"unix:{path}"])
    client = Admin(str(path), host="admin.test")
    for fields in ([], ["X-Forwarded-For: 192.0.2.1"]):
        assert "not for this address" in refused(client.ask(API + "services", fields=fields), 403)
    gw.stop()
    path = site.folder / "proxied.sock"
    site.gateway(site.app(name="wiki"), listen=[f"unix:{path}"], config={"acceptProxyProtocol": True, "adminApi": admin})
    for line, status in (("PROXY TCP4 192.0.2.1 127.0.0.1 1 2", 200), ("PROXY TCP4 203.0.113.1 127.0.0.1 1 2", 403),
                         ("PROXY TCP6 :: ::1 1 2", 403), ("PROXY UNKNOWN", 403)):
        with Raw(str(path)) as c:
            c.send(line + "\r\n" + Admin(None, host="admin.test").head("GET", API + "services"))
            assert c.reply().status == status, line


@pytest.mark.parametrize("workers", [2])
def test_every_worker_serves_it(site, make, workers):
    gw, admin = make(site.app(idleTimeout="1h"), workers=workers)
    with admin.events() as a, admin.events() as b, admin.events() as c:
        streams = (a, b, c)
        for events in streams:
            assert events.next("services")
        assert admin.post("services/blog/start").status == 200
        for events in streams:
            while events.next("state")["service"]["state"] != "online":
                pass
    for _ in range(20):
        assert admin.service("blog")["status"] == "online"


# ── events ──


def test_events_tell_what_happens_while_it_happens(site, make):
    blog, nas = site.app(idleTimeout="1h"), site.app(name="nas", kind="proxyOnly")
    gw, admin = make(blog, nas)
    with admin.events() as events:
        fields = dict(events.fields)
        assert events.status == 200 and fields["Content-Type"] == "text/event-stream"
        assert "no-cache" in fields["Cache-Control"] and fields["X-Accel-Buffering"] == "no"
        block = events.next_block()
        assert block.startswith("event: connected\ndata: {")  # as DynaPM's clients await it
        connected = json.loads(block.split("data: ", 1)[1])
        assert connected["type"] == "connected" and connected["version"] and connected["timestamp"] > 1.6e12
        snapshot = events.next()
        assert snapshot["type"] == "services" and [still(s) for s in snapshot["services"]] == \
            [still(s) for s in admin.get("services")["services"]]

        assert gw.curl("blog").status == 200
        seen = [events.next("state"), events.next("state")]
        assert [(e["before"], e["service"]["state"], e["service"]["status"]) for e in seen] == [
            ("offline", "starting", "starting"), ("starting", "online", "online")]
        assert set(seen[1]["service"]) == set(snapshot["services"][0])
        assert seen[1]["service"]["name"] == "blog" and seen[1]["service"]["stateReason"] == "ready"
        sample = events.next("sample")
        assert [s["name"] for s in sample["services"]] == ["blog"] and sample["time"] > 1.6e12  # nas has not changed
        while sample["services"][0]["requests"] < 1 or sample["services"][0]["activeConnections"] > 0:
            sample = events.next("sample")
        assert admin.post("services/blog/stop").status == 200
        assert [events.next("state")["service"]["state"] for _ in range(2)] == ["stopping", "offline"]


def test_an_idle_stop_is_told(site, make):
    gw, admin = make(site.app(idleTimeout="200ms"))
    with admin.events() as events:
        events.next("services")
        assert gw.curl("blog").status == 200
        states = []
        while states[-1:] != ["offline"]:
            states.append(events.next("state")["service"]["state"])
        assert states == ["starting", "online", "stopping", "offline"]


def test_a_listener_keeps_no_service_awake(site, make):
    gw, admin = make(site.app(idleTimeout="300ms"))
    with admin.events() as events:
        assert gw.curl("blog").status == 200
        gw.wait_state("blog", "offline")
        while events.next("state")["service"]["state"] != "offline":
            pass


def test_a_stream_for_http_1_0_ends_with_its_connection(site, make):
    gw, admin = make(site.app())
    with admin.events(version="HTTP/1.0") as events:
        assert events.next()["type"] == "connected"
        assert events.next()["type"] == "services"


def test_the_stream_ends_in_order_when_the_manager_dies_and_comes_back_with_the_next(site, make):
    blog = site.app(idleTimeout="1h")
    gw, admin = make(blog)
    with admin.events() as events:
        events.next("services")
        pid = gw.manager_pid()
        os.kill(pid, signal.SIGKILL)
        events.read_to_end()  # the last chunk was sent
    wait_for(lambda: admin.ask(API + "services").status == 200, "the next manager")
    with admin.events() as events:
        events.next("services")
        assert gw.curl("blog").status == 200
        assert events.next("state")["service"]["name"] == "blog"


def test_it_says_so_when_the_manager_is_away(site, make):
    gw, admin = make(site.app())
    pid = gw.manager_pid()
    os.kill(pid, signal.SIGSTOP)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(admin.ask(API + "services"))) for _ in range(5)]
    for t in threads:
        t.start()
    os.kill(pid, signal.SIGKILL)
    for t in threads:
        t.join(20)
    assert len(answers) == 5
    for r in answers:
        assert r.status in (200, 503)  # before, or after the next one came
        if r.status == 503:
            assert "manager" in error_of(r) and r.get("Retry-After")
    wait_for(lambda: admin.ask(API + "services").status == 200, "the next manager")


def test_a_shutdown_ends_streams_at_once(site, make):
    gw, admin = make(site.app())
    with admin.events() as events:
        events.next("services")
        assert gw.stop(timeout=5) == 0
        events.read_to_end()


@pytest.mark.standalone_only("a unix socket, as its buffers do not grow")
def test_a_slow_reader_gets_a_new_snapshot_instead_of_a_queue(site):
    services = {f"s{i:03d}.json": {"host": f"s{i}.test", "base": "http://127.0.0.1:1", "proxyOnly": True} for i in range(400)}
    blog = site.app(idleTimeout="1h")
    path = site.folder / "admin.sock"
    gw = site.gateway(blog, files=services, config={"adminApi": {"enabled": True, "listen": f"unix:{path}"}})
    admin = Admin(str(path))
    with admin.events() as slow:
        for _ in range(60):
            assert admin.post("services/blog/restart").status == 200
        # 60 restarts are 180 changes of state, of which its queue has room for 64.
        kinds, last = [], {"startCount": 0}
        while last["startCount"] < 60 or last["state"] != "online":
            event = slow.next()
            kinds.append(event["type"])
            assert len(kinds) < 400
            if event["type"] == "services":
                last = next(s for s in event["services"] if s["name"] == "blog")
            elif event["type"] == "state":
                last = event["service"]
        assert kinds[:2] == ["connected", "services"]
        assert kinds.count("services") >= 2 and kinds.count("state") < 180


def test_so_many_may_listen_and_no_more(site, make):
    gw, admin = make(site.app())
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            assert stack.enter_context(admin.events()).next("connected")
        refused(admin.ask(API + "events"), 503)
    wait_for(lambda: admin.ask(API + "services").status == 200, "the rest works")

    def free():
        with admin.events() as events:
            return events.status == 200
    wait_for(free, "room for a listener")


def test_a_thousand_services(site, make):
    files = {f"s{i:04d}.json": {"host": f"s{i}.test", "base": "http://127.0.0.1:1", "proxyOnly": True} for i in range(999)}
    gw, admin = make(site.app(idleTimeout="1h"), files=files)
    assert len(admin.get("services")["services"]) == 1000
    with admin.events() as events:
        assert len(events.next("services")["services"]) == 1000
        assert gw.curl("blog").status == 200
        assert events.next("state")["service"]["name"] == "blog"
        assert [s["name"] for s in events.next("sample")["services"]] == ["blog"]
    # As many at once as like to: the manager is asked one question at a time, and cuts nobody off.
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(len(admin.get("services", timeout=60)["services"])))
               for _ in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == [1000] * 50
    assert not gw.find_log("does not read its answers")


def test_who_leaves_before_the_answer_harms_nobody(site, make):
    gw, admin = make(site.app(app="hello.py", env={"START_DELAY": "0.3"}, idleTimeout="1h"))
    for _ in range(30):
        with Raw(admin.address) as c:
            c.send(admin.head("GET", API + "services"))
        with Raw(admin.address) as c:
            c.send(admin.head("GET", API + "events"))
    with Raw(admin.address) as c:
        c.send(admin.head("POST", API + "services/blog/start"))
        gw.wait_state("blog", "starting")
    gw.wait_state("blog", "online")
    assert admin.service("blog")["status"] == "online"
    assert socket.create_connection(admin.address).close() is None


def test_prometheus_scrapes_it_in_the_format_that_it_asks_for(site, make):
    gw, admin = make(site.app(idleTimeout="1h"))
    assert gw.curl("blog").status == 200
    refused(admin.ask("/metrics", token="wrong"), 401)
    for accept, kind in (("", "text/plain; version=0.0.4; charset=utf-8"),
                         ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5",
                          "application/openmetrics-text; version=1.0.0; charset=utf-8")):
        r = admin.ask("/metrics", fields=[f"Accept: {accept}"], token=READ_TOKEN)
        assert (r.status, r.get("Content-Type")) == (200, kind)
        assert r.complete and "# TYPE dynapm_" in r.text and "blog" in r.text
        assert r.text.endswith("# EOF\n") == kind.startswith("application")


@pytest.fixture
def prometheus(tmp_path):
    """Prometheus itself, which scrapes an address with a token; asks it for the value of an expression."""
    with contextlib.ExitStack() as stack:
        def scrape(address, token):
            port = free_port()
            config = {"scrape_configs": [{
                "job_name": "dynapm", "scrape_interval": "1s", "scrape_timeout": "1s",
                "authorization": {"credentials": token},
                "static_configs": [{"targets": ["%s:%d" % address]}]}]}
            (tmp_path / "prometheus.yml").write_text(json.dumps(config))
            log = stack.enter_context(open(tmp_path / "log", "wb"))
            p = subprocess.Popen(
                ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
                 f"--web.listen-address=127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=tmp_path)
            stack.callback(p.wait)
            stack.callback(p.kill)

            def query(expression):
                url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
                try:
                    with urllib.request.urlopen(url, timeout=20) as reply:
                        found = json.load(reply)["data"]["result"]
                except OSError:  # it has not begun yet
                    assert p.poll() is None, (tmp_path / "log").read_text()
                    return None
                return float(found[0]["value"][1]) if len(found) == 1 else None
            return query
        yield scrape


def test_a_real_prometheus_scrapes_it_with_the_token_for_looking(site, make, prometheus):
    gw, admin = make(site.app(idleTimeout="1h"))
    query = prometheus(admin.address, READ_TOKEN)
    wait_for(lambda: query('up{job="dynapm"}') == 1, "it has scraped", 60)
    requests = 'dynapm_service_requests_total{service="blog",code="2xx"}'
    for _ in range(3):
        assert gw.curl("blog").status == 200
    wait_for(lambda: query(requests) == 3, "it knows of the requests", 60)
    wait_for(lambda: query('dynapm_service_state{service="blog",state="online"}') == 1, "and of the start", 60)
    wait_for(lambda: (query('dynapm_service_memory_bytes{service="blog"}') or 0) > 1 << 20, "and of the memory", 60)
    wait_for(lambda: query("count(dynapm_gateway_memory_bytes)") == 1, "and of the worker", 60)


# ── another configuration ──


def test_a_reload_is_told_with_what_it_changed(site, make):
    gw, admin = make(site.app(idleTimeout="1h"))
    with admin.events() as events:
        events.next("services")
        gw.write("wiki.json", {"host": "wiki.localhost", "base": "http://127.0.0.1:1", "proxyOnly": True})
        r = admin.post("reload")
        assert r.status == 200, r
        assert json.loads(r.body) == {"success": True, "message": "The configuration is used as it is now.",
                                      "services": 2, "problems": []}
        assert events.next("new")["name"] == "wiki"
        assert events.next("reloaded")["problems"] == 0
        assert [s["name"] for s in events.next("services")["services"]] == ["blog", "wiki"]

        (gw.config_dir / "wiki.json").write_text('{"host": 5}')
        told = json.loads(admin.post("reload").body)
        assert told["success"] is False and told["services"] == 2
        assert ("host", 1) in [(p["path"], p["line"]) for p in told["problems"]]
        assert events.next("reloaded")["problems"] == len(told["problems"])

        (gw.config_dir / "wiki.json").unlink()
        assert json.loads(admin.post("reload").body)["success"]
        assert events.next("removed")["name"] == "wiki"
    assert [s["name"] for s in admin.get("services")["services"]] == ["blog"]


def test_another_token_ends_what_listens_with_the_old_one(site, make):
    path = site.folder / "token"
    path.write_text("token-number-one-0123456789")
    gw, admin = make(site.app(), token=None, config={"adminApi": {"tokenFile": str(path)}})
    admin.token = "token-number-one-0123456789"
    with admin.events() as events:
        events.next("services")
        assert admin.post("reload").status == 200
        events.next("reloaded")
        events.next("services")  # nothing is another: it goes on
        path.write_text("token-number-two-0123456789")
        assert admin.post("reload").status == 200
        events.read_to_end()
    assert admin.ask(API + "services").status == 401
    admin.token = "token-number-two-0123456789"
    assert admin.ask(API + "services").status == 200


def test_it_comes_goes_and_moves_with_a_reload(site):
    port, other = free_port(), free_port()
    gw = site.gateway(site.app(), config={})
    path = gw.folder / "dynapm.json"

    def reload(config):
        path.write_text(json.dumps(config))
        since = gw.mark()
        os.kill(gw.manager_pid(), signal.SIGHUP)
        gw.wait_log("Using the new configuration", since)

    def answers(p):
        try:
            return Admin(("127.0.0.1", p)).ask(API + "services").status
        except OSError:
            return None

    assert answers(port) is None
    reload({"adminApi": {"enabled": True, "port": port}})
    assert answers(port) == 200
    with Admin(("127.0.0.1", port)).events() as events:
        events.next("services")
        reload({"adminApi": {"enabled": True, "port": other}})
        assert (answers(port), answers(other)) == (None, 200)
        events.read_to_end()
    reload({"adminApi": {"enabled": True, "port": other, "allowedIps": ["192.0.2.1"]}})
    assert answers(other) == 403
    reload({})
    assert answers(other) is None


# ── its description ──


def schema_of(document, schema):
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


def resolved(document, x):
    return document["components"]["responses"][x["$ref"].rsplit("/", 1)[1]] if "$ref" in x else x


def test_the_description_is_what_is_answered(site, make):
    gw, admin = make(site.app(idleTimeout="1h"), site.app(name="nas", kind="proxyOnly"), files={
        "bad.json": {"host": "bad.localhost", "base": "http://127.0.0.1:1", "exec": ["/nonexistent/nod"]}})
    document = json.loads(admin.ask(API + "openapi.json", token="").body)
    assert document["openapi"].startswith("3.1")
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
    seen = set()

    def ask(path, method="get", expected=200, **kwargs):
        operation = document["paths"][path][method]
        r = admin.ask(path.format(name=kwargs.pop("name", "blog")), method.upper(), **kwargs)
        assert r.status == expected, r
        response = resolved(document, operation["responses"][str(r.status)])
        if r.status != 304:
            content = response["content"][r.get("Content-Type")]
            schema_of(document, content["schema"]).validate(json.loads(r.body))
        seen.add((operation["operationId"], str(r.status)))

    services, one, reload = "/_dynapm/api/services", "/_dynapm/api/services/{name}", "/_dynapm/api/reload"
    verbs = [one + "/start", one + "/restart", one + "/stop"]
    for path in verbs:
        ask(path, "post")
        ask(path, "post", 404, name="none")
        ask(path, "post", 400, name="nas")
        ask(path, "post", 413, body="x" * 70000)
        ask(path, "post", 401, token="wrong")
        ask(path, "post", 403, token=READ_TOKEN)
    ask(verbs[0], "post", 503, name="bad")
    ask(reload, "post")
    ask(reload, "post", 413, body="x" * 70000)
    ask(reload, "post", 401, token="wrong")
    ask(reload, "post", 403, token=READ_TOKEN)
    ask(one, expected=404, name="none")
    logs = one + "/logs"
    for expected, more in ((501, {}), (404, {"name": "none"}), (401, {"token": "wrong"}), (403, {"token": READ_TOKEN})):
        ask(logs, expected=expected, **more)
    refused(admin.ask(API + "services/blog/logs?lines=0"), 400)
    for path in (services, one):
        ask(path)
        ask(path, expected=401, token="wrong")
        ask(path, expected=403, host="evil.test")
    ask(services[:-8] + "openapi.json")
    assert admin.ask("/_dynapm/api/events", token="wrong").status == 401
    documented = {(o["operationId"], s) for p in document["paths"].values() for m, o in p.items() if m in ("get", "post")
                  for s in o["responses"]}
    left = {x for x in documented - seen if x[1] != "503" and x[0] not in ("listen", "describe", "readLogs", "scrape")}
    assert left == set()


def test_the_description_is_what_events_are(site, make):
    gw, admin = make(site.app(idleTimeout="300ms"))
    document = json.loads(admin.ask(API + "openapi.json").body)
    validator = schema_of(document, {"$ref": "#/components/schemas/Event"})
    kinds = set()
    with admin.events() as events:
        while kinds != {"connected", "services", "state", "sample"}:
            event = events.next()
            validator.validate(event)
            kinds.add(event["type"])
            if event["type"] == "services":
                assert gw.curl("blog").status == 200


def test_every_field_is_described(site, make):
    gw, admin = make(site.app())
    document = json.loads(admin.ask(API + "openapi.json").body)
    assert set(admin.service("blog")) == set(document["components"]["schemas"]["Service"]["properties"])
