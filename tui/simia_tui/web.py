"""`simia-tui RUN --web`: the dashboard in a browser of this machine.

textual-serve starts a dashboard for every visitor and carries its terminal over a WebSocket.
Whoever reaches that can steer the run, so it is bound to loopback, and what comes to it must know a
token that is made anew each time. Other pages that the browser has open, and names that resolve to
loopback, are refused.
"""

import secrets
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web
from simia_store import StoreError

HOST = "127.0.0.1"
_DASHBOARD = "from simia_tui.cli import run; run()"
_FOREIGN = "ask for the address that simia-tui --web has printed, with its token"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(arguments: Sequence[str], port: int) -> None:
    """Serve the dashboard that `arguments` of simia-tui start, until Ctrl-C. Port 0 is a free one.

    Raises `StoreError` if textual-serve is not installed, or the port is taken.
    """
    try:
        from textual_serve.server import Server
    except ModuleNotFoundError:
        raise StoreError(
            '--web needs textual-serve; install it with: pip install "simia-async[web]"'
        ) from None
    with _listening(port) as listener:
        port = listener.getsockname()[1]
        command = shlex.join([sys.executable, "-c", _DASHBOARD, *arguments])
        server = Server(command, host=HOST, port=port, title="simia-tui")
        token = secrets.token_urlsafe(24)
        print(f"http://{HOST}:{port}/?token={token}\nctrl-c ends it", flush=True)
        web.run_app(_guarded(server, token, port), sock=listener, print=None, access_log=None)


def guard(token: str, port: int) -> Any:
    """A middleware that lets through who has the token, from this machine and this page only.

    The token comes once with the address, and stays in a cookie of this port.
    """
    hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
    cookie = f"simia-tui-{port}"

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        own = origin is None or origin in {f"http://{host}" for host in hosts}
        if request.host not in hosts or not own:
            raise web.HTTPForbidden(text=_FOREIGN)
        if _is(token, request.query.get("token")):
            # The address without it is what stays in the browser's history.
            answer = web.HTTPFound("/")
            answer.set_cookie(cookie, token, httponly=True, samesite="Strict")
            raise answer
        if not _is(token, request.cookies.get(cookie)):
            raise web.HTTPForbidden(text=_FOREIGN)
        return await handler(request)

    return checked


async def _guarded(server: Any, token: str, port: int) -> web.Application:
    # `Server.serve` would print where it listens without the token, and bind a socket of its own.
    app: web.Application = await server._make_app()
    app.on_startup.clear()
    app.on_response_prepare.append(_keep_to_this_page)
    app.middlewares.append(guard(token, port))
    return app


async def _keep_to_this_page(request: web.Request, response: web.StreamResponse) -> None:
    """Nothing is fetched from elsewhere (the page asks for a font), and nobody frames it."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'self' 'unsafe-inline' data:; "
        f"connect-src 'self' ws://{request.host}; frame-ancestors 'none'"
    )
    response.headers["Referrer-Policy"] = "no-referrer"


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # whoever reads the address may come before the server is up
    except (OSError, OverflowError) as error:
        listener.close()
        raise StoreError(f"--port {port}: cannot listen there: {error}") from error
    return listener


def _is(token: str, given: str | None) -> bool:
    return given is not None and secrets.compare_digest(token.encode(), given.encode())
