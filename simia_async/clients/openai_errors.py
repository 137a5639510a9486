"""Our errors as the `openai` package's too, for callers who catch those."""

import sys
from typing import Any

from simia_async.errors import (
    BadReply,
    EndpointError,
    EndpointRefused,
    EndpointUnavailable,
    RateLimited,
)

_BY_STATUS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}


def catchable(error: EndpointError) -> EndpointError:
    """`error`, also an instance of the fitting class of `openai` if that has been imported.

    Nobody can name those classes without having imported them, and importing costs a second; so
    it is not done here.
    """
    openai = sys.modules.get("openai")
    if openai is None:
        return error
    name = _class_name(error)
    both = type(type(error).__name__, (type(error), getattr(openai, name)), {"__init__": _init})
    twin: EndpointError = both(error)
    twin.__cause__ = error.__cause__
    return twin


def _class_name(error: EndpointError) -> str:
    match error:
        case RateLimited():
            return "RateLimitError"
        case EndpointUnavailable(status=None):
            return "APITimeoutError" if error.overloaded else "APIConnectionError"
        case EndpointUnavailable():
            return "InternalServerError"
        case EndpointRefused(status=None):
            return "APIConnectionError"
        case EndpointRefused():
            return _BY_STATUS.get(error.status or 0, "APIStatusError")
        case BadReply():
            return "APIResponseValidationError"
    return "APIError"


def _init(self: Any, error: EndpointError) -> None:
    """What `openai` sets too; its constructors want responses of an HTTP library of its own."""
    Exception.__init__(self, *error.args)
    self.__dict__.update(error.__dict__)
    self.message = str(error)
    self.status_code = getattr(error, "status", None)
    for name in ("request", "response", "body", "request_id", "code", "param", "type"):
        setattr(self, name, None)
