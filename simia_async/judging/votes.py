"""Votes of an LLM on one conversation, and what they come to."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import msgspec

from simia_async.environments import Criterion
from simia_async.simulation.asking import read_json
from simia_async.simulation.replies import Judgement

Met = bool | float
"""Whether, or to what share, a criterion is met."""


class Vote(msgspec.Struct, frozen=True):
    """One answer of the LLM."""

    reward: float
    reasoning: str
    criteria: dict[str, Met]


class Tally(msgspec.Struct, frozen=True):
    """What the votes come to."""

    reward: float
    reasoning: str
    """Of the vote that is nearest to it."""
    criteria: dict[str, Met]
    agreement: float
    """Share of the votes that are on the majority's side, the mean over the criteria; 1 of one."""


def read_vote(text: str, criteria: Sequence[Criterion]) -> Vote:
    """The vote in an answer. Raises `msgspec.ValidationError` if it leaves a criterion out.

    The reward is reckoned from the criteria where there are some: an LLM's sums are not trusted.
    """
    said = read_json(Judgement, text)
    if not criteria:
        usable = {name: met for name, met in said.criteria.items() if _is_met(met)}
        return Vote(said.reward, said.reasoning, usable)
    names = [criterion.name for criterion in criteria]
    if lacking := [name for name in names if not _is_met(said.criteria.get(name))]:
        raise msgspec.ValidationError(
            f"`criteria` lacks {', '.join(lacking)}: true, false or a number from 0 to 1"
        )
    met = {name: said.criteria[name] for name in names}
    return Vote(_share(met, criteria), said.reasoning, met)


def tally(votes: Sequence[Vote], criteria: Sequence[Criterion]) -> Tally:
    """The majority by criterion, the mean where one was given a number, and the weighted share of
    them; without criteria the median of the rewards.
    """
    named = [name for name in votes[0].criteria if all(name in vote.criteria for vote in votes)]
    said = {name: [vote.criteria[name] for vote in votes] for name in named}
    met = {name: _middle(opinions) for name, opinions in said.items()}
    rewards = [vote.reward for vote in votes]
    reward = _share(met, criteria) if criteria else median(rewards)
    on_one_side = (
        [_agreement(said[name], met[name]) for name in named]
        if criteria
        else [_agreement(rewards, reward)]
    )
    nearest = min(votes, key=lambda vote: abs(vote.reward - reward))
    return Tally(reward, nearest.reasoning, met, fmean(on_one_side))


def _share(met: dict[str, Met], criteria: Sequence[Criterion]) -> float:
    weighted = sum(criterion.weight * met[criterion.name] for criterion in criteria)
    return weighted / sum(criterion.weight for criterion in criteria)


def _middle(opinions: Sequence[Met]) -> Met:
    if all(isinstance(each, bool) for each in opinions):
        return sum(opinions) * 2 > len(opinions)  # A tie is no majority.
    return fmean(opinions)


def _agreement(opinions: Sequence[Met], result: Met) -> float:
    """Share of the opinions on the same side of one half as `result`."""
    return fmean((each >= 0.5) == (result >= 0.5) for each in opinions)


def _is_met(value: Any) -> bool:
    return isinstance(value, bool | int | float) and 0 <= value <= 1
