"""Our errors as the `openai` package's too, for callers who catch those."""

import sys
from typing import Any

from simia_async.errors import (
    BadReply,
    EndpointError,
    EndpointRefused,
    EndpointUnavailable,
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
_TWINS: dict[tuple[type[EndpointError], type[Exception]], Any] = {}


def catchable(error: EndpointError) -> EndpointError:
    """`error`, also an instance of the fitting class of `openai` if that has been imported.

    Nobody can name those classes without having imported them, and importing costs a second; so
    it is not done here. `request` and `response` are None: they would be of another HTTP library.
    """
    theirs = getattr(sys.modules.get("openai"), _class_name(error), None)
    if theirs is None or isinstance(error, theirs):
        return error
    pair = type(error), theirs
    twin: EndpointError = _TWINS.setdefault(pair, _both(*pair))(error)
    twin.__cause__ = error.__cause__
    return twin


def _class_name(error: EndpointError) -> str:
    match error:
        case BadReply():
            return "APIResponseValidationError"
        case EndpointUnavailable(status=None, overloaded=True):
            return "APITimeoutError"
        case EndpointUnavailable(status=None) | EndpointRefused(status=None):
            return "APIConnectionError"
    status = error.status or 0
    return _BY_STATUS.get(status, "InternalServerError" if status >= 500 else "APIStatusError")


def _both(ours: type[EndpointError], theirs: type[Exception]) -> type[EndpointError]:
    return type(ours.__name__, (ours, theirs), {"__init__": _init, "__module__": ours.__module__})


def _init(self: Any, error: EndpointError) -> None:
    """What `openai` sets too; its constructors want responses of an HTTP library of its own."""
    Exception.__init__(self, *error.args)
    self.__dict__.update(error.__dict__)
    self.message = str(error)
    self.status_code = error.status
    self.request = self.response = None
    self.request_id = error.headers.get("x-request-id")
    self.body, self.param = error.body, error.param
    self.code = None if error.code is None else str(error.code)
    self.type = error.body.get("type") if isinstance(error.body, dict) else None
