"""One attempt of one call: its turn at the governor, and what is written down of it."""

import time

import msgspec
from simia_store import CallRecord
from yarl import URL

from simia_async.clients.governor import Governor, Outcome, Ticket
from simia_async.clients.headers import read_quota
from simia_async.clients.prices import Prices
from simia_async.clients.spending import Spending
from simia_async.clients.transport import Answer
from simia_async.clients.wire import NO_USAGE, Usage
from simia_async.errors import EndpointError


class Request(msgspec.Struct, gc=False):
    """One call: what is asked, and where it is written down."""

    url: URL
    body: bytes
    tokens: float
    """What it is expected to use, in and out."""
    model: str
    role: str
    ledger: list[CallRecord]
    trajectory_id: int | None
    fresh: bool
    """Whether it begins a conversation."""


class Books(msgspec.Struct, frozen=True):
    """What every attempt at an endpoint is entered into."""

    endpoint: str
    governor: Governor
    prices: Prices | None
    spending: Spending


class Attempt:
    """Begun by `begin`; ended by exactly one of `succeeded`, `failed` and `abandoned`."""

    __slots__ = ("_books", "_number", "_request", "_sent_at", "_ticket", "_waited_s")

    def __init__(
        self, books: Books, request: Request, number: int, ticket: Ticket, waited_s: float
    ) -> None:
        self._books = books
        self._request = request
        self._number = number
        self._ticket = ticket
        self._waited_s = waited_s
        self._sent_at = time.monotonic()

    @classmethod
    async def begin(
        cls, books: Books, request: Request, number: int, deadline: float | None
    ) -> "Attempt":
        """Wait for the governor's leave. Raises `EndpointUnavailable` when it does not come."""
        asked_at = time.monotonic()
        ticket = await books.governor.enter(request.tokens, fresh=request.fresh, deadline=deadline)
        return cls(books, request, number, ticket, time.monotonic() - asked_at)

    def succeeded(self, answer: Answer, usage: Usage) -> None:
        """The endpoint answered as it should."""
        headers = answer.headers
        used = usage.tokens_in + usage.tokens_out
        outcome = Outcome(
            "ok", used or None, read_quota(headers, "requests"), read_quota(headers, "tokens")
        )
        self._books.governor.leave(self._ticket, outcome)
        self._enter(usage, None)

    def failed(self, error: EndpointError) -> None:
        """It did not."""
        headers = error.headers
        outcome = Outcome(
            error.outcome,
            None,
            read_quota(headers, "requests"),
            read_quota(headers, "tokens"),
            error.retry_after_s,
            error.overloaded,
        )
        self._books.governor.leave(self._ticket, outcome)
        self._enter(NO_USAGE, error)

    def abandoned(self, error: BaseException) -> None:
        """Nobody waited for the answer."""
        self._books.governor.leave(self._ticket, Outcome("abandoned"))
        self._enter(NO_USAGE, error)

    def _enter(self, usage: Usage, error: BaseException | None) -> None:
        """Into the ledger and the budget."""
        request, books = self._request, self._books
        record = CallRecord(
            trajectory_id=request.trajectory_id,
            role=request.role,
            endpoint=books.endpoint,
            model=request.model,
            attempt=self._number,
            status="ok" if error is None else type(error).__name__,
            latency_s=time.monotonic() - self._sent_at,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            tokens_cached=usage.tokens_cached,
            tokens_reasoning=usage.tokens_reasoning,
            waited_s=self._waited_s,
            cost_usd=books.prices.cost_usd(usage) if books.prices else None,
            error=None if error is None else str(error),
        )
        request.ledger.append(record)
        books.spending.charge(record)
