"""What a run of rollouts has come to so far."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from simia_store import TrajectoryRecord

from simia_async.clients import SpendingStatistics
from simia_async.environments import Task
from simia_async.rollouts.conversation import Outcome
from simia_async.rollouts.stop_reason import UNJUDGED
from simia_async.runs.keeping import Kept


class Solved(msgspec.Struct, frozen=True):
    """How many of the rollouts with an exact check passed it."""

    hits: int
    total: int


class RolloutResult(msgspec.Struct, frozen=True):
    """What a run of rollouts came to. Conversations stand in the database at `run`."""

    run: Path
    rollouts: int
    """That have ended, in this session or an earlier one."""
    wanted: int
    scored: int
    """Of them: with a reward."""
    stops: Counter[str]
    """Rollouts by stop reason."""
    reward_mean: float | None
    """Over those with a reward."""
    needs_action: Solved
    no_action: Solved
    kept: Kept | None
    """What was kept for SFT; None where nothing was to be."""
    budget_spent: bool
    """Whether the run ended because one more group would not fit the budget."""
    spending: SpendingStatistics
    """Of all sessions of the run."""


class RolloutProgress(msgspec.Struct, frozen=True):
    """How far a run is."""

    done: int
    wanted: int
    active: int
    """Conversations under way."""
    unscored: int
    reward_mean: float | None
    spending: SpendingStatistics


class Tally:
    """Counts rollouts as they end."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._rewards: list[float] = []
        self._stops: Counter[str] = Counter()
        self._solved: dict[bool, list[bool]] = {True: [], False: []}

    def take_up(self, finished: Sequence[TrajectoryRecord], tasks: Sequence[Task]) -> None:
        """Count what an earlier session has finished."""
        needs_action = {task.id: task.needs_action for task in tasks}
        for record in finished:
            solved = record.detail.get("solved")
            needs = needs_action.get(record.task_id, False)
            self._add(str(record.stop_reason), record.reward, solved, needs_action=needs)

    def count(self, outcome: Outcome) -> None:
        """Count one."""
        needs = outcome.task.needs_action
        self._add(outcome.stop_reason, outcome.reward, outcome.solved, needs_action=needs)

    def progress(self, active: int, spending: SpendingStatistics) -> RolloutProgress:
        """Where it stands."""
        done = self._stops.total()
        unscored = done - len(self._rewards)
        return RolloutProgress(done, self._wanted, active, unscored, self._mean, spending)

    def result(
        self, path: Path, *, budget_spent: bool, kept: Kept | None, spending: SpendingStatistics
    ) -> RolloutResult:
        """What it came to."""
        return RolloutResult(
            run=path,
            rollouts=self._stops.total(),
            wanted=self._wanted,
            scored=len(self._rewards),
            stops=self._stops,
            reward_mean=self._mean,
            needs_action=self._share(needs_action=True),
            no_action=self._share(needs_action=False),
            kept=kept,
            budget_spent=budget_spent,
            spending=spending,
        )

    @property
    def _mean(self) -> float | None:
        return sum(self._rewards) / len(self._rewards) if self._rewards else None

    def _share(self, *, needs_action: bool) -> Solved:
        solved = self._solved[needs_action]
        return Solved(sum(solved), len(solved))

    def _add(
        self, stop: str, reward: float | None, solved: bool | None, *, needs_action: bool
    ) -> None:
        self._stops[str(stop)] += 1
        if reward is not None:
            self._rewards.append(reward)
        # One that an endpoint or somebody cut short was not the policy's to solve.
        if solved is not None and stop not in UNJUDGED:
            self._solved[needs_action].append(solved)
