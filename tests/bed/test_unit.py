# SPDX-License-Identifier: ISC
"""Services that are units which somebody has written: `unit`."""

import threading

import pytest
from machine import run

from harness.process import alive, wait_for


def unit_service(machine, app="hello.py", name="blog", unit=None, more="", unit_name=None, **config):
    """A service of that name, its drop-in and its unit file."""
    service = machine.app(app, name, write=False, **config)
    service.config.pop("proxyOnly")
    service.config["unit"] = unit or name
    machine.write(name, service.config)
    machine.unit_of(service, more, unit_name)
    return service


def refused(machine, name="blog"):
    """What a client is told of a service that cannot be started."""
    reply = machine.curl(name, "/", "-H", "Accept: text/plain")
    assert reply.status == 503 and int(reply.get("Retry-After")) >= 1
    assert reply.text.strip().splitlines()[-1] in machine.wait_state(name, "failed")["MESSAGE"]
    return reply.text


def test_a_request_starts_the_unit_and_idleness_stops_it(machine):
    blog = unit_service(machine, idleTimeout="300ms")
    machine.enable()
    assert machine.curl("blog").text == "hello from blog\n"
    assert machine.main_pid("blog.service") == blog.pid
    machine.wait_active("blog.service", False)
    machine.wait_state("blog", "offline")
    assert not alive(blog.pid)
    assert machine.curl("blog").text == "hello from blog\n"
    assert blog.starts == 2
    assert machine.transitions("blog")[:6] == ["starting", "online", "stopping", "offline", "starting", "online"]


def test_many_requests_at_once_make_one_start(machine):
    blog = unit_service(machine)
    machine.enable()
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(machine.curl("blog"))) for _ in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [r.status for r in replies] == [200] * 50
    assert blog.starts == 1


def test_instances_of_a_template(machine):
    one = unit_service(machine, name="one", unit="app@one", unit_name="app@.service")
    two = machine.app(name="two", write=False)
    two.config.pop("proxyOnly")
    machine.write("two", {**two.config, "unit": "app@two.service", "base": one.config["base"]})
    machine.enable()
    assert machine.curl("one").status == 200
    assert machine.is_active("app@one.service") and not machine.is_active("app@two.service")
    machine.systemctl("stop", "app@one.service")
    assert machine.curl("two").status == 200
    assert machine.is_active("app@two.service") and not machine.is_active("app@one.service")


def test_a_unit_whose_name_is_an_alias(machine):
    unit_service(machine, unit="nick")
    machine.unit_files.append(machine.unit_files[0].with_name("nick.service"))
    machine.unit_files[-1].symlink_to(machine.unit_files[0])
    machine.systemctl("daemon-reload")
    machine.enable()
    assert machine.curl("blog").status == 200
    assert machine.is_active("blog.service")
    machine.systemctl("stop", "blog.service")
    machine.wait_state("blog", "offline")
    assert machine.curl("blog").status == 200


def test_a_unit_with_a_socket_of_its_own(machine):
    """systemd listens for it; it is started for the first request and stopped when idle, the socket stays."""
    blog = machine.app(write=False)
    blog.config.pop("proxyOnly")
    machine.write("blog", {**blog.config, "unit": "blog", "idleTimeout": "300ms"})
    machine.unit_file("blog.socket", f"[Socket]\nListenStream=127.0.0.1:{blog.port}\nService=blog.service\n")
    machine.unit_file("blog.service", "[Unit]\nRequires=blog.socket\n[Service]\nExecStart=/usr/bin/python3 -c '"
                      "import http.server,socket;s=http.server.HTTPServer((\"\",0),http.server.SimpleHTTPRequestHandler,False);"
                      "s.socket.close();s.socket=socket.socket(fileno=3);s.serve_forever()'\n")
    machine.systemctl("start", "blog.socket")
    machine.enable()
    for _ in range(2):
        assert machine.curl("blog").status == 200
        machine.wait_active("blog.service", False)
        assert machine.is_active("blog.socket")


def test_a_unit_that_notifies_is_ready_when_it_says_so(machine):
    go = machine.folder / "go"
    blog = unit_service(machine, "notify.py", env={"GO": go}, more="Type=notify\n")
    machine.enable()
    replies = []
    client = threading.Thread(target=lambda: replies.append(machine.curl("blog")))
    client.start()
    wait_for(lambda: blog.events("listening"), "it listens")
    machine.wait_message("offline → starting")
    assert machine.property("blog.service", "ActiveState") == "activating"
    assert not blog.requests and "online" not in machine.transitions("blog")
    go.touch()
    client.join()
    assert replies[0].text == "ready\n"
    assert [e.split(" ")[0] for e in blog.events()] == ["start", "listening", "ready", "request"]


def test_a_written_health_check_counts_for_a_unit_that_notifies_as_well(machine):
    go = machine.folder / "go"
    unit_service(machine, "notify.py", env={"GO": go}, more="Type=notify\n", healthCheck={"type": "tcp"})
    machine.enable()
    assert machine.curl("blog").status == 200
    assert machine.property("blog.service", "ActiveState") == "activating"


@pytest.mark.parametrize("spoil, sentence", [
    (lambda m: run("ln", "-sf", "/dev/null", m.unit_files[0]) and m.systemctl("daemon-reload"), "is masked"),
    (lambda m: m.unit_files[0].unlink() or m.systemctl("daemon-reload"), "Unit blog.service not found"),
    (lambda m: m.configure_unit("blog.service", "[Unit]\nRefuseManualStart=yes\n"), "may be requested by dependency only"),
    (lambda m: m.configure_unit("blog.service", "[Unit]\nConditionPathExists=/nowhere\n"), "condition"),
    (lambda m: m.configure_unit("blog.service", "[Unit]\nAssertPathExists=/nowhere\n"), "assertion"),
    (lambda m: m.configure_unit("blog.service", "[Service]\nExecStart=\nExecStart=/nowhere/x\n"), "cannot be executed"),
    (lambda m: m.configure_unit("blog.service", "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 7'\n"),
     "exited with status 7"),
    (lambda m: m.configure_unit("blog.service", "[Service]\nUser=nobody-there\n"), "its user is not known"),
    (lambda m: m.configure_unit("blog.service", "[Service]\nType=notify\nExecStart=\nExecStart=/bin/true\n"), "Type="),
    (lambda m: m.configure_unit("blog.service", "[Service]\nType=notify\nTimeoutStartSec=200ms\n"), "time limit"),
], ids=["masked", "missing", "refuses", "condition", "assertion", "no program", "fails", "no user", "protocol", "timeout"])
def test_why_it_could_not_be_started_is_told_to_clients_and_in_the_log(machine, spoil, sentence):
    unit_service(machine)
    spoil(machine)
    machine.enable()
    text = refused(machine)
    assert sentence in text and "systemctl status blog.service" in text


def test_a_unit_that_another_one_it_needs_keeps_from_starting(machine):
    machine.unit_file("needed.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
    unit_service(machine, more="[Unit]\nRequires=needed.service\nAfter=needed.service\n")
    machine.enable()
    assert "a unit that it needs could not be started" in refused(machine)


def test_a_failed_unit_can_be_started_again_when_it_is_mended(machine):
    unit_service(machine, more="ExecStartPre=/usr/bin/test -e /run/mended\n")
    machine.enable()
    refused(machine)
    run("touch", "/run/mended")
    try:
        wait_for(lambda: machine.curl("blog").status == 200, "it is served after the back-off")
    finally:
        run("rm", "/run/mended")


def test_a_written_stop_timeout_kills_a_unit_that_does_not_end(machine):
    blog = unit_service(machine, "stubborn.py", env={"IGNORE": 1}, idleTimeout="100ms", stopTimeout="300ms", more="TimeoutStopSec=1h\n")
    machine.enable()
    assert machine.curl("blog").status == 200
    assert "killed after 300ms" in machine.wait_state("blog", "offline")["MESSAGE"]
    blog.wait_gone()


def test_standalone_cannot_start_units_and_says_so(machine, tmp_path):
    (tmp_path / "blog.json").write_text('{"host": "blog.localhost", "base": "http://127.0.0.1:9", "unit": "blog"}')
    tmp_path.chmod(0o755)
    (tmp_path / "blog.json").chmod(0o644)
    run("systemd-run", "--quiet", "--unit=outside-alone", "/usr/bin/dynapm", "--standalone", "--listen=127.0.0.1:8123",
        f"--config-dir={tmp_path}")
    machine.outside.append("outside-alone.service")
    reply = wait_for(lambda: r if (r := machine.curl("blog", "/", "-H", "Accept: text/plain", port=8123)).status else None,
                     "it answers")
    assert reply.status == 503 and "systemd" in reply.text
