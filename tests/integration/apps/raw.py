# SPDX-License-Identifier: ISC
"""Answers with the bytes of a file: GET /NAME sends RESPONSES/NAME as it is. What follows is in the name's
ending: ".close" closes the connection, ".reset" resets it, ".die" kills the whole program with -9, ".silent"
sends nothing and closes. A name with ".twice" is sent on a connection's first request only; later ones on that
connection are closed without an answer, as a server does whose keep-alive time ran out at that moment."""

import os
import signal

import base


def handle(request):
    for _ in request.body():
        pass
    name = request.target.split("?")[0].strip("/").replace("/", "_")
    path = os.path.join(os.environ["RESPONSES"], name)
    if ".twice" in name and request.connection.served > 1:
        base.log("dropped", request.method, request.target)
        request.connection.close()
        return
    if not name.endswith(".silent"):
        if not os.path.exists(path):
            request.reply(404, b"no such response\n", reason="Not Found")
            return
        with open(path, "rb") as f:
            request.connection.send(f.read())
    if name.endswith((".close", ".silent")):
        request.connection.close()
    elif name.endswith(".reset"):
        request.connection.abort()
    elif name.endswith(".die"):
        os.kill(os.getpid(), signal.SIGKILL)


base.serve(handle)
