# SPDX-License-Identifier: ISC
"""WebSockets between a client and a service that are a real library's; skipped where it is not installed."""

import asyncio
import os
import signal

import pytest
from harness import gateway, wait_for

websockets = pytest.importorskip("websockets", reason="python3-websockets is not installed")
# Later versions have another one, too, with other names for all of it.
client = pytest.importorskip("websockets.legacy.client", reason="python3-websockets is another one")

MIB = 1 << 20
CROWD = 100 if gateway.sanitized() else 1000


@pytest.fixture(params=["tcp", "unix socket"])
def chat(request, site):
    service = site.app("websocket.py", name="chat", unix=request.param == "unix socket")
    service.gateway = site.gateway(service)
    return service


def connect(service, path="/", **options):
    options = {"max_size": None, "ping_interval": None, "open_timeout": 60, "close_timeout": 30, **options}
    host, port = service.gateway.address
    return client.connect(f"ws://{service.host}:{port}{path}", host=host, port=port, **options)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 120))


def test_messages_of_every_kind_come_back_as_they_were_sent(chat):
    big = os.urandom(16 * MIB)

    async def go():
        async with connect(chat, compression=None) as ws:
            for message in ("hällo", "", b"\x00\xff", b"", "x" * 125, "x" * 126, "x" * 65536, big):
                await ws.send(message)
                assert await ws.recv() == message
            await ws.send(["one ", "message ", "in ", "pieces"])
            assert await ws.recv() == "one message in pieces"
            await ws.send([big[:MIB], big[MIB:2 * MIB], b"end"])
            assert await ws.recv() == big[:2 * MIB] + b"end"
            await asyncio.wait_for(await ws.ping(b"are you there"), 30)
            await ws.pong(b"unasked")
            await ws.send("last")
            assert await ws.recv() == "last"
        assert (ws.close_code, ws.close_reason) == (1000, "")
    run(go())
    assert chat.starts == 1
    wait_for(lambda: chat.events("closed") == ["closed 1000"], "the service sees the end")


def test_extensions_and_subprotocols_are_for_the_two_ends_to_agree_on(chat):
    async def go():
        async with connect(chat, subprotocols=["unknown", "other"]) as ws:
            assert ws.subprotocol == "other"
            assert [e.name for e in ws.extensions] == ["permessage-deflate"]
            text = "the same over and over " * 50000
            await ws.send(text)
            assert await ws.recv() == text
        async with connect(chat, compression=None) as ws:
            assert ws.subprotocol is None and not ws.extensions
    run(go())
    assert [e.split(" ", 2)[2] for e in chat.events("open")] == ["other ['permessage-deflate']", "None []"]


def test_a_cold_service_is_started_for_the_first_and_all_who_come_meanwhile(site):
    chat = site.app("websocket.py", name="chat", env={"START_DELAY": 0.5})
    chat.gateway = site.gateway(chat)

    async def one(i):
        async with connect(chat) as ws:
            await ws.send(str(i))
            return await ws.recv()

    async def go():
        return await asyncio.gather(*(one(i) for i in range(30)))
    assert run(go()) == [str(i) for i in range(30)]
    assert chat.starts == 1


def test_a_refusal_reaches_the_client_with_its_body(chat):
    async def go():
        with pytest.raises(websockets.exceptions.InvalidStatusCode) as e:
            async with connect(chat, "/refuse"):
                pass
        assert e.value.status_code == 403
        assert e.value.headers["X-Why"] == "not you"
    run(go())
    r = chat.gateway.curl("chat", "/refuse", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket",
                          "-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    assert (r.status, r.text, r.get("X-Why")) == (403, "no entry\n", "not you")


def test_a_close_is_passed_on_with_its_code_and_reason(chat):
    async def go():
        async with connect(chat, "/close") as ws:
            await ws.send("x")
            with pytest.raises(websockets.ConnectionClosedError):
                await ws.recv()
            assert (ws.close_code, ws.close_reason) == (4001, "enough")
    run(go())


def test_a_service_that_crashes_ends_its_websockets_and_is_there_again_for_the_next(chat):
    async def go():
        async with connect(chat, "/crash") as ws:
            await ws.send("x")
            with pytest.raises(websockets.ConnectionClosedError):
                await ws.recv()
            assert ws.close_code == 1006
        chat.gateway.wait_state("chat", "offline")
        async with connect(chat) as ws:
            await ws.send("again")
            assert await ws.recv() == "again"
    run(go())
    assert chat.starts == 2


def test_a_client_that_crashes_is_missed_by_the_service(chat):
    async def go():
        async with connect(chat) as ws:
            await ws.send("x")
            await ws.recv()
            ws.transport.abort()
    run(go())
    wait_for(lambda: chat.events("closed") == ["closed 1006"], "the service sees the end")


def test_a_crowd_is_served_at_once(site):
    chat = site.app("websocket.py", name="chat")
    chat.gateway = site.gateway(chat, soft_fd_limit=8192)

    async def one(i, everybody):
        async with connect(chat, compression=None) as ws:
            everybody.discard(i)
            while everybody:  # all are connected at the same time
                await asyncio.sleep(0.01)
            for k in range(3):
                await ws.send(f"{i} {k}")
                assert await ws.recv() == f"{i} {k}"
        return ws.close_code

    async def go():
        everybody = set(range(CROWD))
        return await asyncio.gather(*(one(i, everybody) for i in range(CROWD)))
    assert run(go()) == [1000] * CROWD
    assert chat.starts == 1


def test_a_gateway_that_shuts_down_ends_websockets(chat):
    async def go():
        async with connect(chat) as ws:
            await ws.send("x")
            await ws.recv()
            os.kill(chat.gateway.pid, signal.SIGTERM)
            with pytest.raises(websockets.ConnectionClosed):
                await ws.recv()
    run(go())
    assert chat.gateway.wait_end() == 0
