# SPDX-License-Identifier: ISC
"""Listens at once, but says READY=1 (sd_notify(3)) only when the file $GO is there."""

import os
import socket
import threading
import time

import base


def tell_when_ready():
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.003)
    base.log("ready")
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


threading.Thread(target=tell_when_ready, daemon=True).start()
base.serve(lambda request: request.reply(200, b"ready\n"))
