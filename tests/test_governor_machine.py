"""The governor under any order of events and any headers."""

import math
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simia_async.clients.governor import Outcome, Ticket
from simia_async.clients.governor.bucket import Bucket, Quota
from simia_async.clients.governor.core import GovernorCore
from simia_async.clients.headers import read_quota, read_retry_after

NUMBERS = st.sampled_from(
    ["0", "-1", "NaN", "inf", "1e300", "1e-300", "", "many", "0.5", "1", "60", "6000", "1000000"]
)
DURATIONS = st.sampled_from(
    ["0s", "12ms", "1s", "6m0s", "99999999d", "9" * 400 + "s", "-5", "NaN", "1e300", "soon", "0.5"]
)
KINDS = st.sampled_from(["ok", "rate_limited", "unavailable", "malformed", "refused", "abandoned"])


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    headers = {
        f"x-ratelimit-{what}-{unit}": draw(DURATIONS if what == "reset" else NUMBERS)
        for unit in ("requests", "tokens")
        for what in ("limit", "remaining", "reset")
        if draw(st.booleans())
    }
    headers["retry-after"] = draw(DURATIONS)
    return Outcome(
        draw(KINDS),
        draw(st.none() | st.integers(0, 10**6)),
        read_quota(headers, "requests"),
        read_quota(headers, "tokens"),
        read_retry_after(headers),
        draw(st.booleans()),
    )


RAW = st.none() | st.floats(allow_nan=True, allow_infinity=True)
RAW_QUOTAS = st.none() | st.builds(Quota, RAW, RAW, RAW)


class GovernorMachine(RuleBasedStateMachine):
    """Keeps its own account of every ticket."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.waiting: list[Ticket] = []
        self.running: list[Ticket] = []
        self.finished = 0

    @initialize(
        max_in_flight=st.integers(1, 5),
        rpm=st.none() | st.sampled_from([0.5, 60.0, 6000.0]),
        tpm=st.none() | st.sampled_from([10.0, 60_000.0]),
    )
    def start(self, max_in_flight: int, rpm: float | None, tpm: float | None) -> None:
        self.core = GovernorCore(
            self.now, max_in_flight=max_in_flight, requests_per_minute=rpm, tokens_per_minute=tpm
        )

    @rule(tokens=st.floats(0, 1e6), fresh=st.booleans())
    def submit(self, tokens: float, fresh: bool) -> None:
        ticket = Ticket(tokens, fresh=fresh)
        if self.core.submit(ticket, self.now):
            self.running.append(ticket)
        else:
            self.waiting.append(ticket)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        ticket = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.core.withdraw(ticket)

    @rule()
    def grant(self) -> None:
        self.pump()

    def pump(self) -> list[Ticket]:
        granted = self.core.grants(self.now)
        for ticket in granted:
            self.waiting.remove(ticket)  # or it was granted twice
            self.running.append(ticket)
        continuing = [ticket for ticket in self.waiting if not ticket.fresh]
        assert not (continuing and any(ticket.fresh for ticket in granted))
        return granted

    @precondition(lambda self: self.running)
    @rule(data=st.data(), outcome=outcomes())
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        ticket = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.core.finish(ticket, outcome, self.now)
        self.finished += 1

    @precondition(lambda self: self.running)
    @rule(kind=KINDS, requests=RAW_QUOTAS, tokens=RAW_QUOTAS, wait=st.floats(allow_nan=True))
    def finish_with_nonsense(
        self, kind: Any, requests: Quota | None, tokens: Quota | None, wait: float
    ) -> None:
        self.core.finish(self.running.pop(), Outcome(kind, None, requests, tokens, wait), self.now)
        self.finished += 1

    @rule(
        kind=st.sampled_from(["unavailable", "rate_limited"]),
        calls=st.integers(8, 16),
        wait=st.floats(allow_nan=True),
    )
    def fail_in_a_row(self, kind: Any, calls: int, wait: float) -> None:
        for _ in range(calls):
            self.submit(1.0, False)
            if self.running:
                outcome = Outcome(kind, retry_after_s=wait, overloaded=True)
                self.core.finish(self.running.pop(), outcome, self.now)
                self.finished += 1
            self.pump()

    @rule()
    def hang(self) -> None:
        """After an answer nothing more is heard, so that a probe is sent, and another."""
        self.submit(1.0, False)
        self.now += 0.5
        self.pump()
        if self.running:
            self.core.finish(self.running.pop(), Outcome("ok"), self.now)
            self.finished += 1
        for _ in range(8):
            self.submit(1.0, False)
        for seconds in (90.0, 1.0, 5.0, 5.0):
            self.now += seconds
            self.pump()

    @rule(seconds=st.sampled_from([1e-6, 0.01, 0.3, 1.0, 7.0, 60.0, 3600.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(size=st.integers(1, 5))
    def resize(self, size: int) -> None:
        self.core.window.resize(size)

    @invariant()
    def the_accounts_agree(self) -> None:
        if not hasattr(self, "core"):
            return
        seen = self.core.statistics(self.now)
        assert seen.in_flight >= 0
        assert seen.lost >= 0
        assert seen.in_flight + seen.lost == len(self.running)
        assert seen.waiting == len(self.waiting)
        assert seen.waiting_fresh == sum(ticket.fresh for ticket in self.waiting)
        counts = (seen.ok, seen.rate_limited, seen.unavailable)
        more = (seen.malformed, seen.refused, seen.abandoned)
        assert sum(counts) + sum(more) == self.finished
        assert 1 <= seen.window <= seen.max_in_flight
        told = (seen.requests_left, seen.tokens_left, seen.latency_s, seen.waited_s, seen.paused_s)
        assert not any(math.isnan(number) for number in told if number is not None)

    @invariant()
    def no_more_are_sent_than_the_window_allows(self) -> None:
        if hasattr(self, "core"):
            before = self.core.in_flight
            window = self.core.window.size
            state = self.core.breaker.state
            self.pump()
            if self.core.in_flight > before and state == "closed":
                assert self.core.in_flight <= max(1, math.ceil(window))

    def teardown(self) -> None:
        """When all goes well from now on, everybody is served, and nobody is woken in vain."""
        if not hasattr(self, "core"):
            return
        for _ in range(40 * (len(self.waiting) + len(self.running)) + 40):
            self.pump()
            while self.running:
                self.core.finish(self.running.pop(), Outcome("ok"), self.now)
                self.pump()
            if not self.waiting:
                break
            at = self.core.next_at(self.now)
            assert at is not None, "forgotten"
            # In the end even nonsense is not believed.
            assert self.now <= at <= self.now + 100
            self.now = at
            if not self.pump():
                later = self.core.next_at(self.now)
                assert later is not None
                assert later > self.now, "a busy loop"
        assert not self.waiting


TestGovernorMachine = GovernorMachine.TestCase
TestGovernorMachine.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_a_limit_that_is_as_good_as_none_says_nothing() -> None:
    bucket = Bucket(None, 0.0)
    bucket.learn(Quota(5e-324), bucket.take(1), 0.0, 1.0)
    assert bucket.seconds_until(1, 1.0) == 0.0
