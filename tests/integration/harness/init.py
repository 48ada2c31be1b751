# SPDX-License-Identifier: ISC
"""The init of a gateway under test: `init.py STATUS_FD COMMAND...` runs the command as its child, adopts and reaps
every orphan of it as a container's PID 1 would, and says on STATUS_FD, one JSON object a line, {"pid": …} at the
start and {"exit": …, "left": […]} at the end: what was still alive three seconds after the command had ended."""

import ctypes
import json
import os
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def below(pid):
    """Every process below this one, zombies not counted."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as f:
                state, parent = f.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        children.setdefault(int(parent), []).append((int(entry), state))
    found, queue = [], [pid]
    while queue:
        for child, state in children.get(queue.pop(), []):
            queue.append(child)
            if state not in "ZX":
                found.append(child)
    return found


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def reap_until_alone(deadline):
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.005)
        except ChildProcessError:
            return


def main():
    status, argv = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    def end_all(*_):
        for pid in below(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        os._exit(1)

    signal.signal(signal.SIGTERM, end_all)
    os.set_inheritable(status, False)
    pid = os.fork()
    if pid == 0:
        for changed in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):  # the last two by Python itself
            signal.signal(changed, signal.SIG_DFL)
        os.setsid()
        os.execvp(argv[0], argv)

    os.write(status, json.dumps({"pid": pid}).encode() + b"\n")
    while True:
        ended, code = os.waitpid(-1, 0)
        if ended == pid:
            break
    reap_until_alone(time.monotonic() + 3)
    left = [f"{p} {command(p)}" for p in below(os.getpid())]
    os.write(status, json.dumps({"exit": os.waitstatus_to_exitcode(code), "left": left}).encode() + b"\n")
    for p in below(os.getpid()):
        os.kill(p, signal.SIGKILL)


if __name__ == "__main__":
    main()
