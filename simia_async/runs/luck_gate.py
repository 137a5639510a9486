"""The gate before RL: tasks whose reward is mostly the world's luck are not trained on.

Luck is measured once, before the first step, with the policy that RL begins with, on the first of
the run's own tasks: rollouts are played and replayed in runs of their own, beside the run. Once,
because replays cost about as much as rollouts, and because the world does not change under way. The
simulator answers every replay afresh, while the rollouts of a group share what it has told until
they change something: within groups luck is at most what is measured.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from simia_store import MetricRecord, Reader

from simia_async.clients.spending import Amount, Earlier
from simia_async.config import GrpoConfig, LuckConfig, PlayConfig
from simia_async.environments import Task
from simia_async.errors import EndpointError, UsageError
from simia_async.runs.luck import played_beside, run_luck
from simia_async.runs.luck_result import LuckResult
from simia_async.runs.spending import already_spent
from simia_async.supervision.service import Report

_ROLLOUTS = 4
"""Of each task, at most as many as its groups have."""
_JUDGINGS = 2
"""So that the judge's noise is not taken for the world's."""


class LuckGate(msgspec.Struct, frozen=True):
    """What was measured, as the record of the run keeps it."""

    limit: float
    share: float
    """Of the reward's variance within tasks, over all that were measured."""
    measured: int
    """Tasks."""
    left_out: dict[str, float] = {}
    """Tasks above the limit, with their shares."""

    def metrics(self) -> list[MetricRecord]:
        """For trackers and screens."""
        values = {
            "luck/world_share": self.share,
            "luck/tasks_measured": float(self.measured),
            "luck/tasks_left_out": float(len(self.left_out)),
        }
        return [MetricRecord(0, name, value) for name, value in values.items()]


def measured_beside(path: Path) -> Path:
    """Where the replays are that luck was measured by, for the RL run at `path`."""
    return path.with_name(f"{path.stem}-luck.db")


def stored_gate(path: Path) -> LuckGate | None:
    """What the RL run at `path` was begun with; None if it measured nothing, or is not there."""
    if not path.exists():
        return None
    with Reader(path) as reader:
        run = reader.run()
    stored = run.config.get("luck") if run else None
    return msgspec.convert(stored, LuckGate) if stored else None


async def measure_luck(
    config: GrpoConfig, limit: float, path: Path, tasks: Sequence[Task], report: Report
) -> LuckGate:
    """Measure luck on the first `tasks` that differ, and say which of them are above `limit`.

    Raises `UsageError` if most of them are, `EndpointError` if too little could be replayed to
    tell, and what `run_luck` raises.
    """
    distinct = list({task.id: task for task in tasks}.values())[: config.luck_tasks]
    report(f"luck is measured on {len(distinct)} tasks before the first step")
    where = measured_beside(path)
    result = await run_luck(_settings(config, len(distinct)), where, tasks=distinct, report=report)
    if result.variance.policy is None:
        raise EndpointError(
            f"{where}: of no task two rollouts could be replayed, so luck cannot be told from the "
            "policy's doing; `simia report` says why"
        )
    gate = _judged(result, limit)
    if len(gate.left_out) * 2 > gate.measured:
        raise UsageError(
            f"--max-env-luck: in {len(gate.left_out)} of the {gate.measured} tasks that were "
            f"measured more than {limit:.0%} of the reward's variance is the world's luck "
            f"({gate.share:.0%} over all, see {where}), so there is little to learn from; take a "
            "simulator that answers more steadily, or allow more"
        )
    report(
        f"luck: {gate.share:.0%} of the reward's variance is the world's; {len(gate.left_out)} of "
        f"{gate.measured} tasks are above {limit:.0%} and left out"
    )
    return gate


def spent_on_luck(path: Path) -> Earlier:
    """What was spent to measure it for the RL run at `path`, which counts it as its own."""
    spent = Amount()
    priced = False
    measured = measured_beside(path)
    for place in (played_beside(measured), measured):
        if place.exists():
            earlier = already_spent(place)
            spent += earlier.spent
            priced = priced or earlier.priced
    return Earlier(spent=spent, priced=priced)


def _settings(config: GrpoConfig, tasks: int) -> LuckConfig:
    temperature = config.policy.temperature
    # Rollouts of RL are sampled at 1 where nothing is said.
    policy = msgspec.structs.replace(
        config.policy, temperature=1.0 if temperature is None else temperature
    )
    played = {name: getattr(config, name) for name in PlayConfig.__struct_fields__}
    return LuckConfig(
        **{**played, "policy": policy},
        tasks=tasks,
        group_size=min(config.group_size, _ROLLOUTS),
        replays=config.luck_replays,
        judgings=_JUDGINGS,
        adapter=config.adapter,
    )


def _judged(result: LuckResult, limit: float) -> LuckGate:
    above = {task.task_id: task.world_share for task in result.tasks if task.world_share > limit}
    return LuckGate(limit, result.variance.world.share or 0.0, len(result.tasks), above)
