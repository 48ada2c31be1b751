# SPDX-License-Identifier: ISC
"""A gateway as small as can be: enough of D-Bus, written from its specification, to attach to a manager and to ask it
to wake services."""

import array
import os
import socket
import struct

INTERFACE, PATH = "org.dynapm1.Gateway", "/org/dynapm1"
VERSION = 2  # of what is spoken between gateway and manager
METHOD_CALL, METHOD_RETURN, ERROR = 1, 2, 3


class BusError(Exception):
    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name = name


def _pad(data, n):
    return data + b"\0" * (-len(data) % n)


def _string(s):
    raw = s.encode()
    return struct.pack("<I", len(raw)) + raw + b"\0"


def _marshal(signature, args):
    body = b""
    for kind, value in zip(signature, args):
        if kind in "ub":
            body = _pad(body, 4) + struct.pack("<I", value)
        elif kind == "s":
            body = _pad(body, 4) + _string(value)
        else:
            raise NotImplementedError(kind)
    return body


def _unmarshal(signature, body):
    values, at, i = [], 0, 0

    def number():
        nonlocal at
        at += -at % 4
        value, = struct.unpack_from("<I", body, at)
        at += 4
        return value

    while i < len(signature):
        kind = signature[i]
        if kind in "ubh":
            values.append(number())
        elif kind == "s":
            n = number()
            values.append(body[at:at + n].decode())
            at += n + 1
        elif signature[i:i + 2] == "ah":
            end = number() + at
            items = []
            while at < end:
                items.append(number())
            values.append(items)
            i += 1
        else:
            raise NotImplementedError(signature)
        i += 1
    return values


class Peer:
    """A connection to a manager's socket. Descriptors that answers carry are in `fds`, in their order."""

    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.serial, self.buffer, self.fds = 0, b"", []
        # All at once, as sd-bus does it: its server does not look at a message that arrives together with BEGIN.
        self.socket.sendall(b"\0AUTH ANONYMOUS 74657374\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
        assert self._line().startswith(b"OK ")
        assert self._line() == b"AGREE_UNIX_FD"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        while self.fds:
            os.close(self.fds.pop())

    def _fill(self):
        fds = array.array("i")
        data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(256 * fds.itemsize))
        for level, kind, raw in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(raw[:len(raw) - len(raw) % fds.itemsize])
        self.fds += fds
        if not data:
            raise EOFError
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _take(self, n):
        while len(self.buffer) < n:
            self._fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def send(self, method, signature="", *args):
        self.serial += 1
        body = _marshal(signature, args)
        fields = b""
        for code, kind, value in ((1, "o", PATH), (2, "s", INTERFACE), (3, "s", method), (8, "g", signature)):
            if value:
                raw = bytes([len(value)]) + value.encode() + b"\0" if kind == "g" else _string(value)
                fields = _pad(fields, 8) + bytes([code, 1]) + kind.encode() + b"\0"
                fields = (fields if kind == "g" else _pad(fields, 4)) + raw
        head = struct.pack("<cBBBIII", b"l", METHOD_CALL, 0, 1, len(body), self.serial, len(fields)) + fields
        self.socket.sendall(_pad(head, 8) + body)
        return self.serial

    def receive(self):
        """The next message: (kind, serial that it answers, values)."""
        _, kind, _, _, body_len, _, fields_len = struct.unpack("<cBBBIII", self._take(16))
        fields = self._take(fields_len + -fields_len % 8)[:fields_len]
        body = self._take(body_len)
        answers, signature, name, at = None, "", "", 0
        while at < len(fields):
            at += -at % 8
            code, kind_len = fields[at], fields[at + 1]
            value_kind = chr(fields[at + 2])
            at += 2 + kind_len + 1
            if value_kind == "u":
                at += -at % 4
                value, = struct.unpack_from("<I", fields, at)
                at += 4
            elif value_kind == "g":
                n = fields[at]
                value = fields[at + 1:at + 1 + n].decode()
                at += n + 2
            else:
                at += -at % 4
                n, = struct.unpack_from("<I", fields, at)
                value = fields[at + 4:at + 4 + n].decode()
                at += 4 + n + 1
            if code == 5:
                answers = value
            elif code == 8:
                signature = value
            elif code == 4:
                name = value
        values = _unmarshal(signature, body)
        if kind == ERROR:
            raise BusError(name, values[0] if values else "")
        return kind, answers, values

    def call(self, method, signature="", *args):
        serial = self.send(method, signature, *args)
        while True:
            kind, answers, values = self.receive()
            if kind == METHOD_RETURN and answers == serial:
                return values

    def attach(self, main_listeners=False):
        """The descriptors of the status table, the activity table and the routes."""
        status, activity, routes, _ = self.call("Attach", "ub", VERSION, main_listeners)
        return self.fds[status], self.fds[activity], self.fds[routes]

    def wake(self, slot, dead_epoch=0, reason="GET test/"):
        """(online, epoch, why, seconds until it is worth asking again)"""
        online, epoch, why, retry_after = self.call("Wake", "uus", slot, dead_epoch, reason)
        return bool(online), epoch, why, retry_after
