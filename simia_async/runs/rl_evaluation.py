"""Evaluation inside training: a version plays the held-out tasks, greedy and sampled."""

from collections.abc import Sequence

import msgspec
from simia_store import MetricRecord

from simia_async.environments import Task
from simia_async.evaluation.shares import PolicyScore, Share, score
from simia_async.models import policy_name
from simia_async.runs.held_out import play_all, store_score
from simia_async.runs.stage import Stage

SOLVED = "eval/solved"
"""Metric of a version's share; what has none was not evaluated to the end."""
_GREEDY, _SAMPLED = 0.0, 1.0


class HeldOut(msgspec.Struct, frozen=True):
    """How a version did."""

    greedy: PolicyScore
    sampled: PolicyScore

    @property
    def solved(self) -> float:
        """Share of all tasks, greedy and sampled together."""
        both = Share.of([self.greedy.all, self.sampled.all])
        return both.hits / max(both.total, 1)


async def evaluate_version(
    stage: Stage, tasks: Sequence[Task], step: int, version: int, seed: int
) -> HeldOut:
    """Play every task twice and write down the shares that the exact check passes."""
    scores = []
    for temperature in (_GREEDY, _SAMPLED):
        outcomes = await play_all(list(tasks), stage, stage.setting(version, temperature), seed)
        scores.append(score(policy_name(version), temperature, outcomes))
        await store_score(stage.store, step, scores[-1])
    held_out = HeldOut(*scores)
    await stage.store.append(MetricRecord(step, SOLVED, held_out.solved))
    return held_out
