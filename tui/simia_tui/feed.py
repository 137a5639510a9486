"""The feed: a run's database, polled, as one snapshot that screens draw."""

import time
from pathlib import Path
from typing import Any

import msgspec
from simia_store import (
    OutcomeCount,
    Reader,
    RoleUsage,
    RunRecord,
    TrajectoryStatus,
    usage_by_role,
)

SERIES = {
    "rollout/reward_mean": "reward, mean",
    "rollout/solved_needs_action": "solved, needs action",
    "rollout/solved_no_action": "solved, no action",
    "train/loss": "loss",
    "train/kl": "KL to behaviour",
    "eval/needs_action": "held-out, needs action",
    "eval/no_action": "held-out, no action",
}
"""Metrics that are drawn as curves, with their titles."""


class Snapshot(msgspec.Struct, frozen=True):
    """A run as it stands. Everything here is read from the store."""

    path: Path
    run: RunRecord | None
    outcomes: list[OutcomeCount]
    usage: list[RoleUsage]
    series: dict[str, list[float]]
    """Values of each metric of `SERIES` that the run has, in order."""
    adapters: int
    statistics: dict[str, dict[str, Any]]
    """What each governor, the writer and the spending said of themselves last."""

    @property
    def in_flight(self) -> int:
        """Conversations that have begun and not ended."""
        running = TrajectoryStatus.RUNNING
        return sum(outcome.count for outcome in self.outcomes if outcome.status == running)

    @property
    def age_s(self) -> float:
        """Seconds from the run's start to its end, or to now."""
        if self.run is None:
            return 0.0
        return (self.run.finished_at or time.time()) - self.run.started_at


class Feed:
    """Polls one run. Its methods block: call them off the event loop."""

    def __init__(self, path: Path) -> None:
        self._reader = Reader(path)
        self._seen: int | None = None

    def poll(self) -> Snapshot | None:
        """The run as it stands; None if nothing was committed since the last time."""
        version = self._reader.data_version()
        if version == self._seen:
            return None
        self._seen = version
        names = set(self._reader.metric_names())
        return Snapshot(
            path=self._reader.path,
            run=self._reader.run(),
            outcomes=self._reader.outcomes(),
            usage=usage_by_role(self._reader.usage()),
            series={
                name: [metric.value for metric in self._reader.metrics(name)]
                for name in SERIES
                if name in names
            },
            adapters=len(self._reader.adapters()),
            statistics={said.source: said.sample for said in self._reader.statistics()},
        )

    def close(self) -> None:
        """Close the database."""
        self._reader.close()
