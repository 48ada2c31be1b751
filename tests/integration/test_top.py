# SPDX-License-Identifier: ISC
"""dynapmctl top, in a terminal as people have it and printed for scripts."""

import errno
import fcntl
import json
import os
import pty
import re
import resource
import select
import signal
import struct
import termios
import threading
import time

import pytest
from test_ctl import PROGRAM, ctl, terminal_environment

from harness import wait_for
from harness.gateway import sanitized

ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """A terminal with `dynapmctl top` in it; what it shows is read all the time."""

    def __init__(self, gw, *args, rows=20, columns=100, **env):
        self.ours, self.theirs = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.theirs)
        self.output = ""
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.theirs, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.theirs, fd)
            for sig in (signal.SIGINT, signal.SIGQUIT):  # a shell's background jobs ignore them, and pass that on
                signal.signal(sig, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.execve(PROGRAM, ["dynapmctl", f"--runtime-dir={gw.runtime_dir}", "top", *args],
                      terminal_environment(**{"TERM": "xterm", "NO_COLOR": "1", **env}))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.ended = None
        self.reader.start()

    def _read(self):
        while True:
            if not select.select([self.ours], [], [], 0.05)[0]:
                if self.ended is not None:
                    return
                continue
            try:
                self.output += os.read(self.ours, 65536).decode()
            except OSError as e:
                assert e.errno == errno.EIO
                return

    def resize(self, rows, columns):
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def lines(self):
        """What stands on the screen now."""
        frames = self.output.split("\x1b[H")
        # The last one may not have come as a whole.
        whole = [f for f in frames[1:] if "\x1b[J" in f]
        return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", whole[-1].split("\x1b[J")[0]).split("\r\n") if whole else []

    def see(self, pattern):
        return wait_for(lambda: next((m for line in self.lines if (m := re.search(pattern, line))), None),
                        f"/{pattern}/ on the screen")

    def press(self, keys):
        os.write(self.ours, keys.encode())

    def services(self):
        return [line.split()[1 if line.startswith(">") else 0] for line in self.lines[3:]]

    def end(self):
        """Its exit status, or -SIGNAL."""
        deadline = time.monotonic() + 20
        while self.ended is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.ended = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, "it goes on"
            time.sleep(0.005)
        self.reader.join()
        return self.ended

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.ended is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.ended = -9
        self.reader.join()
        os.close(self.ours)
        os.close(self.theirs)

    def is_as_before(self):
        return (termios.tcgetattr(self.theirs) == self.before and self.output.rindex(BACK) > self.output.rindex(ALTERNATE)
                and self.output.count("\x1b[?25h") == self.output.count("\x1b[?25l"))


@pytest.fixture
def three(site):
    apps = [site.app(name=n) for n in ("blog", "shop", "wiki")]
    gw = site.gateway(*apps)
    return apps, gw


def test_it_shows_services_and_how_they_change(three):
    _, gw = three
    with Terminal(gw) as t:
        t.see(r"^3 services: 0 online")
        assert t.lines[2].split() == ["SERVICE", "STATE", "SINCE", "ACTIVE", "WAITING", "REQ/S", "P95", "MEMORY", "IDLE", "IN"]
        assert t.services() == ["blog", "shop", "wiki"]
        gw.curl("shop")
        t.see(r"^  shop +online .* (5min|4min \d+s)$")
        t.see(r"^3 services: 1 online")
        deadline = time.monotonic() + 20
        # requests a second, the duration of most, memory
        while not any(re.match(r"  shop +online +\S+ +- +- +\d+(\.\d)? +[\d.]+m?s +[\d.]+M ", line) for line in t.lines):
            assert time.monotonic() < deadline
            gw.curl("shop")
        t.press("q")
        assert t.end() == 0
        assert t.is_as_before()


def test_what_is_open_is_seen_at_once(site):
    slow = site.app(env={"START_AFTER": site.folder / "gate"})
    gw = site.gateway(slow)
    with Terminal(gw) as t, gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n") as c:
        t.see(r"^> blog +starting +\S+ +1 +1 ")
        t.see("1 starting, 0 failed; 1 request open")
        (site.folder / "gate").touch()
        assert c.reply().status == 200
        t.see(r"^> blog +online ")


def test_keys_choose_sort_start_and_stop(three):
    _, gw = three
    with Terminal(gw) as t:
        t.see("^> blog")
        t.press("\x1b[B")
        t.see("^> shop")
        t.press("\x1bOB\x1b[B\x1b[B")
        t.see("^> wiki")
        t.press("S")
        t.see(r"^> wiki +online")
        t.press("\x1b[A")
        t.see("^> shop")
        t.press("s")
        wait_for(lambda: t.services() == ["wiki", "shop", "blog"], "the other way round")
        for key in "mra":
            t.press(key)
        t.press("s\x1b[F")
        t.see("^> wiki")
        t.press("X")
        t.see(r"^> wiki +offline")
        assert "by hand" in gw.wait_log("wiki: online → stopping").text
        t.press("\x1b")
        assert t.end() == 0
        assert t.is_as_before()


ENDS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]
CRASHES = [] if sanitized() else ["SIGSEGV", "SIGBUS", "SIGABRT"]  # a sanitizer has handlers of its own


@pytest.mark.parametrize("name", [*ENDS, *CRASHES])
def test_the_terminal_is_as_it_was_however_it_ends(three, name):
    _, gw = three
    with Terminal(gw) as t:
        t.see("^> blog")
        assert termios.tcgetattr(t.theirs) != t.before
        os.kill(t.pid, signal.Signals[name])
        assert t.end() == (0 if name == "SIGINT" else -signal.Signals[name])
        assert t.is_as_before()


def test_ctrl_c_ends_it_and_ctrl_z_lets_the_terminal_go_for_a_while(three):
    _, gw = three
    with Terminal(gw) as t:
        t.see("^> blog")
        # Its process group is nobody's foreground job but its own, so that the shell's part is played here.
        os.kill(t.pid, signal.SIGTSTP)
        assert os.WIFSTOPPED(os.waitpid(t.pid, os.WUNTRACED)[1])
        wait_for(lambda: BACK in t.output, "the other screen")
        assert t.is_as_before()
        os.kill(t.pid, signal.SIGCONT)
        wait_for(lambda: t.output.count(ALTERNATE) == 2, "its own screen")
        gw.curl("blog")
        t.see(r"^> blog +online")
        t.press("\x03")
        assert t.end() == 0
        assert t.is_as_before()


def test_it_fits_the_terminal_whatever_its_size(three):
    _, gw = three
    with Terminal(gw, rows=5, columns=40) as t:
        t.see("^> blog")
        assert len(t.lines) == 5 and t.services() == ["blog", "shop"]
        assert max(map(len, t.lines)) <= 40, t.lines
        t.resize(10, 100)
        wait_for(lambda: t.services() == ["blog", "shop", "wiki"], "the third service")
        assert "IDLE IN" in t.lines[2]
        t.resize(1, 1)
        wait_for(lambda: all(len(line) <= 1 for line in t.lines[:2]), "next to nothing")


def test_a_manager_that_dies_is_waited_for(three):
    _, gw = three
    with Terminal(gw) as t:
        gw.curl("blog")
        t.see(r"^> blog +online")
        mark = len(t.output)
        os.kill(gw.manager_pid(), signal.SIGKILL)
        wait_for(lambda: "does not answer" in t.output[mark:] or "Attached to a new manager" in gw.log, "its end")
        gw.wait_log("Attached to a new manager")
        gw.curl("wiki")
        t.see(r"^  wiki +online")
        assert t.lines[1].startswith("q quit")


def test_colours_are_the_states(three):
    _, gw = three
    with Terminal(gw, NO_COLOR="") as t:
        gw.curl("blog")
        wait_for(lambda: "\x1b[32monline" in t.output, "green")
        t.press("q")
        assert t.end() == 0


def test_tables_can_be_printed_for_scripts(three):
    _, gw = three
    gw.curl("blog")
    p = ctl(gw, "top", "--once")
    assert (p.returncode, p.stderr) == (0, "")
    summary, header, *rows = p.stdout.splitlines()
    assert summary.startswith("3 services: 1 online")
    assert header.split()[:3] == ["SERVICE", "STATE", "SINCE"]
    assert [r.split()[:2] for r in rows] == [["blog", "online"], ["shop", "offline"], ["wiki", "offline"]]
    p = ctl(gw, "top", "-b", "-n", "2", "--no-legend", "w*")
    assert [line.split()[:2] for line in p.stdout.splitlines()] == [["wiki", "offline"], [], ["wiki", "offline"]]
    tables = [json.loads(line) for line in ctl(gw, "top", "--batch", "-n2", "--json", "blog").stdout.splitlines()]
    assert [t[0]["name"] for t in tables] == ["blog", "blog"]
    assert tables[0][0]["requests"] == 1 and tables[0][0]["waiting"] == 0
    assert tables[0][0]["memory"] > 1024 * 1024
    assert tables[0][0]["requestsPerSecond"] is None and tables[1][0]["requestsPerSecond"] == 0


def test_without_a_terminal_or_a_manager_it_says_so(three, tmp_path):
    _, gw = three
    p = ctl(gw, "top")
    assert p.returncode == 1 and "--batch and --once do without" in p.stderr and p.stdout == ""
    with Terminal(gw, TERM="dumb") as t:
        assert t.end() == 1
        assert "--batch" in t.output and "\x1b" not in t.output
    assert "go with --batch" in ctl(gw, "top", "--json").stderr
    gw.runtime_dir = tmp_path
    p = ctl(gw, "top", "--once")
    assert p.returncode == 1 and "The manager is not running" in p.stderr
