# SPDX-License-Identifier: ISC
"""Says something before it answers. Between two words it waits for a file in the folder STEPS, so that a test decides
what comes first."""

import os
import time

import base


def wait_for(name):
    while not os.path.exists(os.path.join(os.environ["STEPS"], name)):
        time.sleep(0.005)


def interim(request, status, reason, *fields):
    request.connection.send(f"HTTP/1.1 {status} {reason}\r\n{''.join(f + chr(13) + chr(10) for f in fields)}\r\n".encode())


def handle(request):
    path = request.target.split("?")[0]
    base.log("expect", request.field("Expect"))
    if path == "/accept":  # decides after a while that it wants the body
        wait_for("decide")
        request.reply(200, b"".join(request.body()))
    elif path == "/refuse":
        wait_for("decide")
        request.reply(403, b"keep it\n", reason="Forbidden")
    elif path == "/ignore":  # knows nothing of Expect
        request.waits = False
        request.reply(200, b"".join(request.body()))
    elif path == "/hints":
        interim(request, 102, "Still Busy")
        interim(request, 103, "Early Hints", "Link: </a.css>; rel=preload", "Link: </b.js>; rel=preload",
                "Connection: X-Hop", "X-Hop: 1", "Content-Length: 5", "X-Empty:")
        wait_for("decide")
        interim(request, 103, "Early Hints", "Link: </c.js>; rel=preload")
        request.reply(200, b"the answer\n")
    elif path == "/flood":
        for _ in range(int(request.target.split("?")[1])):
            interim(request, 103, "Early Hints", "X-Padding: " + "x" * 100)
        request.reply(200, b"at last\n")
    elif path == "/drip":  # byte by byte, each only when the one before has arrived
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for i in range(5):
            wait_for(str(i))
            request.connection.send(b"%d" % i)
        request.connection.close()
    else:
        request.reply(200, b"hello\n")


base.serve(handle)
