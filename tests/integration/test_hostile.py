# SPDX-License-Identifier: ISC
"""Damaged requests by the hundred: whatever they are, the gateway answers or closes, at once, and serves the next
client as if nothing had been. What each known shape must be answered with is in hostile_table.py."""

import random

import pytest

from harness import Raw


@pytest.fixture(scope="module")
def echo(shared_site):
    app = shared_site.app("echo.py", name="echo")
    app.gateway = shared_site.gateway(app)
    app.gateway.curl("echo", "/warm")
    return app


def test_random_bytes_are_answered_or_closed_and_harm_nobody(echo):
    rng = random.Random(9112)
    valid = "POST /x HTTP/1.1\r\nHost: echo.localhost\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nbody"
    for _ in range(300):
        data = bytearray(valid.encode("latin-1"))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data))
            data[at:at + rng.randrange(0, 3)] = rng.randbytes(rng.randrange(0, 4))
        with Raw(echo.gateway.address) as c:
            c.send(bytes(data))
            c.socket.shutdown(1)
            answer = c.read_all()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 "), data
    assert echo.gateway.curl("echo", "/still-there").status == 200
