"""One simulated observation held against the recorded one."""

from typing import Any, Self

import msgspec

from simia_async.meters.seen import Claims, Consistency, claims
from simia_async.meters.values import canonical, key_places, leaves, tells_error


class Measured(msgspec.Struct, frozen=True):
    """How one observation compares. What did not come is right in nothing and denies nothing."""

    usable: bool
    """Whether there was an answer in the form that the role asks for."""
    error_agrees: bool
    """Whether both tell of an error, or neither does."""
    exact: bool
    """Whether both are the same JSON value, or the same text."""
    keys_f1: float | None
    """F1 of the places of all keys; None where the recorded one has none."""
    leaves_f1: float | None
    """F1 of the values with their places (see `values.leaves`); None where the recorded one is an
    error, whose words no simulator can know."""
    compared: int = 0
    """Values that were seen before, are still true, and of which it says something."""
    contradicted: int = 0
    """Of them, those that it denies."""
    recorded_error: bool = False
    simulated_error: bool | None = None
    """None where nothing came."""

    @property
    def consistent(self) -> bool | None:
        """Whether it denies nothing of what was seen; None where it could not have."""
        return self.contradicted == 0 if self.compared else None

    @classmethod
    def nothing(cls, recorded: Any) -> Self:
        """For a call that no usable answer came to."""
        keys, is_error = key_places(recorded), tells_error(recorded)
        return cls(
            usable=False,
            error_agrees=False,
            exact=False,
            keys_f1=0.0 if keys else None,
            leaves_f1=None if is_error else 0.0,
            recorded_error=is_error,
        )


def measure(
    recorded: Any,
    simulated: Any,
    request: str,
    known: Claims,
    *,
    said_error: bool = False,
) -> Measured:
    """Compare what was simulated with what was recorded.

    Both are values as `read_observation` gives them; `request` is the call, written one way, and
    `known` what was seen before it; `said_error`: whether the simulator itself says that the call
    failed.
    """
    is_error, says_error = tells_error(recorded), said_error or tells_error(simulated)
    keys = key_places(recorded)
    consistency = Consistency(known, claims(recorded, request), claims(simulated, request))
    return Measured(
        usable=True,
        error_agrees=is_error == says_error,
        exact=canonical(recorded) == canonical(simulated),
        keys_f1=_f1(keys, key_places(simulated)) if keys else None,
        leaves_f1=None if is_error else _leaves_f1(recorded, simulated),
        compared=len(consistency.compared),
        contradicted=len(consistency.contradicted),
        recorded_error=is_error,
        simulated_error=says_error,
    )


def _f1(wanted: set[str], found: set[str]) -> float:
    return 2 * len(wanted & found) / (len(wanted) + len(found))


def _leaves_f1(recorded: Any, simulated: Any) -> float:
    wanted, found = leaves(recorded), leaves(simulated)
    return 2 * (wanted & found).total() / (wanted.total() + found.total())
