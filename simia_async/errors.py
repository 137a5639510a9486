"""Everything simia-async raises on purpose, one type per boundary.

    SimiaError                  the root; its text is one sentence a user can act on
    ├── UsageError              bad input: a file, a field, a flag (exit code 2)
    │   ├── ConfigError         a setting is missing or contradicts another
    │   └── UnknownModel        no model of this name is loaded
    ├── StoreError              the record: locked, too new, damaged, not writable
    ├── RenderError             a conversation cannot be turned into token ids and back
    ├── EndpointError           a model's endpoint did not give an answer
    │   ├── RateLimited         429 until the retry budget was spent
    │   ├── EndpointUnavailable no connection, time-out, 5xx until the retry budget was spent
    │   ├── EndpointRefused     the endpoint understood and said no: 400, 401, 403, 404, 422
    │   └── BadReply            an answer that does not follow the protocol
    ├── BudgetSpent             what is left of the budget is not enough to go on
    ├── ChildFailed             the trainer, engine or simulator process ended
    └── RunStopped              another process asked the run to end (exit code 130)

A bad rollout is data, not a crash: inside a conversation these are caught, recorded with their
boundary and counted. They reach a user only when the run itself cannot go on.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Literal

from simia_store.errors import SimiaError, StoreError

__all__ = [
    "BadReply",
    "BudgetSpent",
    "ChildFailed",
    "ConfigError",
    "EndpointError",
    "EndpointRefused",
    "EndpointUnavailable",
    "RateLimited",
    "RenderError",
    "RunStopped",
    "SimiaError",
    "StoreError",
    "UnknownModel",
    "UsageError",
    "single_error",
]


class UsageError(SimiaError):
    """Bad input: names the file and the field, what was found and what would be right."""


class ConfigError(UsageError):
    """A setting is missing or contradicts another."""


class UnknownModel(UsageError):
    """No model of this name is loaded."""


class RenderError(SimiaError):
    """A conversation cannot be turned into token ids and back."""


class EndpointError(SimiaError):
    """A model's endpoint did not give an answer."""

    outcome: Literal["rate_limited", "unavailable", "malformed", "refused"] = "unavailable"
    """Its kind, for the governor."""
    status: int | None = None
    """HTTP status; None where no answer came."""
    headers: Mapping[str, str] = MappingProxyType({})
    """Of the answer."""
    retry_after_s: float = 0.0
    """What the endpoint asked for, in seconds; 0 where it said nothing."""
    overloaded: bool = False
    """Whether the endpoint seems to have too much to do."""
    param: str | None = None
    """The parameter that it complained of, where it says."""
    code: str | int | None = None
    """Its own name for the reason, where it says."""
    detail: str = ""
    """What it said, at full length."""
    body: object = None
    """The same as it was sent: JSON's objects where it is JSON, else text."""


class RateLimited(EndpointError):
    """429 until the retry budget was spent."""

    outcome = "rate_limited"


class EndpointUnavailable(EndpointError):
    """No connection, time-out or 5xx until the retry budget was spent."""


class EndpointRefused(EndpointError):
    """The endpoint understood the request and said no; asking again would not help."""

    outcome = "refused"


class BadReply(EndpointError):
    """The endpoint answered with something that does not follow the protocol."""

    outcome = "malformed"


class BudgetSpent(SimiaError):
    """One more unit of work would not fit the budget."""


class ChildFailed(SimiaError):
    """A child process ended before its work was done."""


class RunStopped(SimiaError):
    """Another process asked the run to end before it was done; what was committed stays."""


@contextmanager
def single_error() -> Iterator[None]:
    """Turn the exception group of a failed task group into the one `SimiaError` in it.

    Groups with anything unexpected in them, or with none of ours, pass as they are.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        ours, others = group.split(SimiaError)
        if ours is None or others is not None:
            raise
        error: BaseException = ours
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
