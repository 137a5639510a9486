"""What a run may cost, what it has cost, and what it is going to."""

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

import msgspec
from simia_store import CallRecord

from simia_async.config import Budget
from simia_async.errors import ConfigError

_BLIND = 8
"""Units that may be under way before one has ended and shown what a unit costs."""

_MARGIN = 1.5
"""How much dearer than every one before the next unit may be."""


class Amount(msgspec.Struct, frozen=True, gc=False):
    """What calls have used up."""

    usd: float = 0.0
    tokens: float = 0

    @classmethod
    def of(cls, call: CallRecord) -> "Amount":
        """What one attempt has used up."""
        return cls(call.cost_usd or 0.0, call.tokens_in + call.tokens_out)

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.usd + other.usd, self.tokens + other.tokens)

    def __mul__(self, factor: float) -> "Amount":
        return Amount(self.usd * factor, self.tokens * factor)

    def at_least(self, other: "Amount") -> "Amount":
        """The larger of both, in each respect."""
        return Amount(max(self.usd, other.usd), max(self.tokens, other.tokens))


class _Known(msgspec.Struct):
    """What was seen of the cost of units."""

    dearest: Amount = Amount()
    blind: bool = True
    """Whether none has ended yet that cost anything."""


class Earlier(msgspec.Struct, frozen=True):
    """What earlier sessions of a run have spent."""

    spent: Amount = Amount()
    prepared: Amount = Amount()
    """Part of it: by preparatory units."""
    priced: bool = False
    """Whether the dollars are known."""
    units: int = 0
    """Units that ended."""
    lost: int = 0
    """Calls of which no answer was stored, because they were cut off."""
    lost_each: Amount | None = None
    """What each of them may have cost at worst; None: as much as the dearest unit."""
    dearest: Amount = Amount()
    """Of a unit."""
    dearest_prepared: Amount = Amount()
    """Of a preparatory one."""


class SpendingStatistics(msgspec.Struct, frozen=True, gc=False):
    """What a screen shows of what is spent. None: no limit, or not known."""

    spent_usd: float | None
    max_cost_usd: float | None
    projected_usd: float | None
    spent_tokens: float
    max_tokens: int | None
    projected_tokens: float | None
    lost_calls: int
    """Calls that were cut off. Each is part of what is spent, at its worst case."""
    lost_usd: float | None
    units_done: int
    units_active: int


class Unit:
    """A unit of work under way: what is charged inside `with` is its own."""

    def __init__(self, spending: "Spending", *, preparatory: bool = False) -> None:
        self.spent = Amount()
        self.preparatory = preparatory
        self._spending = spending
        self._token: Token[Unit | None] | None = None

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token is not None
        _current.reset(self._token)
        self._spending.end(self)


_current: ContextVar[Unit | None] = ContextVar("unit", default=None)


class Spending:
    """Counts every call, and says whether one more unit of work may begin.

    A unit is what is only useful as a whole: a trajectory to simulate, a group of rollouts. Units
    that have begun are never cut off, so one may begin only if it and those under way fit, should
    each cost as much as the dearest so far. A budget is therefore exceeded only by units dearer
    than every one before, and by the first ones, of which nothing is known.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._spent = Amount()
        """By all calls that were answered."""
        self._ended = Amount()
        """Part of it: by units that have ended."""
        self._prepared = Amount()
        """Part of that: by preparatory units."""
        self._known = {False: _Known(), True: _Known()}
        """Of units, and of preparatory ones, which say nothing of the others."""
        self._priced = False
        self._done = self._lost = 0
        self._lost_each: Amount | None = None
        self._under_way: set[Unit] = set()

    @property
    def active(self) -> int:
        """Units under way."""
        return len(self._under_way)

    @property
    def done(self) -> int:
        """Units that have ended."""
        return self._done

    def charge(self, call: CallRecord) -> None:
        """Count one attempt, for the unit in whose task it is made.

        Raises `ConfigError` if there is a budget and the endpoint does not say what it used.
        """
        amount = Amount.of(call)
        if call.status == "ok" and not amount.tokens and self._is_limited:
            raise ConfigError(
                f"{call.endpoint}: does not say how many tokens an answer used, so that no budget "
                "can be kept; leave --max-cost-usd and --max-total-tokens out"
            )
        self._priced = self._priced or call.cost_usd is not None
        self._spent += amount
        unit = _current.get()
        if unit is not None and unit in self._under_way:
            unit.spent += amount
            known = self._known[unit.preparatory]
            known.dearest = known.dearest.at_least(unit.spent)
        else:
            self._ended += amount

    def lose(self, calls: int, each: Amount | None = None) -> None:
        """Count calls of which nobody will see the answer: each costs at worst what the dearest
        unit does, or `each`.
        """
        self._lost += calls
        if each is not None:
            self._lost_each = each.at_least(self._lost_each or Amount())

    def charge_earlier(self, earlier: Earlier) -> None:
        """Count what earlier sessions of the run have spent."""
        self._spent += earlier.spent
        self._ended += earlier.spent
        self._prepared += earlier.prepared
        of_earlier = {False: earlier.dearest, True: earlier.dearest_prepared}
        for preparatory, known in self._known.items():
            known.dearest = known.dearest.at_least(of_earlier[preparatory])
            known.blind = not known.dearest.tokens
        self._priced = self._priced or earlier.priced
        self._done += earlier.units
        self._lost += earlier.lost
        self._lost_each = earlier.lost_each

    def allows_another(self, *, preparatory: bool = False) -> bool:
        """Whether one more unit may begin."""
        if not self._is_limited:
            return True
        known = self._known[preparatory]
        if known.blind and self.active >= _BLIND:
            return False
        dearest = known.dearest
        if known.blind:
            # The other kind is a better guess than nothing.
            dearest = dearest.at_least(self._known[not preparatory].dearest)
        ahead = dearest * (_MARGIN * (self.active + 1))
        after = self._ended + self._lost_in_all + ahead
        return _within(after.usd, self._budget.max_cost_usd) and _within(
            after.tokens, self._budget.max_tokens
        )

    @property
    def is_exceeded(self) -> bool:
        """Whether more has been spent than may be: units were dearer than was to be expected."""
        spent = self._spent + self._lost_in_all
        return not (
            _within(spent.usd, self._budget.max_cost_usd)
            and _within(spent.tokens, self._budget.max_tokens)
        )

    def begin(self, *, preparatory: bool = False) -> Unit:
        """A unit begins: counted from now on, and ended by its `with`.

        One that is preparatory says nothing of what the others will cost. Those under way at one
        time are of one kind.
        """
        unit = Unit(self, preparatory=preparatory)
        self._under_way.add(unit)
        return unit

    def end(self, unit: Unit) -> None:
        """A unit has ended, whatever came of it."""
        self._under_way.remove(unit)
        self._ended += unit.spent
        if unit.preparatory:
            self._prepared += unit.spent
        else:
            self._done += 1
        known = self._known[unit.preparatory]
        known.blind = known.blind and not unit.spent.tokens

    def statistics(self, units_left: float | None = None) -> SpendingStatistics:
        """Where it stands, and where it will if `units_left` more end that cost as much as the
        mean of the others.
        """
        lost = self._lost_in_all
        spent = self._spent + lost
        projected = None
        if units_left is not None and self._done:
            mean = (self._ended + self._prepared * -1) * (1 / self._done)
            projected = (self._ended + lost + mean * units_left).at_least(spent)
        return SpendingStatistics(
            spent_usd=spent.usd if self._priced else None,
            max_cost_usd=self._budget.max_cost_usd,
            projected_usd=projected.usd if projected and self._priced else None,
            spent_tokens=spent.tokens,
            max_tokens=self._budget.max_tokens,
            projected_tokens=projected.tokens if projected else None,
            lost_calls=self._lost,
            lost_usd=lost.usd if self._priced else None,
            units_done=self._done,
            units_active=self.active,
        )

    @property
    def _dearest_of_all(self) -> Amount:
        return self._known[False].dearest.at_least(self._known[True].dearest)

    @property
    def _lost_in_all(self) -> Amount:
        each = self._dearest_of_all if self._lost_each is None else self._lost_each
        return each * self._lost

    @property
    def _is_limited(self) -> bool:
        return self._budget.max_cost_usd is not None or self._budget.max_tokens is not None


def _within(amount: float, limit: float | None) -> bool:
    return limit is None or amount <= limit
