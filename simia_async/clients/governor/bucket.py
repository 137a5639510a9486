"""A token bucket whose quota is learnt from what the endpoint says in its headers."""

import math

import msgspec


class Quota(msgspec.Struct, frozen=True, gc=False):
    """What one response said of one quota; None where it said nothing."""

    limit_per_minute: float | None = None
    remaining: float | None = None
    reset_s: float | None = None
    """Time until nothing of the quota is used any more."""


class Mark(msgspec.Struct, frozen=True, gc=False):
    """The bucket as it stood when a request was sent."""

    level: float
    """Infinite where the quota was not known yet."""
    corrections: float
    taken: float
    """All that was ever taken."""


class Bucket:
    """How much may be sent now. Without a known quota everything may.

    The level is our own account: what was sent goes off, what the rate brings comes in. A response
    tells what the endpoint had left, but not at which moment between our sending and its answer;
    so the account is only moved as far as the header contradicts it at both ends.
    """

    def __init__(self, per_minute: float | None, now: float) -> None:
        self.rate: float | None = per_minute / 60 if per_minute else None
        """Per second; None: not known."""
        self._ceiling = self.rate
        self.capacity = max(1.0, self.rate) if self.rate else math.inf
        """A second's worth of a quota that was given to us; learnt ones tell their own."""
        self.level = self.capacity
        self._corrections = 0.0
        self._taken = 0.0
        self._at = now

    def refill(self, now: float) -> None:
        """Let in what came since the last time."""
        if self.rate is not None and now > self._at:
            self.level = min(self.capacity, self.level + (now - self._at) * self.rate)
        self._at = max(self._at, now)

    def has(self, amount: float) -> bool:
        """Whether `amount` may be sent. A full bucket lets through what is larger than itself."""
        return self.rate is None or self.level >= min(amount, self.capacity)

    def seconds_until(self, amount: float) -> float:
        """Time until `has` will be true, counted from the last refill."""
        if self.rate is None:
            return 0.0
        return max(0.0, (min(amount, self.capacity) - self.level) / self.rate)

    def take(self, amount: float) -> Mark:
        """Send `amount`; says how the bucket stands afterwards."""
        self._taken += amount
        if self.rate is not None:
            self.level -= amount
        return Mark(self.level, self._corrections, self._taken)

    def give_back(self, amount: float) -> None:
        """Correct an estimate: positive if less was used than taken."""
        if self.rate is not None:
            self.level = min(self.capacity, self.level + amount)

    def learn(self, quota: Quota, mark: Mark) -> None:
        """Take in what the response to a request said; `mark` is from when it was sent."""
        if quota.limit_per_minute is None or quota.limit_per_minute <= 0:
            return
        learnt = quota.limit_per_minute / 60
        rate = min(learnt, self._ceiling) if self._ceiling else learnt
        first = self.rate is None
        self.rate = rate
        if self._ceiling is None or learnt < self._ceiling:
            self._learn_capacity(quota, learnt)
        if quota.remaining is None:
            if first:
                self.level = self.capacity
            return
        if first:
            # What was sent after this request is not in its account yet.
            self.level = quota.remaining - (self._taken - mark.taken)
            return
        self._correct(quota.remaining, mark)

    def _learn_capacity(self, quota: Quota, rate: float) -> None:
        assert quota.limit_per_minute is not None
        if quota.remaining is not None and quota.reset_s is not None:
            # What is missing comes back at the known rate within the known time.
            self.capacity = max(1.0, quota.remaining + quota.reset_s * rate)
        else:
            self.capacity = max(1.0, quota.limit_per_minute)
        self.level = min(self.level, self.capacity)

    def _correct(self, remaining: float, mark: Mark) -> None:
        if not math.isfinite(mark.level):
            return  # sent before the quota was known
        then = remaining - (mark.level + self._corrections - mark.corrections)
        now = remaining - self.level
        if then * now <= 0:
            return
        correction = min(then, now, key=abs)
        self._corrections += correction
        self.level = min(self.capacity, self.level + correction)
