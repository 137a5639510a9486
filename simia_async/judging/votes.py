"""Several judgements of one conversation, made one."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import msgspec

from simia_async.environments import Criterion
from simia_async.simulation.replies import Judgement


class Tallied(msgspec.Struct, frozen=True):
    """What the votes come to."""

    reward: float
    reasoning: str
    """Of the vote that is nearest to it."""
    criteria: dict[str, Any]
    agreement: float
    """Share of votes that say what the majority does, over criteria; 1 of a single vote."""


def tally(votes: Sequence[Judgement], criteria: Sequence[Criterion]) -> Tallied:
    """The majority by criterion, the mean where criteria are numbers.

    With criteria the reward is their weighted share, reckoned here and not taken from a vote;
    without, the median of the votes'.
    """
    names = [c.name for c in criteria] or sorted({n for vote in votes for n in vote.criteria})
    said = {name: [v.criteria[name] for v in votes if name in v.criteria] for name in names}
    told = {name: _of(values) for name, values in said.items() if values}
    reward = _weighted(told, criteria) if criteria else median(v.reward for v in votes)
    shares = [_agreeing(values, told[name]) for name, values in said.items() if values]
    if not shares:
        shares = [_agreeing([v.reward >= 0.5 for v in votes], reward >= 0.5)]
    nearest = min(votes, key=lambda vote: abs(vote.reward - reward))
    return Tallied(reward, nearest.reasoning, told, fmean(shares))


def missing(vote: Judgement, criteria: Sequence[Criterion]) -> list[str]:
    """Names of criteria that a vote does not tell, or not as a truth value or a share."""
    return [c.name for c in criteria if not _is_share(vote.criteria.get(c.name))]


def _is_share(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, int | float) and 0 <= value <= 1)


def _of(values: Sequence[Any]) -> Any:
    """A tie is no majority."""
    if all(isinstance(value, bool) for value in values):
        return sum(values) * 2 > len(values)
    if all(_is_share(value) for value in values):
        return fmean(map(float, values))
    return max(values, key=values.count)


def _weighted(told: dict[str, Any], criteria: Sequence[Criterion]) -> float:
    met = sum(float(told[c.name]) * c.weight for c in criteria)
    return met / sum(c.weight for c in criteria)


def _agreeing(values: Sequence[Any], told: Any) -> float:
    if isinstance(told, bool):
        return values.count(told) / len(values)
    if isinstance(told, float):
        return 1 - fmean(abs(float(value) - told) for value in values)
    return values.count(told) / len(values)
