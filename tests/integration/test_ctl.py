# SPDX-License-Identifier: ISC
"""dynapmctl, as somebody uses it at a prompt and in scripts, on the manager of `dynapm --standalone`."""

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness import wait_for
from harness.gateway import BUILD, SANITIZER_REPORT

PROGRAM = BUILD / "dynapmctl"
COMMANDS = ["list", "status", "top", "why", "start", "stop", "restart", "logs", "cat", "check", "reload", "new", "metrics"]


def run(*args, env=None, prefix=(), timeout=60):
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "XDG_RUNTIME_DIR", "NO_COLOR")}
    p = subprocess.run([*prefix, str(PROGRAM), *args], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                       env={**environment, "TZ": "UTC", **(env or {})}, timeout=timeout)
    assert not SANITIZER_REPORT.search(p.stderr), p.stderr
    return p


def ctl(gw, *args, **kwargs):
    where = [f"--runtime-dir={gw.runtime_dir}"] if hasattr(gw, "runtime_dir") else []  # the machine's own
    return run(*where, *args, **kwargs)


def info(gw, name):
    """What --json tells of one service."""
    return json.loads(ctl(gw, "status", "--json", name).stdout)


@pytest.fixture
def blog_and_nas(site):
    blog, nas = site.app(idleTimeout="1h"), site.app(name="nas", kind="proxyOnly")
    return blog, nas, site.gateway(blog, nas, files={
        "bad.json": {"host": "bad.localhost", "base": "http://127.0.0.1:1", "exec": ["/nonexistent/nod"]}})


# ── list ──


def test_list_shows_every_service_in_a_row(blog_and_nas):
    blog, _, gw = blog_and_nas
    gw.curl("blog")
    p = ctl(gw)
    header, *rows = p.stdout.splitlines()
    assert p.returncode == 0 and p.stderr == ""
    assert re.split(r"  +", header) == ["SERVICE", "STATE", "SINCE", "ACTIVE", "IDLE IN", "MEMORY", "BACKEND", "ROUTES"]
    assert re.match(r"bad +offline +\S.* +- +- +- +direct +bad\.localhost$", rows[0]), p.stdout
    assert re.match(r"blog +online +\S.* +- +(1h|59min.*) +\d+\.\dM +direct +blog\.localhost$", rows[1]), p.stdout
    assert re.match(r"nas +online +\S.* +- +- +- +- +nas\.localhost$", rows[2]), p.stdout
    assert rows[3:] == ["", "3 services listed."]
    assert ctl(gw, "list").stdout.splitlines()[0] == header
    assert "\x1b" not in p.stdout


def test_list_can_be_narrowed_and_read_by_scripts(blog_and_nas):
    _, _, gw = blog_and_nas
    assert [line.split()[0] for line in ctl(gw, "list", "--no-legend", "b*").stdout.splitlines()] == ["bad", "blog"]
    services = json.loads(ctl(gw, "--json", "list", "nas", "blog").stdout)
    assert [s["name"] for s in services] == ["blog", "nas"]
    assert services[0]["state"] == "offline" and services[0]["routes"][0]["where"] == "blog.localhost"
    assert services[0]["idleTimeout"] == 3600 * 10**6
    assert services[0]["lastActivity"] is None and services[0]["mainPID"] is None
    assert json.loads(ctl(gw, "--json", "list", "nothing*").stdout) == []


def test_open_requests_are_seen_and_counted(site):
    events = site.folder / "events"
    events.write_text("one\n")
    sse = site.app("sse.py", env={"EVENTS": events})
    gw = site.gateway(sse)
    with gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n") as c:
        c.read_until(b"data: one\n\n")
        assert info(gw, "blog")["activeExchanges"] == 1
        assert info(gw, "blog")["idleDeadline"] is None
        assert "1 request is open" in ctl(gw, "status", "blog").stdout
        assert "as long as the 1 request open now is" in ctl(gw, "why", "blog").stdout
    wait_for(lambda: info(gw, "blog")["activeExchanges"] == 0, "end of the request")
    assert info(gw, "blog")["requests"] == 1


# ── start, stop, restart ──


def test_start_waits_until_it_is_online_and_stop_until_it_is_not(blog_and_nas):
    blog, _, gw = blog_and_nas
    p = ctl(gw, "start", "blog")
    assert (p.returncode, p.stdout, p.stderr) == (0, "", "")
    first = blog.pid
    assert blog.running and info(gw, "blog")["state"] == "online"
    assert info(gw, "blog")["mainPID"] == first
    assert ctl(gw, "start", "blog").returncode == 0
    assert blog.starts == 1

    assert ctl(gw, "restart", "blog").returncode == 0
    assert blog.starts == 2 and blog.pid != first

    assert ctl(gw, "stop", "blog").returncode == 0
    assert not blog.running and info(gw, "blog")["state"] == "offline"
    assert gw.curl("blog").text == "hello from blog\n", "the next request starts it again"
    gw.wait_log(r"blog: offline → starting \(start by hand: .*process \d+\)")


def test_several_services_start_at_once(site):
    apps = [site.app(name=f"s{i}", env={"START_DELAY": "1"}) for i in range(3)]
    gw = site.gateway(*apps)
    assert ctl(gw, "start", *(a.name for a in apps)).returncode == 0
    wait_for(lambda: len(gw.find_log(r"→ online")) == 3, "the log tells of all three")
    starting, online = gw.find_log(r"→ starting"), gw.find_log(r"→ online")
    assert len(starting) == 3
    assert max(line.at for line in starting) < min(line.at for line in online)


def test_what_cannot_be_started_is_explained(blog_and_nas):
    _, _, gw = blog_and_nas
    p = ctl(gw, "start", "bad")
    assert p.returncode == 1
    assert p.stderr == ("dynapmctl: bad could not be started: cannot execute /nonexistent/nod: "
                        "No such file or directory\n")
    assert info(gw, "bad")["state"] == "failed"

    p = ctl(gw, "start", "nas")
    assert p.returncode == 3 and "nas is proxied only" in p.stderr
    for verb in ("start", "stop", "restart"):
        p = ctl(gw, verb, "blgo")
        assert p.returncode == 5
        assert p.stderr == 'dynapmctl: There is no service "blgo". Did you mean "blog"?\n'


def test_requests_that_wait_survive_a_restart_by_hand(site):
    slow = site.app(env={"START_DELAY": "1"})
    gw = site.gateway(slow)
    with gw.raw("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n") as c:
        gw.wait_state("blog", "starting")
        assert ctl(gw, "restart", "blog").returncode == 0
        assert c.reply().text == "hello from blog\n"


# ── status, why ──


def test_status_tells_all_and_its_exit_status_whether_it_runs(blog_and_nas):
    _, _, gw = blog_and_nas
    assert ctl(gw, "status", "blog").returncode == 3
    gw.curl("blog", "/some/path")
    p = ctl(gw, "status", "blog")
    assert p.returncode == 0
    for part in (r"^● blog$", r"State: online since \w+ \d{4}-\d\d-\d\d .* UTC; .* ago$", r"Reason: ready$",
                 r"Woken by: GET blog\.localhost", r"Stops: in (1h|59min.*) if no request comes \(idleTimeout 1h\)$",
                 r"Routes: blog\.localhost → http://127\.0\.0\.1:\d+$", r"Run: exec, direct$", r"Main PID: \d+$",
                 r"Requests: 0 open, 1 in all$", r"Starts: 1, the last one took \d", r"File: .*/blog\.json$"):
        assert re.search(part, p.stdout, re.MULTILINE), f"{part}\n{p.stdout}"
    assert ctl(gw, "status", "blgo").returncode == 4
    every = ctl(gw, "status")
    assert every.returncode == 0
    assert re.findall(r"^● (\w+)$", every.stdout, re.MULTILINE) == ["bad", "blog", "nas"]


def test_why_explains_each_state(blog_and_nas):
    _, _, gw = blog_and_nas
    assert "The next request starts it." in ctl(gw, "why", "blog").stdout
    gw.curl("blog")
    up = ctl(gw, "why", "blog").stdout
    assert "It was started last for: GET blog.localhost" in up
    assert re.search(r"It will be stopped in (1h|59min.*) if no request comes", up)
    assert "proxied only" in ctl(gw, "why", "nas").stdout
    ctl(gw, "start", "bad")
    down = ctl(gw, "why", "bad")
    assert "bad has failed: bad could not be started: cannot execute /nonexistent/nod" in down.stdout
    assert ctl(gw, "why", "blgo").returncode == 4


# ── cat, check ──


def test_cat_shows_all_settings_and_what_it_shows_is_a_configuration(site, tmp_path):
    blog = site.app(kind="commands", idleTimeout="1min 30s", healthCheck={"type": "http", "url": "/up?x=1"},
                    memoryMax="12.5%", cpuQuota="150%", cpuWeight="idle", tasksMax=64, group="www-data", port=None)
    gw = site.gateway(blog)
    p = ctl(gw, "cat", "blog")
    assert p.returncode == 0, p.stderr
    assert f"// {gw.config_dir}/blog.json" in p.stdout
    assert '"idleTimeout": "1min 30s",\n' in p.stdout
    assert '"startTimeout": "30s", // default\n' in p.stdout
    bare = json.loads(ctl(gw, "--json", "cat", "blog").stdout)
    assert bare["memoryMax"] == "12.5%" and bare["cpuQuota"] == "150%" and bare["cpuWeight"] == "idle"
    assert bare["env"] == blog.env and bare["commands"] == blog.config["commands"]

    copy = tmp_path / "blog.json"
    copy.write_text(p.stdout)
    assert run("check", str(copy)).returncode == 0
    again = run("--json", f"--config-dir={tmp_path}", "cat", "blog")
    assert json.loads(again.stdout) == bare, "what it shows means what it says"


def test_cat_needs_no_manager(site, tmp_path):
    (tmp_path / "blog.json").write_text(json.dumps(site.app().config))
    assert run(f"--config-dir={tmp_path}", "cat", "blog").returncode == 0
    p = run(f"--config-dir={tmp_path}", "cat", "blgo")
    assert p.returncode == 4 and '"blgo"' in p.stderr


def test_check_names_every_mistake_and_fails(site, tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(site.app().config))
    bad.write_text('{"host": "a.test", "base": "http://127.0.0.1:1", "exec": ["x"],\n "memoryMax": "5MB"}')
    p = run("check", str(good))
    assert (p.returncode, p.stdout, p.stderr) == (0, "1 service, no problems\n", "")
    p = run("check", str(good), str(bad))
    assert p.returncode == 1
    assert p.stderr == (f'{bad}:2:15: memoryMax: expected a size such as "512M", a percentage such as "25%", or '
                        '"infinity", got "5MB"; did you mean "5M"?\n')
    assert json.loads(run("--json", "check", str(bad)).stdout)[0]["path"] == "memoryMax"
    for folder in (["check", str(tmp_path)], ["check", f"--config-dir={tmp_path}"]):
        assert run(*folder).stderr.startswith(f"{bad}:2:15: "), folder
    p = run("check", str(tmp_path / "nothing.json"))
    assert p.returncode == 1 and "nothing.json: No such file" in p.stderr


def test_check_sees_conflicts_between_files_and_global_settings(site, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(site.app(name=name, host="same.localhost").config))
    (tmp_path / "dynapm.json").write_text('{"limits": {"maxConnection": 5}}')
    p = run("check", str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert p.returncode == 1 and "b.json" in p.stderr and "same.localhost is already taken" in p.stderr
    assert "maxConnections" in run("check", str(tmp_path / "dynapm.json")).stderr


# ── logs ──


def test_logs_asks_the_journal_for_all_that_is_about_the_service(site, tmp_path):
    gw = site.gateway(site.app(), files={
        "front.json": {"host": "front.localhost", "base": "http://127.0.0.1:1", "unit": "front.socket"}})
    fake = tmp_path / "journalctl"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    p = ctl(gw, "logs", "-f", "-n", "5", "blog", env=path)
    assert p.stdout == ("-n5 -f DYNAPM_SERVICE=blog + _SYSTEMD_UNIT=dynapm-blog.service + "
                        "UNIT=dynapm-blog.service\n")
    p = ctl(gw, "--user", "logs", "front", env=path)
    assert p.stdout == "--user DYNAPM_SERVICE=front + _SYSTEMD_USER_UNIT=front.socket + USER_UNIT=front.socket\n"
    assert ctl(gw, "logs", "blgo", env=path).returncode == 4
    assert "DYNAPM_SERVICE=blog" in run(f"--runtime-dir={tmp_path}", "logs", "blog", env=path).stdout, \
        "the journal outlives the manager"
    assert "-n3 DYNAPM_SERVICE=blog" in ctl(gw, "status", "-n3", "blog", env=path).stdout


# ── terminals ──


def terminal_environment(**env):
    plain = {k: v for k, v in os.environ.items()
             if k not in ("NO_COLOR", "COLUMNS", "PAGER", "LESS", "SUDO_UID") and not k.startswith("SYSTEMD_")}
    return {k: v for k, v in {**plain, **env}.items() if v is not None}


def on_terminal(*args, status=0, stderr=None, **env):
    """What is seen on a terminal."""
    ours, theirs = pty.openpty()
    p = subprocess.run([PROGRAM, *args], stdout=theirs, stderr=stderr and theirs, stdin=subprocess.DEVNULL, timeout=20,
                       env=terminal_environment(**{"PAGER": "", **env}))
    assert p.returncode == status
    os.close(theirs)
    text = b""
    try:
        while data := os.read(ours, 65536):
            text += data
    except OSError:  # everybody has left
        pass
    os.close(ours)
    return text.decode()


def test_colours_are_for_terminals_that_want_them(blog_and_nas):
    _, _, gw = blog_and_nas
    ask = [f"--runtime-dir={gw.runtime_dir}", "list"]
    assert "\x1b[32monline" in on_terminal(*ask, TERM="xterm")
    assert "\x1b" not in on_terminal(*ask, TERM="xterm", NO_COLOR="1")
    assert "\x1b" not in on_terminal(*ask, TERM="dumb")


def test_colours_can_be_said_as_for_systemctl(blog_and_nas):
    _, _, gw = blog_and_nas
    assert "\x1b[90moffline" in ctl(gw, "list", env={"SYSTEMD_COLORS": "1"}).stdout
    assert "\x1b[90moffline" in ctl(gw, "list", env={"SYSTEMD_COLORS": "256", "NO_COLOR": "1"}).stdout
    assert "\x1b" not in on_terminal(f"--runtime-dir={gw.runtime_dir}", "list", TERM="xterm", SYSTEMD_COLORS="no")


@pytest.fixture
def pagers(tmp_path):
    """Pagers in $PATH that say who they are and what they were told, in front of what they read."""
    for name in ("pager", "less", "more", "mine"):
        program = tmp_path / name
        program.write_text(f"""#!/bin/sh
printf '<{name}%s LESS=%s SECURE=%s>\\n' "${{1:+ $1}}" "$LESS" "${{LESSSECURE-}}"
exec /bin/cat
""")
        program.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "xterm"}


def test_a_terminal_gets_a_pager_of_the_choice_that_systemctl_would_make(blog_and_nas, pagers):
    _, _, gw = blog_and_nas

    def pager(*args, **env):
        text = on_terminal(f"--runtime-dir={gw.runtime_dir}", *args, "list",
                           **{**pagers, "SYSTEMD_PAGERSECURE": "0", "PAGER": None, **env})
        assert "\x1b[90moffline\x1b[0m" in text, "what goes through a pager is coloured, too"
        assert "3 services listed." in text
        return (re.findall(r"<(.*)>", text) or [None])[0]

    assert pager(PAGER=None) == "pager LESS=FRSXMK SECURE="
    assert pager(PAGER="mine") == "mine LESS=FRSXMK SECURE="
    assert pager(PAGER="mine", SYSTEMD_PAGER="  less -x ") == "less -x LESS=FRSXMK SECURE="
    assert pager(PAGER="no-such-pager", SYSTEMD_LESS="FR") == "pager LESS=FR SECURE="
    assert pager("--no-pager") is None
    for none in ("", "cat"):
        assert pager(SYSTEMD_PAGER=none, PAGER="mine") is None
    assert pager(SYSTEMD_PAGERSECURE="1") == "less LESS=FRSXMK SECURE=1"
    assert pager(SYSTEMD_PAGERSECURE="1", PAGER="mine") == "mine LESS=FRSXMK SECURE=1"
    assert pager(SYSTEMD_PAGERSECURE=None, PAGER="mine", SUDO_UID="1000") == "less LESS=FRSXMK SECURE=1"
    assert pager(SYSTEMD_PAGERSECURE="what?", PAGER="mine") == "less LESS=FRSXMK SECURE=1"
    assert pager(SYSTEMD_PAGER=None, TERM="xterm", PATH="/nonexistent") is None


def test_a_pager_is_not_for_scripts_nor_for_dumb_terminals(blog_and_nas, pagers):
    _, _, gw = blog_and_nas
    assert "pager" not in ctl(gw, "list", env=pagers).stdout
    assert "pager" not in on_terminal(f"--runtime-dir={gw.runtime_dir}", "list", **{**pagers, "TERM": "dumb"})


def test_the_exit_status_is_that_of_the_command_whatever_the_pager_does(blog_and_nas, pagers, tmp_path):
    _, _, gw = blog_and_nas
    early = tmp_path / "early"
    early.write_text("#!/bin/sh\nexec <&-\nexit 7\n")
    early.chmod(0o755)
    env = {**pagers, "SYSTEMD_PAGERSECURE": "0", "PAGER": "early"}
    where = f"--runtime-dir={gw.runtime_dir}"
    assert on_terminal(where, "status", "blog", status=3, stderr=True, **env) == ""
    assert on_terminal(where, "list", status=0, stderr=True, **env) == ""
    bad = tmp_path / "bad.json"
    bad.write_text("[" + "1, " * 100000 + "1]")
    text = on_terminal("check", str(bad), status=1, stderr=True, **{**env, "PAGER": "mine"})
    assert text.startswith("<mine") and f"{bad}:1:" in text, "complaints go through it as well"


def test_ctrl_c_belongs_to_the_pager_and_nothing_runs_on_without_it(blog_and_nas, pagers, tmp_path):
    _, _, gw = blog_and_nas
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\ntrap 'echo interrupted; exit 0' INT\necho reading\n"
                    "while read -r line; do :; done\nread -r key </dev/tty\n")
    slow.chmod(0o755)
    pid, ours = pty.fork()
    if pid == 0:
        os.execve(PROGRAM, ["dynapmctl", f"--runtime-dir={gw.runtime_dir}", "status", "blog"],
                  terminal_environment(**{**pagers, "SYSTEMD_PAGERSECURE": "0", "PAGER": "slow"}))
    text = b""
    try:
        while b"reading" not in text:
            text += os.read(ours, 4096)
        os.write(ours, b"\x03")
        while b"interrupted" not in text:
            text += os.read(ours, 4096)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(ours)


def test_a_table_is_as_wide_as_the_terminal(site):
    blog = site.app(hosts=[f"a-rather-long-name-{i}.localhost" for i in range(20)])
    gw = site.gateway(blog)
    lines = on_terminal(f"--runtime-dir={gw.runtime_dir}", "list", TERM="dumb", COLUMNS="80", LC_ALL="C.UTF-8").split("\r\n")
    assert len(lines[1]) == 80 and lines[1].endswith("…")


# ── mistakes ──


@pytest.mark.parametrize("args", [["no-such-command"], ["--no-such-option"], ["start"], ["why"], ["cat"], ["logs"],
                                  ["logs", "a", "b"], ["list", "-n", "x"], ["new"], ["new", "a"], ["list", "--lines=-1"]])
def test_what_makes_no_sense_is_refused(args):
    p = run(*args)
    assert p.returncode == 2
    assert "--help" in p.stderr


def test_without_a_manager_it_says_what_to_do(tmp_path):
    p = run(f"--runtime-dir={tmp_path}", "list")
    assert p.returncode == 1
    assert p.stderr == f"dynapmctl: The manager is not running: nobody listens on {tmp_path}/manager.\n"
    p = run("--user", "list", env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert p.returncode == 1
    assert f"{tmp_path}/dynapm/manager" in p.stderr
    assert "systemctl --user start dynapm-manager.socket" in p.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_who_may_not_gets_a_clear_answer(blog_and_nas):
    _, _, gw = blog_and_nas
    p = ctl(gw, "start", "blog", prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert p.returncode == 1
    assert f"You may not use {gw.runtime_dir}/manager. Try it as root." in p.stderr


def test_a_manager_that_dies_is_no_reason_to_hang(site):
    slow = site.app(env={"START_DELAY": "60"})
    gw = site.gateway(slow)
    with subprocess.Popen([PROGRAM, f"--runtime-dir={gw.runtime_dir}", "start", "blog"], stderr=subprocess.PIPE,
                          text=True) as p:
        wait_for(lambda: slow.events("start"), "its program")
        os.kill(gw.manager_pid(), 9)
        assert p.wait(20) == 1
        assert p.stderr.read().startswith("dynapmctl: ")
    wait_for(lambda: ctl(gw, "stop", "blog").returncode == 0, "the next manager")


def test_help_and_manual_name_every_command_and_option(site):
    help = run("--help")
    assert help.returncode == 0 and help.stderr == ""
    manual = (BUILD.parent / "man" / "dynapmctl.1")
    options = re.findall(r"--[a-z-]+", help.stdout)
    for command in COMMANDS:
        assert re.search(rf"^  {command}\b", help.stdout, re.MULTILINE)
    assert re.search(r"\d+\.\d+\.\d+", run("--version").stdout)
    if manual.exists():
        text = manual.read_text()
        for command in COMMANDS:
            assert f".It Cm {command}" in text, command
        for option in options:
            assert f"Fl -{option[2:]}" in text, option


def test_bash_completes_commands_options_and_services(blog_and_nas):
    _, _, gw = blog_and_nas
    script = Path(__file__).parents[2] / "src/ctl/completions/dynapmctl.bash"

    def complete(*words):
        line = " ".join(words)
        code = f"""
            . {script}
            COMP_WORDS=({' '.join(repr(w) for w in words)}) COMP_CWORD={len(words) - 1}
            COMP_LINE={line!r} COMP_POINT={len(line)}
            _dynapmctl; printf '%s\\n' "${{COMPREPLY[@]}}" """
        p = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=20,
                           env={**os.environ, "PATH": f"{BUILD.absolute()}:{os.environ['PATH']}"})
        assert p.stderr == ""
        return p.stdout.split()

    assert complete("dynapmctl", "st") == ["status", "start", "stop"]
    assert complete("dynapmctl", "--us") == ["--user"]
    assert complete("dynapmctl", f"--runtime-dir={gw.runtime_dir}", "start", "b") == ["bad", "blog"]
