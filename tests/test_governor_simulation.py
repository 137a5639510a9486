"""The governor against a provider's quota, outages and faults, in simulated time."""

import heapq
import math
import random
from collections.abc import Callable
from itertools import count
from typing import Any, Literal

import pytest

from simia_async.clients.governor import Outcome, Ticket
from simia_async.clients.governor.bucket import Quota as Told
from simia_async.clients.governor.core import GovernorCore
from simia_async.testing import Faults, Latency, Quota

Down = Literal["answers 503", "refuses connections", "hangs"]

NETWORK_S = 0.02
LONGEST_BACKOFF_S = 20.0


class Clock:
    """Events in the order of their times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()

    def at(self, when: float, what: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), what, args))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, what, args = heapq.heappop(self._events)
            what(*args)
        self.now = until


class Provider:
    """An endpoint: says what becomes of a request that arrives now, and how long that takes."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        *,
        quota: Quota | None = None,
        latency: str = "lognormal:1.0,0.6",
        faults: Faults | None = None,
        sends_headers: bool = True,
        sends_retry_after: bool = True,
        timeout_s: float = 300.0,
    ) -> None:
        self.quota = quota
        self.faults = faults or Faults()
        self.down: Down | None = None
        self.timeout_s = timeout_s
        self.asked = 0
        """Requests that arrived."""
        self.refused = 0
        self.wasted = 0
        """Requests that met an outage."""
        self.served: list[float] = []
        """When each good answer was sent."""
        self._clock = clock
        self._rng = rng
        self._latency = Latency.parse(latency)
        self._sends_headers = sends_headers
        self._sends_retry_after = sends_retry_after

    def change(self, quota: Quota) -> None:
        if self.quota is not None:
            quota.continue_from(self.quota, self._clock.now)
        self.quota = quota

    def answer(self, tokens: int) -> tuple[Outcome, float]:
        self.asked += 1
        if self.down is not None:
            self.wasted += 1
            if self.down == "hangs":
                return Outcome("unavailable", overloaded=True), self.timeout_s
            return Outcome("unavailable", overloaded=self.down == "answers 503"), 0.0
        verdict = self.quota.admit(self._clock.now, tokens) if self.quota else None
        requests, tokens_told = self._headers()
        if verdict is not None and not verdict.admitted:
            self.refused += 1
            retry_after_s = math.ceil(verdict.retry_after_s * 1000) / 1000
            return Outcome("rate_limited", None, requests, tokens_told, retry_after_s), 0.0
        latency = self._latency.quantile(self._rng.random())
        match self.faults.choose(self._rng.random()):
            case "rate_limit":
                wait = self.faults.retry_after_s if self._sends_retry_after else 0.0
                return Outcome("rate_limited", None, requests, tokens_told, wait), 0.0
            case "server_error":
                return Outcome("unavailable", overloaded=self._rng.random() < 0.5), latency
            case "malformed":
                return Outcome("malformed", None, requests, tokens_told), latency
            case "hang":
                return Outcome("unavailable", overloaded=True), self.timeout_s
        self.served.append(self._clock.now + latency)
        return Outcome("ok", tokens, requests, tokens_told), latency

    def served_between(self, start: float, end: float) -> int:
        return sum(start <= at < end for at in self.served)

    def _headers(self) -> tuple[Told | None, Told | None]:
        if self.quota is None or not self._sends_headers:
            return None, None
        told = [
            bucket
            and Told(bucket.per_minute, bucket.remaining, math.ceil(bucket.reset_s * 1000) / 1000)
            for bucket in (self.quota.requests, self.quota.tokens)
        ]
        return told[0], told[1]


class Call:
    """One call until it succeeds."""

    def __init__(self, tokens: int, *, fresh: bool, then: Callable[[], None]) -> None:
        self.tokens = tokens
        self.fresh = fresh
        self.then = then
        self.began = 0.0
        self.failures = 0


class World:
    """Clients that share a governor, as `ChatClient` uses it."""

    def __init__(
        self,
        *,
        seed: int = 0,
        max_in_flight: int = 256,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        **provider: Any,
    ) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.provider = Provider(self.clock, self.rng, **provider)
        self.core = GovernorCore(
            0.0,
            max_in_flight=max_in_flight,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
        )
        self.waits: list[tuple[int, float]] = []
        """Tokens of each call that succeeded, and how long it took from its beginning."""
        self.open_calls: set[Call] = set()
        self._calls: dict[Ticket, Call] = {}
        self._timer = math.inf

    def converse(self, conversations: int, draw: Callable[[], int], *, turns: int = 10) -> None:
        """Conversations that ask again as soon as they have an answer; as one ends, one begins."""

        def ask(turn: int) -> None:
            self.call(Call(draw(), fresh=turn == 0, then=lambda: ask((turn + 1) % turns)))

        for _ in range(conversations):
            ask(0)

    def call(self, call: Call) -> None:
        call.began = self.clock.now
        self.open_calls.add(call)
        self._enter(call)

    def run(self, until: float) -> None:
        self.clock.run(until)

    def _enter(self, call: Call) -> None:
        ticket = Ticket(call.tokens, fresh=call.fresh)
        self._calls[ticket] = call
        if self.core.submit(ticket, self.clock.now):
            self._send(ticket)
        else:
            self._set_timer()

    def _send(self, ticket: Ticket) -> None:
        self.clock.at(self.clock.now + self.rng.uniform(0, NETWORK_S), self._arrive, ticket)

    def _arrive(self, ticket: Ticket) -> None:
        outcome, latency = self.provider.answer(self._calls[ticket].tokens)
        back = self.clock.now + latency + self.rng.uniform(0, NETWORK_S)
        self.clock.at(back, self._leave, ticket, outcome)

    def _leave(self, ticket: Ticket, outcome: Outcome) -> None:
        call = self._calls.pop(ticket)
        self.core.finish(ticket, outcome, self.clock.now)
        if outcome.kind == "ok":
            self.waits.append((call.tokens, self.clock.now - call.began))
            self.open_calls.discard(call)
            call.then()
        else:
            call.failures += 1
            backoff = min(LONGEST_BACKOFF_S, 0.25 * 2 ** min(call.failures - 1, 10))
            wait = max(self.rng.uniform(0, backoff), outcome.retry_after_s)
            if self.core.breaker.opened_at is not None:
                wait = 0.0
            self.clock.at(self.clock.now + wait, self._enter, call)
        self._pump()

    def _pump(self) -> None:
        for ticket in self.core.grants(self.clock.now):
            self._send(ticket)
        self._set_timer()

    def _set_timer(self) -> None:
        at = self.core.next_at(self.clock.now)
        if at is not None and at < self._timer:
            self._timer = at
            self.clock.at(at, self._ring, at)

    def _ring(self, at: float) -> None:
        if at == self._timer:
            self._timer = math.inf
            self._pump()
