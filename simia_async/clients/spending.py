"""What a run may cost, what it has cost, and what it is going to."""

import msgspec
from simia_store import CallRecord

from simia_async.config import Budget

_BLIND = 8
"""Units that may be under way before one has ended and shown what a unit costs."""


class SpendingStatistics(msgspec.Struct, frozen=True, gc=False):
    """What a screen shows of what is spent. None: no limit, or not known."""

    spent_usd: float | None
    max_cost_usd: float | None
    projected_usd: float | None
    spent_tokens: int
    max_tokens: int | None
    projected_tokens: float | None
    units_done: int
    units_active: int


class Spending:
    """Counts every call, and says whether one more unit of work may begin.

    A unit is what is only useful as a whole: a trajectory to simulate, a group of rollouts. Units
    that have begun are never cut off, so one may begin only if it and those under way are likely
    to fit.
    """

    def __init__(self, budget: Budget) -> None:
        self._max_cost_usd = budget.max_cost_usd
        self._max_tokens = budget.max_tokens
        self._usd = 0.0
        self._tokens = 0
        self._priced = False
        self._done = self._active = 0

    @property
    def active(self) -> int:
        """Units under way."""
        return self._active

    def charge(self, call: CallRecord) -> None:
        """Count one attempt."""
        self._tokens += call.tokens_in + call.tokens_out
        if call.cost_usd is not None:
            self._usd += call.cost_usd
            self._priced = True

    def charge_earlier(self, cost_usd: float, tokens: int, units: int) -> None:
        """Count what an earlier session of the run has spent."""
        self._usd += cost_usd
        self._tokens += tokens
        self._priced = self._priced or cost_usd > 0
        self._done += units

    def allows_another(self) -> bool:
        """Whether one more unit may begin."""
        if self._max_cost_usd is None and self._max_tokens is None:
            return True
        if self._done == 0:
            return self._active < _BLIND
        ahead = self._active + 1
        usd, tokens = self._mean()
        if self._max_cost_usd is not None and self._usd + ahead * usd > self._max_cost_usd:
            return False
        return self._max_tokens is None or self._tokens + ahead * tokens <= self._max_tokens

    def begin(self) -> None:
        """A unit begins."""
        self._active += 1

    def end(self) -> None:
        """A unit has ended, whatever came of it."""
        self._active -= 1
        self._done += 1

    def statistics(self, units_left: int | None = None) -> SpendingStatistics:
        """Where it stands, and where it will if `units_left` more are like the others."""
        usd, tokens = self._mean()
        known = units_left is not None and self._done > 0
        left = units_left or 0
        return SpendingStatistics(
            spent_usd=self._usd if self._priced else None,
            max_cost_usd=self._max_cost_usd,
            projected_usd=self._usd + left * usd if known and self._priced else None,
            spent_tokens=self._tokens,
            max_tokens=self._max_tokens,
            projected_tokens=self._tokens + left * tokens if known else None,
            units_done=self._done,
            units_active=self._active,
        )

    def _mean(self) -> tuple[float, float]:
        """Cost and tokens of a unit. Those under way have spent a part already, which makes it
        an upper estimate.
        """
        ended = max(1, self._done)
        return self._usd / ended, self._tokens / ended
