# SPDX-License-Identifier: ISC
"""The journal as a list of lines that grows: read by libsystemd, which shows an entry the moment it is written, where
`journalctl --follow` is told of it a quarter of a second later."""

import ctypes
import os
import socket
import threading
import time
import uuid

from harness import process
from harness.gateway import Line

LOCAL_ONLY = 1
NATIVE = "/run/systemd/journal/socket"
NUDGE_SPAN = 0.25


class Journal:
    """What the units and the service manager about them have logged since this was made. `lines` may only grow; it does
    so in read()."""

    def __init__(self, units):
        self.lib = ctypes.CDLL("libsystemd.so.0", use_errno=True)
        self.handle = ctypes.c_void_p()
        self.lock = threading.Lock()
        self.units, self.lines, self.passed, self.sent_at = units, [], set(), time.monotonic()
        self.identity = f"dynapm-test-{os.getpid()}-{uuid.uuid4().hex}"
        self._call("sd_journal_open", ctypes.byref(self.handle), LOCAL_ONLY)
        self._call("sd_journal_get_fd", self.handle)  # from now on it looks out for new files, too: one is full some time
        self.sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._call("sd_journal_seek_realtime_usec", self.handle, ctypes.c_uint64(time.time_ns() // 1000))

    def close(self):
        with self.lock:
            self.sender.close()
            self.lib.sd_journal_close(self.handle)
            self.handle = None

    def _call(self, name, *args):
        r = getattr(self.lib, name)(*args)
        if r < 0:
            raise OSError(-r, f"{name}: {os.strerror(-r)}")
        return r

    def _field(self, name):
        data, size = ctypes.c_void_p(), ctypes.c_size_t()
        if self.lib.sd_journal_get_data(self.handle, name.encode(), ctypes.byref(data), ctypes.byref(size)) < 0:
            return ""
        return ctypes.string_at(data, size.value).partition(b"=")[2].decode("utf-8", "replace")

    def _entry(self):
        """Looks at all that come along: of several matches libsystemd follows each by itself, and an entry that is being
        written may be seen by the later ones only, or never."""
        mark = self._field("DYNAPM_TEST_MARK")
        if mark:
            self.passed.add(mark)
        if mark or (self._field("_SYSTEMD_UNIT") not in self.units and self._field("UNIT") not in self.units):
            return
        at, boot = ctypes.c_uint64(), (ctypes.c_uint8 * 16)()
        self._call("sd_journal_get_monotonic_usec", self.handle, ctypes.byref(at), ctypes.byref(boot))
        head = f"{self._field('SYSLOG_IDENTIFIER')}[{self._field('_PID')}]: "
        self.lines.append(Line(head + self._field("MESSAGE"), at.value / 1e6))  # time.monotonic()'s clock

    def _send(self, mark):
        self.sender.sendto(f"SYSLOG_IDENTIFIER={self.identity}\nDYNAPM_TEST_MARK={mark}\nMESSAGE=mark\n".encode(), NATIVE)
        self.sent_at = time.monotonic()

    def read(self):
        """Takes in what was written since. Who looks while an entry is being written may miss it until there is another
        one; so there is one, now and then."""
        with self.lock:
            if self.handle:
                if time.monotonic() - self.sent_at > NUDGE_SPAN:
                    self._send("nudge")
                self._call("sd_journal_process", self.handle)
                while self._call("sd_journal_next", self.handle) > 0:
                    self._entry()
        return self.lines

    def sync(self):
        """Takes in all that was sent to the journal before this call: it takes what is sent to it in order."""
        mark = uuid.uuid4().hex
        self._send(mark)

        def passed():
            self.read()
            return mark in self.passed
        process.wait_for(passed, "the journal shows what was sent to it", 30)
        return self.lines
