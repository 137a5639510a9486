"""What the HTTP servers among the children share."""

import asyncio
import socket
from typing import Any

import msgspec
from aiohttp import web

from simia_async.supervision.child import OwnerPipe
from simia_async.supervision.frames import Ready
from simia_async.supervision.listening import BACKLOG, listen


async def serve_on_loopback(app: web.Application, port: int, pipe: OwnerPipe) -> None:
    """Serve `app` on 127.0.0.1, as `serve_forever` does. Port 0 picks one."""
    await serve_forever(app, listen("127.0.0.1", port), pipe)


async def serve_forever(app: web.Application, listener: socket.socket, pipe: OwnerPipe) -> None:
    """Serve until the process ends; tell the owner the port. Handlers end when clients go."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.SockSite(runner, listener, backlog=BACKLOG).start()
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
