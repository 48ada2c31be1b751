# SPDX-License-Identifier: ISC
"""Configuration as files: what is read, what wins, what is refused, and that the rest is served all the same."""

import json
import os
import subprocess

import pytest

from harness import process
from harness.gateway import PROGRAM, sanitized

# What is wrong with a file → what the log must say about it. Each breaks only its own service.
EXEC = '"exec": ["/bin/true"]'
BASE = '"base": "http://127.0.0.1:1"'
BROKEN = {
    "not-json": ("{", r":1:\d+: "),
    "not-an-object": ("[1, 2]", r":1:1: "),
    "a-string": ('"hello"', r":1:1: "),
    "trailing": ('{"host": "t.localhost", %s, %s} x' % (BASE, EXEC), r":1:\d+: "),
    "missing-comma": ('{\n  "host": "m.localhost"\n  "base": "http://127.0.0.1:1"\n}', r":3:\d+: "),
    "nothing-to-run": ('{"host": "n.localhost", %s}' % BASE, r"(exec|commands|unit|proxyOnly)"),
    "two-to-run": ('{"host": "w.localhost", %s, %s, "proxyOnly": true}' % (BASE, EXEC), r"(proxyOnly|exec)"),
    "no-route": ('{%s, %s}' % (BASE, EXEC), r"(host|route|port)"),
    "no-base": ('{"host": "b.localhost", %s}' % EXEC, r"base"),
    "bad-base": ('{"host": "bb.localhost", "base": "ftp://127.0.0.1:1", %s}' % EXEC, r"base: .*http://"),
    "base-name": ('{"host": "bn.localhost", "base": "http://example.com:1", %s}' % EXEC, r"base: "),
    "base-port": ('{"host": "bp.localhost", "base": "http://127.0.0.1:99999", %s}' % EXEC, r"base: "),
    "bad-span": ('{"host": "s.localhost", %s, %s,\n "idleTimeout": "5 mins"}' % (BASE, EXEC),
                 r':2:\d+: idleTimeout: expected a time span .*got "5 mins"'),
    "negative-span": ('{"host": "ns.localhost", %s, %s, "startTimeout": -1}' % (BASE, EXEC), r"startTimeout: "),
    "wrong-type": ('{"host": 5, %s, %s}' % (BASE, EXEC), r"host: "),
    "exec-string": ('{"host": "es.localhost", %s, "exec": "/bin/true"}' % BASE, r"exec: "),
    "exec-empty": ('{"host": "ee.localhost", %s, "exec": []}' % BASE, r"exec"),
    "unknown-key": ('{"host": "u.localhost", %s, %s, "idleTimout": 5}' % (BASE, EXEC), r"idleTimout.*idleTimeout"),
    "unknown-check": ('{"host": "uc.localhost", %s, %s, "healthCheck": {"type": "htp"}}' % (BASE, EXEC),
                      r"healthCheck\.type.*http"),
    "bad-host": ('{"host": "not a host", %s, %s}' % (BASE, EXEC), r"host: "),
    "bad-wildcard": ('{"host": "a.*.localhost", %s, %s}' % (BASE, EXEC), r"host: "),
    "bad-path": ('{"host": "p.localhost", "path": "api", %s, %s}' % (BASE, EXEC), r"path: "),
    "bad-port": ('{"port": 70000, %s, %s}' % (BASE, EXEC), r"port: "),
    "bad-name": ('{"name": "a/b", "host": "nm.localhost", %s, %s}' % (BASE, EXEC), r"name: "),
    "route-type": ('{"routes": [{"type": "hots", "value": "x"}], %s, %s}' % (BASE, EXEC), r"routes\[0\]\.type"),
    "not-utf8": (b'{"host": "\xff.localhost"}', r":1:\d+: .*UTF-8"),
    "nul": ('{"host": "z\0.localhost"}', r":1:\d+: .*NUL"),
    "relative-cwd": ('{"host": "c.localhost", "cwd": "srv", %s, %s}' % (BASE, EXEC), r"cwd: "),
    "env-type": ('{"host": "e.localhost", "env": {"A": {}}, %s, %s}' % (BASE, EXEC), r"env\.A: "),
}


def put(folder, files):
    for name, (content, _) in files.items():
        path = folder / f"{name}.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def check(*args):
    return subprocess.run([PROGRAM, "--check", "--standalone", *args], capture_output=True, text=True, timeout=20)


def test_every_kind_of_broken_file_is_named_and_takes_only_itself_down(site):
    blog = site.app()
    gw = site.gateway(blog, start=False)
    put(gw.config_dir, BROKEN)
    gw.start()

    for name, (_, pattern) in BROKEN.items():
        assert gw.find_log(rf"{name}\.json.*{pattern}"), f"{name}: nothing in the log matches {pattern}\n{gw.log}"
    assert gw.curl("blog").text == "hello from blog\n"


@pytest.mark.parametrize("name", BROKEN)
def test_check_refuses_it_and_says_where(tmp_path, name):
    put(tmp_path, {name: BROKEN[name]})
    p = check(f"--config-dir={tmp_path}")
    assert p.returncode not in (0, -6, -11), p
    assert f"{tmp_path}/{name}.json" in p.stdout + p.stderr


def test_check_accepts_what_is_right_and_is_silent_about_errors(site):
    blog = site.app()
    folder = site.subfolder("good")
    (folder / "blog.json").write_text(json.dumps(blog.config))
    p = check(f"--config-dir={folder}")
    assert p.returncode == 0, p
    assert "blog.json:" not in p.stderr


def test_comments_are_accepted(site):
    blog = site.app()
    text = json.dumps(blog.config, indent=1)
    gw = site.gateway(files={"blog.json": f"// the blog\n/* and\n more */ {text} // the end\n"})
    assert gw.curl("blog").status == 200


def test_earlier_folders_win_and_masks_hide(site):
    first, second = site.subfolder("first"), site.subfolder("second")
    old, new, masked, linked, only = (site.app(name=n) for n in ("old", "new", "masked", "linked", "only"))
    for service in (old, new):
        service.config["host"] = "blog.localhost"
    (second / "blog.json").write_text(json.dumps(old.config))
    (first / "blog.json").write_text(json.dumps(new.config))
    (second / "masked.json").write_text(json.dumps(masked.config))
    (first / "masked.json").write_text("")
    (second / "linked.json").write_text(json.dumps(linked.config))
    (first / "linked.json").symlink_to("/dev/null")
    (second / "only.json").write_text(json.dumps(only.config))
    (first / "README").write_text("not a drop-in")
    (first / ".hidden.json").write_text("{")
    gw = site.gateway(start=False)
    gw.command = [a for a in gw.command if not a.startswith("--config-dir")]
    gw.command += [f"--config-dir={first}", f"--config-dir={second}"]
    gw.start()

    assert gw.curl("blog").text == "hello from new\n"
    assert gw.curl("masked").status == gw.curl("linked").status == 404
    assert gw.curl("only").text == "hello from only\n"
    assert not gw.find_log(r"README|hidden")


def test_of_two_claims_to_one_host_the_first_file_keeps_it_and_both_are_named(site):
    a, b = site.app(name="a", host="same.localhost"), site.app(name="b", host="same.localhost")
    gw = site.gateway(a, b)
    assert gw.curl("same").text == "hello from a\n"
    [line] = gw.find_log(r"same\.localhost is already taken")
    assert "a.json" in line.text and "b.json" in line.text


def test_a_whole_configuration_as_json_stringify_prints_it_runs_unchanged(site):
    one, two = site.app(name="one"), site.app("hello.py", name="two", kind="commands")
    services = {}
    for key, app in (("one.localhost", one), ("two", two)):
        config = dict(app.config)
        config.pop("host")
        config["idleTimeout"] = 300000
        services[key] = config
    services["two"]["commands"] = {**services["two"]["commands"], "cwd": "/tmp", "env": services["two"].pop("env")}
    services["two"]["healthCheck"] = {"type": "tcp"}
    gw = site.gateway(files={"dynapm.json": json.dumps({
        "port": 3000, "host": "127.0.0.1", "services": services,
        "logging": {"enableRequestLog": True}})})

    assert gw.curl("one.localhost").text == "hello from one\n"
    with gw.raw("GET / HTTP/1.1\r\nHost: two\r\n\r\n") as c:
        assert c.reply().text == "hello from two\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root's manager refuses such a file")
def test_a_file_that_others_may_write_is_refused_as_root(site):
    blog, shop = site.app(), site.app(name="shop")
    gw = site.gateway(blog, shop, start=False)
    (gw.config_dir / "shop.json").chmod(0o666)
    gw.start()
    assert gw.curl("shop").status == 404
    assert gw.curl("blog").status == 200
    gw.wait_log(r"shop\.json.*(writ|permission)")


def test_an_empty_folder_is_no_error(site):
    gw = site.gateway()
    assert gw.curl("blog").status == 404


def test_two_thousand_services_are_loaded_in_no_time_and_all_are_routed(site):
    last = site.app(name="last")
    gw = site.gateway(last, start=False)
    for i in range(2000):
        gw.write(f"s{i:04}.json", {"host": f"s{i}.localhost", "base": f"http://127.0.0.1:{20000 + i}",
                                   "commands": {"start": "exit 9"}, "idleTimeout": "5min"})
    gw.start()
    took = gw.notify.find("READY=1")[0][0] - gw.started

    assert took < (10 if sanitized() else 2), f"{took:.2f} s"
    assert gw.curl("last").text == "hello from last\n"
    for i in (0, 999, 1999):
        r = gw.curl(f"s{i}")
        assert r.status == 503 and f"s{i:04}" in r.text
    assert gw.curl("s2000").status == 404


def test_a_broken_global_file_is_named(site):
    folder = site.subfolder("c")
    (folder / "dynapm.json").write_text('{"limits": {"maxConnection": 5}}')
    p = check(f"--config-dir={site.subfolder('d')}", f"--config={folder}/dynapm.json")
    assert p.returncode != 0
    assert "maxConnection" in p.stderr and "maxConnections" in p.stderr


def test_a_service_may_have_another_name_than_its_file(site):
    blog = site.app(name="blog")
    blog.config["name"] = "the-blog"
    gw = site.gateway(blog)
    gw.curl("blog")
    gw.wait_state("the-blog", "online")
    assert process.alive(blog.pid)
