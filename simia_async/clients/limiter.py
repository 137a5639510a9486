"""A first limiter: how many calls at once, and how many a minute, first come first served."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec


class LimiterStatistics(msgspec.Struct, frozen=True):
    """What a screen shows of a limiter."""

    in_flight: int
    waiting: int
    max_in_flight: int


class Limiter:
    """Holds callers back to `max_in_flight` at once and `requests_per_minute`.

    The rate is a token bucket of one second's worth, at least one request.
    """

    def __init__(self, max_in_flight: int, requests_per_minute: float | None = None) -> None:
        self._slots = anyio.CapacityLimiter(max_in_flight)
        self._rate = requests_per_minute / 60 if requests_per_minute else None
        self._burst = max(1.0, self._rate or 1.0)
        self._tokens = self._burst
        self._filled_at: float | None = None
        # anyio locks are fair: whoever waits longest for a token is served first.
        self._turnstile = anyio.Lock()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn; the slot is free again on exit."""
        # A task may hold several slots of one limiter, so each borrower is its own object.
        borrower = object()
        await self._slots.acquire_on_behalf_of(borrower)
        try:
            if self._rate is not None:
                await self._take_token(self._rate)
            yield
        finally:
            self._slots.release_on_behalf_of(borrower)

    def statistics(self) -> LimiterStatistics:
        """The limiter as it stands."""
        slots = self._slots.statistics()
        return LimiterStatistics(
            slots.borrowed_tokens, slots.tasks_waiting, int(slots.total_tokens)
        )

    async def _take_token(self, rate: float) -> None:
        async with self._turnstile:
            self._refill(rate)
            if self._tokens < 1:
                await anyio.sleep((1 - self._tokens) / rate)
                self._refill(rate)
            self._tokens -= 1

    def _refill(self, rate: float) -> None:
        now = anyio.current_time()
        if self._filled_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
