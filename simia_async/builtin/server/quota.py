"""A provider's rate limit: token buckets for requests and for tokens, without clock or HTTP.

Refill is continuous, as OpenAI's is. A bucket holds `burst_s` seconds' worth. OpenAI's headers show
a bucket of a minute (`burst_s=60`), which admits a whole minute's requests at once; a test that is
over in seconds would never meet the limit. So the default is one second's worth.
"""

from typing import Literal

import msgspec

from simia_async.errors import ConfigError

Kind = Literal["requests", "tokens"]

_ROUNDING = 1e-9
"""Who waits for exactly as long as told must not be refused over a rounding error."""


class Verdict(msgspec.Struct, frozen=True):
    """What the quota says to one request."""

    refused_for: Kind | None = None
    """None: admitted, and charged."""
    retry_after_s: float = 0.0
    """When the same request would be admitted, if nothing else came in between."""
    too_large: bool = False
    """It asks for more tokens than a minute has, and will never be admitted."""

    @property
    def admitted(self) -> bool:
        """Whether the request may pass."""
        return self.refused_for is None


class QuotaStatistics(msgspec.Struct, frozen=True):
    """What a quota has seen so far.

    `overshoot_*` is the most by which what was asked for, retries included, went over what the
    bucket held: over no window of t seconds was more than burst + rate·t + overshoot asked for.
    """

    admitted: int
    refused_for_requests: int
    refused_for_tokens: int
    admitted_tokens: int
    overshoot_requests: float
    overshoot_tokens: float


class Bucket:
    """One limit of a quota."""

    def __init__(self, per_minute: float, capacity: float) -> None:
        self.per_minute = per_minute
        self.capacity = capacity
        self.level = capacity
        self.overshoot = 0.0
        self._asked_level = capacity
        """Where the level would be if everything that was asked for had been admitted."""
        self._now: float | None = None

    def refill(self, now: float) -> None:
        """Let time pass up to `now`. A clock that goes back is a clock that stands still."""
        elapsed = 0.0 if self._now is None else max(0.0, now - self._now)
        self._now = now if self._now is None else max(now, self._now)
        gained = elapsed * self.per_minute / 60
        self.level = min(self.capacity, self.level + gained)
        self._asked_level = min(self.capacity, self._asked_level + gained)

    def ask(self, amount: float) -> float:
        """Seconds until the amount could be had; 0 is now. It is not taken yet.

        More than the bucket ever holds can be had when it is full, and leaves a debt.
        """
        needed = min(amount, self.capacity)
        self.overshoot = max(self.overshoot, needed - self._asked_level - _ROUNDING)
        self._asked_level -= amount
        missing = needed - self.level
        return 0.0 if missing <= _ROUNDING else missing * 60 / self.per_minute

    def continue_from(self, other: "Bucket") -> None:
        """Hold no more than `other` does."""
        self.level = self._asked_level = min(self.level, other.level)

    def take(self, amount: float) -> None:
        """Charge."""
        self.level -= amount

    @property
    def remaining(self) -> int:
        """What could be had now."""
        return max(0, int(self.level + _ROUNDING))

    @property
    def reset_s(self) -> float:
        """Seconds until the bucket is full."""
        return (self.capacity - self.level) * 60 / self.per_minute


class Quota:
    """Requests and tokens a minute; None is no limit. Usable without a server, with any clock.

    `burst_s`: seconds' worth that the buckets hold and start with (default 1), at least one
    request. A request that asks for more tokens than that is admitted once the bucket is full, and
    those after it wait the longer. So over any window of t seconds at most burst + rate·t is
    admitted, where burst is `burst_s` seconds' worth or, if larger, one request. Refused requests
    are not charged. Raises `ConfigError` where a number is not positive.
    """

    def __init__(
        self, rpm: float | None = None, tpm: float | None = None, *, burst_s: float = 1.0
    ) -> None:
        for name, value in (("rpm", rpm), ("tpm", tpm), ("burst_s", burst_s)):
            if value is not None and not value > 0:
                raise ConfigError(f"quota: {name} must be more than 0, not {value:g}")
        self.rpm = rpm
        self.tpm = tpm
        self.burst_s = burst_s
        self.requests = _bucket(rpm, burst_s)
        self.tokens = _bucket(tpm, burst_s)
        self._admitted = 0
        self._admitted_tokens = 0
        self._refused: dict[Kind, int] = {"requests": 0, "tokens": 0}

    def admit(self, now: float, tokens: int = 0) -> Verdict:
        """Ask for one request of so many tokens at `now`, in seconds of any one clock."""
        self.refill(now)
        wait_for_requests = self.requests.ask(1) if self.requests else 0.0
        wait_for_tokens = self.tokens.ask(tokens) if self.tokens else 0.0
        if self.tokens and tokens > max(self.tokens.per_minute, self.tokens.capacity):
            return self._refuse(Verdict("tokens", too_large=True))
        if wait_for_requests or wait_for_tokens:
            longer: Kind = "requests" if wait_for_requests >= wait_for_tokens else "tokens"
            return self._refuse(Verdict(longer, max(wait_for_requests, wait_for_tokens)))
        if self.requests:
            self.requests.take(1)
        if self.tokens:
            self.tokens.take(tokens)
        self._admitted += 1
        self._admitted_tokens += tokens
        return Verdict()

    def refill(self, now: float) -> None:
        """Let time pass, so that what the buckets say is true at `now`."""
        for bucket in (self.requests, self.tokens):
            if bucket:
                bucket.refill(now)

    def continue_from(self, other: "Quota", now: float) -> None:
        """Start with what `other` has left, so that a change of limits is no gift of a burst."""
        self.refill(now)
        other.refill(now)
        for old, new in ((other.requests, self.requests), (other.tokens, self.tokens)):
            if old and new:
                new.continue_from(old)

    def statistics(self) -> QuotaStatistics:
        """Counts so far."""
        return QuotaStatistics(
            admitted=self._admitted,
            refused_for_requests=self._refused["requests"],
            refused_for_tokens=self._refused["tokens"],
            admitted_tokens=self._admitted_tokens,
            overshoot_requests=self.requests.overshoot if self.requests else 0.0,
            overshoot_tokens=self.tokens.overshoot if self.tokens else 0.0,
        )

    def _refuse(self, verdict: Verdict) -> Verdict:
        assert verdict.refused_for is not None
        self._refused[verdict.refused_for] += 1
        return verdict


def _bucket(per_minute: float | None, burst_s: float) -> Bucket | None:
    if per_minute is None:
        return None
    return Bucket(per_minute, max(1.0, per_minute * burst_s / 60))
