# SPDX-License-Identifier: ISC
"""A service in the test's own process, for answers that no real one would give."""

import socket
import threading


class Script:
    """A service that answers each request with the bytes that a test has laid down, and then closes, resets or stays;
    requests have no body. GET /good is answered well whatever is laid down."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.answer, self.then, self.pieces = b"", "close", None
        self.broken = 0  # connections that ended while it was sending
        self.heads = []  # of the requests that came
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = b""
        with connection:
            try:
                while True:
                    while b"\r\n\r\n" not in buffer:
                        data = connection.recv(65536)
                        if not data:
                            return
                        buffer += data
                    head, buffer = buffer.split(b"\r\n\r\n", 1)
                    self.heads.append(head)
                    answer, then = self.answer, self.then
                    if head.split(b" ")[1] == b"/good":
                        answer, then = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell", "stay"
                    if callable(answer):
                        for piece in answer():
                            connection.sendall(piece)
                    else:
                        for i in range(0, len(answer), self.pieces or max(len(answer), 1)):
                            connection.sendall(answer[i:i + (self.pieces or len(answer))])
                    if then == "reset":
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    if then != "stay":
                        return
            except OSError:
                self.broken += 1
