"""The governor's decisions, without clock, loop or network, so that they can be tested without."""

import math
from collections import deque
from typing import Literal

import msgspec

from simia_async.clients.governor.breaker import Breaker, BreakerState
from simia_async.clients.governor.bucket import Bucket, Quota
from simia_async.clients.governor.noise import Noise
from simia_async.clients.governor.window import Window

OutcomeKind = Literal["ok", "rate_limited", "unavailable", "malformed", "refused", "abandoned"]

_SMOOTHING = 0.1
_SHORTEST_SILENCE_S = 10.0
_LATENCIES_OF_SILENCE = 8
_FIRST = 8
"""Calls in flight before the endpoint has answered anything, and so told of its limits."""
_MOST = 0.5
_LONGEST_COOLING_S = 10.0
_LONGEST_BELIEF_S = 90.0
"""More than a minute's quota takes to come back."""


class Ticket:
    """One attempt of one call, from its wish to be sent to its end."""

    __slots__ = (
        "era",
        "fresh",
        "granted_at",
        "is_probe",
        "request_mark",
        "submitted_at",
        "token_mark",
        "tokens",
        "withdrawn",
    )

    def __init__(self, tokens: float, *, fresh: bool) -> None:
        self.tokens = tokens
        """What it is expected to use of the token quota, in and out."""
        self.fresh = fresh
        """Whether it begins a conversation; those in flight go first."""
        self.submitted_at = 0.0
        self.granted_at = 0.0
        self.withdrawn = False
        self.is_probe = False
        self.era = 0
        """A call that is taken for lost is of an earlier era than the core."""
        self.request_mark = 0.0
        self.token_mark = 0.0


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of an attempt, and what the response said of the quotas."""

    kind: OutcomeKind
    tokens_used: int | None = None
    requests: Quota | None = None
    tokens: Quota | None = None
    retry_after_s: float = 0.0
    overloaded: bool = False
    """Whether the endpoint had too much to do: 503, 529, no answer in time."""


class Lease(msgspec.Struct, frozen=True):
    """The part of an endpoint that one of several governors has, where processes share it."""

    share: float
    """Of its quotas, above 0 and up to 1."""
    places: int
    """Calls that may be in flight, from 0 on."""


class GovernorStatistics(msgspec.Struct, frozen=True, gc=False):
    """What a screen shows of a governor. Times in seconds, quotas a minute."""

    in_flight: int
    lost: int
    """Calls under way that have been silent for so long that their places are given to others."""
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
    abandoned: int
    """Calls that the caller gave up."""
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
        self.requests = Bucket(requests_per_minute, now)
        self.tokens = Bucket(tokens_per_minute, now)
        self.window = Window(max_in_flight)
        self._limits_known = requests_per_minute is not None or tokens_per_minute is not None
        self.breaker = Breaker()
        self.in_flight = 0
        """Calls under way, but for those that are taken for lost."""
        self.lost = 0
        """Calls under way of which nothing is expected any more; they occupy no place."""
        self._share = 1.0
        self.paused_until = float("-inf")
        self._paused_at = float("-inf")
        self._noise = Noise()
        self._continuing: deque[Ticket] = deque()
        self._fresh: deque[Ticket] = deque()
        self._waiting_continuing = self._waiting_fresh = 0
        self._cooling: deque[float] = deque()
        """When the places of calls that were turned away may be taken again."""
        self._era = 0
        self._silent_since = now
        """When anything was last heard, or when a call was sent while none was in flight."""
        self._counts: dict[OutcomeKind, int] = dict.fromkeys(
            ("ok", "rate_limited", "unavailable", "malformed", "refused", "abandoned"), 0
        )
        self._latency_s = 0.0
        self._waited_s = 0.0

    @property
    def waiting(self) -> int:
        """Calls that wait to be sent."""
        return self._waiting_continuing + self._waiting_fresh

    def submit(self, ticket: Ticket, now: float) -> bool:
        """Ask to send a call. True: send it now; False: `grants` will name it when it may go."""
        ticket.submitted_at = now
        # New ones wait behind those that wait; those in flight only behind their own kind.
        ahead = self.waiting if ticket.fresh else self._waiting_continuing
        if not ahead and self._may_go(ticket, now):
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
        ticket.withdrawn = True
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
        if self._is_full(now):
            # Without a place, and nothing under way, only a lease makes room.
            free_at = self._silent_since + self._silence_s if self.in_flight else math.inf
            if self._cooling:
                free_at = min(free_at, self._cooling[0])
            return max(free_at, now) if free_at < math.inf else None
        wait = max(
            self.requests.seconds_until(1, now), self.tokens.seconds_until(ticket.tokens, now)
        )
        at = max(now + wait, self.paused_until)
        if not self.in_flight:
            at = max(now, min(at, self._silent_since + _LONGEST_BELIEF_S))
        return at

    def finish(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        """Take in what became of a call that was sent."""
        kind = outcome.kind
        self._counts[kind] += 1
        late = ticket.era != self._era
        if late:
            self.lost -= 1
        else:
            self.in_flight -= 1
        if kind == "abandoned":
            if ticket.is_probe:
                self.breaker.abandoned(now)
            return
        self._silent_since = now
        if kind == "unavailable":
            self.breaker.failed(ticket.granted_at, now)
        else:
            self.breaker.reached(ticket.granted_at, now)
            self._learn(ticket, outcome, now)
        turned_away = outcome.overloaded
        if kind == "rate_limited":
            turned_away = not self._is_spent(ticket, outcome, now)
        turned_away = turned_away and not late and not ticket.is_probe
        if self._noise.heard(turned_away=turned_away):
            mostly = self._noise.recent > _MOST
            self.window.overloaded(ticket.granted_at, now, self._latency_s, mostly=mostly)
        if turned_away and kind == "rate_limited":
            self._turned_away(outcome.retry_after_s, now)
        if kind in ("ok", "malformed"):
            if ticket.granted_at > self._paused_at:
                self.paused_until = self._paused_at = float("-inf")
            self.window.succeeded(self.in_flight + 1)
            if not late:
                weight = _SMOOTHING if self._latency_s else 1.0
                self._latency_s += weight * (now - ticket.granted_at - self._latency_s)

    def lease(self, lease: Lease, now: float) -> None:
        """Have a part of what the endpoint takes from now on; others have the rest."""
        self._share = lease.share
        self.requests.lease(lease.share, now)
        self.tokens.lease(lease.share, now)
        self.window.bound(lease.places)

    def statistics(self, now: float) -> GovernorStatistics:
        """The governor as it stands."""
        requests, tokens = self.requests, self.tokens
        requests.refill(now)
        tokens.refill(now)
        request_rate, token_rate = requests.rate, tokens.rate
        return GovernorStatistics(
            in_flight=self.in_flight,
            lost=self.lost,
            waiting=self.waiting,
            waiting_fresh=self._waiting_fresh,
            window=self.window.size,
            max_in_flight=self.window.max_in_flight,
            requests_per_minute=request_rate * 60 if request_rate else None,
            tokens_per_minute=token_rate * 60 if token_rate else None,
            requests_left=requests.level if request_rate else None,
            tokens_left=tokens.level if token_rate else None,
            paused_s=max(0.0, self.paused_until - now),
            breaker=self.breaker.state,
            times_opened=self.breaker.times_opened,
            ok=self._counts["ok"],
            rate_limited=self._counts["rate_limited"],
            unavailable=self._counts["unavailable"],
            malformed=self._counts["malformed"],
            refused=self._counts["refused"],
            abandoned=self._counts["abandoned"],
            latency_s=self._latency_s,
            waited_s=self._waited_s,
        )

    @property
    def _silence_s(self) -> float:
        """How long nothing need be heard of a full window before it is taken for lost."""
        if not self._latency_s:
            return math.inf
        return max(_SHORTEST_SILENCE_S, _LATENCIES_OF_SILENCE * self._latency_s)

    def _head(self) -> Ticket | None:
        for queue in (self._continuing, self._fresh):
            while queue and queue[0].withdrawn:
                queue.popleft()
            if queue:
                return queue[0]
        return None

    def _may_go(self, ticket: Ticket, now: float) -> bool:
        if self.breaker.state != "closed":
            # Whatever is in flight may hang; a probe does not wait for it.
            return now >= self.breaker.probe_at
        if self._is_full(now):
            if self.in_flight and now >= self._silent_since + self._silence_s:
                self._write_off()
                self.breaker.silent(now)
            return False
        if (
            now >= self.paused_until
            and self.requests.has(1, now)
            and self.tokens.has(ticket.tokens, now)
        ):
            return True
        # Headers may be nonsense: in the end the endpoint is asked again, whatever they said.
        return not self.in_flight and now >= self._silent_since + _LONGEST_BELIEF_S

    def _is_full(self, now: float) -> bool:
        cooling = self._cooling
        while cooling and cooling[0] <= now:
            cooling.popleft()
        places = self.window.size
        if not self._limits_known:
            places = min(places, max(1.0, _FIRST * self._share))
        return self.in_flight + len(cooling) >= places

    def _grant(self, ticket: Ticket, now: float) -> None:
        if self.breaker.state != "closed":
            if self.breaker.state == "half-open":
                self._write_off()
            ticket.is_probe = True
            self.breaker.probing(now)
        ticket.granted_at = now
        ticket.era = self._era
        self._waited_s += now - ticket.submitted_at
        if not self.in_flight:
            self._silent_since = now
        self.in_flight += 1
        ticket.request_mark = self.requests.take(1)
        ticket.token_mark = self.tokens.take(ticket.tokens)

    def _write_off(self) -> None:
        """Calls that hang do not keep their places from others."""
        self._era += 1
        self.lost += self.in_flight
        self.in_flight = 0

    def _learn(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        if outcome.requests is not None:
            self.requests.learn(outcome.requests, ticket.request_mark, ticket.granted_at, now)
        self._limits_known = True
        if outcome.tokens is not None:
            self.tokens.learn(outcome.tokens, ticket.token_mark, ticket.granted_at, now)
        elif outcome.tokens_used is not None:
            # No header will say so: the quota is charged what was really used.
            self.tokens.give_back(ticket.tokens - outcome.tokens_used)

    def _is_spent(self, ticket: Ticket, outcome: Outcome, now: float) -> bool:
        """Whether a 429 is explained by its headers, so that the buckets know when to go on."""
        spent = False
        for bucket, quota, needed, mark in (
            (self.requests, outcome.requests, 1.0, ticket.request_mark),
            (self.tokens, outcome.tokens, ticket.tokens, ticket.token_mark),
        ):
            if quota is not None and quota.remaining is not None and quota.remaining < needed:
                bucket.refused(needed, quota.remaining, outcome.retry_after_s, mark, now)
                spent = True
        return spent

    def _turned_away(self, retry_after_s: float, now: float) -> None:
        """Leave the place empty as long as an answer takes: refusals come so soon that the next
        call and the next would be refused as well. Where most are refused, all wait.
        """
        if self._latency_s:
            self._cooling.append(now + min(self._latency_s, _LONGEST_COOLING_S))
        if self._noise.recent > _MOST and 0 < retry_after_s < math.inf:
            self.paused_until = max(self.paused_until, now + retry_after_s)
            self._paused_at = now
