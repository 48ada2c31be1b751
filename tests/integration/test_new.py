# SPDX-License-Identifier: ISC
"""dynapmctl new: the file of a new service, as somebody writes it who has something that runs already."""

import json
import os
import re
import subprocess
import sys

import pytest
from test_ctl import ctl, run

WHERE = ["--host=blog.localhost", "--base=3001"]
# As Docker, PM2 and Compose would refuse them, or not: none of it may reach a shell.
HOSTILE = ["it's", "a b", "$(touch pwned)", "`touch pwned`", "-rf", "a;touch pwned", "\"quoted\"", "back\\slash", "two\nlines",
           "*", "~root", "$HOME", "ünï", "&", "#x", "%s"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "d").mkdir()
    return tmp_path / "d"


@pytest.fixture
def fakes(tmp_path):
    """docker, pm2 and systemd's tools, which write down their arguments and say that everything runs."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("docker", "pm2", "systemctl", "systemd-run"):
        tool = tools / name
        tool.write_text(f"""#!{sys.executable}
import json, os, sys
with open(os.environ["CALLS"], "a") as f:
    f.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
answer = os.environ.get("ANSWER", "")
print(answer) if answer else None
""")
        tool.chmod(0o755)
    return tools


def new(folder, *args, **kwargs):
    return run(f"--config-dir={folder}", "new", *args, **kwargs)


def written(folder, name="blog"):
    """The service as the manager would have it."""
    assert run("check", str(folder / f"{name}.json")).returncode == 0
    p = run("--json", f"--config-dir={folder}", "cat", name)
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)


def test_a_program_is_written_and_served(site):
    blog = site.app()
    gw = site.gateway(start=False)
    p = ctl(gw, "new", "blog", f"--config-dir={gw.config_dir}", "--host=blog.localhost", f"--base={blog.port}", "--exec",
            "env", "--", *(f"{k}={v}" for k, v in blog.env.items()), *blog.argv)
    assert p.returncode == 0, p.stderr
    assert p.stdout == f"Written to {gw.config_dir}/blog.json.\nIt is served as soon as dynapm runs.\n"
    gw.start()
    assert gw.curl("blog").text == "hello from blog\n"
    p = ctl(gw, "new", "two", f"--config-dir={gw.config_dir}", "--host=two.localhost", "--base=3002", "--exec=sh")
    assert re.search(r"It is served when dynapm has been restarted\.|reload$", p.stdout), p.stdout


def test_what_is_written_is_commented_complete_and_readable_for_all(folder):
    p = new(folder, "blog", *WHERE, "--idle-timeout=1h", "--exec", "sh", "--", "-c", "--force",
            prefix=["sh", "-c", 'umask 077; exec "$@"', "-"])
    assert (p.returncode, p.stderr) == (0, "")
    path = folder / "blog.json"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(folder) == ["blog.json"], "nothing is left behind"
    service = written(folder)
    assert service["exec"][0].startswith("/") and service["exec"][1:] == ["-c", "--force"]
    assert service["idleTimeout"] == "1h"
    assert service["cwd"] == os.getcwd(), "it is run where it was seen to run"
    text = path.read_text()
    assert "// Where the service itself listens." in text
    # Lines in comments are keys that only have to be taken out of them.
    path.write_text(re.sub(r"^  // (?=\")", "  ", text, flags=re.MULTILINE))
    more = written(folder)
    assert more["env"] == {"NODE_ENV": "production"} and more["healthCheck"]["type"] == "http"


def test_what_is_there_is_not_overwritten_unless_one_insists(folder):
    path = folder / "blog.json"
    path.write_text("// mine")
    p = new(folder, "blog", *WHERE, "--exec=sh")
    assert p.returncode == 1
    assert p.stderr == f"dynapmctl: {path} is there already. --force replaces it.\n"
    assert path.read_text() == "// mine"
    p = new(folder, "blog", *WHERE, "--exec=sh", "--force")
    assert (p.returncode, p.stderr) == (0, "")
    assert written(folder)["exec"] == [process_path("sh")]
    assert os.listdir(folder) == ["blog.json"]


def process_path(program):
    return subprocess.run(["sh", "-c", f"command -v {program}"], capture_output=True, text=True).stdout.strip()


def test_it_can_be_looked_at_without_being_written(folder):
    p = new(folder, "blog", *WHERE, "--unit=blog.service", "--stdout")
    assert p.returncode == 0 and '"unit": "blog.service"' in p.stdout
    assert os.listdir(folder) == []


@pytest.mark.parametrize("args, complaint", [
    (["blog", *WHERE], "How is it run?"),
    (["blog", *WHERE, "--exec=sh", "--unit=x"], "How is it run?"),
    (["blog", "--base=1", "--exec=sh"], "How is it reached?"),
    (["blog", "--host=a.test", "--exec=sh"], "Where does it listen?"),
    (["b/og", *WHERE, "--exec=sh"], "name is 1 to 64"),
    (["..", *WHERE, "--unit=x", "more"], "take more words"),
    (["blog", *WHERE, "--unit=x", "--stop=y"], "go with --commands"),
])
def test_a_command_line_that_says_too_little_or_too_much_is_explained(folder, args, complaint):
    p = new(folder, *args)
    assert p.returncode == 2 and complaint in p.stderr
    assert os.listdir(folder) == []


@pytest.mark.parametrize("args, complaint", [
    (["--base=nonsense", "--exec=sh"], "base: expected http://HOST:PORT"),
    (["--base=99999", "--exec=sh"], "base: "),
    (["--base=3001", "--exec=sh", "--idle-timeout=5 mins"], 'idleTimeout: expected a time span such as "5min", got "5 mins"'),
    (["--base=3001", "--unit=a/b"], "unit: "),
    (["--base=3001", "--exec=no-such-program"], 'There is no program "no-such-program"'),
    (["--base=3001", "--exec=sh -c true"], "Its arguments are words of their own"),
    (["--base=3001", "--compose=/nonexistent"], "/nonexistent: No such file"),
    (["--base=3001", "--compose=/"], "There is no file for docker compose"),
    (["--base=3001", "--pm2=all"], 'pm2 does not take "all"'),
    (["--base=3001", "--pm2=-x"], 'pm2 does not take "-x"'),
])
def test_what_the_manager_would_refuse_is_not_written(folder, args, complaint):
    p = new(folder, "blog", "--host=a.test", *args)
    assert p.returncode == 1 and complaint in p.stderr, p.stderr
    assert os.listdir(folder) == []


def test_nor_what_others_have_already(folder):
    assert new(folder, "zoo", "--host=a.test", "--base=3001", "--exec=sh").returncode == 0
    p = new(folder, "blog", "--host=a.test", "--base=3002", "--exec=sh")
    assert p.returncode == 1 and "a.test is already taken" in p.stderr and "zoo.json" in p.stderr
    assert new(folder, "zoo", "--host=a.test", "--base=3002", "--exec=sh", "--force").returncode == 0, "but by itself"


def test_short_forms_and_routes(folder):
    assert new(folder, "a", "--host=a.test,b.test", "--base=/run/a.sock", "--path=/x", "--unit=a").returncode == 0
    assert new(folder, "b", "--port=8081", "--target=:3002", "--unit=b").returncode == 0
    assert new(folder, "c", "--port=127.0.0.1:8082", "--base=tcp://[::1]:5432", "--unit=c").returncode == 0
    routes = [(r["value"], r["path"], r["target"]) for name in "abc" for r in written(folder, name)["routes"]]
    assert routes == [("a.test", "/x", "http+unix:///run/a.sock"), ("b.test", "/x", "http+unix:///run/a.sock"),
                      (8081, "/", "http://127.0.0.1:3002"), ("127.0.0.1:8082", "/", "tcp://[::1]:5432")]


def commands(folder, fakes, answer, name="blog"):
    """What the service's three command lines call, and whether `check` is content with this answer."""
    calls, result = folder.parent / "calls", {}
    env = {**os.environ, "PATH": f"{fakes}:{os.environ['PATH']}", "CALLS": str(calls), "ANSWER": answer}
    for key, line in written(folder, name)["commands"].items():
        calls.write_text("")
        p = subprocess.run(["/bin/sh", "-c", line], env=env, cwd=folder, capture_output=True, text=True)
        assert p.stderr == ""
        result[key] = json.loads(calls.read_text())
    assert os.listdir(folder) == [f"{name}.json"], "nothing was executed beside it"
    return result, p.returncode == 0


@pytest.mark.parametrize("container", ["wiki", *HOSTILE])
def test_docker_is_called_with_the_container_as_one_word(folder, fakes, container):
    assert new(folder, "blog", *WHERE, f"--docker={container}").returncode == 0
    calls, runs = commands(folder, fakes, "true")
    assert calls == {"start": ["docker", "start", "--", container], "stop": ["docker", "stop", "--", container],
                     "check": ["docker", "container", "inspect", "--format", "{{.State.Running}}", "--", container]}
    assert runs
    assert not commands(folder, fakes, "false")[1]
    assert not commands(folder, fakes, "")[1]
    service = written(folder)
    assert service["healthCheck"]["type"] == "http", "Docker accepts connections too early"
    assert os.getuid() != 0 or service["user"] == "root"


@pytest.mark.parametrize("name", ["shop", *(n for n in HOSTILE if n != "-rf")])
def test_pm2_is_called_with_the_process_as_one_word(folder, fakes, name):
    assert new(folder, "blog", *WHERE, f"--pm2={name}", env={"SUDO_USER": "nobody"}).returncode == 0
    calls, runs = commands(folder, fakes, "4711")
    assert calls == {"start": ["pm2", "start", name], "stop": ["pm2", "stop", name], "check": ["pm2", "pid", name]}
    assert runs
    assert not commands(folder, fakes, "0")[1]
    assert os.getuid() != 0 or written(folder)["user"] == "nobody"


@pytest.mark.parametrize("place", ["shop", "it's $HOME"])
def test_compose_is_called_with_its_file_and_some_of_its_services(folder, fakes, tmp_path, place):
    project = tmp_path / place
    project.mkdir()
    file = project / "compose.yaml"
    file.write_text("services: {}\n")
    call = ["docker", "compose", "--file", str(file)]
    assert new(folder, "blog", *WHERE, "--compose", str(project)).returncode == 0
    calls, runs = commands(folder, fakes, "4711abc")
    assert calls == {"start": [*call, "up", "--detach"], "stop": [*call, "stop"],
                     "check": [*call, "ps", "--status", "running", "--quiet"]}
    assert runs
    assert not commands(folder, fakes, "")[1]
    assert new(folder, "blog", *WHERE, "--force", "--compose", str(file), "web", "it's").returncode == 0
    assert commands(folder, fakes, "")[0] == {
        "start": [*call, "up", "--detach", "--", "web", "it's"], "stop": [*call, "stop", "--", "web", "it's"],
        "check": [*call, "ps", "--status", "running", "--quiet", "--", "web", "it's"]}


@pytest.mark.parametrize("argument", ["server.js", *HOSTILE])
def test_systemd_run_is_called_with_a_unit_of_the_services_name(folder, fakes, argument):
    assert new(folder, "blog", *WHERE, "--cwd=/srv/it's", "--systemd-run=sh", "--", argument).returncode == 0
    calls, _ = commands(folder, fakes, "")
    assert calls == {
        # systemd would take $x for a variable.
        "start": ["systemd-run", "--quiet", "--collect", "--unit=app-blog", "--working-directory", "/srv/it's", "--",
                  process_path("sh"), argument.replace("$", "$$")],
        "stop": ["systemctl", "stop", "app-blog.service"],
        "check": ["systemctl", "is-active", "--quiet", "app-blog.service"]}


def test_command_lines_are_taken_as_they_are(folder):
    lines = {"start": "x & echo $! >'a b'", "stop": "kill \"$(cat 'a b')\"", "check": "test -e \"a b\""}
    assert new(folder, "blog", *WHERE, f"--commands={lines['start']}", f"--stop={lines['stop']}",
               f"--check={lines['check']}").returncode == 0
    assert written(folder)["commands"] == lines


def test_for_oneself_it_goes_into_ones_own_folder(tmp_path):
    home = tmp_path / "home"
    p = run("--user", "new", "blog", *WHERE, "--docker=wiki",
            env={"XDG_CONFIG_HOME": str(home), "XDG_RUNTIME_DIR": str(tmp_path)})
    assert p.returncode == 0, p.stderr
    assert "user" not in written(home / "dynapm.d"), "all there is runs as oneself"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_who_may_not_write_there_is_told(folder):
    folder.chmod(0o755)
    p = new(folder, "blog", *WHERE, "--exec=sh", prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert p.returncode == 1
    assert p.stderr == f"dynapmctl: Cannot write {folder}/blog.json: Permission denied\n"
