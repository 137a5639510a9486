"""What the HTTP servers among the children share."""

import asyncio
import socket
from typing import Any

import msgspec
from aiohttp import web

from simia_async.supervision.child import OwnerPipe
from simia_async.supervision.frames import Ready

_BACKLOG = 4096
"""Connections that may wait to be accepted: thousands of conversations begin at once."""


async def serve_on_loopback(
    app: web.Application, port: int, pipe: OwnerPipe, *, handler_cancellation: bool = False
) -> None:
    """Serve `app` on 127.0.0.1 until the process ends; tell the owner the port. 0 picks one.

    `handler_cancellation`: whether a handler ends when its client goes.
    """
    runner = web.AppRunner(app, access_log=None, handler_cancellation=handler_cancellation)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
    await web.SockSite(runner, listener, backlog=_BACKLOG).start()
    pipe.send(Ready(listener.getsockname()[1]))
    await asyncio.Event().wait()


def json_response(body: Any, status: int = 200) -> web.Response:
    """A JSON body."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )


def error_response(status: int, message: str) -> web.Response:
    """An error in the shape of OpenAI's API."""
    error = {"message": message, "type": "invalid_request_error", "code": status}
    return json_response({"error": error}, status)
