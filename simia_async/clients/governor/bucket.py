"""A token bucket whose quota is learnt from what the endpoint says in its headers."""

import math

import msgspec

_ABSURD = 1e15
_SLIGHT = 1e-6
"""No endpoint has such a quota; a header that says more or less says nothing."""
_RESERVE = 0.1
"""Share of the bucket that is not touched: what waits in the network arrives bunched, and others
may use the quota too.
"""
_BRIM = 1.02
"""A request for all that the bucket holds waits this much longer, lest it arrive too early."""
_RESPONSES = 16
_PATIENCE_S = 1.0
"""So many responses, and for so long, must all say that more is left than we think."""
_ROUNDED_OFF = 1.0
"""Headers tell whole numbers."""
_ROUNDING_S = 1e-4
"""Who comes back at the very moment may find the bucket short by a rounding error."""


class Quota(msgspec.Struct, frozen=True, gc=False):
    """What one response said of one quota; None where it said nothing."""

    limit_per_minute: float | None = None
    remaining: float | None = None
    reset_s: float | None = None
    """Time until nothing of the quota is used any more."""


class Bucket:
    """How much may be sent now. Without a known quota everything may.

    The level is our own account: what was sent goes off, what the rate brings comes in. A response
    tells what the endpoint had left, but not at which moment between our sending and its answer;
    so the account is only moved as far as the header contradicts it at both ends. Requests that
    overtook others have seen more than will be left; so what seems left over is believed only if
    all responses of a while say so.
    """

    def __init__(self, per_minute: float | None, now: float) -> None:
        self._share = 1.0
        """Which part of the quota is ours; `lease` changes it. Limits and what endpoints tell are
        of the whole, level and rate of our part."""
        self.rate: float | None = per_minute / 60 if per_minute else None
        """Per second; None: not known."""
        self._whole_capacity = max(1.0, self.rate or 0.0)
        """Of a quota that was given to us, a second's worth; learnt ones tell their own."""
        self.capacity = self._whole_capacity
        self.level = self.capacity * _BRIM
        self._ceiling = self.rate
        self._limit: float | None = None
        self._limit_of = -math.inf
        """When the request was sent that was told so."""
        self._is_learnt = False
        """Whether the endpoint has told the capacity; then others may use the quota too."""
        self._reserve = 0.0
        self._brim = self.capacity * _BRIM
        self._left_over = math.inf
        self._left_over_at = now
        self._responses = 0
        self._corrections = 0.0
        self._at = now

    def refill(self, now: float) -> None:
        """Let in what came since the last time."""
        if now > self._at:
            if self.rate is not None:
                level = self.level + (now - self._at) * self.rate
                self.level = level if level < self._brim else self._brim
            self._at = now

    def has(self, amount: float, now: float) -> bool:
        """Whether `amount` may be sent. A full bucket lets through what is larger than itself."""
        if self.rate is None:
            return True
        self.refill(now)
        needed = amount + self._reserve
        return self.level >= (needed if needed < self.capacity else self._brim)

    def seconds_until(self, amount: float, now: float) -> float:
        """Time until `has` will be true."""
        if self.rate is None:
            return 0.0
        self.refill(now)
        needed = amount + self._reserve
        missing = (needed if needed < self.capacity else self._brim) - self.level
        return missing / self.rate + _ROUNDING_S if missing > 0 else 0.0

    def take(self, amount: float) -> float:
        """Send `amount`; gives a mark of how the bucket then stands, for `learn`."""
        if self.level > self.capacity:
            self.level = self.capacity
        self.level -= amount
        return self.level - self._corrections

    def give_back(self, amount: float) -> None:
        """Correct an estimate: positive if less was used than taken."""
        self.level = min(self.capacity, self.level + amount)

    def learn(self, quota: Quota, mark: float, sent_at: float, now: float) -> None:
        """Take in what the response to a request said; `mark` is from when it was sent."""
        limit, remaining = quota.limit_per_minute, quota.remaining
        if limit is None or not _SLIGHT < limit < _ABSURD:
            return
        self.refill(now)
        first = self.rate is None
        if limit != self._limit:
            if sent_at < self._limit_of:
                return  # the limits have changed since
            self._learn_limit(limit)
        if sent_at > self._limit_of:
            self._limit_of = sent_at
        if remaining is None or not 0 <= remaining < _ABSURD:
            if first:
                self._move(self.capacity - self.level)
            return
        ours = self._ceiling is not None and limit / 60 >= self._ceiling
        if not ours:
            self._learn_capacity(quota, limit, remaining)
        # What others have left of their shares is not ours.
        remaining *= self._share
        then = remaining - mark - self._corrections
        if first:
            # What was sent after this request is in our account, but not in what it was told.
            self._move(then)
            return
        at_present = remaining - self.level
        if then < -_ROUNDED_OFF and at_present < -_ROUNDED_OFF:
            self._move(max(then, at_present) + _ROUNDED_OFF)
            self._left_over = 0.0
        elif remaining > 0 and not ours and self._share == 1.0:
            # (Nothing left may also mean that there is a debt; and what others have not used yet
            # of their shares is left over for them.)
            self._believe(min(then, at_present), now)

    def refused(
        self, amount: float, remaining: float, retry_after_s: float, mark: float, now: float
    ) -> None:
        """So little was left that `amount` was refused. Refusals come at once, so it still is."""
        if self.rate is None:
            return
        self.refill(now)
        remaining *= self._share
        # Headers are rounded; that the rest comes within `retry_after_s` is more exact.
        left = max(remaining, min(amount, self.capacity) - retry_after_s * self.rate / self._share)
        correction = left - self.level
        if correction > 0:
            # Some endpoints do not charge what they refuse.
            correction = max(0.0, min(correction, left - mark - self._corrections))
        self._move(correction)

    def lease(self, share: float, now: float) -> None:
        """Have this part of the quota, above 0 and up to 1, from now on. What is gained begins
        empty: who had it before may have sent what it held.
        """
        self.refill(now)
        factor, self._share = share / self._share, share
        if self.rate is not None:
            self.rate *= factor
        self._set_capacity(self._whole_capacity)
        if factor < 1 and self.level > 0:
            self._move(self.level * (factor - 1))

    def _believe(self, left_over: float, now: float) -> None:
        self._left_over = max(0.0, min(self._left_over, left_over))
        self._responses += 1
        if self._responses >= _RESPONSES and now >= self._left_over_at + _PATIENCE_S:
            if self._left_over > 0:
                self._move(self._left_over)
            self._left_over, self._left_over_at, self._responses = math.inf, now, 0

    def _learn_limit(self, limit: float) -> None:
        self._limit = limit
        whole = limit / 60
        self._whole_capacity, self._is_learnt = 1.0, False
        if self._ceiling is not None and self._ceiling <= whole:
            whole = self._ceiling
            self._whole_capacity = max(1.0, whole)
        self.rate = whole * self._share
        self._set_capacity(self._whole_capacity)

    def _learn_capacity(self, quota: Quota, limit: float, remaining: float) -> None:
        """Rounding only ever makes a bucket look smaller, so the largest look is believed."""
        capacity = limit
        if quota.reset_s is not None and quota.reset_s >= 0:
            # What is missing comes back at the known rate within the known time.
            capacity = min(limit, remaining + quota.reset_s * limit / 60)
        if capacity > self._whole_capacity and (remaining > 0 or quota.reset_s is None):
            self._is_learnt = True
            self._set_capacity(capacity)

    def _set_capacity(self, whole: float) -> None:
        self._whole_capacity = whole
        self.capacity = max(1.0, whole * self._share)
        self._reserve = _RESERVE * self.capacity if self._is_learnt else 0.0
        self._brim = _BRIM * self.capacity

    def _move(self, correction: float) -> None:
        self._corrections += correction
        self.level = min(self.capacity, self.level + correction)
