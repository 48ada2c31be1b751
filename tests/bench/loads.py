# SPDX-License-Identifier: ISC
"""One run of one proxy under one load: the proxy on the first CPU, load generator and origin on the second."""

import contextlib
import os
import resource
import socket
import subprocess
import time

import measure
import proxies

HOST = "Host: bench.localhost"
PLAIN = f"GET / HTTP/1.1\r\n{HOST}\r\n\r\n".encode()


class Cpus:
    def __init__(self):
        cpus = sorted(os.sched_getaffinity(0))
        self.proxy, self.load = cpus[0], cpus[-1]


def allow_descriptors():
    """Returns how many idle connections a proxy can have, and this process, whose limit is raised."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return proxies.most_connections() - 100


@contextlib.contextmanager
def origin(build, folder, cpu):
    o = proxies.Origin(measure.free_port(), folder / "origin.sock")
    helper = [measure.find_helper(build, "bench-origin"), o.port, "-", o.path]
    with measure.running(measure.pinned(cpu, helper), folder / "origin.log", o.port):
        o.path.chmod(0o777)  # a proxy may have dropped its privileges
        yield o


def wrk(port, cpu, seconds, connections=64, path="", headers=(), upload=0, folder=None):
    """What it prints, parsed. `upload`: POST so many bytes."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "60s", "-H", HOST]
    for h in headers:
        command += ["-H", h]
    if upload:
        script = folder / "upload.lua"
        script.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {upload})\n')
        command += ["-s", str(script)]
    out = subprocess.run(measure.pinned(cpu, [*command, f"http://127.0.0.1:{port}/{path}"]), check=True,
                         capture_output=True, text=True).stdout
    return measure.parse_wrk(out)


def at_rate(port, cpu, seconds, connections, rate, folder):
    """p50 and p99 in seconds when so many requests come each second, however fast they are answered."""
    log = folder / "h2load.log"  # -D does not end with --rps: a number of requests does
    subprocess.run(measure.pinned(cpu, [
        "h2load", "--h1", "-t1", f"-c{connections}", f"--rps={rate / connections:.3f}",
        f"-n{max(connections, int(rate * seconds))}", f"--log-file={log}", f"--connect-to=127.0.0.1:{port}",
        "http://bench.localhost/"]), check=True, capture_output=True)  # a Host of -H would be a second one
    return measure.parse_h2load_log(log.read_text())


@contextlib.contextmanager
def proxy(name, setup, cpus, both=False):
    """Runs it; yields what tells its processes."""
    command = proxies.ALL[name](setup)
    pin = f"{cpus.proxy},{cpus.load}" if both else cpus.proxy
    with measure.running(measure.pinned(pin, command), setup.folder / f"{name}.log", setup.port) as p:
        measure.get(setup.port, "bench.localhost")  # a socket may be there before the worker
        yield lambda: measure.family(p.pid)


def measured(name, setup, cpus, load, both=False, warm_up=True):
    """Warms it up and measures: the load's result, with the proxy's CPU seconds."""
    with proxy(name, setup, cpus, both) as processes:
        if warm_up:
            load(1)  # connections, caches, allocators
        before = measure.cpu_seconds(processes())
        result = load(None)
        result["cpu"] = measure.cpu_seconds(processes()) - before
    if result.get("errors"):
        log = (setup.folder / f"{name}.log").read_text()
        raise RuntimeError(f"{name}: {result['errors']} requests failed: {log[-2000:]}")
    return result


def connect(port, request, n):
    """n connections on which the request was answered."""
    idle = []
    for _ in range(n):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(request)
        status = s.recv(4096).split(b" ")[1]
        if status not in (b"101", b"200"):
            raise RuntimeError(f"status {status.decode()}")
        idle.append(s)
    return idle


def settled(pids, seconds):
    """PSS once it has stayed the same for a while."""
    since, last = time.monotonic(), measure.pss(pids)
    while time.monotonic() - since < seconds:
        time.sleep(0.2)
        now = measure.pss(pids)
        if abs(now - last) > 65536:
            since, last = time.monotonic(), now
    return measure.pss(pids)


def idle_memory(name, setup, cpus, n, seconds=3):
    """Bytes of PSS that each of n idle keep-alive connections takes once nothing has changed for so many seconds, and of
    kernel memory for both ends together."""
    with proxy(name, setup, cpus) as processes:
        for s in connect(setup.port, PLAIN, 10):
            s.close()
        pids = processes()
        before, slab = settled(pids, seconds), measure.kernel_memory()
        idle = connect(setup.port, PLAIN, n)
        result = {"bytes": (settled(pids, seconds) - before) / n, "kernel": (measure.kernel_memory() - slab) / n}
        for s in idle:
            s.close()
    return result
