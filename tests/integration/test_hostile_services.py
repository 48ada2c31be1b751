# SPDX-License-Identifier: ISC
"""Services that break off, lie about lengths, never end or speak nonsense: a client gets a whole answer or learns that
it is none, never a part that looks whole, and the next one is served as if nothing had been."""

import re

import pytest
from harness import Raw, Script, Site, wait_for

NAME = "bad.localhost"


@pytest.fixture(scope="module")
def bad():
    site = Site()
    script = Script()
    service = {"host": NAME, "base": f"http://127.0.0.1:{script.port}", "proxyOnly": True}
    script.gateway = site.gateway(files={"bad.json": service}, config={"limits": {"upstreamFirstByteTimeout": "20s"}})
    yield script
    script.close()
    site.finish()


@pytest.fixture(autouse=True)
def reset(bad):
    bad.answer, bad.then, bad.pieces = b"", "close", None
    yield
    r = ask(bad, "/good")
    assert (r.status, r.text) == (200, "well"), "the next client is served"


def ask(bad, target="/", method="GET", version="1.1"):
    with Raw(bad.gateway.address) as c:
        c.send(f"{method} {target} HTTP/{version}\r\nHost: {NAME}\r\n\r\n")
        try:
            r = c.reply(method)
        except EOFError:
            return None
        r.was_reset = getattr(c, "was_reset", False)
        return r


LENGTH = b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6;x=y\r\nhello \r\n5\r\nworld\r\n0\r\nX-T: 1\r\n\r\n"


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("answer", [LENGTH, CHUNKED], ids=["length", "chunks"])
def test_an_answer_that_ends_early_is_never_whole_wherever_it_ends(bad, answer, version, then):
    head = answer.index(b"\r\n\r\n") + 4
    bad.then = then
    for n in range(len(answer) + 1):
        bad.answer = answer[:n]
        r = ask(bad, version=version)
        if n < head:
            assert r.status == 502 and r.complete, n
        elif n < len(answer):
            if r is not None and r.status == 200:
                # All of the body may be there already; what must not be is an orderly end of it.
                assert not r.complete or r.was_reset, n
                assert b"hello world".startswith(r.body), n
            else:
                assert r is None or r.status == 502, n
        elif then == "close":
            assert (r.status, r.complete, r.body) == (200, True, b"hello world")


@pytest.mark.parametrize("pieces", [None, 1], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("answer", [
    b"hello\n", b"HTTP/0.9 200 OK\r\n\r\nx", b"HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 099 OK\r\n\r\n", b"HTTP/1.1  200 OK\r\n\r\n", b"ICY 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", b"HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 1\r\n\r\nx", b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: 1\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A: a\rb\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx", b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\nx", b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 20000 + b"\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(300)) + b"Content-Length: 1\r\n\r\nx",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\nnonsense\r\n\r\n",
], ids=lambda a: re.sub(r"[^\w.:, -]", "_", a[9:45].decode("latin-1")))
def test_a_head_that_is_none_is_a_502(bad, answer, pieces):
    bad.answer = answer
    bad.pieces = pieces if len(answer) < 2000 else None
    r = ask(bad)
    assert r.status == 502 and r.complete
    assert "x" * 100 not in r.text, "nothing of it is repeated"


@pytest.mark.parametrize("body", [
    b"xyz\r\nhello\r\n0\r\n\r\n", b"-1\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhell\r\n0\r\n\r\n", b"10000000000000000\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n", b"5\r\nhello\r\n0\r\n\n", b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5;" + b"x" * 40000 + b"\r\nhello\r\n0\r\n\r\n",
])
@pytest.mark.parametrize("apart", [False, True], ids=["with the head", "behind it"])
def test_chunks_that_are_none_are_never_a_whole_answer(bad, body, apart):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    good = b"5\r\nfirst\r\n"
    bad.answer = (lambda: [head + good, body]) if apart else head + body
    r = ask(bad)
    assert r is None or r.status == 502 or not r.complete


def test_what_follows_an_answer_is_not_the_next_one(bad):
    bad.then = "stay"
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    for answer in (LENGTH + smuggled, CHUNKED + smuggled, b"HTTP/1.1 204 No Content\r\n\r\n" + smuggled,
                   b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n" + smuggled,
                   b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil" + smuggled):
        bad.answer = answer
        assert ask(bad).status in (200, 204, 304)
        for _ in range(3):
            assert ask(bad, "/good").text == "well"
    bad.answer = LENGTH + b"body of a HEAD"
    assert ask(bad, method="HEAD").status == 200
    assert ask(bad, "/good").text == "well"


@pytest.mark.parametrize("endless", [
    [b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n"], [b"HTTP/1.1 200 OK\r\nX-A: ", b"x" * 1000],
    [b"HTTP/1.1 200 OK\r\n", b"X" * 1000], [b"", b"HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\n"], [b"", b"\r\n"],
    [b"HTTP/1.1 200 ", b"O" * 1000],
], ids=["fields", "a value", "a name", "interim answers", "empty lines", "a reason"])
def test_a_head_without_end_has_an_end(bad, endless):
    before, broken = bad.gateway.peak_memory(), bad.broken

    def answer():
        yield endless[0]
        while True:
            yield endless[1]
    bad.answer = answer
    assert ask(bad).status == 502
    wait_for(lambda: bad.broken > broken, "the service's connection is closed")
    assert bad.gateway.peak_memory() - before < 4 << 20


@pytest.mark.parametrize("endless", [
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 1000 + b"\r\nx\r\n"],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-T: 1\r\n"],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000],
], ids=["extensions", "trailers", "an extension"])
def test_framing_without_end_has_an_end(bad, endless):
    broken = bad.broken

    def answer():
        yield endless[0]
        while True:
            yield endless[1]
    bad.answer = answer
    r = ask(bad)
    assert r is None or r.status == 502 or not r.complete
    wait_for(lambda: bad.broken > broken, "the service's connection is closed")


def test_a_length_that_is_too_long_or_too_short(bad):
    bad.answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n\x1f\x8bshort"
    r = ask(bad)
    assert r.status == 200 and not r.complete
    bad.answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8bshort and longer"
    r = ask(bad)
    assert (r.status, r.complete, r.body) == (200, True, b"\x1f\x8bsho")


def test_an_answer_may_drip(bad):
    bad.pieces = 1
    for answer in (LENGTH, CHUNKED):
        bad.answer = answer
        assert ask(bad).body == b"hello world"


def test_a_service_that_says_nothing_and_closes_is_a_502(bad):
    for bad.then in ("close", "reset"):
        assert ask(bad).status == 502
