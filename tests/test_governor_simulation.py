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


# Quotas.


def tokens_around(world: World, mean: int) -> Callable[[], int]:
    return lambda: world.rng.randint(mean // 5, mean * 9 // 5)


def used(world: World, quota: Quota, start: float, end: float) -> float:
    """The share of the limit that binds that was used between two times."""
    world.run(start)
    before = quota.statistics()
    world.run(end)
    after = quota.statistics()
    minutes = (end - start) / 60
    shares = [0.0]
    if quota.rpm:
        shares.append((after.admitted - before.admitted) / (quota.rpm * minutes))
    if quota.tpm:
        shares.append((after.admitted_tokens - before.admitted_tokens) / (quota.tpm * minutes))
    return max(shares)


def bursts_over(quota: Quota) -> float:
    """By how many bursts more was asked for than there was."""
    seen = quota.statistics()
    shares = [0.0]
    if quota.requests:
        # The first calls go before anything is known; a burst of fewer is not one to speak of.
        shares.append(seen.overshoot_requests / max(8, quota.requests.capacity))
    if quota.tokens:
        shares.append(seen.overshoot_tokens / quota.tokens.capacity)
    return max(shares)


@pytest.mark.parametrize("latency", ["lognormal:0.2,0.3", "lognormal:1.0,0.6", "lognormal:5.0,0.8"])
@pytest.mark.parametrize(
    ("rpm", "tpm", "burst_s", "start"),
    [
        (60, None, 1, 30),
        (3000, None, 1, 30),
        (None, 1_500_000, 1, 30),
        (3000, 1_200_000, 1, 30),
        (3000, 1_200_000, 10, 40),
        (1500, None, 60, 100),
        (None, 600_000, 60, 100),
    ],
)
def test_a_quota_that_is_learnt_is_used_up_and_not_exceeded(
    latency: str, rpm: float | None, tpm: float | None, burst_s: float, start: float
) -> None:
    quota = Quota(rpm, tpm, burst_s=burst_s)
    world = World(quota=quota, latency=latency, max_in_flight=512)
    world.converse(1024, tokens_around(world, 500))
    assert used(world, quota, start, start + 60) >= 0.95
    assert bursts_over(quota) <= 1
    assert world.provider.refused <= 8 + 0.01 * world.provider.asked


def test_new_limits_are_followed_down_and_up() -> None:
    quota = Quota(3000, 1_500_000)
    world = World(quota=quota, max_in_flight=512)
    world.converse(1024, tokens_around(world, 500))
    end = 40.0
    assert used(world, quota, 20, end) >= 0.95
    for rpm, tpm in ((600, 1_500_000), (3000, 300_000), (6000, 3_000_000), (600, None)):
        quota = Quota(rpm, tpm)
        world.provider.change(quota)
        assert used(world, quota, end + 15, end + 60) >= 0.95
        assert bursts_over(quota) <= 1
        end += 60
    assert world.provider.refused <= 0.01 * world.provider.asked


def test_a_quota_that_another_client_shares_is_used_up() -> None:
    quota = Quota(3000, burst_s=2)
    world = World(quota=quota, max_in_flight=512)
    world.converse(1024, tokens_around(world, 500))

    def other() -> None:
        quota.admit(world.clock.now, 500)
        world.clock.at(world.clock.now + world.rng.expovariate(20), other)

    world.clock.at(40.0, other)
    assert used(world, quota, 60, 180) >= 0.95
    assert world.provider.refused <= 0.05 * world.provider.asked
    assert len(world.waits) > 0.5 * world.provider.asked


@pytest.mark.parametrize(
    ("latency", "rpm", "most_refused"),
    [
        ("lognormal:0.2,0.3", 3000, 0.5),
        ("lognormal:1.0,0.6", 3000, 0.08),
        ("lognormal:5.0,0.8", 3000, 0.07),
    ],
)
def test_limits_that_are_told_only_by_refusals_are_found(
    latency: str, rpm: float, most_refused: float
) -> None:
    quota = Quota(rpm)
    world = World(quota=quota, latency=latency, sends_headers=False, max_in_flight=512)
    world.converse(1024, lambda: 500)
    assert used(world, quota, 120, 360) >= 0.93
    assert world.provider.refused <= most_refused * world.provider.asked


def test_a_quota_below_the_endpoints_own_is_kept_to() -> None:
    quota = Quota(6000)
    world = World(quota=quota, requests_per_minute=600)
    world.converse(512, lambda: 500)
    world.run(20)
    before = world.provider.asked
    world.run(80)
    assert 0.95 * 600 <= world.provider.asked - before <= 1.02 * 600


@pytest.mark.parametrize("large", [25_000, 60_000])
def test_large_requests_do_not_starve_among_small_ones(large: int) -> None:
    quota = Quota(tpm=1_500_000)
    world = World(quota=quota, max_in_flight=512)
    world.converse(512, lambda: 500 if world.rng.random() < 0.99 else large)
    assert used(world, quota, 20, 140) >= 0.9
    waits_of_large = [wait for tokens, wait in world.waits if tokens == large]
    waits_of_small = [wait for tokens, wait in world.waits if tokens == 500]
    assert len(waits_of_large) > 20
    assert max(waits_of_large) < max(waits_of_small) + 15
    assert bursts_over(quota) <= 1


# Order.


def test_the_first_come_are_the_first_served_and_conversations_in_flight_go_first() -> None:
    core = GovernorCore(0.0, max_in_flight=1)
    running = Ticket(1, fresh=False)
    assert core.submit(running, 0.0)
    fresh = [Ticket(1, fresh=True) for _ in range(3)]
    continuing = [Ticket(1, fresh=False) for _ in range(3)]
    for pair in zip(fresh, continuing, strict=True):
        for ticket in pair:
            assert not core.submit(ticket, 0.0)
    served = []
    for _ in range(6):
        core.finish(running, Outcome("ok"), 1.0)
        (running,) = core.grants(1.0)
        served.append(running)
    assert served == continuing + fresh


# Single decisions.


def test_before_the_first_answer_few_calls_go() -> None:
    core = GovernorCore(0.0, max_in_flight=40)
    first = Ticket(1, fresh=True)
    assert core.submit(first, 0.0)
    assert sum(core.submit(Ticket(1, fresh=True), 0.0) for _ in range(50)) == 7
    assert core.grants(9.0) == []
    core.finish(first, Outcome("ok"), 9.5)
    # An endpoint that does not tell its limits has none that we know of.
    assert len(core.grants(9.5)) == 33
    assert core.in_flight == 40


def test_a_burst_of_refusals_shrinks_the_window_once() -> None:
    core = GovernorCore(0.0, max_in_flight=64, requests_per_minute=6e6)
    tickets = [Ticket(1, fresh=False) for _ in range(64)]
    assert all(core.submit(ticket, 0.0) for ticket in tickets)
    core.finish(tickets.pop(), Outcome("ok"), 1.0)
    for ticket in tickets:
        core.finish(ticket, Outcome("rate_limited"), 1.01)
    assert core.window.size == pytest.approx(0.85 * 64)


def test_an_answer_to_what_was_sent_before_an_outage_does_not_end_it() -> None:
    core = GovernorCore(0.0, max_in_flight=64, requests_per_minute=6e6)
    slow, *failing = [Ticket(1, fresh=False) for _ in range(9)]
    assert all(core.submit(ticket, 0.0) for ticket in (slow, *failing))
    for ticket in failing:
        core.finish(ticket, Outcome("unavailable"), 0.1)
    assert core.breaker.state == "open"
    core.finish(slow, Outcome("ok"), 0.2)
    assert core.breaker.state == "open"
    probe = Ticket(1, fresh=False)
    assert not core.submit(probe, 0.3)
    assert core.grants(0.6) == [probe]
    core.finish(probe, Outcome("ok"), 0.7)
    assert core.breaker.state == "closed"


# Outages.


@pytest.mark.parametrize("down", ["answers 503", "refuses connections", "hangs"])
@pytest.mark.parametrize("latency", ["lognormal:0.2,0.3", "lognormal:1.0,0.6"])
def test_an_outage_wastes_few_calls_and_is_over_soon_after_its_end(
    down: Down, latency: str
) -> None:
    world = World(max_in_flight=64, latency=latency)
    world.converse(256, lambda: 500)
    world.run(60)
    before = world.provider.served_between(30, 60) / 30
    world.provider.down = down
    world.run(120)
    assert world.core.breaker.times_opened == 1
    wasted = world.provider.wasted
    world.provider.down = None
    world.run(150)
    # A window of calls was under way, 8 failures open the breaker, and 30 s take 15 probes.
    assert wasted <= 64 + 8 + 60
    assert world.provider.served_between(124, 129) / 5 >= 0.8 * before
    assert world.provider.served_between(130, 150) / 20 >= 0.8 * before
    assert world.core.breaker.times_opened == 1


# Faults.


@pytest.mark.parametrize("headers", [True, False], ids=["with headers", "without headers"])
@pytest.mark.parametrize("retry_after", [True, False], ids=["retry-after", "no retry-after"])
@pytest.mark.parametrize("max_in_flight", [16, 64])
def test_random_faults_do_not_make_the_throughput_collapse(
    headers: bool, retry_after: bool, max_in_flight: int
) -> None:
    timeout_s = 30.0
    world = World(
        max_in_flight=max_in_flight,
        quota=Quota(1e6, 1e9) if headers else None,
        faults=Faults(rate_limit=0.2, server_error=0.05, malformed=0.05, hang=0.02),
        sends_retry_after=retry_after,
        timeout_s=timeout_s,
    )
    world.converse(4 * max_in_flight, lambda: 500)
    world.run(360)
    good, slow = 0.68, 0.10
    seconds_a_success = (good * 1.0 + slow * 1.0 + 0.02 * timeout_s) / good
    goodput = world.provider.served_between(60, 360) / 300
    assert goodput >= 0.5 * max_in_flight / seconds_a_success
    assert world.core.breaker.times_opened <= 2
    # The last conversation in line waits for all before it, and nobody waits for ever.
    assert max(world.clock.now - call.began for call in world.open_calls if not call.fresh) < 180
