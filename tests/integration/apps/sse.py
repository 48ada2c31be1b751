# SPDX-License-Identifier: ISC
"""Server-sent events: one at once, then one whenever the file EVENTS grows by a line; silence in between."""

import os
import time

import base


def handle(request):
    path = os.environ["EVENTS"]
    request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n")
    sent = 0
    while True:
        with open(path) as f:
            events = f.read().splitlines()
        for event in events[sent:]:
            data = f"data: {event}\n\n".encode()
            request.connection.send(b"%x\r\n%s\r\n" % (len(data), data))
            sent += 1
            if event == "end":
                request.connection.send(b"0\r\n\r\n")
                return
        time.sleep(0.01)


base.serve(handle)
