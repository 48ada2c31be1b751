# SPDX-License-Identifier: ISC
"""What the measurements share: running programs on a CPU of their own, reading their cost from /proc, wrk's
output, medians and Markdown tables."""

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


# ── pure ──

def parse_stat(text):
    """proc(5) stat: (state, parent's pid, CPU seconds in user mode and kernel)."""
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[1]), (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def parse_schedstat(text):
    """proc(5) schedstat: CPU seconds, exact to the nanosecond."""
    return int(text.split()[0]) / 1e9


def parse_pss(text):
    """proc(5) smaps_rollup: bytes."""
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE).group(1)) * 1024


def parse_meminfo(text, *names):
    """proc(5) meminfo: the sum of these lines, in bytes."""
    return sum(int(re.search(rf"^{re.escape(name)}:\s+(\d+) kB", text, re.MULTILINE).group(1)) for name in names) * 1024


def parse_switches(text):
    """proc(5) status: how often the process went to sleep by itself."""
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE).group(1))


UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0}


def parse_span(text):
    """Seconds, of "1min 2s 3.5ms"."""
    return sum(float(n) * UNITS[u] for n, u in re.findall(r"([\d.]+) ?(min|ms|us|s)\b", text))


def parse_loaded(text):
    """Seconds, of what the manager says of its configuration."""
    return parse_span(re.search(r"services? loaded in ([\d.]+ \w+)\.", text).group(1))


SIZES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def parse_wrk(text):
    """What `wrk --latency` prints: requests, seconds, bytes read, rps, p50 and p99 in seconds, errors."""
    requests, seconds, unit, size, size_unit = re.search(
        r"(\d+) requests in ([\d.]+)(us|ms|s|m), ([\d.]+)([KMGT]?B) read", text).groups()
    quantiles = {q: float(v) * UNITS[u] for q, v, u in re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s|m)\s*$", text,
                                                                 re.MULTILINE)}
    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {"requests": int(requests), "seconds": float(seconds) * UNITS[unit],
            "bytes": float(size) * SIZES[size_unit], "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
            "p50": quantiles.get("50"), "p99": quantiles.get("99"), "errors": errors + (int(bad.group(1)) if bad else 0)}


def parse_h2load_log(text):
    """What `h2load --log-file` has written, a line a request with its start, status and µs: p50 and p99 in seconds,
    errors."""
    lines = [line.split("\t") for line in text.splitlines()]
    times = [int(micros) / 1e6 for _, status, micros in lines if status == "200"]
    return {"requests": len(times), "errors": len(lines) - len(times), "p50": quantile(times, 0.5),
            "p99": quantile(times, 0.99)}


def quantile(values, q):
    """The smallest value that is not exceeded by a share q of them; None of none."""
    values = sorted(values)
    return values[max(0, math.ceil(q * len(values)) - 1)] if values else None


def ratio(runs, ours, peers, more_is_better=False):
    """Ours against the best of the peers that were measured, as text: the median of what the rounds say, each of the two
    under the same conditions, which change from round to round by more than what is to be seen."""
    known = {n: median(runs[n]) for n in peers if n in runs}
    if ours not in runs or not known:
        return "–"
    best = (max if more_is_better else min)(known, key=known.get)
    pairs = [a / b for a, b in zip(runs[ours], runs[best]) if b > 0]
    return f"{median(pairs):.2f} ×" if pairs else "–"


def median(values):
    return statistics.median(values)


def spread(values):
    """Half the distance between the quartiles, as a share of the median: how much rounds differ."""
    if len(values) < 2 or median(values) == 0:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / median(values)


def table(header, rows):
    """A Markdown table; numbers are right-aligned."""
    cells = [[str(c) for c in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    right = [i > 0 for i in range(len(header))]

    def line(row):
        return "| " + " | ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right)) + " |"
    rule = "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right)) + "|"
    return "\n".join([line(cells[0]), rule, *(line(row) for row in cells[1:])])


# ── processes ──

def family(pid):
    """The process and everything below it."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            _, parent, _ = parse_stat(Path(f"/proc/{entry}/stat").read_text())
            children.setdefault(parent, []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


def program(pid):
    return os.path.basename(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode())


def cpu_seconds(pids):
    """User and system time of these processes, all threads. The scheduler's own count is exact; utime and stime
    are the same time in ticks of 10 ms."""
    total = 0.0
    for pid in pids:
        tasks = Path(f"/proc/{pid}/task")
        try:
            total += sum(parse_schedstat((t / "schedstat").read_text()) for t in tasks.iterdir())
        except (FileNotFoundError, IndexError):
            total += parse_stat(Path(f"/proc/{pid}/stat").read_text())[2]
    return total


def pss(pids):
    return sum(parse_pss(Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in pids)


def kernel_memory():
    """Bytes that the kernel has allocated for its own objects, sockets among them: of the whole machine."""
    return parse_meminfo(Path("/proc/meminfo").read_text(), "Slab")


def pinned(cpu, command):
    return ["taskset", "-c", str(cpu), *map(str, command)]


def wait_for(condition, what, timeout=15.0):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {timeout:g} s")
        time.sleep(0.002)
    return value


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def free_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(command, log, port=None):
    """Runs a program until the block ends; waits first until it listens on `port`."""
    with open(log, "ab") as out:
        p = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                             start_new_session=True)
    try:
        if port:
            def up():
                if p.poll() is not None:
                    raise RuntimeError(f"{command} ended: {Path(log).read_text()[-2000:]}")
                return accepts(port)
            wait_for(up, f"{command[0]} listens on {port}")
        yield p
    finally:
        p.send_signal(signal.SIGTERM)
        try:
            p.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()


def get(port, host, connection=None):
    """One GET; returns (seconds until the first byte of the answer, its head)."""
    with contextlib.ExitStack() as stack:
        began = time.monotonic_ns()
        s = connection or stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
        s.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        data = s.recv(65536)
        return (time.monotonic_ns() - began) / 1e9, data


# ── command lines ──

def arguments(description):
    """The parser every script starts from: where the programs are, and --smoke."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path(os.environ.get("DYNAPM_BUILD_DIR", "build")),
                        help="build folder (default: $DYNAPM_BUILD_DIR or build)")
    parser.add_argument("--smoke", action="store_true", help="a run of a few seconds that shows only that it works")
    return parser


def find_helper(build, name):
    path = build / "tests" / "bench" / name
    if not path.exists():
        sys.exit(f"{path} is not there: build the tests first")
    return path.resolve()


def find_program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def need_wrk(smoke):
    """Ends the program where it is not installed; a smoke run counts as skipped."""
    if find_program("wrk"):
        return
    if smoke:
        print("wrk is not installed: skipped")
        sys.exit(77)
    sys.exit("wrk is not installed (Debian: apt install wrk)")


def write_services(folder, services):
    """Drop-ins of as many services as people have them."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(services):
        (folder / f"s{i:05}.json").write_text(json.dumps({
            "hosts": [f"s{i}.localhost", f"www.s{i}.localhost"], "base": f"http://127.0.0.1:{20000 + i % 10000}",
            "exec": ["/usr/bin/node", f"/srv/s{i}/server.js"], "cwd": f"/srv/s{i}",
            "env": {"PORT": str(20000 + i % 10000), "NODE_ENV": "production"}, "idleTimeout": "5min"}))


@contextlib.contextmanager
def workplace():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended then as well
    with tempfile.TemporaryDirectory(prefix="dynapm-bench-") as folder:
        os.chmod(folder, 0o755)  # a proxy may drop its privileges
        yield Path(folder)
