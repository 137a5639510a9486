"""The governor's decisions, without clock, loop or network, so that they can be tested without."""

import math
from collections import deque
from typing import Literal

import msgspec

from simia_async.clients.governor.breaker import Breaker, BreakerState
from simia_async.clients.governor.bucket import Bucket, Mark, Quota
from simia_async.clients.governor.window import Window

OutcomeKind = Literal["ok", "rate_limited", "unavailable", "malformed", "refused", "abandoned"]

_SMOOTHING = 0.1


class Ticket:
    """One attempt of one call, from its wish to be sent to its end."""

    __slots__ = (
        "abandoned",
        "fresh",
        "granted_at",
        "is_probe",
        "request_mark",
        "submitted_at",
        "token_mark",
        "tokens",
    )

    def __init__(self, tokens: float, *, fresh: bool) -> None:
        self.tokens = tokens
        """What it is expected to use of the token quota, in and out."""
        self.fresh = fresh
        """Whether it begins a conversation; those in flight go first."""
        self.submitted_at = 0.0
        self.granted_at = 0.0
        self.abandoned = False
        self.is_probe = False
        self.request_mark = _NO_MARK
        self.token_mark = _NO_MARK


_NO_MARK = Mark(math.inf, 0.0, 0.0)


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of an attempt, and what the response said of the quotas."""

    kind: OutcomeKind
    tokens_used: int | None = None
    requests: Quota | None = None
    tokens: Quota | None = None
    retry_after_s: float = 0.0
    overloaded: bool = False
    """Whether the endpoint had too much to do: 503, 529, no answer in time."""


class GovernorStatistics(msgspec.Struct, frozen=True, gc=False):
    """What a screen shows of a governor. Times in seconds, quotas a minute."""

    in_flight: int
    waiting: int
    waiting_fresh: int
    """Part of `waiting` that begins a conversation."""
    window: float
    max_in_flight: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    requests_left: float | None
    tokens_left: float | None
    paused_s: float
    """How much longer nothing is sent, because the endpoint asked for it."""
    breaker: BreakerState
    times_opened: int
    ok: int
    rate_limited: int
    unavailable: int
    malformed: int
    refused: int
    latency_s: float
    """Of answers, smoothed."""
    waited_s: float
    """Sum over all that were sent."""


class GovernorCore:
    """Says which calls may be sent. Every method is told the time, in seconds of one clock."""

    def __init__(
        self,
        now: float,
        *,
        max_in_flight: int,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        known = requests_per_minute is not None or tokens_per_minute is not None
        self.requests = Bucket(requests_per_minute, now)
        self.tokens = Bucket(tokens_per_minute, now)
        self.window = Window(max_in_flight, limits_known=known)
        self.breaker = Breaker()
        self.in_flight = 0
        self.paused_until = float("-inf")
        self._continuing: deque[Ticket] = deque()
        self._fresh: deque[Ticket] = deque()
        self._waiting_continuing = self._waiting_fresh = 0
        self._counts: dict[OutcomeKind, int] = dict.fromkeys(
            ("ok", "rate_limited", "unavailable", "malformed", "refused", "abandoned"), 0
        )
        self._latency_s = 0.0
        self._waited_s = 0.0
        self._tokens_out = 0.0

    @property
    def waiting(self) -> int:
        """Calls that wait to be sent."""
        return self._waiting_continuing + self._waiting_fresh

    def submit(self, ticket: Ticket, now: float) -> bool:
        """Ask to send a call. True: send it now; False: `grants` will name it when it may go."""
        ticket.submitted_at = now
        if self.waiting == 0 and self._may_go(ticket, now):
            self._grant(ticket, now)
            return True
        if ticket.fresh:
            self._fresh.append(ticket)
            self._waiting_fresh += 1
        else:
            self._continuing.append(ticket)
            self._waiting_continuing += 1
        return False

    def withdraw(self, ticket: Ticket) -> None:
        """Take back a wish that was not granted yet."""
        ticket.abandoned = True
        if ticket.fresh:
            self._waiting_fresh -= 1
        else:
            self._waiting_continuing -= 1

    def grants(self, now: float) -> list[Ticket]:
        """Calls that may be sent now: first come, first served, conversations in flight first.

        The first in the queue is never overtaken by a smaller one of its kind.
        """
        granted = []
        while (ticket := self._head()) is not None and self._may_go(ticket, now):
            if ticket.fresh:
                self._fresh.popleft()
                self._waiting_fresh -= 1
            else:
                self._continuing.popleft()
                self._waiting_continuing -= 1
            self._grant(ticket, now)
            granted.append(ticket)
        return granted

    def next_at(self, now: float) -> float | None:
        """When `grants` may have something although nothing else happened; None: never."""
        ticket = self._head()
        if ticket is None:
            return None
        if self.breaker.state != "closed":
            return max(self.breaker.probe_at, now)
        if self.in_flight >= self.window.size and self.in_flight:
            return None
        self.requests.refill(now)
        self.tokens.refill(now)
        wait = max(self.requests.seconds_until(1), self.tokens.seconds_until(ticket.tokens))
        return max(now + wait, self.paused_until)

    def finish(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        """Take in what became of a call that was sent."""
        self.in_flight -= 1
        kind = outcome.kind
        self._counts[kind] += 1
        if kind == "abandoned":
            if ticket.is_probe:
                self.breaker.abandoned(now)
            return
        self.window.answered()
        if kind == "unavailable":
            self.breaker.failed(now, probe=ticket.is_probe)
        else:
            self.breaker.reached()
            self._learn(ticket, outcome, now)
        if outcome.overloaded:
            self.window.overloaded(ticket.granted_at, now)
        if kind == "rate_limited":
            self._rate_limited(ticket, outcome, now)
        elif kind in ("ok", "malformed"):
            self.window.succeeded(self.in_flight + 1)
            latency = now - ticket.granted_at
            weight = _SMOOTHING if self._latency_s else 1.0
            self._latency_s += weight * (latency - self._latency_s)

    def statistics(self, now: float) -> GovernorStatistics:
        """The governor as it stands."""
        requests, tokens = self.requests, self.tokens
        requests.refill(now)
        tokens.refill(now)
        return GovernorStatistics(
            in_flight=self.in_flight,
            waiting=self.waiting,
            waiting_fresh=self._waiting_fresh,
            window=self.window.size,
            max_in_flight=self.window.max_in_flight,
            requests_per_minute=requests.rate * 60 if requests.rate else None,
            tokens_per_minute=tokens.rate * 60 if tokens.rate else None,
            requests_left=requests.level if requests.rate else None,
            tokens_left=tokens.level if tokens.rate else None,
            paused_s=max(0.0, self.paused_until - now),
            breaker=self.breaker.state,
            times_opened=self.breaker.times_opened,
            ok=self._counts["ok"],
            rate_limited=self._counts["rate_limited"],
            unavailable=self._counts["unavailable"],
            malformed=self._counts["malformed"],
            refused=self._counts["refused"],
            latency_s=self._latency_s,
            waited_s=self._waited_s,
        )

    def _head(self) -> Ticket | None:
        for queue in (self._continuing, self._fresh):
            while queue and queue[0].abandoned:
                queue.popleft()
            if queue:
                return queue[0]
        return None

    def _may_go(self, ticket: Ticket, now: float) -> bool:
        if not self.breaker.lets_through(now) or now < self.paused_until:
            return False
        # One call at least, or nothing would ever widen the window again.
        if self.in_flight >= self.window.size and self.in_flight:
            return False
        self.requests.refill(now)
        self.tokens.refill(now)
        return self.requests.has(1) and self.tokens.has(ticket.tokens)

    def _grant(self, ticket: Ticket, now: float) -> None:
        ticket.granted_at = now
        self._waited_s += now - ticket.submitted_at
        self.in_flight += 1
        ticket.is_probe = self.breaker.sent(now)
        ticket.request_mark = self.requests.take(1)
        ticket.token_mark = self.tokens.take(ticket.tokens)

    def _learn(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        if outcome.requests is not None:
            self.requests.refill(now)
            self.requests.learn(outcome.requests, ticket.request_mark)
        if outcome.tokens is not None:
            self.tokens.refill(now)
            self.tokens.learn(outcome.tokens, ticket.token_mark)
        elif outcome.tokens_used is not None:
            # No header will say so: the quota is charged what was really used.
            self.tokens.give_back(ticket.tokens - outcome.tokens_used)

    def _rate_limited(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        quotas = [quota for quota in (outcome.requests, outcome.tokens) if quota is not None]
        if not quotas:
            # Nothing says which limit it was: all wait as long as this call must.
            self.window.overloaded(ticket.granted_at, now)
            self.paused_until = max(self.paused_until, now + outcome.retry_after_s)
        elif any(
            quota.remaining is not None and quota.remaining < needed
            for quota, needed in ((outcome.requests, 1.0), (outcome.tokens, ticket.tokens))
            if quota is not None
        ):
            # The quota is spent; the buckets have learnt it and know when it is back.
            pass
        else:
            self.window.overloaded(ticket.granted_at, now)
