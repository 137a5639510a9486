"""The parts of an endpoint's limits that processes have: never more than the whole."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simia_async.clients.governor import Lease
from simia_async.clients.governor.bucket import Bucket, Quota
from simia_async.clients.governor.core import GovernorCore, Outcome, Ticket
from simia_async.workers.leases import NOTHING, Holder, grown, shrunk, wanted

PLACES = 40
WORKERS = 4


@given(
    demands=st.lists(st.integers(0, 10_000), min_size=2, max_size=9),
    places=st.integers(1, 300),
    share=st.floats(0.01, 1.0),
)
def test_the_whole_is_divided_and_no_more(demands: list[int], places: int, share: float) -> None:
    holders = [Holder(NOTHING, at == 0, demand) for at, demand in enumerate(demands)]
    parts = wanted(holders, Lease(share, places))
    assert math.isclose(sum(part.share for part in parts), share)
    assert sum(part.places for part in parts) == places
    assert all(part.share > 0 for part in parts)
    if places >= len(demands):
        assert all(part.places for part in parts[1:])
        assert parts[0].places or not demands[0]


class Town(RuleBasedStateMachine):
    """An owner and workers whose messages may be late: what holds is counted where it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = Lease(1.0, PLACES)
        self.holds = [self.whole, *[NOTHING] * WORKERS]
        """What each process goes by."""
        self.books = list(self.holds)
        """What the owner believes."""
        self.in_flight = [0] * (WORKERS + 1)

    def holders(self, demands: list[int]) -> list[Holder]:
        return [
            Holder(lease, at == 0, demand, self.in_flight[at])
            for at, (lease, demand) in enumerate(zip(self.books, demands, strict=True))
        ]

    @rule(
        demands=st.lists(st.integers(0, 500), min_size=WORKERS + 1, max_size=WORKERS + 1),
        answer=st.lists(st.booleans(), min_size=WORKERS, max_size=WORKERS),
        hears=st.lists(st.booleans(), min_size=WORKERS, max_size=WORKERS),
    )
    def balance(self, demands: list[int], answer: list[bool], hears: list[bool]) -> None:
        plan = wanted(self.holders(demands), self.whole)
        less = shrunk(self.holders(demands), plan)
        for at, part in enumerate(less):
            if at == 0 or hears[at - 1]:
                self.holds[at] = part
                if at == 0 or answer[at - 1]:
                    self.books[at] = part
        more = grown(self.holders(demands), plan, self.whole)
        self.books = list(more)
        self.holds = [
            part if at == 0 or hears[at - 1] else self.holds[at] for at, part in enumerate(more)
        ]

    @rule(at=st.integers(0, WORKERS), calls=st.integers(0, PLACES))
    def ask(self, at: int, calls: int) -> None:
        self.in_flight[at] = max(self.in_flight[at], min(calls, self.holds[at].places))

    @rule(at=st.integers(0, WORKERS), calls=st.integers(0, PLACES))
    def answered(self, at: int, calls: int) -> None:
        self.in_flight[at] = max(0, self.in_flight[at] - calls)

    @rule(at=st.integers(1, WORKERS))
    @precondition(lambda self: any(lease != NOTHING for lease in self.books[1:]))
    def die(self, at: int) -> None:
        self.books[at] = self.holds[at] = NOTHING
        self.in_flight[at] = 0

    @invariant()
    def nobody_has_what_another_has(self) -> None:
        for held, believed in zip(self.holds, self.books, strict=True):
            assert held.share <= believed.share
            assert held.places <= believed.places
        assert sum(lease.share for lease in self.holds) <= 1 + 1e-6
        assert sum(lease.places for lease in self.holds) <= PLACES
        assert sum(self.in_flight) <= PLACES


TestTown = Town.TestCase
TestTown.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


class Mill:
    """Processes that share one quota, and what they have sent when."""

    def __init__(self, per_minute: float, processes: int) -> None:
        self.buckets = [Bucket(per_minute, 0.0) for _ in range(processes)]
        for bucket in self.buckets:
            bucket.lease(NOTHING.share, 0.0)
        self.sent: list[float] = []

    def send_all(self, now: float) -> None:
        """Everybody sends all that their bucket lets them."""
        for bucket in self.buckets:
            while bucket.has(1, now):
                bucket.take(1)
                self.sent.append(now)


@given(
    per_minute=st.integers(300, 6000),
    moves=st.lists(
        st.tuples(st.floats(0.05, 3.0), st.lists(st.integers(1, 50), min_size=3, max_size=3)),
        min_size=1,
        max_size=12,
    ),
)
@settings(max_examples=60, deadline=None)
def test_together_they_send_no_more_than_one_would(
    per_minute: int, moves: list[tuple[float, list[int]]]
) -> None:
    mill = Mill(per_minute, 3)
    shares = [NOTHING.share] * 3
    now = 0.0
    for after, weights in moves:
        end = now + after
        while now < end:
            mill.send_all(now)
            now += 0.05
        plan = [weight / sum(weights) for weight in weights]
        for at, share in enumerate(plan):  # first less, then more
            if share < shares[at]:
                mill.buckets[at].lease(share, now)
        for at, share in enumerate(plan):
            if share >= shares[at]:
                mill.buckets[at].lease(share, now)
        shares = plan
    rate = per_minute / 60
    for first, begun in enumerate(mill.sent):
        for last in range(first, len(mill.sent)):
            window = mill.sent[last] - begun
            # A second's worth may come at once; each bucket may be out by the call it rounds up to.
            assert last - first + 1 <= rate * (window + 1) * 1.02 + 3


@given(remaining=st.integers(0, 600), share=st.floats(0.1, 0.9))
def test_what_is_left_of_the_whole_is_not_all_ours(remaining: int, share: float) -> None:
    bucket = Bucket(None, 0.0)
    bucket.lease(share, 0.0)
    mark = bucket.take(1)
    bucket.learn(Quota(600, remaining, None), mark, 0.0, 0.1)
    assert bucket.rate is not None
    assert math.isclose(bucket.rate, 10 * share)
    assert bucket.level <= remaining * share + 1e-9
    assert bucket.capacity <= max(1.0, 600 * share) + 1e-9


def test_a_part_that_is_lost_and_gained_again_is_the_same_part() -> None:
    bucket = Bucket(6000, 0.0)
    for share in (0.5, 1e-9, 0.25, 1.0):
        bucket.lease(share, 0.0)
    assert bucket.rate is not None
    assert math.isclose(bucket.rate, 100)
    assert math.isclose(bucket.capacity, 100)
    assert bucket.level < 1, "what is gained begins empty"


def test_without_a_place_nothing_is_sent_and_nothing_is_thought_to_hang() -> None:
    core = GovernorCore(0.0, max_in_flight=8)
    first = Ticket(1, fresh=True)
    assert core.submit(first, 0.0)
    core.finish(first, Outcome("ok"), 0.1)
    core.lease(NOTHING, 0.2)
    waiting = Ticket(1, fresh=True)
    assert not core.submit(waiting, 0.3)
    assert core.next_at(600.0) is None
    assert core.grants(600.0) == []
    assert core.breaker.state == "closed"
    core.lease(Lease(0.5, 1), 600.0)
    assert core.grants(600.0) == [waiting]
