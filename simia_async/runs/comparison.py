"""An evaluation's policies compared: adapters with their base, all with those of another run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simia_store import EnvironmentRecord

from simia_async.config import EvalConfig
from simia_async.environments import Environment, Task
from simia_async.errors import UsageError
from simia_async.evaluation.paired import Comparison, paired
from simia_async.evaluation.trials import TaskTrials
from simia_async.runs.eval_record import Arm, Evaluation, read_evaluation
from simia_async.runs.rollout_recall import as_stored

_SHAPING = ("mode", "world", "max_turns", "max_tokens", "context")
_ENDPOINTS = ("simulator", "user_endpoint", "tool_endpoint")


def read_baseline(
    path: Path, environment: Environment, tasks: list[Task], config: EvalConfig
) -> Evaluation:
    """The evaluation at `path`, if it can be paired with one of `tasks`.

    Raises `StoreError`, or `UsageError` if it is none, has not ended, or played other tasks, in
    another environment or at other temperatures.
    """
    baseline = read_evaluation(path)
    if not baseline.is_whole:
        raise UsageError(
            f"--baseline: {path} was not played to its end (it is {baseline.run.status}); go on "
            "with it first"
        )
    _check_environment(path, baseline.environment, environment.as_record())
    wanted = {task.id: as_stored(task) for task in tasks}
    theirs = {task.task_id for trials in baseline.arms.values() for task in trials}
    same = [n for n, task in wanted.items() if n in theirs and baseline.tasks[n] == task]
    if len(same) < len(wanted) or len(theirs) > len(wanted):
        raise UsageError(
            f"--baseline: {path} has played {len(theirs)} tasks and {len(wanted)} would be played "
            f"now, of which {len(same)} are the same; only the same tasks can be paired (--env, "
            "--split, --tasks, --seed and --leave-out choose them)"
        )
    at = {arm.temperature for arm in baseline.arms if arm.temperature is not None}
    if at.isdisjoint(config.temperatures):
        played = ", ".join(f"{t:g}" for t in sorted(at))
        raise UsageError(
            f"--baseline: {path} has played at temperature {played} alone; name one of those with "
            "--temperature"
        )
    return baseline


def _check_environment(path: Path, theirs: EnvironmentRecord, ours: EnvironmentRecord) -> None:
    if theirs != ours:
        what = f"in {theirs.name!r}, not in {ours.name!r}"
        if theirs.name == ours.name:
            what = f"when {ours.name!r} had another policy, other tools or another state"
        raise UsageError(f"--baseline: {path} was played {what}; only the same can be paired")


def other_settings(config: dict[str, Any], baseline: dict[str, Any]) -> list[str]:
    """Settings that shape conversations and are not the same in both runs, by name."""
    names = [name for name in _SHAPING if config.get(name) != baseline.get(name)]
    for name in _ENDPOINTS:
        ours, theirs = config.get(name) or {}, baseline.get(name) or {}
        if ours.get("model") != theirs.get("model"):
            names.append(f"{name}.model")
    return names


def compare(
    ours: dict[Arm, list[TaskTrials]],
    theirs: dict[Arm, list[TaskTrials]],
    baseline: str | None,
    k: int,
) -> list[Comparison]:
    """Each of `ours` with each of `theirs` that was sampled at the same temperature.

    `baseline` is the run of the others; None: both are of one run, and adapters are compared with
    the base.
    """
    return [
        Comparison(
            arm.policy,
            other.policy,
            baseline,
            arm.temperature,
            *paired(ours[arm], theirs[other], min(k, _fewest(ours[arm]), _fewest(theirs[other]))),
        )
        for arm, other in _pairs(ours, theirs, within=baseline is None)
    ]


def _pairs(
    ours: dict[Arm, list[TaskTrials]], theirs: dict[Arm, list[TaskTrials]], *, within: bool
) -> Iterator[tuple[Arm, Arm]]:
    for arm in ours:
        for other in theirs:
            is_base = arm.version > 0 and other.version == 0
            if arm.temperature == other.temperature and (is_base or not within):
                yield arm, other


def _fewest(tasks: list[TaskTrials]) -> int:
    return min(len(task.solved) for task in tasks)
