"""An endpoint's failure, told to another process."""

from typing import Self

import msgspec

from simia_async.errors import (
    BadReply,
    EndpointError,
    EndpointRefused,
    EndpointUnavailable,
    RateLimited,
    RenderError,
)

_KINDS: dict[str, type[EndpointError | RenderError]] = {
    each.__name__: each
    for each in (RateLimited, EndpointRefused, BadReply, EndpointUnavailable, RenderError)
}


class Failure(msgspec.Struct, frozen=True):
    """What of an error others go by."""

    kind: str
    message: str
    status: int | None = None

    @classmethod
    def of(cls, error: Exception) -> Self:
        """The failure that an `EndpointError` or a `RenderError` stands for."""
        kinds = (name for name, kind in _KINDS.items() if isinstance(error, kind))
        status = error.status if isinstance(error, EndpointError) else None
        return cls(next(kinds, EndpointUnavailable.__name__), str(error), status)

    def as_error(self) -> EndpointError | RenderError:
        """The error again."""
        error = _KINDS[self.kind](self.message)
        if isinstance(error, EndpointError):
            error.status = self.status
        return error
