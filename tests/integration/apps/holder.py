# SPDX-License-Identifier: ISC
"""Holds HOLDS MiB of memory, each page of it written to. /work/SECONDS uses so much CPU time."""

import os
import time

import base

HELD = b"x" * (int(os.environ.get("HOLDS", "0")) << 20)


def handle(request):
    words = request.target.split("/")
    if words[1] == "work":
        end = time.process_time() + float(words[2])
        while time.process_time() < end:
            pass
    request.reply(200, f"{len(HELD)}\n".encode())


base.serve(handle)
