# SPDX-License-Identifier: ISC
"""What is counted, seen as Prometheus sees it: a known set of requests has to give known numbers."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from harness import Raw, free_port, wait_for
from test_ctl import ctl

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "metrics"
parser = pytest.importorskip("prometheus_client.parser", reason="python3-prometheus-client is not installed")
openmetrics = pytest.importorskip("prometheus_client.openmetrics.parser")


def read(gw, *args):
    p = ctl(gw, "metrics", *args)
    assert p.returncode == 0 and p.stderr == ""
    return p.stdout


def samples(gw):
    """{(name, labels but that of the service and of a bucket): value}, of the service blog and of none."""
    found = {}
    for family in parser.text_string_to_metric_families(read(gw)):
        for s in family.samples:
            labels = dict(s.labels)
            if labels.pop("service", "blog") == "blog":
                found[(s.name, *labels.values())] = s.value
    return found


def value(gw, *key):
    return samples(gw)[key]


def wait_value(gw, expected, *key):
    wait_for(lambda: value(gw, *key) == expected, f"{key} is {expected}, and not {value(gw, *key)}")


def test_requests_are_counted_by_class_with_their_durations_and_bytes(site):
    blog = site.app("raw.py", env={"RESPONSES": site.folder / "responses"})
    (site.folder / "responses").mkdir()
    for name, status in (("ok", "200 OK"), ("moved", "302 Found"), ("gone", "410 Gone"), ("bad", "500 Oops")):
        (site.folder / "responses" / name).write_text(f"HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nhello")
    gw = site.gateway(blog)
    for name, n in (("ok", 3), ("moved", 1), ("gone", 2), ("bad", 1)):
        for _ in range(n):
            gw.curl("blog", f"/{name}", "--data-binary", "0123456789")
    wait_value(gw, 3, "dynapm_service_requests_total", "2xx")
    s = samples(gw)
    assert s[("dynapm_service_requests_total", "3xx")] == 1
    assert s[("dynapm_service_requests_total", "4xx")] == 2
    assert s[("dynapm_service_requests_total", "5xx")] == 1
    assert s[("dynapm_service_requests_total", "none")] == 0
    assert s[("dynapm_service_request_duration_seconds_count",)] == 7
    assert s[("dynapm_service_request_duration_seconds_bucket", "+Inf")] == 7
    assert s[("dynapm_service_request_duration_seconds_sum",)] > 0
    assert s[("dynapm_service_sent_bytes_total",)] == 7 * 5
    assert s[("dynapm_service_received_bytes_total",)] == 7 * 10
    assert s[("dynapm_service_parked_requests_total",)] == 1
    assert s[("dynapm_service_starts_total", "ready")] == 1
    assert s[("dynapm_service_start_duration_seconds_count",)] == 1
    assert s[("dynapm_service_open_requests",)] == 0
    assert s[("dynapm_service_state", "online")] == 1 and s[("dynapm_service_state", "offline")] == 0


def test_what_goes_wrong_with_a_service_is_counted_by_kind(site):
    folder = site.folder / "responses"
    folder.mkdir()
    (folder / "x.silent").write_text("")
    (folder / "nonsense").write_text("SMTP ready\r\n\r\n")
    (folder / "half.close").write_text("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
    blog = site.app("raw.py", env={"RESPONSES": folder})
    dead = {"host": "dead.localhost", "base": f"http://127.0.0.1:{free_port()}", "proxyOnly": True}
    gw = site.gateway(blog, files={"dead.json": dead})
    gw.curl("blog", "/x.silent", "--data-binary", "not to be repeated")
    gw.curl("blog", "/nonsense")
    with gw.raw("GET /half.close HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n") as c:
        assert b"hello" in c.read_all()
    for kind in ("closed", "bad_answer", "truncated"):
        wait_value(gw, 1, "dynapm_service_upstream_errors_total", kind)
    assert value(gw, "dynapm_service_upstream_errors_total", "refused") == 0
    gw.curl("dead")
    assert 'dynapm_service_upstream_errors_total{service="dead",kind="refused"} 1\n' in read(gw)


def test_requests_that_are_nobodys_are_counted_by_status(site):
    gw = site.gateway(site.app())
    before = value(gw, "dynapm_connections_accepted_total")
    for _ in range(3):
        assert gw.curl("nobody").status == 404
    with gw.raw("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") as c:
        c.read_until(b"400 Bad Request")
    wait_value(gw, 3, "dynapm_stray_requests_total", "404")
    wait_value(gw, 1, "dynapm_stray_requests_total", "400")
    assert value(gw, "dynapm_connections_accepted_total") == before + 4
    assert value(gw, "dynapm_service_requests_total", "4xx") == 0
    wait_value(gw, 0, "dynapm_connections")


def test_those_who_wait_in_vain_are_counted(site):
    blog = site.app("exits.py", startTimeout="5s")
    gw = site.gateway(blog)
    assert gw.curl("blog").status == 503
    wait_value(gw, 1, "dynapm_service_parked_requests_refused_total", "failed")
    assert value(gw, "dynapm_service_starts_total", "failed") == 1
    assert value(gw, "dynapm_service_requests_total", "5xx") == 1


def test_a_tcp_connection_is_counted_with_its_bytes_while_it_is_open(site):
    blog = site.app("talker.py", host=None)
    blog.listen = free_port()
    blog.config.update(base=f"tcp://127.0.0.1:{blog.port}", port=blog.listen)
    gw = site.gateway(blog)
    with Raw(("127.0.0.1", blog.listen)) as c:
        c.send("ten bytes\n")
        assert c.read_until(b"\n") == b"welcome"
        assert c.read_until(b"\n") == b"ten bytes"
        wait_value(gw, 10, "dynapm_service_received_bytes_total")
        wait_value(gw, 18, "dynapm_service_sent_bytes_total")
        assert value(gw, "dynapm_service_open_requests") == 1
        assert value(gw, "dynapm_service_connections_total") == 1


def test_a_connection_that_was_upgraded_is_counted_with_its_bytes_while_it_is_open(site):
    gw = site.gateway(site.app("switch.py"))
    with gw.raw("GET /echo HTTP/1.1\r\nHost: blog.localhost\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n") as c:
        assert c.reply().status == 101
        c.send("ten bytes\n")
        assert c.read_exactly(10) == b"ten bytes\n"
        wait_value(gw, 10, "dynapm_service_received_bytes_total")
        wait_value(gw, 10, "dynapm_service_sent_bytes_total")
        assert value(gw, "dynapm_service_requests_total", "1xx") == 1, "the upgrade is over"
        assert value(gw, "dynapm_service_open_requests") == 1
        c.send("five\n")
        assert c.read_exactly(5) == b"five\n"
        wait_value(gw, 15, "dynapm_service_sent_bytes_total")
    wait_value(gw, 0, "dynapm_service_open_requests")
    s = samples(gw)
    assert s[("dynapm_service_received_bytes_total",)] == s[("dynapm_service_sent_bytes_total",)] == 15
    assert s[("dynapm_service_request_duration_seconds_count",)] == 1


GET = "GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n"


def test_who_is_one_too_many_is_counted_and_so_is_who_leaves_while_waiting(site):
    gw = site.gateway(site.app("never_ready.py", startTimeout="1h"),
                      config={"limits": {"maxParkedRequestsPerService": 3}})
    waiting = [gw.raw(GET) for _ in range(3)]
    wait_value(gw, 3, "dynapm_service_waiting_requests")
    assert gw.curl("blog").status == 503
    wait_value(gw, 1, "dynapm_service_parked_requests_refused_total", "full")
    assert value(gw, "dynapm_service_parked_requests_refused_total", "failed") == 0
    assert value(gw, "dynapm_service_requests_total", "5xx") == 1
    for c in waiting:
        c.close()
    wait_value(gw, 3, "dynapm_service_requests_total", "none")
    wait_value(gw, 0, "dynapm_service_waiting_requests")
    assert value(gw, "dynapm_service_open_requests") == 0
    assert value(gw, "dynapm_service_parked_requests_total") == 3


def test_who_leaves_before_the_answer_is_counted(site):
    blog = site.app("echo.py")
    gw = site.gateway(blog)
    gw.curl("blog")
    with gw.raw("GET /wait/5 HTTP/1.1\r\nHost: blog.localhost\r\n\r\n"):
        wait_for(lambda: len(blog.requests) == 2, "the service has it")
        assert value(gw, "dynapm_service_open_requests") == 1
    wait_value(gw, 1, "dynapm_service_requests_total", "none")
    s = samples(gw)
    assert s[("dynapm_service_requests_total", "2xx")] == 1 and s[("dynapm_service_requests_total", "5xx")] == 0
    assert all(n == 0 for key, n in s.items() if key[0] == "dynapm_service_upstream_errors_total"), "nothing is wrong with it"


def test_a_service_that_takes_too_long_is_counted(site):
    gw = site.gateway(site.app("echo.py"), config={"limits": {"upstreamFirstByteTimeout": "300ms"}})
    assert gw.curl("blog", "/wait/5").status == 504
    wait_value(gw, 1, "dynapm_service_upstream_errors_total", "timeout")
    assert value(gw, "dynapm_service_upstream_errors_total", "connect_timeout") == 0
    assert value(gw, "dynapm_service_requests_total", "5xx") == 1


def test_a_service_that_takes_no_connection_is_counted(site):
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # one more than there is room for: from now on the kernel lets nobody in
            c = stack.enter_context(socket.socket())
            c.setblocking(False)
            c.connect_ex(full.getsockname())
        blog = {"host": "blog.localhost", "base": f"http://127.0.0.1:{full.getsockname()[1]}", "proxyOnly": True}
        gw = site.gateway(files={"blog.json": blog}, config={"limits": {"upstreamConnectTimeout": "300ms"}})
        assert gw.curl("blog").status == 504
        wait_value(gw, 1, "dynapm_service_upstream_errors_total", "connect_timeout")
        s = samples(gw)
        assert all(n == 0 for key, n in s.items() if key[0] == "dynapm_service_upstream_errors_total" and
                   key[1] != "connect_timeout")


def test_connections_that_are_too_many_of_their_address_are_counted(site):
    gw = site.gateway(site.app(), config={"limits": {"maxConnectionsPerAddress": 2}})
    held = [gw.raw(GET) for _ in range(2)]
    for c in held:
        assert c.reply().status == 200
    assert value(gw, "dynapm_connections_refused_total") == 0
    for n in (1, 2):
        with gw.raw() as c:
            assert c.closed(20)
        wait_value(gw, n, "dynapm_connections_refused_total")
    assert value(gw, "dynapm_connections") == 2
    for c in held:
        c.close()
    wait_value(gw, 0, "dynapm_connections")


def test_memory_and_sleep_are_measured(site):
    gw = site.gateway(site.app())
    assert ("dynapm_service_memory_bytes",) not in samples(gw), "it does not run"
    assert value(gw, "dynapm_service_asleep_seconds_total") > 0
    gw.curl("blog")
    wait_for(lambda: samples(gw).get(("dynapm_service_memory_bytes",), 0) > 1 << 20, "its memory")
    assert ("dynapm_service_cpu_seconds_total",) in samples(gw)


@pytest.mark.standalone_only("has several workers")
def test_each_worker_is_measured_by_its_process(site):
    gw = site.gateway(site.app(), workers=2)
    gw.curl("blog")

    def told(name):
        return {int(key[1]): n for key, n in samples(gw).items() if key[0] == f"dynapm_gateway_{name}"}
    wait_for(lambda: set(told("memory_bytes")) == set(gw.workers()), "both are there")
    assert all(1 << 20 < n < 1 << 30 for n in told("memory_bytes").values())
    assert all(0 <= n < 600 for n in told("cpu_seconds_total").values())
    worker = gw.workers()[0]
    wait_for(lambda: told("open_fds")[worker] == len(os.listdir(f"/proc/{worker}/fd")), "its descriptors")
    with gw.raw(), gw.raw(), gw.raw(), gw.raw():
        wait_for(lambda: sum(told("open_fds").values()) == sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in gw.workers()),
                 "those of connections, too")
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: worker not in told("memory_bytes") and len(told("memory_bytes")) == 2, "another in its place")


@pytest.mark.standalone_only("kills a worker of several")
def test_no_counter_goes_down_when_a_worker_dies(site):
    gw = site.gateway(site.app(), workers=2)
    for _ in range(10):
        gw.curl("blog")
    wait_value(gw, 10, "dynapm_service_requests_total", "2xx")
    for pid in gw.workers():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: gw.curl("blog").status == 200, "new workers")
    wait_for(lambda: value(gw, "dynapm_service_requests_total", "2xx") >= 11, "the next request is added")


def test_both_formats_are_what_prometheus_wants(site):
    gw = site.gateway(site.app(), site.app(name='we"ird'))
    gw.curl("blog")
    p = subprocess.run(["promtool", "check", "metrics"], input=read(gw), capture_output=True, text=True, timeout=60)
    assert (p.returncode, p.stdout, p.stderr) == (0, "", "")
    families = {f.name: f for f in openmetrics.text_string_to_metric_families(read(gw, "--openmetrics"))}
    assert families["dynapm_service_requests"].type == "counter"
    assert families["dynapm_service_request_duration_seconds"].type == "histogram"
    assert families["dynapm_build"].type == "info"
    created = [s for s in families["dynapm_service_requests"].samples if s.name.endswith("_created")]
    assert created and all(time.time() - 3600 < s.value <= time.time() for s in created)


# ── examples/ ──


def promtool(*args, cwd=None):
    return subprocess.run(["promtool", *args], capture_output=True, text=True, timeout=60, cwd=cwd)


def test_the_alert_rules_fire_when_they_should(tmp_path):
    for file in (EXAMPLES / "alerts.yml", Path(__file__).with_name("alerts-test.yml")):
        (tmp_path / file.name).write_text(file.read_text())
    p = promtool("check", "rules", "alerts.yml", cwd=tmp_path)
    assert p.returncode == 0, p.stdout + p.stderr
    p = promtool("test", "rules", "alerts-test.yml", cwd=tmp_path)
    assert p.returncode == 0, p.stdout + p.stderr


def test_rules_and_dashboard_name_only_metrics_that_there_are(site):
    gw = site.gateway(site.app())
    gw.curl("blog")
    wait_for(lambda: "dynapm_service_memory_bytes{" in read(gw), "its memory")
    known = {s.name for f in parser.text_string_to_metric_families(read(gw)) for s in f.samples}
    dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    exprs = [t["expr"] for p in dashboard["panels"] for t in p["targets"]]
    used = set(re.findall(r"\bdynapm_\w+", " ".join(exprs) + (EXAMPLES / "alerts.yml").read_text()))
    assert len(exprs) > 12 and used and used <= known, used - known
