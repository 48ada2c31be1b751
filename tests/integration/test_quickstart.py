# SPDX-License-Identifier: ISC
"""The quickstart as a newcomer runs it, and every example's drop-ins as the program reads them."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness import free_port, process, wait_for
from harness.client import curl
from harness.gateway import BUILD, PROGRAM

TOP = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent for path in TOP.glob("examples/*/dynapm.d"))


def three_ports():
    while True:
        port = free_port()
        try:
            return port, free_port(port + 1), free_port(port + 2)
        except OSError:
            continue


@pytest.fixture
def quickstart(tmp_path):
    port, *_ = three_ports()
    log = tmp_path / "log"
    with log.open("w") as out:
        p = subprocess.Popen([TOP / "examples/quickstart/run", str(port)], stdout=out, stderr=out,
                             stdin=subprocess.DEVNULL, start_new_session=True,
                             env={**os.environ, "DYNAPM_BUILD_DIR": str(BUILD), "QUICKSTART_DIR": str(tmp_path / "work")})

    def ask(name, *args, path="/"):
        # No --resolve: names under .localhost lead here by themselves, for curl and for browsers.
        return curl(f"http://{name}.localhost:{port}{path}", *args)

    ask.log, ask.process, ask.work = log, p, tmp_path / "work"
    try:
        wait_for(lambda: p.poll() is not None or ask("nobody").status == 404, "the gateway answers", 20)
        yield ask
    finally:
        if p.poll() is None:
            p.terminate()  # not SIGKILL, which would leave its services behind
        p.wait(20)


def test_both_services_of_the_quickstart_are_served_and_ctrl_c_ends_everything(quickstart):
    text = quickstart.log.read_text()
    assert "http://hello.localhost:" in text and "http://notes.localhost:" in text

    assert re.search(r"http://dynapm\.localhost:\d+/_dynapm/", text)
    assert "<title>dynapm</title>" in quickstart("dynapm", path="/_dynapm/").text
    listed = json.loads(quickstart("dynapm", path="/_dynapm/api/services").text)["services"]
    assert [(s["name"], s["state"]) for s in listed] == [("hello", "offline"), ("notes", "offline")]

    assert quickstart("hello").text.startswith("Hello! I was started 0.")
    assert quickstart("notes").text.startswith("<!doctype html>")
    assert quickstart("notes", "-d", "note=milk & <eggs>", "--data-urlencode", "x=y").status == 303
    assert "<li>milk </li>" in quickstart("notes").text
    pid = int((quickstart.work / "notes.pid").read_text())

    os.killpg(quickstart.process.pid, signal.SIGINT)  # what a terminal does

    assert quickstart.process.wait(20) == 0, quickstart.log.read_text()
    assert not process.alive(pid)  # a dead one may wait for the machine's init to reap it
    assert quickstart("hello").status == 0, "nobody listens"


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda p: p.parent.name if p.name == "dynapm.d" else p.name)
def test_every_example_is_accepted(folder, tmp_path):
    drop_ins = folder / "dynapm.d"
    assert list(drop_ins.glob("*.json"))
    # Copies, for a check-out may be writable by others, which root's manager does not accept.
    for path in drop_ins.glob("*.json"):
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o644)
    p = subprocess.run([PROGRAM, "--check", "--standalone", f"--config-dir={tmp_path}"], capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr
