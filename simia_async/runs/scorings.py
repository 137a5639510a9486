"""Scorings of a run: their rewards, and what changed from one to another."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import msgspec
from simia_store import Reader, ScoringRecord

from simia_async.rollouts.conversation import SCORING

_SAME = 1e-9
"""Rewards that differ by less are one reward, reckoned twice."""


class Change(msgspec.Struct, frozen=True):
    """Two scorings compared, over the conversations that have a reward in both."""

    scoring: int
    """The earlier one."""
    both: int
    reward_mean: float
    """Of the earlier one."""
    up: int
    """Conversations whose reward is higher in the later one."""
    down: int
    agreement: float
    """Share of conversations whose reward is on the same side of one half in both."""


def is_same(scoring: ScoringRecord, rubric: dict[str, Any], judge: str) -> bool:
    """Whether a scoring that was added to a run judges so."""
    return scoring.id != SCORING and (scoring.rubric, scoring.judge) == (rubric, judge)


def next_scoring(scorings: Sequence[ScoringRecord]) -> int:
    """The id of one more. The first is the run's own, even where an old run has no record of it."""
    return max((scoring.id for scoring in scorings), default=SCORING) + 1


def rewards_of(reader: Reader, scoring_id: int) -> dict[int, float]:
    """Rewards by trajectory, of those that have one."""
    rewards = (
        ((each.id, each.reward) for each in reader.trajectories() if each.stop_reason)
        if scoring_id == SCORING
        else (
            (each.trajectory_id, each.reward) for each in reader.judgements(scoring_id=scoring_id)
        )
    )
    return {number: reward for number, reward in rewards if reward is not None}


def last_change(reader: Reader, scoring_id: int) -> Change | None:
    """What changed from the last scoring before that has rewards; None if none has."""
    changes = (
        change_between(reader, before, scoring_id) for before in range(scoring_id - 1, 0, -1)
    )
    return next(filter(None, changes), None)


def change_between(reader: Reader, before: int, after: int) -> Change | None:
    """What changed from one scoring to another; None if no conversation has a reward in both."""
    old, new = rewards_of(reader, before), rewards_of(reader, after)
    pairs = [(old[number], new[number]) for number in old.keys() & new.keys()]
    if not pairs:
        return None
    return Change(
        scoring=before,
        both=len(pairs),
        reward_mean=fmean(was for was, _ in pairs),
        up=sum(now - was > _SAME for was, now in pairs),
        down=sum(was - now > _SAME for was, now in pairs),
        agreement=fmean((was >= 0.5) == (now >= 0.5) for was, now in pairs),
    )
