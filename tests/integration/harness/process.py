# SPDX-License-Identifier: ISC
"""What /proc tells about processes, free ports, and waiting for a condition with a deadline."""

import contextlib
import fcntl
import os
import random
import resource
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_locks = []


def allow_many_descriptors():
    """A test opens thousands of sockets; the programs it starts get the usual limit back (Gateway.start)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 17), hard))


def wait_for(condition, what, timeout=10.0):
    """Returns the condition's first true value; fails with `what` at the deadline."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout:g} s")
        time.sleep(0.003)


def free_port(wanted=None):
    """A TCP port that is free on 127.0.0.1 and ::1 and stays ours: below the range that outgoing connections take
    theirs from, and locked against every other test process until this one ends. OSError when `wanted` is not free."""
    folder = Path(tempfile.gettempdir()) / f"dynapm-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    while True:
        port = wanted or random.randrange(10000, 32000)
        fd = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                with socket.socket(family) as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind((host, port))
            _locks.append(fd)
            return port
        except OSError:
            os.close(fd)
            if wanted:
                raise


def stat_fields(pid):
    """The fields of proc(5) stat after the command: state first; None when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid):
    """Its first thread may be dead while others still hold its sockets open."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):  # the latter when it goes between open() and getdents()
        return False
    states = [stat_fields(f"{pid}/task/{thread}") for thread in threads]
    return any(fields[0] not in "ZX" for fields in states if fields)


def cpu_seconds(pid):
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def wanted_seconds(pid):
    """How long its first thread has run or could have run, had others not (proc(5) schedstat): what spins wants all of the
    time, also on a busy machine."""
    running, waiting, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return (int(running) + int(waiting)) / 1e9


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def name(pid):
    """The program's name; the command line's, for comm is cut at 15 characters."""
    return os.path.basename((command(pid).split(" ") or [""])[0])


def memory(pid, key):
    """A line of proc(5) status such as VmRSS or VmHWM, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def descendants(pid):
    """All living processes below pid, zombies not counted."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat_fields(entry)
            if fields:
                children.setdefault(int(fields[1]), []).append((int(entry), fields[0]))
    found, queue = [], [pid]
    while queue:
        for child, state in children.get(queue.pop(), []):
            if state not in "ZX":
                found.append(child)
            queue.append(child)
    return found


def kill(pid, sig=signal.SIGKILL):
    """Sends a signal and, for SIGKILL, waits until the process is no more."""
    os.kill(pid, sig)
    if sig == signal.SIGKILL:
        wait_for(lambda: not alive(pid), f"process {pid} ends by SIGKILL")


def limit_descriptors(pid, more):
    """It may open so many more than it has now."""
    limit = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd")) + more
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={limit}:{limit}"], check=True)


def unsent(port):
    """Bytes that a server's side of this TCP port holds for the client that has taken least."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return max((int(words[4].split(":")[0], 16) for words in map(str.split, lines) if words[3] != "0A"
                and words[1].endswith(f":{port:04X}")), default=0)


def accepted(port, pids):
    """{peer's port: pid} of the connections to this TCP port that one of the processes has accepted."""
    holders = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                holders[os.readlink(f"/proc/{pid}/fd/{fd}")] = pid
    found = {}
    wanted = f":{port:04X} "
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines():
            if wanted in line:
                words = line.split()
                holder = holders.get(f"socket:[{words[9]}]")
                if holder and words[1].endswith(wanted[:-1]):
                    found[int(words[2].rpartition(":")[2], 16)] = holder
    return found
