# SPDX-License-Identifier: ISC
"""Requests that were right, or nearly, and then mutated at random with what framing is made of."""

HOST = "Host: diff.localhost\r\n"

SEEDS = [
    "GET /a HTTP/1.1\r\n" + HOST + "X-A: b\r\n\r\n",
    "POST /a HTTP/1.1\r\n" + HOST + "Content-Length: 5\r\n\r\nhello",
    "POST /a HTTP/1.1\r\n" + HOST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /a HTTP/1.1\r\n" + HOST + "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: 1\r\n\r\n",
    "PUT /a HTTP/1.1\r\n" + HOST + "Content-Length: 40\r\n\r\nGET /inner HTTP/1.1\r\nHost: diff.localhost",
    "GET /a HTTP/1.1\r\n" + HOST + "Content-Length: 0\r\n\r\nGET /b HTTP/1.1\r\n" + HOST + "\r\n",
    "POST /a HTTP/1.1\r\n" + HOST + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    "GET /a HTTP/1.1\r\n" + HOST + "Connection: keep-alive, X-A\r\nX-A: 1\r\nTE: trailers\r\n\r\n",
    "GET http://diff.localhost/a HTTP/1.1\r\n" + HOST + "\r\n", "OPTIONS * HTTP/1.1\r\n" + HOST + "\r\n",
    "GET /a HTTP/1.0\r\n" + HOST + "Connection: keep-alive\r\n\r\n",
]
PIECES = ["\r\n", "\n", "\r", " ", "\t", "\0", ":", ",", ";", "0", "5", "ffffffffffffffff", "-1", "+5", "0x5", "Content-Length: 5\r\n",
          "Content-Length: 6\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding:\r\n",
          "Transfer-Encoding : chunked\r\n", " Transfer-Encoding: chunked\r\n", "transfer-encoding: Chunked\r\n", "chunked",
          "Connection: close\r\n", "Connection: Transfer-Encoding\r\n", "Connection: Content-Length\r\n", HOST, "\x0b", "\x0c", "\x85",
          "HTTP/1.1", "HTTP/1.0", "GET /smuggled HTTP/1.1\r\n" + HOST + "\r\n", "0\r\n\r\n", "\r\n\r\n", "Upgrade: h2c\r\n", "\x7f", "\xff"]


def mutate(rng):
    data = rng.choice(SEEDS)
    if rng.random() < 0.3:
        data += rng.choice(SEEDS)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        at = rng.randrange(len(data) + 1)
        kind = rng.random()
        if kind < 0.5:
            data = data[:at] + rng.choice(PIECES) + data[at:]
        elif kind < 0.65:
            data = data[:at] + data[at + rng.randrange(1, 6):]
        elif kind < 0.8:
            data = data[:at] + chr(rng.randrange(256)) + data[at + 1:]
        else:  # a line of one is put into another
            lines = rng.choice(SEEDS).split("\r\n")
            marks = [i for i in range(len(data)) if data.startswith("\r\n", i)] or [0]
            at = rng.choice(marks)
            data = data[:at] + "\r\n" + rng.choice(lines) + data[at:]
    return data.encode("latin-1")
