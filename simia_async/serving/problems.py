"""Errors as `application/problem+json` (RFC 9457)."""

from http import HTTPStatus

import msgspec
from aiohttp import web

from simia_async.errors import ConfigError, SimiaError, StoreError, UsageError
from simia_async.serving.jobs import InUse, KeyTaken, QueueFull, UnknownJob


class Problem(msgspec.Struct, frozen=True):
    """What went wrong with a request."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


def problem_response(
    status: int, detail: str, headers: dict[str, str] | None = None
) -> web.Response:
    """The answer that tells of it."""
    return web.Response(
        body=msgspec.json.encode(Problem(HTTPStatus(status).phrase, status, detail)),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


def response_to(error: SimiaError) -> web.Response:
    """The answer to a request that led to an error of ours."""
    match error:
        case UnknownJob():
            return problem_response(404, str(error))
        case KeyTaken() | InUse():
            return problem_response(409, str(error))
        case QueueFull():
            return problem_response(503, str(error), {"Retry-After": "10"})
        case ConfigError() | UsageError():
            return problem_response(422, str(error))
        case StoreError():
            return problem_response(409, str(error))
    return problem_response(502, str(error))
