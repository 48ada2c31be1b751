# SPDX-License-Identifier: ISC
"""Services that speak something else than HTTP, by themselves and with the clients that people use."""

import contextlib
import glob
import os
import pwd
import shutil
import socket
import subprocess

import pytest
from harness import Raw, free_port, process, wait_for

MIB = 1 << 20


def make(site, name="talker", app="talker.py", env=None, listen="", config=None, workers=None, files=None, **service):
    talker = site.app(app, name=name, env=env, host=None, **service)
    talker.listen = free_port()
    talker.config.update(base=f"tcp://127.0.0.1:{talker.port}",
                         port=f"{listen}:{talker.listen}" if listen else talker.listen)
    talker.gateway = site.gateway(talker, config=config, workers=workers, files=files)
    return talker


def connect(talker, host="127.0.0.1", **kwargs):
    if ":" in host:
        c = Raw.__new__(Raw)
        c.socket, c.buffer = socket.create_connection((host, talker.listen), 10), b""
        return c
    return Raw((host, talker.listen), **kwargs)


@pytest.fixture
def talker(site):
    return make(site)


def test_the_first_connection_starts_the_service_and_waits(site):
    talker = make(site, env={"START_DELAY": 0.4})
    with connect(talker) as c:
        c.send("said before it was there\n")
        assert c.read_until(b"\n") == b"welcome"
        assert c.read_until(b"\n") == b"said before it was there"
    talker.gateway.wait_log(r"talker: offline → starting \(TCP \[::\]:")
    assert talker.starts == 1


def test_a_crowd_waits_for_one_start_and_is_served_in_full(site):
    talker = make(site, env={"START_DELAY": 0.4})
    crowd = [connect(talker) for _ in range(100)]
    for i, c in enumerate(crowd):
        c.send(f"{i}\n")
    for i, c in enumerate(crowd):
        assert c.read_until(b"\n") == b"welcome"
        assert c.read_until(b"\n") == b"%d" % i
        c.close()
    assert talker.starts == 1


def test_bytes_pass_both_ways_as_they_are_and_either_side_may_end_first(talker):
    with connect(talker) as c:
        assert c.read_until(b"\n") == b"welcome"
        data = os.urandom(200000) + b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        c.send(data)
        c.socket.shutdown(socket.SHUT_WR)
        assert c.read_all() == data and not c.was_reset
    last = talker.events("connected")[-1].split()[1]  # those before were probes
    wait_for(lambda: f"ended {last}" in talker.events(), "the service sees the end")


def test_a_client_that_ends_its_side_before_the_service_is_there_is_served(site):
    talker = make(site, env={"START_DELAY": 0.3})
    with connect(talker) as c:
        c.send("all at once")
        c.socket.shutdown(socket.SHUT_WR)
        assert c.read_all() == b"welcome\nall at once"


def test_an_open_connection_keeps_it_awake_and_the_last_one_lets_it_sleep(site):
    talker = make(site, idleTimeout=300)
    gw = talker.gateway
    with connect(talker) as a, connect(talker) as b:
        assert a.read_until(b"\n") == b.read_until(b"\n") == b"welcome"
        a.close()
        assert b.silent(1.0)
        assert gw.count_transitions("talker", "stopping") == 0
    gw.wait_state("talker", "offline")
    with connect(talker) as c:
        assert c.read_until(b"\n") == b"welcome"
    assert talker.starts == 2


def test_a_client_that_cannot_be_served_is_reset(site):
    talker = make(site, app="exits.py", config={"logging": {"enableRequestLog": True}})
    with connect(talker) as c:
        assert c.read_all() == b"" and c.was_reset
    talker.gateway.wait_log(r"talker: 127\.0\.0\.1 TCP \[::\]:\d+ - 0 [\d.]+ms \(not served: ")


def test_a_service_that_died_is_started_again_for_the_next(talker):
    with connect(talker) as c:
        assert c.read_until(b"\n") == b"welcome"
        process.kill(talker.pid)
        c.read_all()
        talker.gateway.wait_state("talker", "offline")
    with connect(talker) as c:
        assert c.read_until(b"\n") == b"welcome"
    assert talker.starts == 2


def test_a_service_that_is_not_ours_to_start_may_refuse(site):
    port = free_port()
    gw = site.gateway(files={"db.json": {"port": port, "base": f"tcp://127.0.0.1:{free_port()}", "proxyOnly": True}})
    with contextlib.suppress(ConnectionResetError):  # which may be there before connect() has returned
        with Raw(("127.0.0.1", port)) as c:
            assert c.read_all() == b"" and c.was_reset
    assert process.alive(gw.pid)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_service_is_told_who_the_client_is(site, version, host):
    talker = make(site, env={"PROXY": version}, sendProxyProtocol=version)
    with connect(talker, host) as c:
        c.send("hello\n")
        family = 6 if ":" in host else 4
        assert c.read_until(b"\n").decode() == \
            f"PROXY TCP{family} {host} {host} {c.socket.getsockname()[1]} {talker.listen}"
        assert c.read_until(b"\n") == b"welcome"
        assert c.read_until(b"\n") == b"hello"


def test_a_gateway_that_shuts_down_ends_connections_in_order(talker):
    with connect(talker) as c, connect(talker) as d:
        assert c.read_until(b"\n") == d.read_until(b"\n") == b"welcome"
        os.kill(talker.gateway.pid, 15)
        assert c.read_all() == d.read_all() == b""
        assert not c.was_reset and not d.was_reset
    assert talker.gateway.wait_end() == 0


def test_those_who_wait_are_told_at_shutdown(site):
    talker = make(site, env={"START_DELAY": 60})
    with connect(talker, timeout=30) as c:  # for longer than the drain time, which it is told after
        talker.gateway.wait_state("talker", "starting")
        os.kill(talker.gateway.pid, 15)
        assert c.read_all() == b""
    assert talker.gateway.wait_end() == 0


def test_several_workers_share_the_port(site):
    talker = make(site, workers=2)
    crowd = [connect(talker) for _ in range(40)]
    for c in crowd:
        assert c.read_until(b"\n") == b"welcome"
    for c in crowd:
        c.close()
    assert talker.starts == 1


def test_the_access_log_has_a_line_for_a_connection(site):
    talker = make(site, config={"logging": {"enableRequestLog": True}})
    with connect(talker) as c:
        c.send("12345\n")
        assert c.read_until(b"\n") + c.read_until(b"\n") == b"welcome12345"
    talker.gateway.wait_log(r"talker: 127\.0\.0\.1 TCP \[::\]:\d+ - 14 [\d.]+ms, 6 from the client$")


# ── what people have ──

def program(*names):
    for name in names:
        found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))), None)
        if not found:
            pytest.skip(f"{name} is not installed")
        yield found


def test_redis_is_woken_by_its_own_client(site):
    server, cli = program("redis-server", "redis-cli")
    redis = site.app(name="redis", host=None, idleTimeout=500)
    redis.listen = free_port()
    redis.config.update(base=f"tcp://127.0.0.1:{redis.port}", port=f"127.0.0.1:{redis.listen}", env=None,
                        exec=[server, "--port", str(redis.port), "--bind", "127.0.0.1", "--dir", str(redis.folder),
                              "--dbfilename", "dump.rdb", "--save", "3600 1000000"])
    del redis.config["env"]
    gw = site.gateway(redis)

    def ask(*words, **kwargs):
        p = subprocess.run([cli, "-p", str(redis.listen), *words], capture_output=True, text=True, timeout=30, **kwargs)
        assert p.returncode == 0, p.stderr
        return p.stdout

    assert ask("set", "key", "value") == "OK\n"
    assert ask("get", "key") == "value\n"
    value = "x" * (4 * MIB)
    assert ask("-x", "set", "large", input=value) == "OK\n"
    assert ask("strlen", "large") == f"{len(value)}\n"
    assert ask("get", "large") == value + "\n"
    gw.wait_state("redis", "offline")
    assert ask("get", "key") == "value\n", "it has saved what it had, and is there again"
    assert gw.count_transitions("redis", "online") == 2


def test_postgresql_is_woken_by_its_own_client(site):
    initdb, postgres, ready, psql, setpriv = program("initdb", "postgres", "pg_isready", "psql", "setpriv")
    who = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    entry = pwd.getpwnam(who)
    as_user = [setpriv, f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"] if os.getuid() == 0 else []
    site.folder.chmod(0o755)
    data = site.subfolder("data")
    # What is set for dynapm's own sanitizers means something else to a program with others.
    as_it_is = ["env", "-u", "ASAN_OPTIONS", "-u", "UBSAN_OPTIONS"]
    os.chown(data, entry.pw_uid, entry.pw_gid)
    subprocess.run([*as_user, initdb, "-D", data, "-U", "me", "-A", "trust", "--no-sync"], check=True,
                   capture_output=True, timeout=120, cwd="/")
    db = site.app(name="db", host=None, idleTimeout=500)
    listen = free_port()
    db.config.update(base=f"tcp://127.0.0.1:{db.port}", port=f"127.0.0.1:{listen}",
                     healthCheck={"type": "command", "command": f"{ready} -q -h 127.0.0.1 -p {db.port}"},
                     exec=[*as_it_is, *as_user, postgres, "-D", str(data), "-p", str(db.port), "-h", "127.0.0.1", "-k", "", "-F"])
    del db.config["env"]
    gw = site.gateway(db)

    def ask(sql):
        p = subprocess.run([psql, "-X", "-At", "-h", "127.0.0.1", "-p", str(listen), "-U", "me", "-d", "postgres", "-c", sql],
                           capture_output=True, text=True, timeout=60)
        assert p.returncode == 0, p.stderr
        return p.stdout

    ask("create table t as select i, repeat('x', 1000) as s from generate_series(1, 5000) i")
    gw.wait_state("db", "offline")
    assert ask("select count(*), sum(length(s)) from t") == "5000|5000000\n"
    assert len(ask("select s from t")) == 5000 * 1001
    assert gw.count_transitions("db", "online") == 2


