"""Errors of the endpoint, in the shape that OpenAI's API and vLLM's give them."""

from typing import Any

import msgspec
from aiohttp import web

from simia_async.errors import RenderError, UnknownModel, UsageError
from simia_async.supervision.http_child import json_response


class Refused(UsageError):
    """A request that is not served. `field` is the one it is refused for."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def error_body(status: int, message: str, field: str | None = None) -> dict[str, Any]:
    """The JSON. `code` is the HTTP status, as vLLM has it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": field, "code": status}}


def error_response(status: int, message: str, field: str | None = None) -> web.Response:
    """The same as an answer."""
    return json_response(error_body(status, message, field), status)


@web.middleware
async def errors_as_json(request: web.Request, handler: Any) -> web.StreamResponse:
    """Answers what a handler raises on purpose."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except msgspec.DecodeError as error:
        return error_response(400, f"{request.path}: {error}")
    except RenderError as error:
        return error_response(400, f"the conversation cannot be rendered: {error}", "messages")
    except Refused as error:
        return error_response(400, str(error), error.field)
    except UnknownModel as error:
        return error_response(404, str(error), "model")
    except UsageError as error:
        return error_response(400, str(error))
    except web.HTTPException as error:
        return error_response(error.status, f"{request.method} {request.path}: {error.reason}")
    except Exception as error:  # torch's own, such as memory: the client should hear of it
        return error_response(500, failed(error))


def failed(error: Exception) -> str:
    """What a client is told of an error of the engine's own."""
    return f"the engine failed: {error}"
