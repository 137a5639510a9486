"""Whom the endpoint lets in."""

import os
from typing import Any

from aiohttp import web

from simia_async.errors import ConfigError
from simia_async.inference.refusals import error_response
from simia_async.supervision.bearer import is_same_key
from simia_async.supervision.listening import is_loopback


def required_key(host: str, variable: str) -> str | None:
    """The key in an environment variable; none is needed on loopback. Raises `ConfigError`."""
    if not variable:
        if not is_loopback(host):
            raise ConfigError(f"a server that listens on {host} needs --api-key-env")
        return None
    key = os.environ.get(variable)
    if not key:
        raise ConfigError(f"the environment variable {variable} holds no key")
    return key


def key_check(key: str | None) -> Any:
    """A middleware that answers 401 to requests without the key; `/health` needs none."""

    @web.middleware
    async def check(request: web.Request, handler: Any) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key is not None and request.path != "/health" and not is_same_key(sent, key):
            return error_response(401, "Incorrect API key provided.")
        response: web.StreamResponse = await handler(request)
        return response

    return check
