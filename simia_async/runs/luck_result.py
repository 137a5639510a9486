"""What the meter of luck found, from the replays that are stored."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import msgspec
from simia_store import MetricRecord, Reader

from simia_async.clients import SpendingStatistics
from simia_async.evaluation.variance import TooFewReplays, Variance, split_variance
from simia_async.rollouts.conversation import SCORING
from simia_async.runs.luck_recordings import Recording
from simia_async.runs.scorings import rewards_of
from simia_async.runs.unwritten import unwritten_metrics

Rewards = Mapping[int, Sequence[float]]
"""Of a replay, by trajectory: one a judging."""


class TaskLuck(msgspec.Struct, frozen=True):
    """One task."""

    task_id: str
    variance: Variance
    reward_played: float | None
    """Mean of the rollouts as they were played; None where none had a reward."""
    reward_replayed: float
    """Mean of their replays. What the policy did fits the world that it saw, so this is lower."""

    @property
    def world_share(self) -> float:
        """Of the variance of its rewards; 0 where nothing varies, or where it cannot be told."""
        return self.variance.world.share or 0.0


class LuckResult(msgspec.Struct, frozen=True):
    """How much of the rewards' variance within tasks is the world's luck."""

    run: Path
    rollouts: Path
    """The run whose rollouts were replayed."""
    variance: Variance
    """Over all tasks."""
    tasks: list[TaskLuck]
    """Those that can be told of: a rollout of them has two replays with a reward."""
    judgings: int
    """Of each replay; 0: code alone judges, which adds nothing."""
    reward_played: float | None
    reward_replayed: float
    wanted: int
    """Replays."""
    replayed: int
    """Of them, that have all their rewards."""
    budget_spent: bool
    spending: SpendingStatistics


class Replayed(msgspec.Struct, frozen=True):
    """Replays as they are stored: which rollout each is of, and its rewards."""

    recordings: Mapping[int, Recording]
    """By trajectory of the replay."""
    rewards: Rewards

    def by_task(self) -> dict[str, list[list[Sequence[float]]]]:
        """Rewards of every task, by rollout and replay."""
        nested: dict[str, dict[int, list[Sequence[float]]]] = defaultdict(dict)
        for number, recording in self.recordings.items():
            if rewards := self.rewards.get(number):
                nested[recording.task.id].setdefault(recording.id, []).append(rewards)
        return {task: list(rollouts.values()) for task, rollouts in nested.items()}


def read_rewards(path: Path, numbers: range, judgings: int) -> Rewards:
    """Of the replays at `path` with these numbers, as far as they have been judged."""
    with Reader(path) as reader:
        scorings = [rewards_of(reader, SCORING + n) for n in range(max(judgings, 1))]
    return {
        number: [rewards[number] for rewards in scorings if number in rewards] for number in numbers
    }


def luck_of_tasks(replayed: Replayed) -> list[TaskLuck]:
    """Task by task; those that nothing can be said of are left out."""
    played: dict[str, dict[int, float]] = defaultdict(dict)
    for recording in replayed.recordings.values():
        if recording.reward is not None:
            played[recording.task.id][recording.id] = recording.reward
    found = []
    for task, rollouts in replayed.by_task().items():
        try:
            variance = split_variance([rollouts])
        except TooFewReplays:
            continue
        rewards = [fmean(replay) for rollout in rollouts for replay in rollout]
        before = played[task]
        found.append(
            TaskLuck(task, variance, fmean(before.values()) if before else None, fmean(rewards))
        )
    return found


def new_metrics(path: Path, result: LuckResult, replays: int) -> list[MetricRecord]:
    """What was found with so many replays, where an earlier session has not written it down."""
    policy, judge = result.variance.policy, result.variance.judge
    found = {
        "luck/policy_share": policy.share if policy else None,
        "luck/world_share": result.variance.world.share,
        "luck/judge_share": judge.share if judge else None,
        "luck/reward_replayed": result.reward_replayed,
    }
    told = (MetricRecord(replays, n, value) for n, value in found.items() if value is not None)
    return unwritten_metrics(path, told)
