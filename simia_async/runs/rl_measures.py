"""What the rollouts of an RL step came to, as it stands in the record."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

from simia_store import GroupRecord, Reader, TrajectoryRecord

from simia_async.environments import Task


def measure_step(path: Path, step: int, tasks: Mapping[str, Task], newest: int) -> dict[str, float]:
    """Measures of the rollouts of `step`, by name; `newest` is the version they are to train.

    A rollout without a reward is not one with a reward of 0: it is counted as `no_reward`.
    """
    with Reader(path) as reader:
        groups = reader.groups(step)
        rollouts = [each for group in groups for each in reader.trajectories(group_id=group.id)]
        turns, changed = Counter[str](), set[int]()
        for rollout in rollouts:
            for turn in reader.turns(rollout.id):
                if turn.ops:
                    changed.add(rollout.id)
                turns[turn.role] += 1
                turns["tool errors"] += turn.role == "tool" and turn.is_error
                turns["tokens"] += len(turn.token_ids)
    count = max(len(rollouts), 1)
    return {
        **_rewards(rollouts),
        **_solved(rollouts, tasks),
        **_passive(rollouts, tasks, changed),
        **_staleness(groups, newest),
        **{f"stop/{reason}": float(n) for reason, n in _stops(rollouts).items()},
        "turns": turns["assistant"] / count,
        "tokens": turns["tokens"] / count,
        "tool_error_rate": turns["tool errors"] / max(turns["tool"], 1),
    }


def _rewards(rollouts: list[TrajectoryRecord]) -> dict[str, float]:
    rewards = [each.reward for each in rollouts if each.reward is not None]
    values = {"rollouts": float(len(rollouts)), "no_reward": float(len(rollouts) - len(rewards))}
    if rewards:
        values["reward_mean"] = statistics.fmean(rewards)
        values["reward_std"] = statistics.pstdev(rewards)
    criteria: dict[str, list[float]] = {}
    for each in rollouts:
        for name, value in (each.detail.get("criteria") or {}).items():
            if isinstance(value, int | float):
                criteria.setdefault(name, []).append(float(value))
    return values | {f"criterion/{name}": statistics.fmean(v) for name, v in criteria.items()}


def _solved(rollouts: list[TrajectoryRecord], tasks: Mapping[str, Task]) -> dict[str, float]:
    """Shares that the exact check passes, tasks that need an action and tasks that do not apart."""
    values = {}
    for name, wanted in (("needs_action", True), ("no_action", False)):
        solved = [
            bool(each.detail["solved"])
            for each in rollouts
            if tasks[each.task_id].needs_action == wanted and each.detail.get("solved") is not None
        ]
        if solved:
            values[f"solved_{name}"] = statistics.fmean(solved)
    return values


def _passive(
    rollouts: list[TrajectoryRecord], tasks: Mapping[str, Task], changed: Set[int]
) -> dict[str, float]:
    """Share of the rollouts in which an action is needed and nothing was changed. In a step without
    any change it cannot be told from a world that keeps no state.
    """
    acted = [each.id in changed for each in rollouts if tasks[each.task_id].needs_action]
    return {"passive": 1 - statistics.fmean(acted)} if acted and changed else {}


def _staleness(groups: Iterable[GroupRecord], newest: int) -> dict[str, float]:
    behind = [float(newest - group.policy_version) for group in groups]
    return {"staleness": statistics.fmean(behind)} if behind else {}


def _stops(rollouts: list[TrajectoryRecord]) -> Counter[str]:
    return Counter(str(each.stop_reason) for each in rollouts)
