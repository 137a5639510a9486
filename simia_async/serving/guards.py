"""Who may ask a server, how much and how often: its token, and the limits of requests."""

import os
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from simia_async.errors import ConfigError, SimiaError
from simia_async.serving.log import Log, log_lines
from simia_async.serving.problems import problem_response, response_to
from simia_async.supervision.bearer import bearer_of, is_same_key

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN = ("/healthz", "/readyz")
"""Paths that need no token: they tell nothing of any run."""
_REQUESTS_A_MINUTE = 1200
_CALLERS = 1000
"""Addresses that are remembered."""


def server_token(root: Path, variable: str) -> str:
    """The token that clients must send: from an environment variable, else from a file of the
    server's, which is made when there is none and only its owner may read (0600).

    Raises `ConfigError` for an empty variable and for a file that others may read.
    """
    if variable:
        token = os.environ.get(variable, "")
        if not token:
            raise ConfigError(f"the environment variable {variable} holds no token")
        return token
    path = root / "token"
    if not path.exists():
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path}: others may read this token; chmod 600 it, or delete it")
    return path.read_text().strip()


def guard(token: str | None, log: Log = log_lines) -> Middleware:
    """A middleware: limits the rate, checks the token, puts errors into problem+json, and notes
    what was refused or failed.
    """
    callers: dict[str, _Rate] = {}

    @web.middleware
    async def noted(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await check(request, handler)
        if response.status in (401, 429) or response.status >= 500:
            asked = {"method": request.method, "path": request.path[:200]}
            log("refused", status=response.status, remote=request.remote, **asked)
        return response

    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        caller = request.remote or ""
        if caller not in callers and len(callers) >= _CALLERS:
            callers.pop(next(iter(callers)))
        wait_s = callers.setdefault(caller, _Rate()).take(time.monotonic())
        if wait_s > 0:
            retry = {"Retry-After": f"{wait_s:.0f}"}
            return problem_response(429, "too many requests; ask more slowly", retry)
        if token is not None and request.path not in OPEN and not _sent(request, token):
            headers = {"WWW-Authenticate": "Bearer"}
            return problem_response(401, "the token is missing or wrong", headers)
        try:
            return await handler(request)
        except web.HTTPException as error:
            return problem_response(error.status, error.reason)
        except SimiaError as error:
            return response_to(error)
        except UnicodeError:
            return problem_response(400, "the request is not valid UTF-8")
        except ConnectionError:
            return problem_response(400, "the client is gone")
        except OSError as error:
            log("failed", path=request.path[:200], reason=error.strerror)
            return problem_response(507, f"the server cannot write: {error.strerror}")

    return noted


def _sent(request: web.Request, token: str) -> bool:
    return is_same_key(bearer_of(request.headers.get("Authorization", "")) or "", token)


class _Rate:
    """A bucket of requests, refilled as time goes by."""

    def __init__(self) -> None:
        self._left = float(_REQUESTS_A_MINUTE)
        self._at = time.monotonic()

    def take(self, now: float) -> float:
        """Seconds to wait before one more is taken; 0 where it was."""
        rate = _REQUESTS_A_MINUTE / 60
        self._left = min(_REQUESTS_A_MINUTE, self._left + (now - self._at) * rate)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return max(1.0, (1 - self._left) / rate)
