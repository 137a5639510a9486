"""What a generation run has come to so far: what was kept, what was not, what was said before."""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
from simia_store import CallRecord, Reader, TrajectoryRecord, TrajectoryStatus, TurnRecord

from simia_async.environments import Seed
from simia_async.runs.spending import CUT_OFF
from simia_async.synthesis.rules import Verdict, fingerprint

_CUT_OFF = "cut off"
"""Cause of what will be asked again because nobody saw its answer."""


class Harvest:
    """Trajectories that have ended, by what became of them."""

    def __init__(self, seeds: Iterable[Seed]) -> None:
        self.kept = 0
        self.rejected: Counter[str] = Counter()
        self.done: set[int] = set()
        """Ids of those that will not be asked again."""
        self._seen = {fingerprint(seed.messages) for seed in seeds}

    def recall(self, path: Path) -> list[TrajectoryRecord]:
        """Take up what earlier sessions have committed; which trajectories they were cut off in.

        What was cut off, and what the endpoint failed at, is asked again.
        """
        unseen = []
        with Reader(path) as reader:
            for trajectory in reader.trajectories():
                killed = trajectory.status == TrajectoryStatus.RUNNING
                if killed or trajectory.rejected_by == _CUT_OFF:
                    unseen.append(trajectory)
                elif trajectory.boundary != "simulator":
                    self.count(trajectory)
                    self._seen.add(str(trajectory.detail["fingerprint"]))
        return unseen

    def settle(
        self, begun: TrajectoryRecord, verdict: Verdict
    ) -> tuple[TrajectoryRecord, list[TurnRecord]]:
        """The records of a trajectory that has ended: duplicates are told from the rest here."""
        rejected_by, reason = verdict.rejected_by, verdict.reason
        mark = fingerprint(verdict.messages)
        if rejected_by is None:
            if mark in self._seen:
                rejected_by, reason = "duplicate", "says the same as a seed or an earlier one"
            self._seen.add(mark)
        boundary = "simulator" if rejected_by == "simulator" else "rule"
        trajectory = msgspec.structs.replace(
            begun,
            status=TrajectoryStatus.REJECTED if rejected_by else TrajectoryStatus.KEPT,
            boundary=boundary if rejected_by else None,
            rejected_by=rejected_by,
            reason=reason,
            detail={"fingerprint": mark, "repairs": verdict.repairs},
            finished_at=time.time(),
        )
        turns = [
            TurnRecord(begun.id, position, message.role, message.as_wire(), source="llm")
            for position, message in enumerate(verdict.messages)
        ]
        return trajectory, turns

    def count(self, trajectory: TrajectoryRecord) -> None:
        """Count a trajectory that has ended."""
        self.done.add(trajectory.id)
        if trajectory.status == TrajectoryStatus.KEPT:
            self.kept += 1
        else:
            self.rejected[str(trajectory.rejected_by)] += 1

    def tries_for(self, more: int) -> float:
        """How many trajectories it is likely to take until `more` are kept."""
        return more * len(self.done) / self.kept if self.kept else float(more)


def cut_off(trajectory: TrajectoryRecord) -> TrajectoryRecord:
    """The record of one whose answer nobody saw."""
    return msgspec.structs.replace(
        trajectory,
        status=TrajectoryStatus.REJECTED,
        boundary="simulator",
        rejected_by=_CUT_OFF,
        reason="the run was cut off before its answer was there; it is asked again when that goes "
        "on",
        finished_at=time.time(),
    )


def lost_call(trajectory: TrajectoryRecord, endpoint: str, model: str) -> CallRecord:
    """What stands in the ledger for a call of which it is not known whether it was answered."""
    return CallRecord(
        trajectory_id=trajectory.id,
        role="author",
        endpoint=endpoint,
        model=model,
        attempt=1,
        status=CUT_OFF,
        latency_s=0.0,
        error="in flight, or about to be, when the run was killed",
    )
