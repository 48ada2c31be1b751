# SPDX-License-Identifier: ISC
"""Large bodies, those of bulk_body.py.

  GET  /download/MIB          with Content-Length      GET /chunked/MIB   the same, chunked
  GET  /until-close/MIB       ended by closing         GET /drip/N        N bytes, one every 20 ms
  POST /upload                answers length and sha256 of what came
  POST /upload-when-allowed   the same, but reads nothing before the file GATE exists
  POST /refuse                answers 413 at once, reads nothing and closes

The file PROGRESS holds the number of MiB moved so far.
"""

import hashlib
import os
import threading
import time

import base
from bulk_body import MIB, pieces


def progress(n):
    path = os.environ.get("PROGRESS")
    if path:
        new = f"{path}.{threading.get_ident()}"
        with open(new, "w") as f:
            f.write(str(n))
        os.rename(new, path)


def download(request, n, framing):
    head = {"length": f"Content-Length: {n * MIB}\r\n", "chunked": "Transfer-Encoding: chunked\r\n",
            "close": "Connection: close\r\n"}[framing]
    request.connection.send(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode())
    for i, piece in enumerate(pieces(n)):
        if framing == "chunked":
            request.connection.send(b"%x\r\n" % len(piece))
        request.connection.send(piece)
        if framing == "chunked":
            request.connection.send(b"\r\n")
        progress(i + 1)
    if framing == "chunked":
        request.connection.send(b"0\r\n\r\n")
    if framing == "close":
        request.connection.close()


def upload(request):
    digest, length = hashlib.sha256(), 0
    for piece in request.body():
        digest.update(piece)
        length += len(piece)
        if length // MIB != (length - len(piece)) // MIB:
            progress(length // MIB)
    request.reply(200, f"{length} {digest.hexdigest()}\n".encode())


def handle(request):
    _, what, *rest = request.target.split("/")
    if what == "download":
        download(request, int(rest[0]), "length")
    elif what == "chunked":
        download(request, int(rest[0]), "chunked")
    elif what == "until-close":
        download(request, int(rest[0]), "close")
    elif what == "drip":
        request.connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {rest[0]}\r\n\r\n".encode())
        for _ in range(int(rest[0])):
            request.connection.send(b".")
            time.sleep(0.02)
    elif what == "upload":
        upload(request)
    elif what == "upload-when-allowed":
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.01)
        upload(request)
    elif what == "refuse":
        request.reply(413, b"too much\n", [("Connection", "close")], reason="Content Too Large")
        request.connection.close()
    else:
        request.reply(200, b"bulk\n")


base.serve(handle)
