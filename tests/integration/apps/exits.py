# SPDX-License-Identifier: ISC
"""Ends during its start: after START_DELAY seconds with STATUS; while the file HEALED exists it serves."""

import os
import sys
import time

import base


def handle(request):
    request.reply(200, b"healed\n")


if os.path.exists(os.environ.get("HEALED", "/nonexistent")):
    base.serve(handle)
base.start()
time.sleep(float(os.environ.get("START_DELAY", "0")))
sys.exit(int(os.environ.get("STATUS", "1")))
