# SPDX-License-Identifier: ISC
"""Greets. /health answers 503 until WARMUP seconds after the start, then 200; MOVED makes it a redirect."""

import os
import time

import base

STARTED = time.monotonic()


def handle(request):
    if request.target == "/health":
        warm = time.monotonic() - STARTED >= float(os.environ.get("WARMUP", "0"))
        if "MOVED" in os.environ:
            request.reply(301, b"", [("Location", "/elsewhere")], reason="Moved Permanently")
        elif warm:
            request.reply(200, b"well\n")
        else:
            request.reply(503, b"not yet\n", reason="Service Unavailable")
    else:
        request.reply(200, f"hello from {os.environ.get('NAME', 'nobody')}\n".encode())


base.serve(handle)
