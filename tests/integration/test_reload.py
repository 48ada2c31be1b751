# SPDX-License-Identifier: ISC
"""The configuration is read anew while everything runs: what is new is there, what is unchanged notices nothing, what
is open goes on, and what is wrong stays as it was."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from harness import Raw, process, wait_for
from harness.gateway import BUILD, SANITIZER_REPORT
from harness.load import Load
from harness.machine import MANAGER

CTL = BUILD / "dynapmctl"

pytestmark = pytest.mark.standalone_only("the installed one has tests of its own in tests/bed")


def ctl(gw, *args):
    p = subprocess.run([str(CTL), f"--runtime-dir={gw.runtime_dir}", *args], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=60)
    assert not SANITIZER_REPORT.search(p.stderr), p.stderr
    return p


def reload(gw):
    p = ctl(gw, "reload")
    assert (p.returncode, p.stdout, p.stderr) == (0, "", ""), p


def write(gw, *services):
    for s in services:
        gw.write(s.name + ".json", s.config)


def remove(gw, service):
    (gw.config_dir / f"{service.name}.json").unlink()


def state(gw, name):
    found = [s for s in json.loads(ctl(gw, "list", "--json").stdout) if s["name"] == name]
    return found[0]["state"] if found else None


def begin(gw, host, path="/", **kwargs):
    """A request that is not answered yet."""
    return gw.raw(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n", **kwargs)


# ── what changes ──

@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_new_is_there_when_the_reload_returns(site, workers):
    blog, wiki = site.app(), site.app(name="wiki")
    gw = site.gateway(blog, workers=workers)
    assert gw.curl("blog").text == "hello from blog\n"
    for n in range(20):
        wiki.config["host"] = f"wiki{n}.localhost"
        write(gw, wiki)
        reload(gw)
        for _ in range(4):  # whichever worker it is
            assert gw.curl(f"wiki{n}").text == "hello from wiki\n"
            assert n == 0 or gw.curl(f"wiki{n - 1}").status == 404
    assert gw.curl("blog").text == "hello from blog\n"
    assert (blog.starts, wiki.starts) == (1, 1)  # neither was disturbed


def test_who_waits_hears_of_what_cannot_be_told(site):
    """D-Bus strings are UTF-8; what a folder is called need not be."""
    folder = os.fsencode(site.folder) + b"/\xff"
    os.mkdir(folder)
    with open(folder + b"/bad.json", "w") as f:
        f.write("{ no JSON")
    gw = site.gateway(site.app(), args=["--config-dir=" + os.fsdecode(folder)])
    p = ctl(gw, "reload")
    assert p.returncode == 1 and "Cannot reload" in p.stderr
    assert gw.curl("blog").status == 200


def test_the_first_service_may_come_with_a_reload(site):
    gw = site.gateway()
    assert gw.curl("blog").status == 404
    blog = site.app()
    write(gw, blog)
    reload(gw)
    assert gw.curl("blog").status == 200


def test_ports_are_opened_and_closed(site):
    ports = [process.free_port() for _ in range(3)]
    blog = site.app(host=None, port=f"127.0.0.1:{ports[0]}")
    gw = site.gateway(blog)
    for port, before in zip(ports, [None, *ports]):
        blog.config["port"] = f"127.0.0.1:{port}"
        write(gw, blog)
        reload(gw)
        with Raw(("127.0.0.1", port)) as c:
            c.send("GET / HTTP/1.1\r\nHost: whatever\r\n\r\n")
            assert c.reply().text == "hello from blog\n"
        if before:
            with pytest.raises(ConnectionRefusedError):
                Raw(("127.0.0.1", before))
    assert blog.starts == 1


def test_a_port_may_go_from_one_address_to_all_of_them(site):
    """The old socket is in the way of the new one until every gateway has closed it."""
    port = process.free_port()
    blog = site.app(host=None, port=f"127.0.0.1:{port}")
    gw = site.gateway(blog, workers=2)
    for listen in (port, f"127.0.0.1:{port}", port):
        blog.config["port"] = listen
        write(gw, blog)
        reload(gw)
        with Raw(("127.0.0.1", port)) as c:
            c.send("GET / HTTP/1.1\r\nHost: whatever\r\n\r\n")
            assert c.reply().status == 200
    assert not gw.find_log("Cannot listen")


def test_hundreds_of_ports_come_and_go(site):
    """More sockets than one message carries."""
    gw = site.gateway(soft_fd_limit=4096)
    ports = [process.free_port() for _ in range(450)]
    blog = site.app(host=None, routes=[{"type": "port", "value": f"127.0.0.1:{p}"} for p in ports])
    for n in (450, 201, 200, 450):
        blog.config["routes"] = blog.config["routes"][:n] if n < 450 else [
            {"type": "port", "value": f"127.0.0.1:{p}"} for p in ports]
        write(gw, blog)
        reload(gw)
        with Raw(("127.0.0.1", ports[n - 1])) as c:
            c.send("GET / HTTP/1.1\r\nHost: whatever\r\n\r\n")
            assert c.reply().status == 200
        if n < 450:
            with pytest.raises(ConnectionRefusedError):
                Raw(("127.0.0.1", ports[n]))


def test_two_services_exchange_hosts(site):
    blog, wiki = site.app(), site.app(name="wiki")
    gw = site.gateway(blog, wiki)
    blog.config["host"], wiki.config["host"] = wiki.host, blog.host
    with begin(gw, blog.host) as c:
        assert c.reply().text == "hello from blog\n"
        write(gw, blog, wiki)
        reload(gw)
        c.send(f"GET / HTTP/1.1\r\nHost: {blog.host}\r\n\r\n")  # on the same connection
        assert c.reply().text == "hello from wiki\n"
    assert gw.curl("wiki").text == "hello from blog\n"
    assert blog.starts == 1


def test_limits_and_trust_count_for_connections_that_come_then(site):
    echo = site.app("echo.py", name="echo")
    gw = site.gateway(echo, config={})
    settings = gw.folder / "dynapm.json"

    def forwarded():
        return gw.curl("echo", "/", "-H", "X-Forwarded-For: 192.0.2.7").text

    big = ("-H", "X-Big: " + "x" * 6000)
    assert "192.0.2.7" not in forwarded()
    assert gw.curl("echo", "/", *big).status == 200
    settings.write_text(json.dumps({"trustedProxies": ["127.0.0.0/8"], "limits": {"maxRequestHead": 4096}}))
    reload(gw)
    assert "192.0.2.7" in forwarded()
    assert gw.curl("echo", "/", *big).status == 431
    settings.write_text(json.dumps({"limits": {"keepAliveTimeout": "50ms"}}))
    reload(gw)
    with begin(gw, echo.host) as c:
        assert c.reply().status == 200
        assert c.closed()


def test_idle_timeouts_count_for_what_runs(site):
    blog = site.app(idleTimeout="never")
    gw = site.gateway(blog)
    gw.curl("blog")
    blog.config["idleTimeout"] = "50ms"
    write(gw, blog)
    reload(gw)
    blog.wait_gone()


# ── what runs ──

def test_what_runs_goes_on_and_the_next_start_is_the_new_one(site):
    blog = site.app(idleTimeout="never")
    gw = site.gateway(blog)
    gw.curl("blog")
    pid = blog.pid
    blog.config["env"] = {**blog.env, "NAME": "another"}
    write(gw, blog)
    reload(gw)
    assert gw.curl("blog").text == "hello from blog\n" and blog.pid == pid
    assert ctl(gw, "restart", "blog").returncode == 0
    assert gw.curl("blog").text == "hello from another\n"


def test_it_is_stopped_as_it_was_started(site):
    """Its start and stop commands are others now, and so is the port."""
    blog = site.app(kind="commands", idleTimeout="never")
    gw = site.gateway(blog)
    gw.curl("blog")
    other = site.app(name="other", kind="commands", idleTimeout="never")
    gw.write("blog.json", {**other.config, "host": blog.host})
    reload(gw)
    assert blog.running
    assert ctl(gw, "stop", "blog").returncode == 0
    blog.wait_gone()
    assert gw.curl("blog").text == "hello from other\n"


def test_one_that_does_not_listen_where_it_should_is_exchanged_for_the_next_request(site):
    blog, other = site.app(idleTimeout="never"), site.app(name="other", idleTimeout="never")
    gw = site.gateway(blog)
    gw.curl("blog")
    gw.write("blog.json", {**other.config, "host": blog.host})
    reload(gw)
    assert gw.curl("blog").text == "hello from other\n"
    blog.wait_gone()


def test_one_becomes_proxied_only_and_back(site):
    blog = site.app(idleTimeout="never")
    gw = site.gateway(blog)
    gw.curl("blog")
    exec_config = dict(blog.config)
    gw.write("blog.json", {"host": blog.host, "base": blog.config["base"], "proxyOnly": True})
    reload(gw)
    assert gw.curl("blog").status == 200 and blog.running
    assert ctl(gw, "stop", "blog").returncode == 0
    blog.wait_gone()
    assert gw.curl("blog").status == 502
    gw.write("blog.json", exec_config)
    reload(gw)
    assert gw.curl("blog").status == 200 and blog.starts == 2


# ── what goes ──

def test_a_removed_service_is_stopped_when_its_last_answer_is_through(site):
    echo = site.app("echo.py", name="echo", idleTimeout="never")
    gw = site.gateway(echo)
    with begin(gw, echo.host, "/wait/2") as c:
        wait_for(lambda: echo.requests, "the request has arrived")
        remove(gw, echo)
        reload(gw)
        assert gw.curl("echo").status == 404
        assert echo.running and state(gw, "echo") == "stopping"
        assert c.reply().status == 200
    echo.wait_gone()
    wait_for(lambda: state(gw, "echo") is None, "it is forgotten")


def test_a_tunnel_to_a_removed_service_lasts(site):
    raw = site.app("switch.py", name="raw", idleTimeout="never")
    gw = site.gateway(raw)
    with gw.raw(f"GET /echo HTTP/1.1\r\nHost: {raw.host}\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n") as c:
        assert b" 101 " in c.read_until(b"\r\n\r\n")
        remove(gw, raw)
        reload(gw)
        for n in range(3):
            c.send(f"still here {n}\n")
            assert c.read_exactly(len(f"still here {n}\n")) == f"still here {n}\n".encode()
        assert raw.running
    raw.wait_gone()


def test_one_that_comes_back_before_its_end_was_never_away(site):
    echo = site.app("echo.py", name="echo", idleTimeout="never")
    gw = site.gateway(echo)
    with begin(gw, echo.host, "/wait/1") as c:
        wait_for(lambda: echo.requests, "the request has arrived")
        remove(gw, echo)
        reload(gw)
        write(gw, echo)
        reload(gw)
        assert gw.curl("echo").status == 200
        assert c.reply().status == 200
    assert gw.curl("echo").status == 200
    assert echo.starts == 1


def test_who_waits_for_a_removed_service_is_told_in_order(site):
    slow = site.app(name="slow", env={"START_AFTER": site.folder / "never"})
    gw = site.gateway(slow)
    waiting = [begin(gw, slow.host) for _ in range(5)]
    wait_for(lambda: state(gw, "slow") == "starting", "it starts")
    remove(gw, slow)
    reload(gw)
    for c in waiting:
        assert c.reply().status == 404
        c.close()
    slow.wait_gone()


def test_who_waits_for_a_service_that_has_another_name_now_is_served_by_that(site):
    slow, fast = site.app(name="slow", env={"START_AFTER": site.folder / "never"}), site.app(name="fast")
    gw = site.gateway(slow)
    with begin(gw, slow.host) as c:
        wait_for(lambda: state(gw, "slow") == "starting", "it starts")
        remove(gw, slow)
        gw.write("fast.json", {**fast.config, "host": slow.host})
        reload(gw)
        assert c.reply().text == "hello from fast\n"


def test_who_waits_in_a_backlog_is_served(site):
    """The port is closed while a connection that the kernel has accepted waits for a worker that is busy."""
    port = process.free_port()
    blog = site.app(host=None, routes=[{"type": "port", "value": f"127.0.0.1:{port}"},
                                       {"type": "host", "value": "blog.localhost"}])
    gw = site.gateway(blog)
    gw.curl("blog")
    worker = gw.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    try:
        c = Raw(("127.0.0.1", port), timeout=30)
        c.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n")
        blog.config["routes"] = blog.config["routes"][1:]
        write(gw, blog)
        p = subprocess.Popen([str(CTL), f"--runtime-dir={gw.runtime_dir}", "reload"])
        gw.wait_log("Reloading the configuration")
        wait_for(lambda: gw.find_log("1 changed"), "it is read")
    finally:
        os.kill(worker, signal.SIGCONT)
    assert p.wait(60) == 0
    assert c.reply().status == 200
    c.close()
    with pytest.raises(ConnectionRefusedError):
        Raw(("127.0.0.1", port))


# ── what is wrong ──

def test_a_broken_file_keeps_its_service_and_is_reported_everywhere(site):
    blog, wiki = site.app(idleTimeout="never"), site.app(name="wiki")
    gw = site.gateway(blog, wiki)
    gw.curl("blog")
    gw.write("blog.json", '{"host": "blog.localhost",\n  "idleTimeout": "5 mins"}')
    wiki.config["host"] = "new.localhost"
    write(gw, wiki)
    mark = gw.mark()
    p = ctl(gw, "reload")
    path = gw.config_dir / "blog.json"
    assert p.returncode == 1 and f"{path}:2:" in p.stderr and "stay" in p.stderr
    assert gw.curl("blog").text == "hello from blog\n"
    assert gw.curl("new").text == "hello from wiki\n"
    assert blog.starts == 1
    assert gw.find_log(re.escape(f"{path}:2:"), mark) and gw.find_log(r"reloaded but for \d mistakes?", mark)
    problems = json.loads(ctl(gw, "reload", "--json").stdout)
    assert problems and all(x["file"] == str(path) for x in problems)
    footer = f"{len(problems)} mistakes in the configuration"
    assert footer in ctl(gw, "list").stdout and footer in ctl(gw, "status", "-n0").stdout
    write(gw, blog)
    reload(gw)
    assert "mistake" not in ctl(gw, "list").stdout


def test_of_a_whole_configuration_the_broken_service_stays(site):
    a, b = site.app(name="a"), site.app(name="b")
    whole = {"services": {s.host: {"base": s.config["base"], "commands": {
        "start": " ".join(f"{k}={v}" for k, v in s.env.items()) + " exec " + " ".join(s.argv)}} for s in (a, b)}}
    gw = site.gateway(files={"all.json": whole})
    assert gw.curl("a").status == gw.curl("b").status == 200
    whole["services"][a.host]["base"] = 7
    whole["services"]["c.localhost"] = whole["services"].pop(b.host)
    gw.write("all.json", whole)
    assert ctl(gw, "reload").returncode == 1
    assert gw.curl("a").text == "hello from a\n"
    assert gw.curl("c").text == "hello from b\n"


def test_a_folder_that_is_gone_takes_nothing_along(site):
    blog = site.app(idleTimeout="never")
    gw = site.gateway(blog)
    gw.curl("blog")
    away = gw.folder / "away"
    gw.config_dir.rename(away)
    p = ctl(gw, "reload")
    assert p.returncode == 1 and "No such file" in p.stderr
    assert gw.curl("blog").status == 200 and blog.starts == 1
    away.rename(gw.config_dir)
    reload(gw)
    assert gw.curl("blog").status == 200 and blog.starts == 1


def test_settings_with_a_mistake_stay(site):
    blog = site.app()
    gw = site.gateway(blog, config={"limits": {"maxRequestHead": 4096}})
    settings = gw.folder / "dynapm.json"
    for text in ('{"limits": {"maxRequestHead": 16384, "maxConnections": 0}}', "{", None):
        if text is None:
            settings.unlink()
        else:
            settings.write_text(text)
        assert ctl(gw, "reload").returncode == 1
        assert gw.curl("blog", "/", "-H", "X-Big: " + "x" * 6000).status == 431


# ── who asks, and when ──

def test_a_hangup_reloads_and_says_so_to_the_service_manager(site):
    blog = site.app()
    gw = site.gateway()
    write(gw, blog)
    os.kill(gw.pid, signal.SIGHUP)  # of dynapm --standalone: it is passed on
    gw.wait_log("configuration was reloaded")
    assert gw.curl("blog").status == 200


def test_a_manager_says_when_it_begins_and_when_it_is_through(site):
    blog = site.app()
    machine = site.machine()
    pid = machine.unit(MANAGER)["pid"]
    write(machine, blog)
    before = len(machine.notify.messages)
    began = time.monotonic_ns() // 1000
    os.kill(pid, signal.SIGHUP)
    wait_for(lambda: [m for m in machine.notify.messages[before:] if m[1:] == (pid, "READY=1")], "READY=1")
    said = [m[2] for m in machine.notify.messages[before:] if m[1] == pid]
    assert said.index("RELOADING=1") < said.index("READY=1")
    stamp, = [m for m in said if m.startswith("MONOTONIC_USEC=")]
    assert began <= int(stamp.split("=")[1]) <= time.monotonic_ns() // 1000
    assert machine.curl("blog").status == 200


def test_a_gateway_that_hangs_is_not_waited_for_long(site):
    blog = site.app()
    gw = site.gateway(blog, workers=2)
    stuck = gw.workers()[0]
    os.kill(stuck, signal.SIGSTOP)
    try:
        reload(gw)
        assert gw.find_log(f"process {stuck} does not use the new configuration yet")
    finally:
        os.kill(stuck, signal.SIGCONT)
    reload(gw)


def test_reloads_at_the_same_time_are_all_answered(site):
    blog = site.app()
    gw = site.gateway(blog, workers=2)
    calls = [subprocess.Popen([str(CTL), f"--runtime-dir={gw.runtime_dir}", "reload"]) for _ in range(10)]
    assert [p.wait(60) for p in calls] == [0] * 10
    assert gw.curl("blog").status == 200


def test_a_reload_while_it_is_found_out_what_runs(site):
    """A check command hangs; nobody else waits for it, and the service is another one by the time it is known."""
    blog = site.app(kind="commands", env={})
    gate = site.folder / "gate"
    blog.config["commands"]["check"] = f"while ! test -e {gate}; do sleep 0.05; done; false"
    blog.config["healthCheck"] = {"type": "tcp", "timeout": "1min"}
    gw = site.gateway(blog)
    wiki = site.app(name="wiki")
    other = site.app(name="other")
    write(gw, wiki)
    gw.write("blog.json", {**other.config, "host": blog.host})
    reload(gw)
    assert gw.curl("wiki").status == 200
    gate.touch()
    assert gw.curl("blog").text == "hello from other\n"


def test_a_reload_at_the_end_is_refused_or_answered(site):
    echo = site.app("echo.py", name="echo")
    gw = site.gateway(echo)
    with begin(gw, echo.host, "/wait/1") as c:
        wait_for(lambda: echo.requests, "the request has arrived")
        os.kill(gw.manager_pid(), signal.SIGTERM)
        gw.wait_log("Shutting down")
        p = ctl(gw, "reload")
        assert p.returncode in (0, 1)
        assert c.reply().status == 200


# ── everything at once ──

@pytest.mark.parametrize("workers", [1, 2])
def test_fifty_reloads_lose_no_request_and_no_descriptor(site, workers):
    steady, changing = (site.app("echo.py", name=n, idleTimeout="never") for n in ("steady", "changing"))
    moving = [site.app("echo.py", name=f"moving{n}", host="moving.localhost", idleTimeout="never") for n in (0, 1)]
    ports = [process.free_port() for _ in range(4)]
    gw = site.gateway(steady, changing, moving[1], workers=workers, config={})
    gw.curl("steady")

    def descriptors():
        return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in [*gw.workers(), gw.manager_pid()]}

    extra = site.app(name="extra")
    with Load(gw.address, [steady.host, changing.host, "moving.localhost"], kept=2, fresh=2, slow=1) as load:
        for n in range(50):
            changing.config["idleTimeout"] = f"{n + 1}h"
            changing.config["routes"] = [{"type": "host", "value": changing.host},
                                         {"type": "port", "value": f"127.0.0.1:{ports[n % 4]}"}]
            changing.config.pop("host", None)
            # The same host is one service's, then another's.
            write(gw, moving[n % 2])
            remove(gw, moving[1 - n % 2])
            if n % 3 == 0:
                write(gw, extra)
            elif n % 3 == 1:
                remove(gw, extra)
            (gw.folder / "dynapm.json").write_text(json.dumps({"limits": {"maxConnections": 1000 + n}}))
            write(gw, changing)
            good = load.good
            reload(gw)
            wait_for(lambda good=good: load.good >= good + 5, "requests go on being answered", 30)
    assert load.failures == []
    assert steady.starts == 1 and changing.starts == 1

    # Nothing is left of it: the same configuration needs the same descriptors.
    def reload_with(port):
        changing.config["routes"][1]["value"] = f"127.0.0.1:{port}"
        write(gw, changing)
        reload(gw)

    ctl(gw, "stop", "steady", "changing", "moving1")
    reload_with(ports[0])
    wait_for(lambda: not [s for s in (steady, changing, *moving, extra) if s.running], "all have ended")
    before = descriptors()
    for n in range(50):
        reload_with(ports[n % 4])
    reload_with(ports[0])
    # Fewer where the end of the last dynapmctl had not been noticed yet.
    wait_for(lambda: all(n <= before[pid] for pid, n in descriptors().items()),
             f"no more descriptors than before: {before}, {descriptors()}")
