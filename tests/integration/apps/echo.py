# SPDX-License-Identifier: ISC
"""Answers with what it received, as JSON; /wait/SECONDS answers after that long; /inherited tells what the
process itself was given."""

import hashlib
import json
import os
import resource
import threading
import time

import base


def inherited():
    fds = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            fds[int(fd)] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            pass  # the folder's own descriptor
    return {"env": dict(os.environ), "cwd": os.getcwd(), "fds": fds, "uid": os.getuid(),
            "session": os.getsid(0), "pid": os.getpid(), "fd_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}


def handle(request):
    digest, length, kept = hashlib.sha256(), 0, b""
    for piece in request.body():
        digest.update(piece)
        length += len(piece)
        kept = (kept + piece)[:65536]
    if request.target.startswith("/wait/"):
        time.sleep(float(request.target[len("/wait/"):]))
    if request.target == "/inherited":
        answer = inherited()
    else:
        answer = {
            "method": request.method, "target": request.target, "version": request.version,
            "fields": request.fields, "body": kept.decode("latin-1"), "length": length,
            "sha256": digest.hexdigest(), "connection": request.connection.number,
            "nth": request.connection.served, "pid": os.getpid(), "threads": threading.active_count(),
        }
    request.reply(200, json.dumps(answer).encode(), [("Content-Type", "application/json")])


base.serve(handle)
