# SPDX-License-Identifier: ISC
"""`journalctl -u dynapm` is all that somebody has to know."""

from machine import run

from harness.process import wait_for

STATE, START_FAILED, REFUSED, NO_LISTENER = (
    "cc431c473ff84bcdb5d76be5751eff2e", "e63bb3b31fd049b0b7e53464b6ba38dc", "dd45e34df695480fa1d6ce70c2bee1c6",
    "8a907fb1ec784ce5812eab243da6ce13")


def serve_once(machine, name="blog"):
    app = machine.app(name=name)
    machine.start(app)
    machine.enable()
    assert machine.curl(name).status == 200


def fail_once(machine, *names):
    """Services that cannot be started, in whatever way that is tried."""
    for name in names:
        machine.write(name, {"host": f"{name}.localhost", "base": "http://127.0.0.1:9", "startTimeout": "5s",
                             "exec": ["/nonexistent/program"]})
    machine.enable()
    for name in names:
        assert machine.curl(name).status == 503


def explained(machine, message_id):
    return run("journalctl", "--no-pager", "-q", "-x", machine.since, f"MESSAGE_ID={message_id}").stdout


def test_the_gateways_unit_has_the_managers_lines_as_well(machine):
    fail_once(machine, "sick")
    machine.wait_message("sick: starting → failed", "-u", "dynapm.service")
    lines = machine.journal("-u", "dynapm.service")
    by_program = {entry["SYSLOG_IDENTIFIER"]: entry for entry in lines}
    assert set(by_program) == {"dynapm", "dynapm-manager", "systemd"}
    assert by_program["dynapm-manager"]["_SYSTEMD_UNIT"] == "dynapm-manager.service"
    story = [entry["MESSAGE"] for entry in lines]
    parts = ("Starting", "1 service loaded", "has attached", "sick: offline → starting (GET sick.localhost/)",
             "sick: starting → failed")
    order = [next((i for i, text in enumerate(story) if part in text), -1) for part in parts]
    assert order == sorted(order) and order[0] >= 0, story
    assert "sick: starting → failed" in machine.systemctl("status", "dynapm.service")


def test_the_managers_first_lines_are_there_before_any_gateway_has_attached(machine):
    machine.write("blog", '{"host": ')
    machine.systemctl("start", "dynapm-manager.service")
    assert not machine.is_active("dynapm.service")
    machine.wait_message("/etc/dynapm.d/blog.json:1:", "-u", "dynapm.service")


def test_a_service_has_its_lines_under_its_name(machine):
    fail_once(machine, "sick", "sore")
    machine.wait_message("sick: starting → failed", "DYNAPM_SERVICE=sick")
    entries = machine.journal("DYNAPM_SERVICE=sick")
    lines = [e for e in entries if e["SYSLOG_IDENTIFIER"] == "dynapm-manager"]
    assert all(entry["MESSAGE"].startswith("sick: ") for entry in lines)
    # The rest is what systemd and the service itself say of and in its unit.
    assert all("dynapm-sick.service" in (e.get("UNIT"), e.get("_SYSTEMD_UNIT")) for e in entries if e not in lines)
    states = [(e["DYNAPM_STATE_BEFORE"], e["DYNAPM_STATE"], e["MESSAGE_ID"]) for e in lines if "DYNAPM_STATE" in e]
    assert states[:2] == [("offline", "starting", STATE), ("starting", "failed", START_FAILED)]


def test_a_change_of_state_is_explained(machine):
    fail_once(machine, "sick")
    machine.wait_message("sick: offline → starting")
    text = explained(machine, STATE)
    assert "Subject: Service sick is now starting" in text
    assert "journalctl DYNAPM_SERVICE=sick" in text


def test_a_failed_start_is_an_error_that_is_explained(machine):
    fail_once(machine, "sick")
    entry = machine.wait_message("sick: starting → failed", f"MESSAGE_ID={START_FAILED}")
    assert (entry["PRIORITY"], entry["DYNAPM_STATE"]) == ("3", "failed")
    assert "Subject: Service sick could not be started" in explained(machine, START_FAILED)
    assert machine.messages("-u", "dynapm.service", "-p", "err") == [entry["MESSAGE"]]


def test_refused_configuration_is_an_error_that_is_explained(machine):
    machine.write("blog", '{"host": "blog.localhost", "base": "http://127.0.0.1:1", "proxyOnly": true, "prot": 1}')
    serve_once(machine, "wiki")
    entry = machine.journal(f"MESSAGE_ID={REFUSED}")[0]
    assert entry["MESSAGE"].startswith("/etc/dynapm.d/blog.json:1:") and '"port"' in entry["MESSAGE"]
    assert (entry["PRIORITY"], entry["DYNAPM_CONFIG_FILE"]) == ("3", "/etc/dynapm.d/blog.json")
    text = explained(machine, REFUSED)
    assert "Subject: A part of the configuration was refused" in text and "dynapm --check" in text


def test_a_port_that_is_taken_is_an_error_that_is_explained(machine):
    run("systemd-run", "--quiet", "--collect", "--unit=outside-squatter.service", "--property=Type=exec",
        "python3", "-m", "http.server", "8088")
    machine.outside.append("outside-squatter.service")
    wait_for(lambda: machine.curl("any", port=8088).status == 200, "the port is taken")
    machine.app(name="shop", host=None, port=8088)
    serve_once(machine)
    entry = machine.wait_message("shop: Cannot listen on", f"MESSAGE_ID={NO_LISTENER}")
    assert "Address already in use" in entry["MESSAGE"] and entry["DYNAPM_SERVICE"] == "shop"
    assert "Subject: An address could not be listened on" in explained(machine, NO_LISTENER)
