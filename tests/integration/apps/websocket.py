# SPDX-License-Identifier: ISC
"""A WebSocket service with a real library: echoes what it gets. /refuse is answered 403 with a body; on /close the
service closes after the first message; on /crash it kills itself; what /count gets is counted in the log."""

import asyncio
import http
import os
import signal

import base
import websockets
from websockets.legacy import server  # later versions have another, too, with other names for all of it


async def refuse(path, headers):
    base.log("request", "GET", path)
    if path == "/refuse":
        return http.HTTPStatus.FORBIDDEN, [("X-Why", "not you"), ("Content-Type", "text/plain")], b"no entry\n"
    return None


async def serve(ws):
    base.log("open", ws.path, ws.subprotocol, [e.name for e in ws.extensions])
    try:
        async for message in ws:
            if ws.path == "/close":
                await ws.close(4001, "enough")
            elif ws.path == "/crash":
                os.kill(os.getpid(), signal.SIGKILL)
            elif ws.path == "/count":
                base.log("message", len(message))
            else:
                await ws.send(message)
    except websockets.ConnectionClosed:
        pass
    base.log("closed", ws.close_code)


async def main():
    await asyncio.sleep(float(os.environ.get("START_DELAY", "0")))
    options = {"process_request": refuse, "subprotocols": ["chat", "other"], "max_size": None, "ping_interval": None,
               "max_queue": 4}
    if "SOCKET" in os.environ:
        os.umask(0)  # dynapm may be another user
        listening = await server.unix_serve(serve, os.environ["SOCKET"], **options)
    else:
        listening = await server.serve(serve, "127.0.0.1", int(os.environ["PORT"]), backlog=4096, **options)
    base.log("listening", os.getpid())
    await listening.wait_closed()


base.start()
asyncio.run(main())
