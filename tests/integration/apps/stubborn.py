# SPDX-License-Identifier: ISC
"""Does not end on SIGTERM: at once with IGNORE, else after STOP_DELAY seconds. With CHILD it has a child process
that ignores the signal too, as a badly written worker does."""

import os
import signal
import subprocess
import sys
import threading

import base


def handle(request):
    request.reply(200, f"hello from {os.getpid()}\n".encode())


def terminated(*_):
    base.log("asked-to-stop", os.getpid())
    if "IGNORE" not in os.environ:
        threading.Timer(float(os.environ.get("STOP_DELAY", "0")), os._exit, [0]).start()


if "CHILD" in os.environ:
    subprocess.Popen([sys.executable, "-c", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                                            "while True: signal.pause()"])
real_start = base.start
base.start = lambda: (real_start(), signal.signal(signal.SIGTERM, terminated))
base.serve(handle)
