# SPDX-License-Identifier: ISC
"""The program itself: options, sockets, the service manager's protocol, its end."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from harness import Raw, process, wait_for
from harness.gateway import BUILD, PROGRAM

GET = "GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n"


def run(*args, program=PROGRAM):
    return subprocess.run([program, *args], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("program", ["dynapm", "dynapm-manager"])
def test_version_and_help(program):
    version = run("--version", program=BUILD / program)
    assert version.returncode == 0
    assert re.search(r"\b\d+\.\d+\.\d+\b", version.stdout)
    help = run("--help", program=BUILD / program)
    assert help.returncode == 0
    assert "--version" in help.stdout and "--help" in help.stdout
    assert help.stderr == version.stderr == ""


def test_help_names_every_option():
    text = run("--help").stdout
    for option in ("--standalone", "--listen", "--config-dir", "--config", "--workers", "--runtime-dir", "--check"):
        assert option in text, option


@pytest.mark.parametrize("args", [["--no-such-option"], ["--listen=nonsense"], ["--workers=0"], ["--workers=x"],
                                  ["argument"]])
def test_a_wrong_command_line_is_refused_with_a_reason(args, tmp_path):
    p = run("--standalone", f"--config-dir={tmp_path}", f"--runtime-dir={tmp_path}", *args)
    assert p.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
    assert p.stderr.strip()


def test_an_address_in_use_is_an_error_that_names_it(site):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        gw = site.gateway(start=False, listen=[f"127.0.0.1:{port}"])
        gw.start(wait_ready=False)
        assert gw.wait_end() > 0
        assert str(port) in gw.log
        assert not gw.ended["left"]
    site.gateways.remove(gw)


def test_it_listens_on_several_addresses_ipv6_and_unix_among_them(site):
    blog = site.app()
    port, other = process.free_port(), process.free_port()
    path = site.folder / "listen"
    gw = site.gateway(blog, listen=[f"127.0.0.1:{port}", f"[::1]:{other}", f"unix:{path}"])

    with Raw(("127.0.0.1", port)) as c:
        c.send(GET)
        assert c.reply().status == 200
    with Raw(str(path)) as c:
        c.send(GET)
        assert c.reply().status == 200
    p = subprocess.run(["curl", "-q", "-sS", "-g", "-H", "Host: blog.localhost", f"http://[::1]:{other}/"],
                       capture_output=True, text=True)
    assert p.stdout == "hello from blog\n", p.stderr
    assert gw.pid


def test_a_client_of_an_ipv6_listener_is_forwarded_with_its_address(site):
    echo = site.app("echo.py", name="echo")
    port = process.free_port()
    site.gateway(echo, listen=[f"[::1]:{port}"])
    p = subprocess.run(["curl", "-q", "-sS", "-g", "-H", "Host: echo.localhost", f"http://[::1]:{port}/"],
                       capture_output=True, text=True)
    fields = dict(json.loads(p.stdout)["fields"])
    assert fields["X-Forwarded-For"] == "::1"
    assert 'for="[::1]"' in fields["Forwarded"]


def test_socket_activation(site):
    """The sockets that were passed are used, and its own options for them are not needed."""
    blog = site.app()
    port = process.free_port()
    path = site.folder / "activated"
    gw = site.gateway(blog, listen=[], port=port,
                      wrapper=["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-l", str(path),
                               "-E", "NOTIFY_SOCKET", "-E", "PATH"], wait_ready=False)

    wait_for(lambda: answers(("127.0.0.1", port)), "the first connection starts it and is served", 20)
    assert answers(str(path))
    assert gw.find_log("LISTEN_FDS") == []


def answers(address):
    try:
        with Raw(address) as c:
            c.send(GET)
            return c.reply().text == "hello from blog\n"
    except (ConnectionRefusedError, FileNotFoundError):
        return False


def test_it_tells_the_service_manager_what_it_does(site):
    blog = site.app()
    gw = site.gateway(blog, env={"WATCHDOG_USEC": "600000"}, workers=2)

    assert len(gw.notify.find("READY=1")) == 1
    assert gw.curl("blog").status == 200
    wait_for(lambda: len(gw.notify.find("WATCHDOG=1")) >= 4, "the watchdog is fed")
    wait_for(lambda: gw.notify.find("STATUS="), "a status")
    wait_for(lambda: re.search(r"\d", gw.notify.find("STATUS=")[-1][2]), "with counts in it")
    assert not gw.notify.find("STOPPING=1")
    gw.stop()
    wait_for(lambda: gw.notify.find("STOPPING=1"), "STOPPING=1")
    assert {pid for _, pid, _ in gw.notify.messages} == {gw.pid}, "only the main process speaks for it"


def test_ready_means_that_requests_are_served(site):
    blog = site.app()
    for _ in range(5):
        gw = site.gateway(blog)
        assert gw.curl("blog").status == 200
        gw.finish()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_and_stops_its_services(site, sig):
    blog, shop = site.app(), site.app(kind="commands", name="shop")
    gw = site.gateway(blog, shop)
    gw.curl("blog")
    gw.curl("shop")

    os.kill(gw.pid, sig)

    assert gw.wait_end() == 0
    assert not blog.running and not shop.running
    assert blog.events("terminated") and shop.events("terminated")
    assert list(gw.runtime_dir.rglob("*socket*")) == []


def test_a_service_inherits_nothing_of_ours(site):
    echo = site.app("echo.py", name="echo", env={"EXTRA": "given"}, cwd="/usr")
    gw = site.gateway(echo, env={"WATCHDOG_USEC": "60000000"})

    inherited = json.loads(gw.curl("echo", "/inherited").body)

    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        assert name not in inherited["env"], name
    assert inherited["env"]["EXTRA"] == "given"
    assert "PATH" in inherited["env"]
    assert inherited["cwd"] == "/usr"
    assert inherited["session"] == inherited["pid"], "a session of its own"
    assert inherited["fd_limit"] == gw.soft_fd_limit, "a service may use select(2)"
    assert [t for fd, t in inherited["fds"].items() if int(fd) > 2 and not t.startswith("socket:")] == []

    def own_sockets_only():  # its listener and the connection that asks; a probe's may be closing
        fds = json.loads(gw.curl("echo", "/inherited").body)["fds"]
        return len([t for fd, t in fds.items() if int(fd) > 2]) == 2
    wait_for(own_sockets_only, "no socket of ours in the service", 3)


def test_a_service_starts_with_the_usual_signals(site):
    blog = site.app()
    seen = site.folder / "signals"
    blog.config["exec"] = ["/bin/sh", "-c", f'grep Sig /proc/self/status >{seen}; exec "$@"', "sh", *blog.argv]
    gw = site.gateway(blog)
    assert gw.curl("blog").status == 200
    masks = dict(line.split(":\t") for line in seen.read_text().splitlines())
    assert int(masks["SigBlk"], 16) == 0, "nothing blocked"
    assert int(masks["SigIgn"], 16) == 0, "nothing ignored"


def test_two_instances_with_folders_of_their_own_do_not_meet(site):
    one, two = site.app(name="one"), site.app(name="two")
    a, b = site.gateway(one), site.gateway(two)
    assert a.curl("one").text == "hello from one\n"
    assert b.curl("two").text == "hello from two\n"
    assert a.curl("two").status == b.curl("one").status == 404
    assert len(set(a.named("dynapm-manager") + b.named("dynapm-manager"))) == 2


def test_the_address_of_a_whole_configuration_is_used_where_no_option_says_otherwise(site):
    blog = site.app()
    port = process.free_port()
    gw = site.gateway(listen=[], port=port, files={"all.json": {
        "port": port, "host": "127.0.0.1", "services": {"blog.localhost": blog.config}}})
    assert gw.curl("blog").text == "hello from blog\n"
