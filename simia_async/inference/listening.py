"""Where the endpoint listens, and whom it lets in."""

import hmac
import ipaddress
import os
import socket
from typing import Any

from aiohttp import web

from simia_async.errors import ConfigError
from simia_async.inference.refusals import error_response
from simia_async.supervision.http_child import BACKLOG


def required_key(host: str, variable: str) -> str | None:
    """The key in an environment variable; none is needed on loopback. Raises `ConfigError`."""
    if not variable:
        if not _is_loopback(host):
            raise ConfigError(f"a server that listens on {host} needs --api-key-env")
        return None
    key = os.environ.get(variable)
    if not key:
        raise ConfigError(f"the environment variable {variable} holds no key")
    return key


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks one. Raises `ConfigError` if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error}") from error


def key_check(key: str | None) -> Any:
    """A middleware that answers 401 to requests without the key; `/health` needs none."""

    @web.middleware
    async def check(request: web.Request, handler: Any) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key is not None and request.path != "/health" and not _equal(sent, key):
            return error_response(401, "Incorrect API key provided.")
        response: web.StreamResponse = await handler(request)
        return response

    return check


def _equal(sent: str, key: str) -> bool:
    return hmac.compare_digest(sent.encode(errors="replace"), key.encode(errors="replace"))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
